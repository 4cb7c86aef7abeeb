import Core

/// What an account is told on the private root, and how orders look in answers.
extension Exchange {
  /// Sends an event to whoever listens with the account's key.
  func tell(_ account: VenueAccount, _ event: JSONValue) {
    guard let key = account.listenKey, let stream = table.find(key),
      !table.streams[stream].subscribers.isEmpty
    else { return }
    table.streams[stream].published += 1
    let begin = outbox.bytes.count
    outbox.bytes.append("{\"stream\":\"")
    outbox.bytes.append(key)
    outbox.bytes.append("\",\"data\":")
    event.write(to: &outbox.bytes)
    outbox.bytes.append(byte: 0x7D)
    deliver(stream, begin)
  }

  /// Whether anybody would hear an event; making one costs some microseconds.
  private func isHeard(_ account: VenueAccount) -> Bool {
    guard let key = account.listenKey, let stream = table.find(key) else { return false }
    return !table.streams[stream].subscribers.isEmpty
  }

  /// `ORDER_TRADE_UPDATE` without a fill.
  func tellOrder(_ order: VenueOrder, _ execution: String) {
    guard isHeard(order.account) else { return }
    tell(order.account, orderEvent(order, execution, nil))
  }

  /// `TRADE_LITE`, `ORDER_TRADE_UPDATE` and `ACCOUNT_UPDATE` of a fill.
  func tellTrade(_ order: VenueOrder, _ trade: AccountTrade) {
    let account = order.account
    guard isHeard(account) else { return }
    let request = order.request
    tell(
      account,
      .object([
        "e": .string("TRADE_LITE"), "E": .integer(timeMs), "T": .integer(trade.timeMs),
        "s": .string(symbolNames[order.symbol]), "q": quantity(order.symbol, order.lots),
        "p": price(order.symbol, request.tick), "m": .bool(trade.isMaker), "c": .string(order.clientID),
        "S": .string(request.isBuy ? "BUY" : "SELL"), "L": price(order.symbol, trade.tick),
        "l": quantity(order.symbol, trade.lots), "t": .integer(trade.id), "i": .integer(order.id),
      ]))
    tell(account, orderEvent(order, "TRADE", trade))
    tell(account, accountEvent(account, order.symbol))
  }

  private func orderEvent(_ order: VenueOrder, _ execution: String, _ trade: AccountTrade?) -> JSONValue {
    let request = order.request
    let symbol = order.symbol
    let zero = JSONValue.string("0")
    let isDated = request.timeInForce == .gtd
    let position = order.account.positions[symbol]
    let members: KeyValuePairs<String, JSONValue> = [
      "s": .string(symbolNames[symbol]), "c": .string(order.clientID),
      "S": .string(request.isBuy ? "BUY" : "SELL"), "o": .string(request.kind.rawValue),
      "f": .string(request.timeInForce.rawValue), "q": quantity(symbol, order.lots),
      "p": request.tick == 0 ? zero : price(symbol, request.tick), "ap": averagePrice(order, empty: "0"),
      "sp": zero, "x": .string(execution), "X": .string(order.status.rawValue), "i": .integer(order.id),
      "l": trade.map { quantity(symbol, $0.lots) } ?? zero, "z": quantity(symbol, order.filledLots),
      "L": trade.map { price(symbol, $0.tick) } ?? zero, "n": trade.map { money($0.fee) } ?? zero,
      "N": .string("USDT"), "T": .integer(order.updateMs), "t": .integer(trade?.id ?? 0),
      "b": money(amount(symbol, Int128(request.tick) * Int128(position.openBuyLots))),
      "a": money(amount(symbol, Int128(request.tick) * Int128(position.openSellLots))),
      "m": .bool(trade?.isMaker ?? false), "R": .bool(request.isReduceOnly),
      "wt": .string("CONTRACT_PRICE"), "ot": .string(request.kind.rawValue), "ps": .string("BOTH"),
      "cp": .bool(false), "rp": trade.map { money($0.profit) } ?? zero, "pP": .bool(false),
      "si": .integer(0), "ss": .integer(0), "V": .string("NONE"), "pm": .string("NONE"),
      "gtd": .integer(isDated ? request.goodTillMs : 0),
    ]
    return .object([
      "e": .string("ORDER_TRADE_UPDATE"), "T": .integer(order.updateMs), "E": .integer(timeMs),
      "o": .object(members),
    ])
  }

  private func accountEvent(_ account: VenueAccount, _ symbol: Int) -> JSONValue {
    let position = account.positions[symbol]
    return .object([
      "e": .string("ACCOUNT_UPDATE"), "T": .integer(timeMs), "E": .integer(timeMs),
      "a": .object([
        "B": .array([
          .object([
            "a": .string("USDT"), "wb": money(account.wallet), "cw": money(account.wallet), "bc": .string("0"),
          ])
        ]),
        "P": .array([
          .object([
            "s": .string(symbolNames[symbol]), "pa": quantity(symbol, position.lots),
            "ep": .string(entryPrice(symbol, position)), "cr": money(position.realised),
            "up": money(unrealised(symbol, position)), "mt": .string("cross"), "iw": .string("0"),
            "ps": .string("BOTH"), "ma": .string("USDT"), "bep": .string(entryPrice(symbol, position)),
          ])
        ]),
        "m": .string("ORDER"),
      ]),
    ])
  }

  // MARK: Numbers

  func price(_ symbol: Int, _ tick: Int) -> JSONValue {
    let instrument = symbols[symbol].market.instrument
    return .string(instrument.priceScale.text(Int64(tick) * instrument.tickUnits))
  }

  func quantity(_ symbol: Int, _ lots: Int64) -> JSONValue {
    .string(symbols[symbol].market.instrument.quantityScale.text(lots))
  }

  /// A decimal text of 1e-8 units.
  func money(_ units: Int64) -> JSONValue { .string(DecimalScale(8).text(units)) }

  /// tick · lots / lots as a price with three decimals more than the instrument's, eleven at most.
  private func mean(_ symbol: Int, _ tickLots: Int64, _ lots: Int64) -> String {
    let instrument = symbols[symbol].market.instrument
    let scaled = Int128(tickLots) * Int128(instrument.tickUnits) * 1000 / Int128(lots)
    return DecimalScale(instrument.priceScale.decimals + 3).text(Int64(clamping: scaled))
  }

  private func averagePrice(_ order: VenueOrder, empty: String) -> JSONValue {
    .string(order.filledLots == 0 ? empty : mean(order.symbol, order.filledTickLots, order.filledLots))
  }

  func entryPrice(_ symbol: Int, _ position: VenuePosition) -> String {
    position.lots == 0 ? "0.0" : mean(symbol, position.costTickLots, abs(position.lots))
  }

  // MARK: Answers

  /// An order as `order` endpoints give it; lists and queries have its time, acknowledgements do not.
  func orderJSON(_ order: VenueOrder, withTime: Bool) -> JSONValue {
    let request = order.request
    let symbol = order.symbol
    let filled = quantity(symbol, order.filledLots)
    var members: [JSONValue.Member] = []
    func add(_ pairs: KeyValuePairs<String, JSONValue>) {
      members += pairs.map { JSONValue.Member($0.key, $0.value) }
    }
    add([
      "orderId": .integer(order.id), "symbol": .string(symbolNames[symbol]),
      "status": .string(order.status.rawValue), "clientOrderId": .string(order.clientID),
      "price": request.tick == 0 ? .string("0.00") : price(symbol, request.tick),
      "avgPrice": averagePrice(order, empty: "0.00"), "origQty": quantity(symbol, order.lots),
      "executedQty": filled,
    ])
    if !withTime { add(["cumQty": filled]) }
    add([
      "cumQuote": money(amount(symbol, Int128(order.filledTickLots))),
      "timeInForce": .string(request.timeInForce.rawValue), "type": .string(request.kind.rawValue),
      "reduceOnly": .bool(request.isReduceOnly), "closePosition": .bool(false),
      "side": .string(request.isBuy ? "BUY" : "SELL"), "positionSide": .string("BOTH"),
      "stopPrice": .string("0.00"), "workingType": .string("CONTRACT_PRICE"), "priceProtect": .bool(false),
      "origType": .string(request.kind.rawValue), "priceMatch": .string("NONE"),
      "selfTradePreventionMode": .string("NONE"), "goodTillDate": .integer(request.goodTillMs),
    ])
    if withTime { add(["time": .integer(order.timeMs)]) }
    add(["updateTime": .integer(order.updateMs)])
    return .object(members)
  }

  func tradeJSON(_ trade: AccountTrade) -> JSONValue {
    .object([
      "symbol": .string(symbolNames[trade.symbol]), "id": .integer(trade.id), "orderId": .integer(trade.orderID),
      "side": .string(trade.isBuy ? "BUY" : "SELL"), "price": price(trade.symbol, trade.tick),
      "qty": quantity(trade.symbol, trade.lots), "realizedPnl": money(trade.profit),
      "quoteQty": money(amount(trade.symbol, Int128(trade.tick) * Int128(trade.lots))),
      "commission": money(trade.fee), "commissionAsset": .string("USDT"), "time": .integer(trade.timeMs),
      "positionSide": .string("BOTH"), "buyer": .bool(trade.isBuy), "maker": .bool(trade.isMaker),
    ])
  }
}
