import Core

/// A tape on its way between hosts, in a Redis stream.
///
/// **Problem.** A second host shall have the same tape, byte for byte, though the publisher, the receiver and the
/// server are killed at any moment, and the server may lose the last second of what it was given.
///
/// **Why the obvious answer fails.** Ids made by the server give a record that is sent again a second entry, and
/// the receiver two. A position kept by the sender beside the stream says what was sent, not what is there. A
/// length limit at the writer (`MAXLEN`) silently drops what a slow receiver still needs.
///
/// **Algorithm.** A tape's `seq` is dense, so it is the id: record n is entry `n-0`, with the line in the field
/// `r`. The server refuses an id that is not above the last one, so no record is there twice; the publisher asks
/// the server for the last id and goes on behind it, also when the server lost some, so none is missing. It
/// compares the record with that id to its own first: another tape's stream is noticed. Records go out in
/// transactions of up to 100, because a single one that is refused for lack of memory would leave a hole that
/// can't be filled any more; and with NOMKSTREAM, so that a stream that vanished is noticed, not begun anew in
/// its middle.
///
/// The receiver's position is its tape's last `seq`, nothing else: it sets its group's position by it
/// (`XGROUP SETID`), which also gives back what was delivered and not written, acknowledges what it has, and
/// acknowledges after its tape has been synced. See ``CopyPosition``.
///
/// **Bounds.** ``PublisherWindow``: at most so many records in the stream; entries are dropped (`XTRIM MINID`) when
/// every group has acknowledged them, and otherwise the publisher waits: its tape is the spool.
public final class RecordStream {
  public struct Facts: Equatable, Sendable {
    public var exists: Bool
    public var length: Int
    /// The highest id ever added; 0-0 for none.
    public var last: RecordID
    /// The lowest id that is still there.
    public var first: RecordID?
  }

  public struct Group: Equatable, Sendable {
    public var name: String
    public var consumers: Int
    public var pending: Int
    public var delivered: RecordID
    /// All records up to this one are acknowledged.
    public var acknowledgedSequence: Int64
  }

  public struct Entry: Equatable, Sendable {
    public var id: RecordID
    /// The record's line without its newline; nil for an end mark.
    public var line: [UInt8]?
  }

  public enum Publication: Equatable, Sendable {
    case added
    /// The stream is not as it was thought to be: it vanished, or another publisher was faster.
    case moved
  }

  public let name: String
  public let connection: RedisConnection
  private static let recordField = "r"
  private static let endField = "end"

  public init(_ name: String, on connection: RedisConnection) {
    self.name = name
    self.connection = connection
  }

  /// - Throws: ``RedisError``; `foreign` when the ids are not a tape's.
  public func facts() throws(RedisError) -> Facts {
    let reply: RedisReply
    do throws(RedisError) { reply = try connection.call("XINFO", "STREAM", name) } catch {
      guard case .refused(_, let reason) = error, RecordStream.saysNoStream(reason) else { throw error }
      return Facts(exists: false, length: 0, last: RecordID(0), first: nil)
    }
    guard let last = reply["last-generated-id"]?.text.flatMap({ RecordID($0) }), last.part <= 1,
      let length = reply["length"]?.integer
    else { throw foreign("its ids are not those of a tape's records") }
    let first = reply["first-entry"]?.elements?.first?.text.flatMap { RecordID($0) }
    return Facts(exists: true, length: Int(length), last: last, first: first)
  }

  /// The line of a record; nil when the stream does not hold it.
  public func record(_ sequence: Int64) throws(RedisError) -> [UInt8]? {
    let id = RecordID(sequence).description
    let reply = try connection.call("XRANGE", name, id, id)
    guard let entry = reply.elements?.first else { return nil }
    return try self.entry(entry)?.line
  }

  // MARK: Publishing

  /// Begins a transaction for up to `commandsMax - 2` records.
  public func begin(_ pipeline: inout RedisPipeline) {
    pipeline.removeAll()
    pipeline.add(["MULTI"])
  }

  /// - Parameter makesStream: the stream does not exist yet.
  public func add(
    _ line: UnsafeRawBufferPointer, sequence: Int64, makesStream: Bool, to pipeline: inout RedisPipeline
  ) {
    pipeline.begin("XADD", words: makesStream ? 5 : 6)
    pipeline.append(name)
    if !makesStream { pipeline.append("NOMKSTREAM") }
    pipeline.append(RecordID(sequence).description)
    pipeline.append(RecordStream.recordField)
    pipeline.append(line)
  }

  /// Sends the transaction: all of its records are in the stream then, or none.
  public func commit(_ pipeline: inout RedisPipeline) throws(RedisError) -> Publication {
    pipeline.add(["EXEC"])
    let replies = try connection.send(&pipeline)
    for reply in replies.dropLast() {
      if case .error(let text) = reply { throw .reply(text, to: "XADD", at: connection.endpoint) }
    }
    if case .error(let text)? = replies.last { throw .reply(text, to: "EXEC", at: connection.endpoint) }
    for reply in replies.last?.elements ?? [] {
      switch reply {
      case .null: return .moved
      case .error(let text):
        if text.hasPrefix("ERR The ID specified in XADD") { return .moved }
        throw .reply(text, to: "XADD", at: connection.endpoint)
      default: continue
      }
    }
    return .added
  }

  /// Says that the tape was finished behind this record.
  public func addEndMark(after sequence: Int64) throws(RedisError) {
    try connection.call(
      "XADD", name, RecordID(sequence, part: 1).description, RecordStream.endField, String(sequence))
  }

  /// The stream's groups; none where there is no stream.
  public func groups() throws(RedisError) -> [Group] {
    var groups: [Group] = []
    let replies: RedisReply
    do throws(RedisError) { replies = try connection.call("XINFO", "GROUPS", name) } catch {
      guard case .refused(_, let reason) = error, RecordStream.saysNoStream(reason) else { throw error }
      return []
    }
    for reply in replies.elements ?? [] {
      guard let group = reply["name"]?.text, let pending = reply["pending"]?.integer,
        let delivered = reply["last-delivered-id"]?.text.flatMap({ RecordID($0) })
      else { throw foreign("a consumer group cannot be understood") }
      var acknowledged = delivered.sequence
      if pending > 0 {
        // Asked later than the count: meanwhile they may all have been acknowledged.
        let summary = try connection.call("XPENDING", name, group)
        if let least = summary.elements?.dropFirst().first?.text.flatMap({ RecordID($0) }) {
          acknowledged = least.isEndMark ? least.sequence : least.sequence - 1
        }
      }
      groups.append(
        Group(
          name: group, consumers: Int(reply["consumers"]?.integer ?? 0), pending: Int(pending),
          delivered: delivered, acknowledgedSequence: acknowledged))
    }
    return groups
  }

  /// Drops the entries below a record.
  ///
  /// - Returns: how many.
  public func trim(below sequence: Int64) throws(RedisError) -> Int {
    Int(try connection.call("XTRIM", name, "MINID", RecordID(sequence).description).integer ?? 0)
  }

  // MARK: Receiving

  /// Makes the group, or moves it, so that it continues behind a record; acknowledges what is pending up to it.
  ///
  /// - Returns: false when there is no stream yet. It is not made here: an empty one would look to the publisher
  ///   as if it could go on in it.
  public func beginGroup(_ group: String, after sequence: Int64) throws(RedisError) -> Bool {
    let position = RecordID(sequence).description
    do throws(RedisError) {
      try connection.call("XGROUP", "CREATE", name, group, position)
    } catch {
      guard case .refused(_, let reason) = error else { throw error }
      if RecordStream.saysNoStream(reason) { return false }
      guard reason.hasPrefix("BUSYGROUP") else { throw error }
      try connection.call("XGROUP", "SETID", name, group, position)
    }
    while true {
      let pending = try connection.call("XPENDING", name, group, "-", position, "100")
      let ids = (pending.elements ?? []).compactMap { $0.elements?.first?.text }
      if ids.isEmpty { return true }
      try connection.call(["XACK", name, group] + ids)
    }
  }

  /// The next entries of the group, waited for; nil when the group or the stream is gone.
  ///
  /// - Parameter waitMs: less than the connection's timeout.
  public func read(
    group: String, consumer: String, entriesMax: Int, waitMs: Int
  ) throws(RedisError) -> [Entry]? {
    let reply: RedisReply
    do throws(RedisError) {
      reply = try connection.call(
        "XREADGROUP", "GROUP", group, consumer, "COUNT", String(entriesMax), "BLOCK", String(max(1, waitMs)),
        "STREAMS", name, ">")
    } catch {
      guard case .refused(_, let reason) = error,
        reason.hasPrefix("NOGROUP") || reason.hasPrefix("UNBLOCKED")
      else { throw error }
      return nil
    }
    var entries: [Entry] = []
    for raw in reply.elements?.first?.elements?.dropFirst().first?.elements ?? [] {
      if let entry = try entry(raw) { entries.append(entry) }
    }
    return entries
  }

  public func acknowledge(_ group: String, _ ids: [RecordID]) throws(RedisError) {
    guard !ids.isEmpty else { return }
    try connection.call(["XACK", name, group] + ids.map { $0.description })
  }

  // MARK: Understanding

  private static func saysNoStream(_ reason: String) -> Bool {
    reason.contains("requires the key to exist") || reason.hasPrefix("ERR no such key")
  }

  /// - Returns: nil for an entry that was deleted after it was delivered.
  private func entry(_ reply: RedisReply) throws(RedisError) -> Entry? {
    guard let parts = reply.elements, parts.count == 2, let text = parts[0].text else {
      throw foreign("an entry cannot be understood")
    }
    guard let fields = parts[1].elements else { return nil }
    if let id = RecordID(text), fields.count == 2 {
      let field = fields[0].text
      if id.part == 0, field == RecordStream.recordField, let line = fields[1].bytes {
        return Entry(id: id, line: line)
      }
      if id.isEndMark, field == RecordStream.endField { return Entry(id: id, line: nil) }
    }
    throw foreign("its entry \(text.prefix(60)) is no record of a tape")
  }

  func foreign(_ reason: String) -> RedisError {
    .foreign(what: "the stream \(name)", reason: "\(reason); choose another --stream, or delete it")
  }
}
