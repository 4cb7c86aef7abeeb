import Core

/// What happens to a client that doesn't keep up with its events.
public enum SlowReaderRule: Sendable {
  /// The stream ends. A browser connects again and says with `Last-Event-ID` what it has.
  case close
  /// Events are left out and counted in ``EventStream/skippedCount``: right where each one replaces the last.
  case skip
}

/// Bounds of an ``EventStream``.
public struct EventStreamOptions: Sendable {
  /// So many bytes may wait for the client.
  public var waitingBytesMax = 256 << 10
  public var whenSlow = SlowReaderRule.close
  /// A comment is sent so often, so that proxies and the client see the stream alive; 0 for never.
  public var heartbeatNs = 15 * Nanoseconds.second
  /// How long a browser waits before it connects again; nil for its own choice.
  public var retryMs: Int?

  public init() {}
}

/// A stream of server-sent events (HTML standard, 9.2). Its holder keeps it, see ``HTTPBodyStream``.
public final class EventStream {
  /// The client is gone, or the server stops. Called once, not after ``finish()``.
  public var onClosed: (() -> Void)?
  /// What the client had when it lost an earlier connection.
  public let lastEventID: String?
  public private(set) var sentCount = 0
  /// Events a slow client was not sent, by ``SlowReaderRule/skip``.
  public private(set) var skippedCount = 0
  private let body: HTTPBodyStream
  private let options: EventStreamOptions
  private weak var loop: EventLoop?
  private var heartbeat: TimerID?
  private let line = ByteQueue(capacity: 512)

  init(_ body: HTTPBodyStream, _ options: EventStreamOptions, lastEventID: String?, on loop: EventLoop?) {
    self.body = body
    self.options = options
    self.lastEventID = lastEventID
    self.loop = loop
    body.bytesMax = options.waitingBytesMax
    body.onClosed = { [weak self] in self?.closed() }
    if let retryMs = options.retryMs { body.write("retry: \(retryMs)\n\n") }
    beat()
  }

  deinit { if let heartbeat { loop?.cancel(heartbeat) } }

  public var isOpen: Bool { body.isOpen }
  public var waitingBytes: Int { body.waitingBytes }

  /// Sends an event; line breaks in `data` are kept.
  ///
  /// - Returns: false when it was not taken: the stream is closed, the client too slow (see
  ///   ``EventStreamOptions/whenSlow``), or `id` or `event` hold a line break or a zero, which cannot be
  ///   sent.
  @discardableResult
  public func send(id: String? = nil, event: String? = nil, data: String) -> Bool {
    var data = data
    return data.withUTF8 { send(id: id, event: event, data: UnsafeRawBufferPointer($0)) }
  }

  /// See ``send(id:event:data:)-(_,_,String)``. The caller vouches for UTF-8.
  @discardableResult
  public func send(id: String? = nil, event: String? = nil, data: UnsafeRawBufferPointer) -> Bool {
    guard isOpen, isPlain(id), isPlain(event) else { return false }
    line.consume(line.count)
    if let id { append("id: ", id) }
    if let event { append("event: ", event) }
    var place = 0
    repeat {
      let end = data[place...].firstIndex { $0 == 0x0A || $0 == 0x0D } ?? data.count
      line.append("data: ")
      line.append(UnsafeRawBufferPointer(rebasing: data[place..<end]))
      line.append("\n")
      if end == data.count { break }
      let isPair = data[end] == 0x0D && end + 1 < data.count && data[end + 1] == 0x0A
      place = end + (isPair ? 2 : 1)
    } while true
    line.append("\n")
    if body.write(UnsafeRawBufferPointer(line.bytes)) {
      sentCount += 1
      return true
    }
    switch options.whenSlow {
    case .skip: skippedCount += 1
    case .close:
      let closed = onClosed
      end()
      body.abort()
      closed?()
    }
    return false
  }

  /// Ends the stream orderly; a browser will connect again.
  public func finish() {
    end()
    body.finish()
  }

  private func append(_ name: StaticString, _ value: String) {
    line.append(name)
    line.append(value)
    line.append("\n")
  }

  private func isPlain(_ text: String?) -> Bool {
    text?.utf8.allSatisfy { $0 != 0x0A && $0 != 0x0D && $0 != 0 } ?? true
  }

  private func beat() {
    guard options.heartbeatNs > 0, isOpen else { return }
    heartbeat = loop?.after(options.heartbeatNs) { [weak self] in
      guard let self, isOpen else { return }
      // One that finds no room isn't needed: bytes are on their way.
      body.write(":\n\n")
      beat()
    }
  }

  private func end() {
    if let heartbeat { loop?.cancel(heartbeat) }
    heartbeat = nil
    onClosed = nil
  }

  private func closed() {
    let closed = onClosed
    end()
    closed?()
  }
}
