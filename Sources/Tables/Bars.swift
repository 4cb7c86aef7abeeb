import Core
import Tape

/// A bar of one symbol: what was traded and quoted in one bucket of time. Prices and sizes in 1e-8 units.
public struct Bar: Equatable, Sendable {
  public var symbol: String
  public var startNs: Int64
  /// Of the trades; nil in a bucket that has only quotes.
  public var open: Int64?
  public var high: Int64?
  public var low: Int64?
  public var close: Int64?
  public var trades: Int64
  public var volume: Int128
  /// Traded by takers who bought.
  public var buyVolume: Int128
  public var sellVolume: Int128
  public var quotes: Int64
  /// Sum of the quotes' increments of order flow imbalance.
  public var ofi: Int128

  /// Cumulative volume delta of the bucket.
  public var cvd: Int128 { buyVolume - sellVolume }

  public init(
    symbol: String, startNs: Int64, open: Int64? = nil, high: Int64? = nil, low: Int64? = nil,
    close: Int64? = nil, trades: Int64 = 0, volume: Int128 = 0, buyVolume: Int128 = 0,
    sellVolume: Int128 = 0, quotes: Int64 = 0, ofi: Int128 = 0
  ) {
    self.symbol = symbol
    self.startNs = startNs
    self.open = open
    self.high = high
    self.low = low
    self.close = close
    self.trades = trades
    self.volume = volume
    self.buyVolume = buyVolume
    self.sellVolume = sellVolume
    self.quotes = quotes
    self.ofi = ofi
  }

  /// One line: symbol, start, open, high, low, close, trades, volume, buy volume, sell volume, cvd, quotes, ofi;
  /// integers, a dash for an absent price.
  public var text: String {
    func price(_ value: Int64?) -> String { value.map { "\($0)" } ?? "-" }
    return "\(symbol),\(startNs),\(price(open)),\(price(high)),\(price(low)),\(price(close)),\(trades),"
      + "\(volume),\(buyVolume),\(sellVolume),\(cvd),\(quotes),\(ofi)\n"
  }

  /// SHA-256 over the bars' lines in order of symbol and start: equal exactly when the bars are.
  public static func digest(_ bars: [Bar]) -> String {
    var hash = SHA256Stream()
    for bar in bars.sorted(by: { ($0.symbol, $0.startNs) < ($1.symbol, $1.startNs) }) {
      var text = bar.text
      text.withUTF8 { hash.update(UnsafeRawBufferPointer($0)) }
    }
    return hash.hexadecimal()
  }
}

/// Bars from rows as they come off a tape: the streaming side of what the databases aggregate.
///
/// **Definition**, shared with the views of DuckDB and ClickHouse. A row's time is its transaction time, else
/// its exchange time, else its receive time; its bucket begins at that time rounded down to the width. Trades
/// count unless their kind is `duplicate` or they are not of the market (insurance fund, deleveraging). The
/// opening price is that of the smallest (`seq`, `trade_id`), the closing price that of the largest. A quote's
/// increment against its symbol's previous quote in the tape's order is
/// `[b ≥ b′]·B − [b ≤ b′]·B′ − [a ≤ a′]·A + [a ≥ a′]·A′`
/// (Cont, Kukanov, Stoikov 2014, "The Price Impact of Order Book Events", eq. 2); a symbol's first quote has
/// none. All sums are exact integers, so neither order nor partition of the rows changes them.
///
/// **Bounds.** About 200 bytes a bar: 17 MB a symbol and day of one-second bars.
public struct BarBuilder {
  private struct Entry {
    var bar: Bar
    var first: (sequence: Int64, id: Int64) = (.max, .max)
    var last: (sequence: Int64, id: Int64) = (.min, .min)
  }

  private struct SymbolBars {
    var entries: [Entry] = []
    var places: [Int64: Int] = [:]
    var newest = -1
    var quote: (bid: Int64, bidSize: Int64, ask: Int64, askSize: Int64)?
  }

  public let widthNs: Int64
  private var symbols: [String: Int] = [:]
  private var bars: [SymbolBars] = []

  public init(widthNs: Int64) {
    precondition(widthNs > 0)
    self.widthNs = widthNs
  }

  /// Adds the rows of a batch of trades or book tickers; of a symbol, in the tape's order. Others add nothing.
  public mutating func add(_ batch: TableBatch) {
    switch batch.schema.kind {
    case .trade: addTrades(batch)
    case .bookTicker: addQuotes(batch)
    default: return
    }
  }

  /// The bars in order of symbol and start.
  public var result: [Bar] {
    symbols.sorted { $0.key < $1.key }.flatMap { _, place in
      bars[place].entries.map(\.bar).sorted { $0.startNs < $1.startNs }
    }
  }

  private mutating func entry(_ place: Int, _ symbol: String, _ timeNs: Int64) -> Int {
    let start = timeNs - timeNs % widthNs
    let newest = bars[place].newest
    if newest >= 0, bars[place].entries[newest].bar.startNs == start { return newest }
    if let found = bars[place].places[start] { return found }
    bars[place].entries.append(Entry(bar: Bar(symbol: symbol, startNs: start)))
    bars[place].newest = bars[place].entries.count - 1
    bars[place].places[start] = bars[place].newest
    return bars[place].newest
  }

  private mutating func addTrades(_ batch: TableBatch) {
    let rows = TradeColumns(batch)
    let isDuplicate = batch.names.map { $0 == TradeKind.duplicate.name }
    let places = symbolPlaces(batch)
    for row in 0..<batch.rowCount {
      if isDuplicate[Int(rows.kind[row])] || rows.isMarket[row] == 0 { continue }
      let code = Int(rows.symbol[row])
      let place = places[code]
      let time = rowTimeNs(rows.transaction[row], rows.exchange[row], rows.receive[row])
      let index = entry(place, batch.names[code], time)
      let key = (sequence: rows.sequence[row], id: rows.id[row])
      let price = rows.price[row]
      let size = Int128(rows.quantity[row])
      withEntry(place, index) { entry in
        entry.bar.trades += 1
        entry.bar.volume += size
        if rows.buyerIsMaker[row] == 0 { entry.bar.buyVolume += size } else { entry.bar.sellVolume += size }
        entry.bar.high = max(entry.bar.high ?? price, price)
        entry.bar.low = min(entry.bar.low ?? price, price)
        if key < entry.first {
          entry.first = key
          entry.bar.open = price
        }
        if key > entry.last {
          entry.last = key
          entry.bar.close = price
        }
      }
    }
  }

  private mutating func addQuotes(_ batch: TableBatch) {
    let rows = QuoteColumns(batch)
    let places = symbolPlaces(batch)
    for row in 0..<batch.rowCount {
      let code = Int(rows.symbol[row])
      let place = places[code]
      let quote = (
        bid: rows.bid[row], bidSize: rows.bidSize[row], ask: rows.ask[row], askSize: rows.askSize[row]
      )
      let increment = bars[place].quote.map { quoteIncrement($0, quote) } ?? 0
      bars[place].quote = quote
      let time = rowTimeNs(rows.transaction[row], rows.exchange[row], rows.receive[row])
      let index = entry(place, batch.names[code], time)
      withEntry(place, index) { entry in
        entry.bar.quotes += 1
        entry.bar.ofi += Int128(increment)
      }
    }
  }

  private mutating func withEntry(_ place: Int, _ index: Int, _ change: (inout Entry) -> Void) {
    change(&bars[place].entries[index])
  }

  /// Names that are no symbols (sides, kinds of trades) get no bars: they never stand in a symbol column.
  private mutating func symbolPlaces(_ batch: TableBatch) -> [Int] {
    let codes = batch.values(0)
    var isSymbol = [Bool](repeating: false, count: batch.names.count)
    for message in 0..<batch.messageCount { isSymbol[Int(codes[message])] = true }
    return batch.names.enumerated().map { index, name in
      guard isSymbol[index] else { return -1 }
      if let place = symbols[name] { return place }
      symbols[name] = bars.count
      bars.append(SymbolBars())
      return bars.count - 1
    }
  }
}

/// The time by which rows are put in buckets and partitions.
@inline(__always)
public func rowTimeNs(_ transaction: Int64, _ exchange: Int64, _ receive: Int64) -> Int64 {
  if transaction != TableBatch.null { return transaction }
  return exchange != TableBatch.null ? exchange : receive
}

/// The increment of order flow imbalance between two quotes of a symbol; see ``BarBuilder``.
@inline(__always)
public func quoteIncrement(
  _ before: (bid: Int64, bidSize: Int64, ask: Int64, askSize: Int64),
  _ after: (bid: Int64, bidSize: Int64, ask: Int64, askSize: Int64)
) -> Int64 {
  // Sizes are below 1e18 units, so four of them stay within Int64.
  var sum: Int64 = 0
  if after.bid >= before.bid { sum += after.bidSize }
  if after.bid <= before.bid { sum -= before.bidSize }
  if after.ask <= before.ask { sum -= after.askSize }
  if after.ask >= before.ask { sum += before.askSize }
  return sum
}

/// Columns of a batch of trades; every row is a message.
private struct TradeColumns {
  let symbol, exchange, transaction, receive, sequence, id: UnsafePointer<Int64>
  let price, quantity, buyerIsMaker, kind, isMarket: UnsafePointer<Int64>

  init(_ batch: TableBatch) {
    func column(_ name: String) -> UnsafePointer<Int64> { batch.values(batch.schema.index(of: name)!) }
    symbol = column("symbol")
    exchange = column("exchange_ns")
    transaction = column("transaction_ns")
    receive = column("recv_ns")
    sequence = column("seq")
    id = column("trade_id")
    price = column("price")
    quantity = column("quantity")
    buyerIsMaker = column("buyer_is_maker")
    kind = column("kind")
    isMarket = column("is_market")
  }
}

private struct QuoteColumns {
  let symbol, exchange, transaction, receive: UnsafePointer<Int64>
  let bid, bidSize, ask, askSize: UnsafePointer<Int64>

  init(_ batch: TableBatch) {
    func column(_ name: String) -> UnsafePointer<Int64> { batch.values(batch.schema.index(of: name)!) }
    symbol = column("symbol")
    exchange = column("exchange_ns")
    transaction = column("transaction_ns")
    receive = column("recv_ns")
    bid = column("bid_price")
    bidSize = column("bid_quantity")
    ask = column("ask_price")
    askSize = column("ask_quantity")
  }
}
