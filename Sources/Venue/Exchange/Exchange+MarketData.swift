import Core

/// The public REST endpoints: book, trades, klines, tickers.
extension Exchange {
  private static let depthLimits: Set<Int64> = [5, 10, 20, 50, 100, 500, 1000]

  /// The symbol a request names, if this exchange has it.
  private func symbolName(_ parameters: RequestParameters) throws(VenueError) -> String {
    let name = try parameters.required("symbol")
    guard tape.map({ $0.has(name) }) ?? (symbolIndices[name] != nil) else { throw .invalidSymbol }
    return name
  }

  private var listedSymbols: [String] { tape.map { $0.listedSymbols } ?? symbolNames }

  private func unavailable(_ what: String) -> VenueError {
    VenueError(-1000, "\(what) cannot be told from a recorded tape.")
  }

  // MARK: Depth

  /// The book as it is at this moment, changes of the running window included, with the id of its last
  /// change.
  func depth(_ parameters: RequestParameters) throws(VenueError) -> VenueResponse {
    let name = try symbolName(parameters)
    let limit = try parameters.integer("limit") ?? 500
    guard Exchange.depthLimits.contains(limit) else {
      throw VenueError(-4021, "\(limit) is not valid depth limit.")
    }
    var writer = ByteWriter(capacity: 1 << 15)
    if let tape {
      guard tape.depth(name, limit: Int(limit), timeMs: timeMs, &writer) else {
        throw unavailable("The book of \(name)")
      }
    } else if let index = symbolIndices[name] {
      symbols[index].market.markState()
      symbols[index].encoder.snapshot(symbols[index].market, levelsMax: Int(limit), &writer)
    }
    var response = VenueResponse(status: 200, body: Array(writer.bytes))
    if struck({ if case .staleSnapshot = $0 { true } else { false } }) != nil {
      response.body = Exchange.outdated(response.body)
    }
    if struck({ if case .wrongSnapshot = $0 { true } else { false } }) != nil {
      response.body = Exchange.spoilt(response.body, by: injected.reduce(0) { $0 + Int($1.struck) })
    }
    if case .slowSnapshot(let ms, _) = struck({ if case .slowSnapshot = $0 { true } else { false } }) {
      response.delayNs = ms * Nanoseconds.millisecond
    }
    return response
  }

  /// How far an injected stale snapshot's id lies back: more ids than a session will have buffered.
  private static let staleIDs: Int64 = 10_000_000

  /// The snapshot with an id of long ago and each quantity with one digit more, so that who loads it is
  /// wrong.
  private static func outdated(_ body: [UInt8]) -> [UInt8] {
    guard let json = try? JSONValue(parsing: String(decoding: body, as: UTF8.self)),
      let members = json.members
    else { return body }
    let changed = members.map { member in
      switch member.key {
      case "lastUpdateId": JSONValue.Member(member.key, .integer((member.value.integer ?? 0) - staleIDs))
      case "bids", "asks":
        JSONValue.Member(
          member.key,
          .array(
            (member.value.elements ?? []).map { level in
              .array([level[0] ?? .null, .string("1" + (level[1]?.text ?? ""))])
            }))
      default: member
      }
    }
    return VenueResponse(.object(changed)).body
  }

  /// By turns cut off in the middle, or JSON with levels that are no numbers.
  private static func spoilt(_ body: [UInt8], by turn: Int) -> [UInt8] {
    if turn % 2 == 1 { return Array(body.prefix(body.count / 2)) }
    return Array(#"{"lastUpdateId":"now","bids":[["what","ever"]],"asks":null}"#.utf8)
  }

  // MARK: Trades

  private func history(_ name: String) -> (trades: TradeHistory, price: DecimalScale, quantity: DecimalScale)
  {
    if let tape { return tape.history(name) }
    let index = symbolIndices[name] ?? 0
    let instrument = symbols[index].market.instrument
    return (symbols[index].history, instrument.priceScale, instrument.quantityScale)
  }

  /// By `fromId`, by time, or the latest; at most 1000.
  func aggregateTrades(_ parameters: RequestParameters) throws(VenueError) -> JSONValue {
    let name = try symbolName(parameters)
    let limit = Int64(try parameters.limit(default: 500, max: 1000))
    let from = try parameters.integer("fromId")
    let startMs = try parameters.integer("startTime")
    let endMs = try parameters.integer("endTime")
    let (trades, priceScale, quantityScale) = history(name)
    var first: Int64
    if let from {
      if from < 0 { throw VenueError(-1130, "Data sent for parameter 'fromId' is not valid.") }
      first = max(from, trades.firstID)
    } else if let startMs {
      if let endMs, endMs < startMs {
        throw VenueError(-1130, "Data sent for parameter 'endTime' is not valid.")
      }
      first = trades.firstID(atOrAfter: startMs)
    } else if let endMs {
      first = max(trades.firstID, trades.firstID(atOrAfter: endMs == .max ? endMs : endMs + 1) - limit)
    } else {
      first = max(trades.firstID, trades.endID - limit)
    }
    first = min(first, trades.endID)
    var last = min(trades.endID, first + limit)
    if let endMs, from == nil {
      last = min(last, trades.firstID(atOrAfter: endMs == .max ? endMs : endMs + 1))
    }
    guard first < last else { return .array([]) }
    return .array(
      (first..<last).map { id in
        let trade = trades[id]
        return .object([
          "a": .integer(id), "p": .string(priceScale.text(trade.price)),
          "q": .string(quantityScale.text(trade.quantity)), "f": .integer(trade.firstTradeID),
          "l": .integer(trade.lastTradeID), "T": .integer(trade.timeMs), "m": .bool(trade.buyerIsMaker),
        ])
      })
  }

  /// The latest trades; each aggregate counts as one.
  func recentTrades(_ parameters: RequestParameters) throws(VenueError) -> JSONValue {
    let name = try symbolName(parameters)
    let limit = Int64(try parameters.limit(default: 500, max: 1000))
    let (trades, priceScale, quantityScale) = history(name)
    let decimals = priceScale.decimals + quantityScale.decimals
    return .array(
      (max(trades.firstID, trades.endID - limit)..<trades.endID).map { id in
        let trade = trades[id]
        let value = trade.price.multipliedReportingOverflow(by: trade.quantity)
        return .object([
          "id": .integer(trade.lastTradeID), "price": .string(priceScale.text(trade.price)),
          "qty": .string(quantityScale.text(trade.quantity)),
          "quoteQty": .string(
            value.overflow || decimals > DecimalScale.decimalsMax
              ? "0" : DecimalScale(decimals).text(value.partialValue)),
          "time": .integer(trade.timeMs), "isBuyerMaker": .bool(trade.buyerIsMaker),
        ])
      })
  }

  // MARK: Klines

  func klines(_ parameters: RequestParameters) throws(VenueError) -> JSONValue {
    let name = try symbolName(parameters)
    guard let interval = KlineInterval(rawValue: try parameters.required("interval")) else {
      throw VenueError(-1120, "Invalid interval.")
    }
    let limit = try parameters.limit(default: 500, max: 1500)
    let start = try parameters.integer("startTime") ?? .min
    let end = try parameters.integer("endTime") ?? .max
    guard let index = symbolIndices[name] else { throw unavailable("Klines") }
    let found = symbols[index].bars(interval).filter {
      $0.index * 60_000 >= start && $0.index * 60_000 <= end
    }
    let kept = start == .min ? found.suffix(limit) : found.prefix(limit)
    let instrument = symbols[index].market.instrument
    func value(_ tickLots: Int64) -> JSONValue { money(amount(index, Int128(tickLots))) }
    return .array(
      kept.map { minute in
        .array([
          .integer(minute.index * 60_000), price(index, minute.openTick), price(index, minute.highTick),
          price(index, minute.lowTick), price(index, minute.closeTick),
          .string(instrument.quantityScale.text(minute.lots)),
          .integer(minute.index * 60_000 + interval.milliseconds - 1),
          value(minute.tickLots), .integer(minute.tradeCount),
          .string(instrument.quantityScale.text(minute.buyerLots)), value(minute.buyerTickLots), .string("0"),
        ])
      })
  }

  // MARK: Tickers

  /// One object for a named symbol, else a list over all.
  func each(_ parameters: RequestParameters, _ make: (String) -> JSONValue?) throws(VenueError) -> JSONValue {
    if parameters["symbol"] != nil {
      guard let one = make(try symbolName(parameters)) else { throw unavailable("This") }
      return one
    }
    return .array(listedSymbols.compactMap(make))
  }

  func priceTicker(_ name: String) -> JSONValue? {
    let last: JSONValue
    if let tape {
      let (trades, scale, _) = tape.history(name)
      guard trades.count > 0 else { return nil }
      last = .string(scale.text(trades[trades.endID - 1].price))
    } else {
      guard let index = symbolIndices[name] else { return nil }
      last = price(index, lastTick(index))
    }
    return .object(["symbol": .string(name), "price": last, "time": .integer(timeMs)])
  }

  private func lastTick(_ index: Int) -> Int {
    symbols[index].day.lots == 0 ? symbols[index].market.bestBid : symbols[index].day.lastTick
  }

  func bookTicker(_ name: String) -> JSONValue? {
    if let tape { return tape.bookTicker(name, timeMs: timeMs) }
    guard let index = symbolIndices[name] else { return nil }
    let touch = symbols[index].market.touch
    return .object([
      "symbol": .string(name), "bidPrice": price(index, touch.bidTick),
      "bidQty": quantity(index, touch.bidLots),
      "askPrice": price(index, touch.askTick), "askQty": quantity(index, touch.askLots),
      "time": .integer(timeMs), "lastUpdateId": .integer(symbols[index].market.updateID),
    ])
  }

  /// Over the time since the exchange's start, which stands for the last 24 hours.
  func dayTicker(_ name: String) -> JSONValue? {
    guard let index = symbolIndices[name] else { return nil }
    let day = symbols[index].day
    let encoder = symbols[index].encoder
    let last = lastTick(index)
    let open = day.lots == 0 ? last : day.openTick
    return .object([
      "symbol": .string(name), "priceChange": price(index, last - open),
      "priceChangePercent": .string(encoder.change(open, last)),
      "weightedAvgPrice": price(index, encoder.average(day, last)), "lastPrice": price(index, last),
      "lastQty": quantity(index, day.lastLots), "openPrice": price(index, open),
      "highPrice": price(index, day.lots == 0 ? last : day.highTick),
      "lowPrice": price(index, day.lots == 0 ? last : day.lowTick), "volume": quantity(index, day.lots),
      "quoteVolume": money(amount(index, Int128(day.tickLots))),
      "openTime": .integer(start / Nanoseconds.millisecond), "closeTime": .integer(timeMs),
      "firstId": .integer(day.firstTradeID), "lastId": .integer(day.lastTradeID),
      "count": .integer(day.tradeCount),
    ])
  }

  func premiumIndex(_ name: String) -> JSONValue? {
    guard let index = symbolIndices[name] else { return nil }
    let (mark, fair) = symbols[index].encoder.markAndIndex(symbols[index].market)
    return .object([
      "symbol": .string(name), "markPrice": money(mark), "indexPrice": money(fair),
      "estimatedSettlePrice": money(fair + mark / 50_000), "lastFundingRate": .string("0.00010000"),
      "interestRate": .string("0.00010000"),
      "nextFundingTime": .integer(symbols[index].encoder.nextFundingMs(at: symbols[index].market.now)),
      "time": .integer(timeMs),
    ])
  }

  /// A fixed number for each instrument: open interest is not modelled.
  func openInterest(_ parameters: RequestParameters) throws(VenueError) -> JSONValue {
    let name = try symbolName(parameters)
    guard let index = symbolIndices[name] else { throw unavailable("Open interest") }
    let lots = Int64(symbols[index].market.instrument.orderLotsMean * 5000)
    return .object([
      "symbol": .string(name), "openInterest": quantity(index, lots), "time": .integer(timeMs),
    ])
  }
}
