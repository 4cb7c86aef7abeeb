import Core

/// Why a harvest cannot run.
public enum HarvestFailure: Error, Equatable, Sendable, CustomStringConvertible {
  case noSymbols
  case badSymbol(String)
  case duplicateSymbol(String)
  case noStreams
  case badConfiguration(key: String, message: String)
  case tooManyConnections(Int, countMax: Int)
  /// The exchange does not list them; the nearest listed name of each, if one is near.
  case unknownSymbols([UnknownSymbol])

  public struct UnknownSymbol: Equatable, Sendable {
    public var name: String
    public var nearest: String?
  }

  public var description: String {
    switch self {
    case .noSymbols: "no symbol was named; name at least one, such as BTCUSDT"
    case .badSymbol(let name):
      "\"\(name)\" is no symbol; write 1 to 24 ASCII letters, digits and underscores, such as BTCUSDT"
    case .duplicateSymbol(let name): "symbol \(name) is named twice; name it once"
    case .noStreams: "harvest.streams is empty; name at least one stream, such as depth@100ms"
    case .badConfiguration(let key, let message): "harvest.\(key) \(message)"
    case .tooManyConnections(let count, let countMax):
      "the symbols need \(count) connections, more than \(countMax); name fewer symbols, or raise "
        + "harvest.symbols_per_connection"
    case .unknownSymbols(let unknown):
      "the exchange does not list "
        + unknown.map { "\($0.name)" + ($0.nearest.map { " (did you mean \($0)?)" } ?? "") }
        .joined(separator: ", ") + "; correct the list of symbols"
    }
  }
}

/// Which streams go over which connection.
///
/// Symbols are taken in order, in groups of at most `symbols_per_connection`, once for each websocket root
/// that serves any of the streams, so that books and trades come over connections of their own. A group is
/// smaller where it would exceed the streams a connection may carry, or the bytes of a request's first line
/// that every server takes. Each planned connection is a *slot*; sockets come and go in it.
///
/// The streams stand in the connection's URL (`/public/stream?streams=a/b`) instead of a SUBSCRIBE message
/// behind it: the handshake and the subscription are then one act that succeeds or fails as a whole, a
/// reconnect subscribes by itself, and the limit of ten client messages a second is never near. 25 symbols'
/// streams take about 1.5 KiB of it; ``targetBytesMax`` keeps it below the 8 KiB that servers commonly
/// accept.
public struct HarvestPlan: Equatable, Sendable {
  public enum Root: String, Sendable, CaseIterable {
    /// Depth and best quotes.
    case book = "public"
    /// Trades, mark prices, klines, liquidations.
    case market
  }

  public struct Slot: Equatable, Sendable {
    public var root: Root
    /// Places in ``HarvestPlan/symbols``.
    public var symbols: Range<Int>
    /// Places in ``HarvestPlan/streams``.
    public var streams: [Int]
    /// Path and query of its URL.
    public var target: String
    /// Some of its streams tick by themselves, so silence of the connection is a fault.
    public var ticksByItself: Bool
  }

  public struct Stream: Equatable, Sendable {
    /// `btcusdt@depth@100ms`
    public var name: String
    public var symbol: Int
    public var kind: StreamKind
    public var slot: Int
    /// Its place among the slot's streams.
    public var position: Int
  }

  /// Ids of connections on the tape are twice the slot's number, and one more; readers tell 1024 apart.
  public static let slotsMax = 511
  public static let targetBytesMax = 6000

  /// Upper case, as given.
  public let symbols: [String]
  public private(set) var slots: [Slot] = []
  public private(set) var streams: [Stream] = []
  private var streamOf: [Int]

  public init(symbols names: [String], _ configuration: HarvestConfiguration) throws(HarvestFailure) {
    symbols = names.map { $0.uppercased() }
    if symbols.isEmpty { throw .noSymbols }
    if configuration.streams.isEmpty { throw .noStreams }
    if let issue = configuration.issues.first {
      throw .badConfiguration(key: issue.key, message: issue.message)
    }
    var seen: Set<String> = []
    for name in symbols {
      guard HarvestPlan.isSymbol(name) else { throw .badSymbol(name) }
      guard seen.insert(name).inserted else { throw .duplicateSymbol(name) }
    }
    streamOf = Array(repeating: -1, count: symbols.count * StreamKind.allCases.count)
    for root in Root.allCases {
      let suffixes = configuration.streams.filter { StreamKind(name: $0)?.root == root }
      if !suffixes.isEmpty { add(root, suffixes, configuration) }
    }
    guard slots.count <= HarvestPlan.slotsMax else {
      throw .tooManyConnections(slots.count, countMax: HarvestPlan.slotsMax)
    }
  }

  private static func isSymbol(_ name: String) -> Bool {
    (1...24).contains(name.utf8.count)
      && name.utf8.allSatisfy { byte in
        byte == 0x5F || (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5A)
      }
  }

  private mutating func add(_ root: Root, _ suffixes: [String], _ configuration: HarvestConfiguration) {
    let groupMax = max(
      1, min(configuration.symbolsPerConnection, configuration.streamsPerConnectionMax / suffixes.count))
    let head = "/\(root.rawValue)/stream?streams="
    var start = 0
    while start < symbols.count {
      var slot = Slot(root: root, symbols: start..<start, streams: [], target: head, ticksByItself: false)
      var symbol = start
      while symbol < symbols.count, symbol - start < groupMax {
        let names = suffixes.map { "\(symbols[symbol].lowercased())@\($0)" }
        let added = (slot.streams.isEmpty ? "" : "/") + names.joined(separator: "/")
        if !slot.streams.isEmpty, slot.target.utf8.count + added.utf8.count > HarvestPlan.targetBytesMax {
          break
        }
        slot.target += added
        for (name, suffix) in zip(names, suffixes) {
          let kind = StreamKind(name: suffix)!
          streamOf[symbol * StreamKind.allCases.count + Int(kind.rawValue)] = streams.count
          slot.ticksByItself = slot.ticksByItself || kind.ticksByItself
          streams.append(
            Stream(
              name: name, symbol: symbol, kind: kind, slot: slots.count, position: slot.streams.count))
          slot.streams.append(streams.count - 1)
        }
        symbol += 1
      }
      slot.symbols = start..<symbol
      slots.append(slot)
      start = symbol
    }
  }

  /// The stream of a symbol, by its place in ``streams``; −1 when it is not subscribed to.
  public func stream(_ symbol: Int, _ kind: StreamKind) -> Int {
    streamOf[symbol * StreamKind.allCases.count + Int(kind.rawValue)]
  }
}
