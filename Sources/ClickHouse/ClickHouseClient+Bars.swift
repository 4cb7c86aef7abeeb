import Core
import Tables

extension ClickHouseClient {
  /// A tape's bars as the server's view gives them, symbol by symbol.
  public func bars(_ view: String, tape: String) throws(ClickHouseError) -> [Bar] {
    let source = "\(server.database).\(view)"
    let longNs = 10 * Nanoseconds.minute
    let symbols = try rows(
      "SELECT DISTINCT symbol FROM \(source) WHERE tape = '\(tape)' ORDER BY symbol", timeoutNs: longNs)
    var bars: [Bar] = []
    for symbol in symbols.compactMap({ $0.first ?? nil }) {
      let quoted = symbol.replacing("\\", with: "\\\\").replacing("'", with: "\\'")
      let found = try rows(
        """
        SELECT start_ns, open, high, low, close, trades, volume, buy_volume, sell_volume, quotes, ofi
        FROM \(source) WHERE tape = '\(tape)' AND symbol = '\(quoted)' ORDER BY start_ns
        """, timeoutNs: longNs)
      for row in found { bars.append(try bar(symbol, row)) }
    }
    return bars
  }

  private func bar(_ symbol: String, _ row: [String?]) throws(ClickHouseError) -> Bar {
    func integer(_ index: Int) throws(ClickHouseError) -> Int64 {
      guard index < row.count, let value = row[index].flatMap({ Int64($0) }) else {
        throw .answer("a bar without a number in field \(index)")
      }
      return value
    }
    func decimal(_ index: Int) throws(ClickHouseError) -> Int128 {
      guard index < row.count, let text = row[index], let value = decimalUnits(text) else {
        throw .answer("a bar without a decimal in field \(index)")
      }
      return value
    }
    func price(_ index: Int) throws(ClickHouseError) -> Int64? {
      guard index < row.count, row[index] != nil else { return nil }
      return Int64(try decimal(index))
    }
    return Bar(
      symbol: symbol, startNs: try integer(0), open: try price(1), high: try price(2), low: try price(3),
      close: try price(4), trades: try integer(5), volume: try decimal(6), buyVolume: try decimal(7),
      sellVolume: try decimal(8), quotes: try integer(9), ofi: try decimal(10))
  }
}

/// `-1.5` in 1e-8 units; nil for anything that is no decimal of at most eight places.
func decimalUnits(_ text: String) -> Int128? {
  let isNegative = text.hasPrefix("-")
  let parts = text.dropFirst(isNegative ? 1 : 0).split(
    separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
  let fraction = parts.count == 2 ? parts[1] : ""
  guard let whole = parts.first, !whole.isEmpty, fraction.count <= ColumnType.scale,
    (whole + fraction).utf8.allSatisfy({ (0x30...0x39).contains($0) }), whole.count <= 30
  else { return nil }
  let padding = String(repeating: "0", count: ColumnType.scale - fraction.count)
  guard let units = Int128(whole + fraction + padding) else { return nil }
  return isNegative ? -units : units
}
