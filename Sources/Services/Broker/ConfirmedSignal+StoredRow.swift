import Broker
import Core
import Store
import Strategy

extension ConfirmedSignal {
  /// What a row read back from a sink tells the broker.
  init(_ row: StoredRow) {
    func integer(_ column: SignalColumn) -> Int64 {
      if case .integer(let value) = row[column] { return value }
      return 0
    }
    let side: OrderSide? =
      switch row.text(.signalType) {
      case "buy", "strong_buy": .buy
      case "sell", "strong_sell": .sell
      default: nil
      }
    let regime: Signal.Regime =
      switch row.text(.regime) {
      case "active": .active
      case "quiet": .quiet
      default: .normal
      }
    self.init(
      signalID: row.signalID, traceID: row.text(.traceID) ?? "", timeMs: integer(.tsMs),
      receiveTime: row.receiveTime, symbol: row.symbolName, side: side,
      mid: row.real(.price).flatMap { exactDecimal($0) }, spreadBps: Micros(row.real(.spreadBps)),
      isCostConservative: (row.text(.qualityFlags) ?? "").split(separator: ",").contains("conservative_cost"),
      regime: regime, configVersion: row.text(.configVersion) ?? "")
  }
}
