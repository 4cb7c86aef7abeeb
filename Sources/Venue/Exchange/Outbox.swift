import Core

/// What waits to be sent, in order: one run of bytes, and who gets which part of it.
///
/// A frame is written once, whatever the number of its receivers, and a raw receiver gets a slice of the
/// combined frame. Bound: the exchange stops advancing at ``ExchangeOptions/pendingBytesMax`` until it is
/// drained; answers to clients come on top, and are bounded by the clients' own messages.
struct Outbox: ~Copyable {
  enum Kind: UInt8 { case message, ping, close, void }

  struct Entry {
    var session: Int32
    var kind: Kind
    /// Place in `bytes`, or in `manners` for a close.
    var begin: Int
    var count: Int
  }

  private static let retainedBytesMax = 8 << 20
  private static let retainedEntriesMax = 1 << 16

  var bytes = ByteWriter(capacity: 1 << 12)
  private var entries: [Entry] = []
  private var manners: [CloseManner] = []
  /// Bytes to hand out, each receiver counted.
  private(set) var pendingBytes = 0

  @inline(__always)
  mutating func send(_ session: Int32, _ begin: Int, _ count: Int) {
    entries.append(Entry(session: session, kind: .message, begin: begin, count: count))
    pendingBytes &+= count
  }

  mutating func send(_ session: Int32, _ text: String) {
    let begin = bytes.count
    bytes.append(text)
    send(session, begin, bytes.count - begin)
  }

  mutating func ping(_ session: Int32) {
    entries.append(Entry(session: session, kind: .ping, begin: 0, count: 0))
  }

  mutating func close(_ session: Int32, _ manner: CloseManner) {
    entries.append(Entry(session: session, kind: .close, begin: manners.count, count: 0))
    manners.append(manner)
  }

  /// Forgets what waits for a session that is gone.
  mutating func forget(_ session: Int32) {
    for index in entries.indices where entries[index].session == session { entries[index].kind = .void }
  }

  mutating func drain(
    message: (SessionID, UnsafeRawBufferPointer) -> Void, ping: (SessionID) -> Void,
    close: (SessionID, CloseManner) -> Void
  ) {
    for entry in entries {
      let session = SessionID(rawValue: entry.session)
      switch entry.kind {
      case .message:
        message(session, UnsafeRawBufferPointer(rebasing: bytes.bytes[entry.begin..<entry.begin + entry.count]))
      case .ping: ping(session)
      case .close: close(session, manners[entry.begin])
      case .void: break
      }
    }
    entries.removeAll(keepingCapacity: entries.count <= Outbox.retainedEntriesMax)
    manners.removeAll()
    pendingBytes = 0
    if bytes.count > Outbox.retainedBytesMax { bytes = ByteWriter(capacity: 1 << 16) }
    bytes.removeAll()
  }
}
