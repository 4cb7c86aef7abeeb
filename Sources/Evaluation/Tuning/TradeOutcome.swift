import Core

/// What a set of trades brought, after cost.
///
/// Trades at the same time, of one symbol after the other or of several at once, share the market's moves and are
/// no independent observations. So the Sharpe ratio is one of blocks of time: an observation is the sum of the net
/// basis points of all trades decided in a block; blocks without a trade are none.
public struct TradeOutcome: Equatable, Sendable {
  public var trades: Int
  /// nil without trades.
  public var netBpsMean: Double?
  public var netBpsTotal: Double
  /// Share of trades that brought something after cost; nil without trades.
  public var hitRate: Double?
  /// Of blocks; nil for fewer than two, or when all are equal.
  public var blocks: SharpeEstimate?
  /// By `SimulatedTrade.Exit.rawValue`.
  public var exits: [Int]

  /// - Parameter blockNs: length of a block of time.
  public init(_ trades: [SimulatedTrade], blockNs: Int64) {
    var exits = [Int](repeating: 0, count: SimulatedTrade.Exit.allCases.count)
    var total = 0.0
    var hits = 0
    for trade in trades {
      total += trade.netBps
      if trade.netBps > 0 { hits += 1 }
      exits[Int(trade.exit.rawValue)] += 1
    }
    self.trades = trades.count
    netBpsTotal = total
    netBpsMean = trades.isEmpty ? nil : total / Double(trades.count)
    hitRate = trades.isEmpty ? nil : Double(hits) / Double(trades.count)
    self.exits = exits
    blocks = SharpeEstimate(TradeOutcome.blockTotals(trades, blockNs: blockNs).map(\.netBps))
  }

  /// Net basis points by block, in order of time.
  static func blockTotals(
    _ trades: [SimulatedTrade], blockNs: Int64
  ) -> [(block: Int64, netBps: Double)] {
    var totals: [Int64: Double] = [:]
    for trade in trades { totals[trade.signalNs / blockNs, default: 0] += trade.netBps }
    return totals.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  public var json: JSONValue {
    .object([
      "trades": .integer(trades), "net_bps_mean": .rounded(netBpsMean, 4),
      "net_bps_total": .rounded(netBpsTotal, 2), "hit_rate": .rounded(hitRate, 4),
      "blocks": .integer(blocks?.observations ?? 0), "block_sharpe": .rounded(blocks?.sharpe, 4),
      "t": .rounded(blocks?.tStatistic, 3), "skewness": .rounded(blocks?.skewness, 3),
      "kurtosis": .rounded(blocks?.kurtosis, 3),
      "exits": .object(
        SimulatedTrade.Exit.allCases.map {
          .init("\($0.name)", .integer(exits[Int($0.rawValue)]))
        }),
    ])
  }
}
