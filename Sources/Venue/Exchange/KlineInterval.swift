import Core

/// The length of a bar, all of which are whole minutes.
enum KlineInterval: String, CaseIterable {
  case oneMinute = "1m"
  case threeMinutes = "3m"
  case fiveMinutes = "5m"
  case fifteenMinutes = "15m"
  case thirtyMinutes = "30m"
  case oneHour = "1h"
  case twoHours = "2h"
  case fourHours = "4h"
  case sixHours = "6h"
  case eightHours = "8h"
  case twelveHours = "12h"
  case oneDay = "1d"

  var minutes: Int64 {
    switch self {
    case .oneMinute: 1
    case .threeMinutes: 3
    case .fiveMinutes: 5
    case .fifteenMinutes: 15
    case .thirtyMinutes: 30
    case .oneHour: 60
    case .twoHours: 120
    case .fourHours: 240
    case .sixHours: 360
    case .eightHours: 480
    case .twelveHours: 720
    case .oneDay: 1440
    }
  }

  var milliseconds: Int64 { minutes * 60_000 }

  /// The bar's number since 1970 in which a minute lies.
  func slot(ofMinute minute: Int64) -> Int64 { minute / minutes }
}

extension TradeLog.Minute {
  /// Takes in the next minute with trades.
  mutating func append(_ next: TradeLog.Minute) {
    if next.tradeCount == 0 { return }
    if tradeCount == 0 {
      let begin = index
      self = next
      index = begin
      return
    }
    tradeCount += next.tradeCount
    lastTradeID = next.lastTradeID
    highTick = max(highTick, next.highTick)
    lowTick = min(lowTick, next.lowTick)
    closeTick = next.closeTick
    lots += next.lots
    buyerLots += next.buyerLots
    tickLots += next.tickLots
    buyerTickLots += next.buyerTickLots
  }
}

extension LiveSymbol {
  /// One bar, made from the kept minutes and the running one. Its index is that of its first minute.
  ///
  /// - Complexity: O(minutes of the interval)
  func bar(_ interval: KlineInterval, slot: Int64) -> TradeLog.Minute {
    var bar = TradeLog.Minute()
    bar.index = slot * interval.minutes
    var first = minutes.count
    while first > 0, minutes[first - 1].index >= bar.index { first -= 1 }
    let end = bar.index + interval.minutes
    while first < minutes.count, minutes[first].index < end {
      bar.append(minutes[first])
      first += 1
    }
    let running = market.trades.minute
    if running.index >= bar.index, running.index < end { bar.append(running) }
    return bar
  }

  /// All bars with trades, the running one included, oldest first.
  func bars(_ interval: KlineInterval) -> [TradeLog.Minute] {
    var bars: [TradeLog.Minute] = []
    func add(_ minute: TradeLog.Minute) {
      let begin = interval.slot(ofMinute: minute.index) * interval.minutes
      if bars.last?.index != begin {
        var bar = TradeLog.Minute()
        bar.index = begin
        bars.append(bar)
      }
      bars[bars.count - 1].append(minute)
    }
    for minute in minutes { add(minute) }
    if market.trades.minute.tradeCount > 0 { add(market.trades.minute) }
    return bars
  }
}
