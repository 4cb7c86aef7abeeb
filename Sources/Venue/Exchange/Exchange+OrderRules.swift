import Core

/// What an order must satisfy before it is accepted.
extension Exchange {
  /// Limit prices may lie so far from the mark, in ten-thousandths: PERCENT_PRICE of exchangeInfo.
  static let priceBand: Int64 = 500
  static let notionalMin: Int64 = 5
  /// Largest quantity in mean orders of the market.
  static let maxQuantityOrders = 10_000.0

  func symbolIndex(_ parameters: RequestParameters) throws(VenueError) -> Int {
    guard let index = symbolIndices[try parameters.required("symbol")] else { throw .invalidSymbol }
    return index
  }

  func maxLots(_ symbol: Int) -> Int64 {
    Int64(symbols[symbol].market.instrument.orderLotsMean * Exchange.maxQuantityOrders)
  }

  /// - Throws: the exchange's error code for whatever is wrong with the order.
  func checkedOrder(_ account: VenueAccount, _ parameters: RequestParameters) throws(VenueError) -> OrderRequest {
    guard tape == nil else {
      throw VenueError(
        -2010, "Orders are refused: this exchange serves a recorded tape. Start it with a seeded market to trade.")
    }
    let symbol = try symbolIndex(parameters)
    let isBuy: Bool
    switch try parameters.required("side") {
    case "BUY": isBuy = true
    case "SELL": isBuy = false
    default: throw VenueError(-1117, "Invalid side.")
    }
    let kind: VenueOrder.Kind
    switch try parameters.required("type") {
    case "LIMIT": kind = .limit
    case "MARKET": kind = .market
    case "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET":
      throw VenueError(
        -4120,
        "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.")
    default: throw VenueError(-1116, "Invalid orderType.")
    }
    if let side = parameters["positionSide"], side != "BOTH" {
      throw VenueError(-4061, "Order's position side does not match user's setting.")
    }
    let lots = try quantity(parameters, symbol)
    let tick = kind == .limit ? try limitTick(parameters, symbol, isBuy) : 0
    let isReduceOnly = try parameters.boolean("reduceOnly") ?? false
    try checkNotional(symbol, tick, lots, isReduceOnly)

    var timeInForce = VenueOrder.TimeInForce.gtc
    var goodTillMs: Int64 = 0
    if kind == .limit {
      guard let given = VenueOrder.TimeInForce(rawValue: try parameters.required("timeInForce")) else {
        throw VenueError(-1115, "Invalid timeInForce.")
      }
      timeInForce = given
      if given == .gtd {
        guard let until = try parameters.integer("goodTillDate") else { throw .missing("goodTillDate") }
        guard until > timeMs, until < 253_402_300_799_000 else {
          throw VenueError(-5040, "The goodTillDate timestamp must be greater than the current time.")
        }
        goodTillMs = until
      }
    }
    let clientID = parameters["newClientOrderId"]
    if let clientID {
      guard (1...36).contains(clientID.utf8.count), clientID.utf8.allSatisfy(Exchange.isClientIDByte) else {
        throw VenueError(-4015, "Client order id is not valid.")
      }
      if account.openByClientID[clientID] != nil {
        throw VenueError(-4116, "ClientOrderId is duplicated.")
      }
    }
    if account.openCount >= VenueAccount.openOrdersMax {
      throw VenueError(-2025, "Reach max open order limit.")
    }
    let request = OrderRequest(
      symbol: symbol, isBuy: isBuy, kind: kind, timeInForce: timeInForce, tick: tick, lots: lots,
      isReduceOnly: isReduceOnly, goodTillMs: goodTillMs, clientID: clientID,
      wantsResult: parameters["newOrderRespType"] == "RESULT")
    if timeInForce == .gtx, crosses(request) {
      throw VenueError(
        -5022, "Due to the order could not be executed as maker, the Post Only order will be rejected.")
    }
    try checkPosition(account, request)
    return request
  }

  private static func isClientIDByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x2F, 0x3A, 0x5F: true
    default: false
    }
  }

  /// Whether the order would take at once.
  func crosses(_ request: OrderRequest) -> Bool {
    request.isBuy
      ? request.tick >= symbols[request.symbol].market.bestAsk
      : request.tick <= symbols[request.symbol].market.bestBid
  }

  private func decimal(_ text: String, _ scale: DecimalScale, _ name: String) throws(VenueError) -> Int64 {
    if let value = scale.parse(text) { return value }
    // A plain decimal with too many places is a matter of precision, anything else is no number.
    let digits = text.utf8.drop { $0 == 0x2D }
    if digits.contains(where: { $0 != 0x2E }), digits.count(where: { $0 == 0x2E }) <= 1,
      digits.allSatisfy({ $0 == 0x2E || ($0 >= 0x30 && $0 <= 0x39) })
    {
      throw VenueError(-1111, "Precision is over the maximum defined for this asset.")
    }
    throw .missing(name)
  }

  private func quantity(_ parameters: RequestParameters, _ symbol: Int) throws(VenueError) -> Int64 {
    let scale = symbols[symbol].market.instrument.quantityScale
    let lots = try decimal(try parameters.required("quantity"), scale, "quantity")
    if lots <= 0 { throw VenueError(-4003, "Quantity less than or equal to zero.") }
    if lots > maxLots(symbol) { throw VenueError(-4005, "Quantity greater than max quantity.") }
    return lots
  }

  private func limitTick(_ parameters: RequestParameters, _ symbol: Int, _ isBuy: Bool) throws(VenueError)
    -> Int
  {
    let instrument = symbols[symbol].market.instrument
    let price = try decimal(try parameters.required("price"), instrument.priceScale, "price")
    if price <= 0 { throw VenueError(-4001, "Price less than or equal to zero.") }
    if price > Int64(instrument.startTicks) * 100 * instrument.tickUnits {
      throw VenueError(-4002, "Price greater than max price.")
    }
    if price % instrument.tickUnits != 0 { throw VenueError(-4014, "Price not increased by tick size.") }
    let doubledMark = Int64(symbols[symbol].market.doubledMid) * instrument.tickUnits
    if isBuy, 2 * price > doubledMark * (10_000 + Exchange.priceBand) / 10_000 {
      let bound = instrument.priceScale.text(doubledMark / 2 * (10_000 + Exchange.priceBand) / 10_000)
      throw VenueError(-4016, "Limit price can't be higher than \(bound).")
    }
    if !isBuy, 2 * price < doubledMark * (10_000 - Exchange.priceBand) / 10_000 {
      let bound = instrument.priceScale.text(doubledMark / 2 * (10_000 - Exchange.priceBand) / 10_000)
      throw VenueError(-4024, "Limit price can't be lower than \(bound).")
    }
    return Int(price / instrument.tickUnits)
  }

  private func checkNotional(_ symbol: Int, _ tick: Int, _ lots: Int64, _ isReduceOnly: Bool)
    throws(VenueError)
  {
    if isReduceOnly { return }
    let doubled = tick == 0 ? Int64(symbols[symbol].market.doubledMid) : 2 * Int64(tick)
    guard amount(symbol, Int128(doubled) * Int128(lots)) >= 2 * Exchange.notionalMin * VenueAccount.unit else {
      throw VenueError(
        -4164,
        "Order's notional must be no smaller than \(Exchange.notionalMin) (unless you choose reduce only).")
    }
  }

  /// tick · lots as money, in 1e-8 USDT.
  func amount(_ symbol: Int, _ tickLots: Int128) -> Int64 {
    let instrument = symbols[symbol].market.instrument
    let decimals = 8 - instrument.priceScale.decimals - instrument.quantityScale.decimals
    return Int64(clamping: tickLots * Int128(instrument.tickUnits) * Int128(powerOfTen(decimals)))
  }

  /// A reduce-only order must have a position to reduce; others must be covered by margin.
  ///
  /// Margin: for each symbol the larger of what the position can grow to by all its open buys and by all its open
  /// sells, valued at the mark, divided by the leverage. The sum must not exceed wallet and unrealised profit.
  private func checkPosition(_ account: VenueAccount, _ request: OrderRequest) throws(VenueError) {
    let position = account.positions[request.symbol]
    if request.isReduceOnly {
      let reduces = request.isBuy ? position.lots < 0 : position.lots > 0
      guard reduces, request.lots <= abs(position.lots) else {
        throw VenueError(-2022, "ReduceOnly Order is rejected.")
      }
      return
    }
    var changed = position
    if request.isBuy { changed.openBuyLots += request.lots } else { changed.openSellLots += request.lots }
    guard exposure(changed) > exposure(position) else { return }
    var needed = margin(request.symbol, changed)
    for symbol in account.positions.indices where symbol != request.symbol {
      needed += margin(symbol, account.positions[symbol])
    }
    guard needed <= Int128(account.wallet) + Int128(unrealised(account)) else {
      throw VenueError(-2019, "Margin is insufficient.")
    }
  }

  private func exposure(_ position: VenuePosition) -> Int64 {
    max(abs(position.lots + position.openBuyLots), abs(position.lots - position.openSellLots))
  }

  /// Initial margin of a position and its open orders, in 1e-8 USDT.
  func margin(_ symbol: Int, _ position: VenuePosition) -> Int128 {
    let exposure = exposure(position)
    if exposure == 0 { return 0 }
    let doubled = Int128(symbols[symbol].market.doubledMid) * Int128(exposure)
    return Int128(amount(symbol, doubled)) / 2 / Int128(position.leverage)
  }

  /// Profit of a position at the mark, in 1e-8 USDT.
  func unrealised(_ symbol: Int, _ position: VenuePosition) -> Int64 {
    if position.lots == 0 { return 0 }
    let worth = Int128(symbols[symbol].market.doubledMid) * Int128(abs(position.lots))
    let profit = worth - 2 * Int128(position.costTickLots)
    return amount(symbol, position.lots > 0 ? profit : -profit) / 2
  }

  func unrealised(_ account: VenueAccount) -> Int64 {
    account.positions.indices.reduce(0) { $0 + unrealised($1, account.positions[$1]) }
  }
}
