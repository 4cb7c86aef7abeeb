import Binance
import Core

@testable import Services
@testable import Tape

/// A tape in memory.
struct MemoryLog: RecordLog {
  var bytes: [UInt8] = []
  var count: Int64 = 0
  /// Frames longer than this are refused.
  var frameBytesMax = Int.max
  private var lastTime: Int64 = 0

  mutating func append(frame: UnsafeRawBufferPointer, receiveTime: UnixNanos, connection: Int32)
    throws(TapeError) -> Int64
  {
    if frame.count > frameBytesMax { throw .recordTooLong(bytes: frame.count, bytesMax: frameBytesMax) }
    var writer = head(.frame, receiveTime, connection)
    TapePayload(frame).appendFrame(to: &writer)
    return end(writer)
  }

  mutating func append(
    _ kind: RecordKind, stream: String?, data: UnsafeRawBufferPointer, receiveTime: UnixNanos,
    connection: Int32
  ) throws(TapeError) -> Int64 {
    var writer = head(kind, receiveTime, connection)
    writer.append("\"stream\":")
    if let stream { writer.append(jsonString: stream) } else { writer.append("null") }
    writer.append(",\"data\":")
    TapePayload(data).appendData(to: &writer)
    writer.append(byte: 0x7D)
    return end(writer)
  }

  private mutating func head(_ kind: RecordKind, _ time: UnixNanos, _ connection: Int32) -> ByteWriter {
    count += 1
    lastTime = max(lastTime, time.rawValue)
    var writer = ByteWriter()
    writer.append(
      "{\"seq\":\(count),\"recv_ns\":\(lastTime),\"conn\":\(connection),\"kind\":\"\(kind.name)\",")
    return writer
  }

  private mutating func end(_ writer: borrowing ByteWriter) -> Int64 {
    bytes += writer.bytes
    bytes.append(0x0A)
    return count
  }

  struct Record {
    var kind: RecordKind
    var receiveNs: Int64
    var connection: Int32
    var stream: String?
    var data: JSONValue

    func text(_ key: String) -> String? { data[key]?.text }
    func integer(_ key: String) -> Int64? { data[key]?.integer }
  }

  func records(_ kind: RecordKind? = nil) -> [Record] {
    bytes.split(separator: 0x0A).compactMap { line in
      line.withUnsafeBytes { bytes in
        guard let record = TapeRecord(parsing: bytes), kind == nil || record.kind == kind else { return nil }
        return Record(
          kind: record.kind, receiveNs: record.receiveTime.rawValue, connection: record.connection,
          stream: record.stream.map { String(decoding: $0, as: UTF8.self) },
          data: (try? JSONValue(parsing: record.data)) ?? .null)
      }
    }
  }
}

/// Calls with bytes that have the padding behind them which the decoder may look at.
func withPadding<Result, Failure: Error>(
  _ text: String, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
) throws(Failure) -> Result {
  let count = text.utf8.count
  let room = UnsafeMutableRawBufferPointer.allocate(
    byteCount: count + FrameDecoder.paddingBytes, alignment: 16)
  defer { room.deallocate() }
  room.initializeMemory(as: UInt8.self, repeating: 0)
  room.copyBytes(from: text.utf8)
  return try body(UnsafeRawBufferPointer(rebasing: room[0..<count]))
}

/// A harvester in a world that moves by hand: moments, sockets and answers are given by the test.
final class HarvestWorld {
  static let start: Int64 = 1_767_571_200_000_000_000

  var harvester: Harvester<MemoryLog>
  /// Monotonic; the wall clock is ``start`` plus this plus ``wallError``.
  private(set) var nowNs: Int64 = 1_000_000_000
  var wallError: Int64 = 0
  /// Sockets asked for and not answered, with their targets.
  var connecting: [(socket: SocketID, target: String)] = []
  var live: [SocketID] = []
  var closing: [SocketID] = []
  var aborted: [SocketID] = []
  var sent: [(socket: SocketID, text: String)] = []
  var requests: [(id: RequestID, target: String)] = []
  /// Everything the world does by itself.
  var opensSockets = true
  var closesSockets = true
  var pongs = true
  var ticks = 0

  /// Watchdogs that a test does not ask for are out of its way.
  static var calm: HarvestConfiguration {
    var configuration = HarvestConfiguration()
    configuration.streams = ["depth@100ms", "bookTicker", "aggTrade", "markPrice@1s"]
    configuration.firstFrameMs = 100_000_000
    configuration.firstFrameTradeMs = 100_000_000
    configuration.silencePublicMs = 100_000_000
    configuration.silenceMarketMs = 100_000_000
    configuration.streamSilenceMs = 0
    configuration.clockIntervalMs = 3_600_000
    configuration.checkWeightShare = 0
    return configuration
  }

  init(
    _ symbols: [String] = ["BTCUSDT"], _ configuration: HarvestConfiguration = HarvestWorld.calm,
    seed: UInt64 = 1, resume: HarvestResume = HarvestResume(), opensSockets: Bool = true
  ) throws {
    let now = Moment(wall: UnixNanos(HarvestWorld.start + 1_000_000_000), monotonicNs: 1_000_000_000)
    var configuration = configuration
    // Answers are given by hand, in any order.
    configuration.requestsBeforeFirstAnswerMax = configuration.requestsInFlightMax
    harvester = try Harvester(
      configuration, symbols: symbols, seed: seed, resume: resume, log: MemoryLog(), now: now)
    self.opensSockets = opensSockets
    harvester.start(now)
    try act()
  }

  var now: Moment { Moment(wall: UnixNanos(HarvestWorld.start + nowNs + wallError), monotonicNs: nowNs) }
  var wallMs: Int64 { now.wall.milliseconds }
  var log: MemoryLog { harvester.log }
  /// Those that stand; in an overlap a hole is recorded at once, and again if nobody delivers what is missing.
  var gaps: [MemoryLog.Record] { log.records(.gap).filter { $0.data["provisional"] == nil } }
  var provisionalGaps: [MemoryLog.Record] { log.records(.gap).filter { $0.data["provisional"] != nil } }
  var counters: HarvestCounters { harvester.counters }
  var books: JSONValue { harvester.finalBooks() }
  var isDrained: Bool { harvester.isDrained }

  var isFallingBack: Bool { harvester.isFallingBack }

  func control(_ text: String) throws -> ControlError? {
    try harvester.appendControl(JSONValue(parsing: text), now)
  }

  func restart() throws -> Bool {
    let hasBegun = try harvester.restartSockets(now)
    try act()
    return hasBegun
  }

  func rebuild(_ name: String? = nil) throws -> Int {
    let count = try harvester.rebuildSnapshots(of: name, now)
    try act()
    return count
  }

  /// `u` of a book in sync; nil out of sync.
  func book(_ symbol: String = "BTCUSDT") -> Int64? {
    let state = harvester.bookState(symbol)!
    return state.isSynchronized ? state.lastUpdateID : nil
  }

  /// Seconds since the harvester started.
  var seconds: Double { Double(nowNs - 1_000_000_000) / 1e9 }

  /// Does what the harvester asks for, as far as the world does things by itself.
  func act() throws {
    while true {
      var actions: [HarvestAction] = []
      harvester.takeActions { actions.append($0) }
      if actions.isEmpty { return }
      for action in actions {
        switch action {
        case .connect(let socket, let target):
          if opensSockets {
            live.append(socket)
            try harvester.opened(socket, now)
          } else {
            connecting.append((socket, target))
          }
        case .send(let socket, let text): sent.append((socket, text))
        case .ping(let socket): if pongs { harvester.ponged(socket, now) }
        case .close(let socket, _):
          if closesSockets {
            live.removeAll { $0 == socket }
            try harvester.closed(socket, reason: "bye", now)
          } else {
            closing.append(socket)
          }
        case .abort(let socket):
          live.removeAll { $0 == socket }
          connecting.removeAll { $0.socket == socket }
          aborted.append(socket)
        case .request(let id, _, let target, _): requests.append((id, target))
        }
      }
    }
  }

  /// Lets time pass, with every tick at its deadline.
  func advance(ms: Int64, ns: Int64 = 0) throws {
    let end = nowNs + ms * 1_000_000 + ns
    while harvester.deadline <= end {
      nowNs = max(nowNs, harvester.deadline)
      try harvester.tick(now)
      ticks += 1
      precondition(harvester.deadline > nowNs)
      try act()
    }
    nowNs = end
  }

  func openNext(ok: Bool = true) throws {
    let (socket, _) = connecting.removeFirst()
    if ok {
      live.append(socket)
      try harvester.opened(socket, now)
    } else {
      try harvester.closed(socket, reason: "refused", now)
    }
    try act()
  }

  func drop(_ socket: SocketID) throws {
    live.removeAll { $0 == socket }
    try harvester.closed(socket, reason: "reset by peer", now)
    try act()
  }

  /// The socket open in a place (2 × slot + side), the newest first.
  func socket(_ place: Int) -> SocketID {
    live.last { Int($0.rawValue) & (harvester.placeCapacity - 1) == place }!
  }

  func receive(_ text: String, _ place: Int = 0) throws { try receive(text, on: socket(place)) }

  func receive(_ text: String, on socket: SocketID) throws {
    try withPadding(text) { bytes in try harvester.received(bytes, on: socket, now) }
    try act()
  }

  /// Answers the first request whose target has this in it.
  func answer(
    _ part: String, _ body: String = "", status: Int = 200, retryAfter: Int? = nil, weight: Int? = nil
  ) throws {
    let index = requests.firstIndex { $0.target.contains(part) }!
    let id = requests.remove(at: index).id
    try withPadding(body) { bytes in
      try harvester.replied(
        id, RESTReply(status: status, retryAfterSeconds: retryAfter, usedWeight: weight, body: bytes), now)
    }
    try act()
  }

  func asked(_ part: String) -> [String] { requests.map(\.target).filter { $0.contains(part) } }

  /// Brings a symbol's book in sync at `u` = 100.
  func synchronize(_ symbol: String = "BTCUSDT", _ place: Int = 0) throws {
    try receive(Wire.depth(symbol, (90, 100, 80), at: wallMs), place)
    try answer("depth?symbol=\(symbol)", Wire.snapshot(100))
  }
}

/// Messages as the exchange writes them.
enum Wire {
  static func depth(
    _ symbol: String, _ ids: (Int64, Int64, Int64), bids: String = "[[\"99.0\",\"1\"]]", asks: String = "[]",
    at ms: Int64
  ) -> String {
    "{\"stream\":\"\(symbol.lowercased())@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":\(ms),\"T\":\(ms),"
      + "\"s\":\"\(symbol)\",\"U\":\(ids.0),\"u\":\(ids.1),\"pu\":\(ids.2),\"b\":\(bids),\"a\":\(asks)}}"
  }

  static func ticker(_ symbol: String, _ id: Int64, at ms: Int64) -> String {
    "{\"stream\":\"\(symbol.lowercased())@bookTicker\",\"data\":{\"e\":\"bookTicker\",\"u\":\(id),\"s\":\"\(symbol)\","
      + "\"b\":\"100.0\",\"B\":\"5\",\"a\":\"100.1\",\"A\":\"6\",\"T\":\(ms),\"E\":\(ms)}}"
  }

  static func trade(_ symbol: String, _ id: Int64, _ quantity: Int, sold: Bool = false, at ms: Int64)
    -> String
  {
    "{\"stream\":\"\(symbol.lowercased())@aggTrade\",\"data\":{\"e\":\"aggTrade\",\"E\":\(ms),\"a\":\(id),"
      + "\"s\":\"\(symbol)\",\"p\":\"100.0\",\"q\":\"\(quantity)\",\"f\":\(id),\"l\":\(id),\"T\":\(ms),\"m\":\(sold)}}"
  }

  static func mark(_ symbol: String, at ms: Int64) -> String {
    "{\"stream\":\"\(symbol.lowercased())@markPrice@1s\",\"data\":{\"e\":\"markPriceUpdate\",\"E\":\(ms),"
      + "\"s\":\"\(symbol)\",\"p\":\"100.0\",\"i\":\"100.0\",\"r\":\"0.0001\",\"T\":\(ms)}}"
  }

  static func snapshot(_ id: Int64, bid: String = "100.0") -> String {
    "{\"lastUpdateId\":\(id),\"bids\":[[\"\(bid)\",\"5\"],[\"99.9\",\"7\"]],"
      + "\"asks\":[[\"100.1\",\"6\"],[\"100.2\",\"8\"]]}"
  }

  /// A REST answer of trades with these ids, each of quantity id modulo ten, bought.
  static func trades(_ ids: some Sequence<Int64>) -> String {
    "["
      + ids.map {
        "{\"a\":\($0),\"p\":\"100.0\",\"q\":\"\($0 % 10)\",\"f\":\($0),\"l\":\($0),\"T\":1767571200000,\"m\":false}"
      }.joined(separator: ",") + "]"
  }
}
