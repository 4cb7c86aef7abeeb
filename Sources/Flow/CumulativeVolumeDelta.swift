import Core

/// Cumulative volume delta: buys minus sells by the taker's side, exact in the instrument's lots.
public struct CumulativeVolumeDelta: Sendable {
  /// Since the start of the tape, whatever the reset rule.
  public internal(set) var total: Int64 = 0
  /// Since the last reset.
  public internal(set) var sinceReset: Int64 = 0
  private let reset: FlowConfiguration.CVDReset
  var day: Int64 = .min

  public init(reset: FlowConfiguration.CVDReset) { self.reset = reset }

  /// Adds a trade; its signed size.
  @inline(__always)
  public mutating func add(quantity: Int64, aggressor: Aggressor, at timeMs: Int64) -> Int64 {
    let delta = aggressor == .buyer ? quantity : 0 &- quantity
    roll(to: timeMs)
    total &+= delta
    sinceReset &+= delta
    return delta
  }

  /// Applies the session reset when tape time has entered another UTC day.
  @inline(__always)
  public mutating func roll(to timeMs: Int64) {
    guard reset == .session else { return }
    let today = timeMs / 86_400_000
    if today != day {
      if day != .min { sinceReset = 0 }
      day = today
    }
  }
}

/// The taker's side by the tick rule, for venues that do not give it.
///
/// A price above the last different one is a buy, below it a sell. The rule carries over at most
/// ``equalPricesMax`` equal prices and ``ageMsMax``; beyond that the side is unknown and the trade is dropped
/// and counted.
public struct TickRule: Sendable {
  public static let equalPricesMax = 5
  public static let ageMsMax: Int64 = 2000

  public private(set) var dropped = 0
  private var lastPrice: Int64?
  private var direction: Aggressor?
  private var equalPrices = 0
  private var changedAtMs: Int64 = 0

  public init() {}

  public mutating func side(price: Int64, at timeMs: Int64) -> Aggressor? {
    defer { lastPrice = price }
    guard let lastPrice else {
      dropped += 1
      return nil
    }
    if price != lastPrice {
      direction = price > lastPrice ? .buyer : .seller
      equalPrices = 0
      changedAtMs = timeMs
      return direction
    }
    equalPrices += 1
    guard let direction, equalPrices <= TickRule.equalPricesMax, timeMs - changedAtMs <= TickRule.ageMsMax
    else {
      dropped += 1
      return nil
    }
    return direction
  }
}
