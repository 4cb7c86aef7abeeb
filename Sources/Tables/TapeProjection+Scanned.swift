import Binance
import Core
import Tape

extension TapeProjection {
  /// Puts the decoder's frame into its table.
  ///
  /// - Returns: false when the tables cannot hold it as it was scanned; nothing of it is then taken.
  @inline(__always)
  mutating func takeScanned(_ header: RecordHeader) -> Bool {
    let symbol = decoder.frame.symbol
    guard symbol != .none, let instrument = decoder.instruments[symbol],
      instrument.priceScale.decimals <= ColumnType.scale,
      instrument.quantityScale.decimals <= ColumnType.scale
    else { return false }
    let factors = Factors(
      price: powerOfTen(ColumnType.scale &- instrument.priceScale.decimals),
      quantity: powerOfTen(ColumnType.scale &- instrument.quantityScale.decimals))
    switch decoder.frame.kind {
    case .depthUpdate: return takeDepth(header, symbol, factors)
    case .bookTicker: return takeTicker(header, symbol, factors)
    case .aggregateTrade, .trade: return takeTrade(header, symbol, factors)
    default: return false
    }
  }

  /// From an instrument's units to those of the tables.
  @usableFromInline struct Factors {
    var price: Int64
    var quantity: Int64
  }

  /// Whether values below a power of two stay within a decimal's 18 digits once multiplied.
  @inline(__always)
  private func fits(_ union: Int64, _ factor: Int64) -> Bool {
    // The smallest 2^n − 1 that covers every value of the union.
    let bound = union == 0 ? 0 : (Int64.max >> Int64(union.leadingZeroBitCount &- 1))
    return bound <= ColumnType.decimalUnitsMax / factor
  }

  @inline(__always)
  private func nanoseconds(_ field: DecodedFrame.Field) -> Int64 {
    decoder.frame.has(field) ? decoder.frame[field] &* Nanoseconds.millisecond : TableBatch.null
  }

  @inline(__always)
  private func optional(_ field: DecodedFrame.Field) -> Int64 {
    decoder.frame.has(field) ? decoder.frame[field] : TableBatch.null
  }

  private mutating func takeDepth(_ header: RecordHeader, _ symbol: SymbolID, _ factors: Factors) -> Bool {
    let bids = decoder.frame.bidCount
    let count = bids &+ decoder.frame.askCount
    // An event without levels has no row here; the plain reading keeps it whole.
    guard count > 0 else { return false }
    let prices = decoder.frame.prices
    let quantities = decoder.frame.quantities
    var priceUnion: Int64 = 0
    var quantityUnion: Int64 = 0
    for index in 0..<count {
      priceUnion |= prices[index]
      quantityUnion |= quantities[index]
    }
    guard fits(priceUnion, factors.price), fits(quantityUnion, factors.quantity) else { return false }
    let batch = batchToFill(.depth, symbol)
    let code = code(of: symbol, in: batch)
    let place = batch.begin(rows: count)
    batch.column(0)[place.message] = code
    batch.column(1)[place.message] = nanoseconds(.eventTime)
    batch.column(2)[place.message] = nanoseconds(.transactionTime)
    batch.column(3)[place.message] = header.receiveNs
    batch.column(4)[place.message] = header.sequence
    batch.column(5)[place.message] = decoder.frame[.firstUpdateID]
    batch.column(6)[place.message] = decoder.frame[.finalUpdateID]
    batch.column(7)[place.message] = optional(.previousFinalUpdateID)
    let sides = batch.column(8) + place.row
    for index in 0..<bids { sides[index] = TapeProjection.bid }
    for index in bids..<count { sides[index] = TapeProjection.ask }
    let toPrices = batch.column(9) + place.row
    let toQuantities = batch.column(10) + place.row
    for index in 0..<count { toPrices[index] = prices[index] &* factors.price }
    for index in 0..<count { toQuantities[index] = quantities[index] &* factors.quantity }
    return true
  }

  private mutating func takeTicker(_ header: RecordHeader, _ symbol: SymbolID, _ factors: Factors) -> Bool {
    let quote = decoder.frame.quote
    guard fits(quote.bidPrice | quote.askPrice, factors.price),
      fits(quote.bidQuantity | quote.askQuantity, factors.quantity)
    else { return false }
    let batch = batchToFill(.bookTicker, symbol)
    let code = code(of: symbol, in: batch)
    let row = batch.begin(rows: 1).message
    batch.column(0)[row] = code
    batch.column(1)[row] = nanoseconds(.eventTime)
    batch.column(2)[row] = header.receiveNs
    batch.column(3)[row] = header.sequence
    batch.column(4)[row] = decoder.frame[.finalUpdateID]
    batch.column(5)[row] = quote.bidPrice &* factors.price
    batch.column(6)[row] = quote.bidQuantity &* factors.quantity
    batch.column(7)[row] = quote.askPrice &* factors.price
    batch.column(8)[row] = quote.askQuantity &* factors.quantity
    batch.column(9)[row] = nanoseconds(.transactionTime)
    return true
  }

  private mutating func takeTrade(_ header: RecordHeader, _ symbol: SymbolID, _ factors: Factors) -> Bool {
    let isAggregate = decoder.frame.kind == .aggregateTrade
    let withoutRPI = optional(.quantityWithoutRPI)
    guard fits(decoder.frame[.price], factors.price), fits(decoder.frame[.quantity], factors.quantity),
      withoutRPI == TableBatch.null || withoutRPI >= 0 && fits(withoutRPI, factors.quantity)
    else { return false }
    if isAggregate { see(trade: decoder.frame[.tradeID], symbol) }
    let batch = batchToFill(.trade, symbol)
    let code = code(of: symbol, in: batch)
    let row = batch.begin(rows: 1).message
    batch.column(0)[row] = code
    batch.column(1)[row] = nanoseconds(.eventTime)
    batch.column(2)[row] = header.receiveNs
    batch.column(3)[row] = header.sequence
    batch.column(4)[row] = decoder.frame[.tradeID]
    batch.column(5)[row] = decoder.frame[.price] &* factors.price
    batch.column(6)[row] = decoder.frame[.quantity] &* factors.quantity
    batch.column(7)[row] = decoder.frame[.buyerIsMaker]
    batch.column(8)[row] = batch.index(of: isAggregate ? .aggregateTrade : .trade)
    batch.column(9)[row] = nanoseconds(.transactionTime)
    batch.column(10)[row] = optional(.firstTradeID)
    batch.column(11)[row] = optional(.lastTradeID)
    batch.column(12)[row] = withoutRPI == TableBatch.null ? withoutRPI : withoutRPI &* factors.quantity
    batch.column(13)[row] = decoder.frame.isExcludedTrade ? 0 : 1
    return true
  }

  @inline(__always)
  mutating func see(trade id: Int64, _ symbol: SymbolID) {
    while tradeRuns.count <= symbol.index { tradeRuns.append(TradeRuns()) }
    tradeRuns[symbol.index].see(id)
  }
}

/// Where a trade came from, as `kind` of its row.
enum TradeKind: Int, CaseIterable {
  case trade, aggregateTrade, backfill, duplicate

  var name: String {
    switch self {
    case .trade: "trade"
    case .aggregateTrade: "agg_trade"
    case .backfill: "backfill"
    case .duplicate: "duplicate"
    }
  }
}
