import Core

/// A symbol's stream that is made only for those who ask for it, from what the exchange keeps anyway.
///
/// **Problem.** Third-party clients take by default what a capture does not need: the best ten levels ten
/// times a second, bars of five minutes, single trades. There are dozens of such names for each symbol.
///
/// **Why the obvious answer fails.** A slot for each of them in every symbol costs memory and a test at each
/// event, also in the runs of hundreds of symbols in which nobody asks.
///
/// **What is done.** A symbol keeps a list of the names that were asked for, which is empty as a rule, and
/// passes through it at the end of a window (a tape: after a record). Nothing is kept up while nobody listens.
/// Bound: the names that ``Content/parse(_:)`` knows, 37 for each symbol.
/// Source: "Partial Book Depth Streams", "Kline/Candlestick Streams", "Continuous Contract Kline/Candlestick
/// Streams" of the USD-M futures' documentation.
struct DerivedStream {
  enum Content: Equatable {
    case partialDepth(levels: Int, DepthPace)
    case kline(KlineInterval, isContinuous: Bool)
    /// Single trades; only a tape without them has them made from its aggregates.
    case trade
  }

  let content: Content
  /// Place in the ``StreamTable``.
  let stream: Int
  /// A combined frame up to the event's time.
  let head: [UInt8]
  /// `u` of the last frame; −1 before the first.
  var lastUpdateID: Int64 = -1
  /// The first change since; −1 when there was none.
  var firstUpdateID: Int64 = -1
  /// The bar that is running, or the stretch of time of the last frame; `.min` before the first.
  var slot = Int64.min

  init(_ content: Content, name: String, stream: Int) {
    self.content = content
    self.stream = stream
    let event =
      switch content {
      case .partialDepth: "depthUpdate"
      case .kline(_, let isContinuous): isContinuous ? "continuous_kline" : "kline"
      case .trade: "trade"
      }
    head = Array(#"{"stream":"\#(name)","data":{"e":"\#(event)","E":"#.utf8)
  }

  /// Nobody listens: the next listener gets a beginning.
  mutating func rest() {
    lastUpdateID = -1
    firstUpdateID = -1
    slot = .min
  }

  /// Notes a book event's ids.
  mutating func note(first: Int64, before: Int64) {
    if lastUpdateID < 0 { lastUpdateID = before }
    if firstUpdateID < 0 { firstUpdateID = first }
  }

  /// A frame that ends with this id has been sent.
  mutating func sent(_ updateID: Int64) {
    lastUpdateID = updateID
    firstUpdateID = -1
  }
}

extension DerivedStream.Content {
  private static let continuousSuffix = "_perpetual"
  static let levels = [5, 10, 20]

  /// The symbol, upper case, and the content that a stream's name asks for; nil for other names.
  static func parse(_ name: String) -> (symbol: String, content: DerivedStream.Content)? {
    let parts = name.split(separator: "@", maxSplits: 1)
    guard parts.count == 2, parts[0] == parts[0].lowercased() else { return nil }
    if parts[1].hasPrefix("continuousKline_") {
      guard parts[0].hasSuffix(continuousSuffix),
        let interval = KlineInterval(rawValue: String(parts[1].dropFirst("continuousKline_".count)))
      else { return nil }
      return (
        parts[0].dropLast(continuousSuffix.count).uppercased(), .kline(interval, isContinuous: true)
      )
    }
    guard let content = DerivedStream.Content(suffix: parts[1]) else { return nil }
    return (parts[0].uppercased(), content)
  }

  private init?(suffix: Substring) {
    if suffix == "trade" {
      self = .trade
    } else if suffix.hasPrefix("kline_") {
      guard let interval = KlineInterval(rawValue: String(suffix.dropFirst("kline_".count))) else {
        return nil
      }
      self = .kline(interval, isContinuous: false)
    } else if suffix.hasPrefix("depth") {
      let words = suffix.dropFirst("depth".count).split(separator: "@", omittingEmptySubsequences: false)
      guard let head = words.first,
        let levels = DerivedStream.Content.levels.first(where: { head == String($0) }),
        words.count <= 2
      else { return nil }
      if words.count == 1 {
        self = .partialDepth(levels: levels, .quarterSecond)
      } else {
        guard let pace = DepthPace(rawValue: String(words[1])) else { return nil }
        self = .partialDepth(levels: levels, pace)
      }
    } else {
      return nil
    }
  }
}

/// How often a depth stream has a frame.
enum DepthPace: String, CaseIterable {
  case everyWindow = "100ms"
  case quarterSecond = "250ms"
  case halfSecond = "500ms"

  var milliseconds: Int64 {
    switch self {
    case .everyWindow: 100
    case .quarterSecond: 250
    case .halfSecond: 500
    }
  }

  /// Whether a frame is due at the end of a window of 100 ms: one in 250 ms on average is at the third or
  /// second window.
  @inline(__always)
  func isDue(atWindow count: Int) -> Bool {
    switch self {
    case .everyWindow: true
    case .quarterSecond: 2 * count % 5 < 2
    case .halfSecond: count % 5 == 0
    }
  }
}
