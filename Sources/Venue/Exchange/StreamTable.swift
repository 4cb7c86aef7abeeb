import Core

/// The websocket roots.
enum VenueRoot: String {
  case publicStreams = "public"
  case market
  case privateStreams = "private"
  /// The single root of before 2026-04-23, on which everything is to be had.
  case legacy
}

/// One stream that somebody has asked for, or that a fault has been aimed at.
struct VenueStream {
  struct Subscriber {
    var session: Int32
    var isRaw: Bool
  }

  let name: String
  /// Length of `{"stream":"NAME","data":`.
  let headBytes: Int
  var subscribers: [Subscriber] = []
  /// Frames handed to sessions, each receiver and each copy counted.
  var sent: Int64 = 0
  /// Frames the source published while the stream was known here.
  var published: Int64 = 0
  /// Of a tape: made from what the tape has under other names.
  var isDerived = false
  /// Faults aimed at it are at work.
  var isFaulted = false
  /// A frame held to be overtaken, in combined form.
  var held: [UInt8]?
  /// When the last delayed frame is due; later ones wait behind it.
  var lastDue: Int64 = .min
}

/// Streams by name. Grows with what is asked for, up to ``countMax``.
struct StreamTable {
  static let countMax = 16_384

  var streams: [VenueStream] = []
  private var indices: [String: Int] = [:]
  /// Open addressing over the names' bytes, for a lookup without a `String`.
  private var slots: [Int32] = []

  func find(_ name: String) -> Int? { indices[name] }

  /// The stream's index, new if it was not known; nil when the table is full.
  mutating func intern(_ name: String) -> Int? {
    if let index = indices[name] { return index }
    guard streams.count < StreamTable.countMax else { return nil }
    let index = streams.count
    streams.append(VenueStream(name: name, headBytes: name.utf8.count + 20))
    indices[name] = index
    if slots.count < 2 * streams.count {
      slots = [Int32](repeating: -1, count: max(64, slots.count * 2))
      for other in streams.indices { insert(other) }
    } else {
      insert(index)
    }
    return index
  }

  private mutating func insert(_ index: Int) {
    var name = streams[index].name
    var at = name.withUTF8 { StreamTable.hash(UnsafeRawBufferPointer($0)) } & (slots.count - 1)
    while slots[at] >= 0 { at = (at + 1) & (slots.count - 1) }
    slots[at] = Int32(index)
  }

  /// - Complexity: O(length of the name)
  func find(_ name: UnsafeRawBufferPointer) -> Int? {
    if slots.isEmpty { return nil }
    var at = StreamTable.hash(name) & (slots.count - 1)
    while slots[at] >= 0 {
      let index = Int(slots[at])
      if streams[index].name.utf8.elementsEqual(name) { return index }
      at = (at + 1) & (slots.count - 1)
    }
    return nil
  }

  /// FNV-1a
  private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for index in 0..<bytes.count { hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01B3 }
    return Int(truncatingIfNeeded: (hash ^ hash >> 29) & 0x7FFF_FFFF)
  }
}

/// The kinds of streams that every symbol of a seeded market has a place for; others are a
/// ``DerivedStream``.
enum VenueStreamKind: Int, CaseIterable {
  case depth, depth250, depth500, bookTicker, aggregateTrade, markPrice1s, markPrice3s, kline, forceOrder
  case miniTicker, ticker, trade

  init?(suffix: Substring) {
    guard let kind = VenueStreamKind.allCases.first(where: { $0.suffix == suffix }) else { return nil }
    self = kind
  }

  var suffix: String {
    switch self {
    case .depth: "depth@100ms"
    case .depth250: "depth"
    case .depth500: "depth@500ms"
    case .bookTicker: "bookTicker"
    case .aggregateTrade: "aggTrade"
    case .markPrice1s: "markPrice@1s"
    case .markPrice3s: "markPrice"
    case .kline: "kline_1m"
    case .forceOrder: "forceOrder"
    case .miniTicker: "miniTicker"
    case .ticker: "ticker"
    case .trade: "trade"
    }
  }

  /// Counted also while nobody listens.
  var isAlwaysPublished: Bool {
    switch self {
    case .depth, .bookTicker, .aggregateTrade, .markPrice1s, .kline, .forceOrder: true
    case .depth250, .depth500, .markPrice3s, .miniTicker, .ticker, .trade: false
    }
  }

  /// Streams over all symbols.
  static let allBookTickers = "!bookTicker"
  static let allForceOrders = "!forceOrder@arr"

  /// Whether a root carries a stream, by its name alone: everything about the book is public, the rest
  /// market. Single trades are on both, as sources do not agree which root has them: ccxt asks on the public
  /// one.
  static func isCarried(_ name: String, by root: VenueRoot) -> Bool {
    let suffix = name.hasPrefix("!") ? name.dropFirst() : name.drop { $0 != "@" }.dropFirst()
    let isPublic = suffix.hasPrefix("depth") || suffix.hasPrefix("bookTicker") || suffix.hasPrefix("rpiDepth")
    return switch root {
    case .legacy: true
    case .publicStreams: isPublic || suffix == "trade"
    case .market: !isPublic
    case .privateStreams: false
    }
  }
}
