import Core

/// Placing, filling, cancelling and expiring clients' orders.
extension Exchange {
  // MARK: Placing

  func placeOrder(_ account: VenueAccount, _ parameters: RequestParameters) throws(VenueError) -> JSONValue {
    openMarket()
    let request = try checkedOrder(account, parameters)
    lastOrderID += 1
    var clientID = request.clientID ?? "weir-\(lastOrderID)"
    while account.openByClientID[clientID] != nil { clientID += "x" }
    let order = VenueOrder(
      id: lastOrderID, account: account, clientID: clientID, request: request, timeMs: timeMs)
    account.append(order)
    account.openByClientID[order.clientID] = order
    openOrders[order.id] = order
    reserve(order, order.lots)
    if request.goodTillMs > 0 { noteExpiry(order) }
    tellOrder(order, "NEW")
    let accepted = orderJSON(order, withTime: false)
    match(order)
    return request.wantsResult ? orderJSON(order, withTime: false) : accepted
  }

  private func match(_ order: VenueOrder) {
    let request = order.request
    let symbol = order.symbol
    symbols[symbol].market.beginOutside(at: now)
    // A market order reaches as far as the price band lets it.
    let limit = request.kind == .market ? (request.isBuy ? Int.max / 4 : 0) : request.tick
    var left = order.lots
    let isKilled =
      request.timeInForce == .fok
      && symbols[symbol].market.available(buys: request.isBuy, limit: limit, wanted: left) < left
    if !isKilled, request.kind == .market || crosses(request) {
      left = symbols[symbol].market.take(buys: request.isBuy, lots: left, limit: limit)
    }
    let taken = symbols[symbol].market.trades.fills
    let mayRest: Bool =
      switch request.timeInForce {
      case .gtc, .gtx, .gtd: request.kind == .limit && left > 0 && !crosses(request)
      case .ioc, .fok: false
      }
    if mayRest {
      order.isResting = true
      symbols[symbol].market.rest(request.side, request.tick, orderID: order.id, lots: left)
    }
    let step = symbols[symbol].market.endOutside()
    publish(step, symbol)
    for fill in taken {
      apply(order, tick: fill.tick, lots: fill.lots, tradeID: fill.lastTradeID, isMaker: false)
    }
    if left > 0, !mayRest, order.status.isOpen { finish(order, .expired) }
  }

  /// Orders of clients that a taker met in the market's last step.
  func settleMakers(_ index: Int) {
    let fills = symbols[index].market.clientFills
    symbols[index].market.clientFills.removeAll(keepingCapacity: true)
    for fill in fills {
      guard let order = openOrders[fill.orderID] else { continue }
      apply(order, tick: fill.tick, lots: fill.lots, tradeID: fill.tradeID, isMaker: true)
    }
  }

  private func apply(_ order: VenueOrder, tick: Int, lots: Int64, tradeID: Int64, isMaker: Bool) {
    let account = order.account
    let symbol = order.symbol
    let isBuy = order.request.isBuy
    order.filledLots += lots
    order.filledTickLots += Int64(tick) * lots
    order.updateMs = timeMs
    order.status = order.leftLots == 0 ? .filled : .partiallyFilled
    reserve(order, -lots)
    let value = amount(symbol, Int128(tick) * Int128(lots))
    let rate = isMaker ? options.makerFeeBasisPoints : options.takerFeeBasisPoints
    let fee = value / 10_000 * rate + (value % 10_000 * rate + 5000) / 10_000
    let profit = amount(
      symbol, Int128(account.positions[symbol].fill(isBuy: isBuy, tick: tick, lots: lots)))
    account.positions[symbol].realised += profit
    account.positions[symbol].updateMs = timeMs
    account.wallet += profit - fee
    let trade = AccountTrade(
      id: tradeID, orderID: order.id, symbol: symbol, isBuy: isBuy, isMaker: isMaker, tick: tick, lots: lots,
      fee: fee, profit: profit, timeMs: timeMs)
    account.append(trade)
    if order.status == .filled { close(order) }
    tellTrade(order, trade)
    if order.request.isReduceOnly || account.openCount > 0 { expireExcessReduceOnly(account, symbol) }
  }

  /// Reduce-only orders may not outlive what they reduce.
  private func expireExcessReduceOnly(_ account: VenueAccount, _ symbol: Int) {
    let position = account.positions[symbol].lots
    let excess = account.openByClientID.values.filter {
      $0.symbol == symbol && $0.request.isReduceOnly && $0.isResting
        && ($0.request.isBuy
          ? position >= 0 || $0.leftLots > -position : position <= 0 || $0.leftLots > position)
    }
    for order in excess.sorted(by: { $0.id < $1.id }) { withdraw(order, .expired) }
  }

  // MARK: Ending

  /// Takes an open order out of the market and ends it.
  private func withdraw(_ order: VenueOrder, _ status: VenueOrder.Status) {
    guard order.status.isOpen else { return }
    if order.isResting {
      symbols[order.symbol].market.beginOutside(at: now)
      symbols[order.symbol].market.withdraw(order.request.side, order.request.tick, orderID: order.id)
      publish(symbols[order.symbol].market.endOutside(), order.symbol)
    }
    finish(order, status)
  }

  private func finish(_ order: VenueOrder, _ status: VenueOrder.Status) {
    order.status = status
    order.updateMs = timeMs
    reserve(order, -order.leftLots)
    close(order)
    tellOrder(order, status == .canceled ? "CANCELED" : "EXPIRED")
  }

  private func close(_ order: VenueOrder) {
    order.isResting = false
    order.account.openByClientID[order.clientID] = nil
    openOrders[order.id] = nil
  }

  private func reserve(_ order: VenueOrder, _ lots: Int64) {
    if order.request.isReduceOnly { return }
    if order.request.isBuy {
      order.account.positions[order.symbol].openBuyLots += lots
    } else {
      order.account.positions[order.symbol].openSellLots += lots
    }
  }

  /// When the wall's clock makes the exchange's reach the order's date.
  private func expiryTime(_ order: VenueOrder) -> Int64 {
    (order.request.goodTillMs - skewMs) * Nanoseconds.millisecond
  }

  private func noteExpiry(_ order: VenueOrder) {
    orderExpiry = min(orderExpiry, expiryTime(order))
    timersChanged()
  }

  func expireOrders() {
    let dated = openOrders.values.filter { $0.request.goodTillMs > 0 }.sorted { $0.id < $1.id }
    for order in dated where expiryTime(order) <= now { withdraw(order, .expired) }
    orderExpiry = dated.filter { $0.status.isOpen }.map { expiryTime($0) }.min() ?? .max
    timersChanged()
  }

  // MARK: Cancelling and asking

  private func find(_ account: VenueAccount, _ parameters: RequestParameters) throws(VenueError)
    -> VenueOrder?
  {
    let symbol = try symbolIndex(parameters)
    let order: VenueOrder?
    if let id = try parameters.integer("orderId") {
      order = account.order(id)
    } else if let clientID = parameters["origClientOrderId"] {
      order = account.order(clientID: clientID)
    } else {
      throw VenueError(-1102, "Either orderId or origClientOrderId must be sent.")
    }
    return order?.symbol == symbol ? order : nil
  }

  func queryOrder(
    _ account: VenueAccount, _ parameters: RequestParameters, openOnly: Bool = false
  ) throws(VenueError) -> JSONValue {
    guard let order = try find(account, parameters), !openOnly || order.status.isOpen else {
      throw VenueError(-2013, "Order does not exist.")
    }
    return orderJSON(order, withTime: true)
  }

  func cancelOrder(_ account: VenueAccount, _ parameters: RequestParameters) throws(VenueError) -> JSONValue {
    guard let order = try find(account, parameters), order.status.isOpen else {
      throw VenueError(-2011, "Unknown order sent.")
    }
    withdraw(order, .canceled)
    return orderJSON(order, withTime: false)
  }

  func cancelAllOrders(_ account: VenueAccount, _ parameters: RequestParameters) throws(VenueError)
    -> JSONValue
  {
    let symbol = try symbolIndex(parameters)
    let open = account.openByClientID.values.filter { $0.symbol == symbol }.sorted { $0.id < $1.id }
    for order in open { withdraw(order, .canceled) }
    return .object([
      "code": .integer(200), "msg": .string("The operation of cancel all open order is done."),
    ])
  }

  func listOpenOrders(_ account: VenueAccount, _ parameters: RequestParameters) throws(VenueError)
    -> JSONValue
  {
    let symbol = parameters["symbol"] == nil ? nil : try symbolIndex(parameters)
    let open = account.openByClientID.values.filter { symbol == nil || $0.symbol == symbol }
    return .array(open.sorted { $0.id < $1.id }.map { orderJSON($0, withTime: true) })
  }

  /// From `orderId` on, or the latest; between `startTime` and `endTime` where given.
  func listOrders(_ account: VenueAccount, _ parameters: RequestParameters) throws(VenueError) -> JSONValue {
    let symbol = try symbolIndex(parameters)
    let limit = try parameters.limit(default: 500, max: 1000)
    let from = try parameters.integer("orderId")
    let start = try parameters.integer("startTime") ?? .min
    let end = try parameters.integer("endTime") ?? .max
    let found = account.orders.filter {
      $0.symbol == symbol && $0.id >= from ?? .min && $0.timeMs >= start && $0.timeMs <= end
    }
    let kept = from == nil ? found.suffix(limit) : found.prefix(limit)
    return .array(kept.map { orderJSON($0, withTime: true) })
  }

  func listTrades(_ account: VenueAccount, _ parameters: RequestParameters) throws(VenueError) -> JSONValue {
    let symbol = try symbolIndex(parameters)
    let limit = try parameters.limit(default: 500, max: 1000)
    let from = try parameters.integer("fromId")
    let orderID = try parameters.integer("orderId")
    let start = try parameters.integer("startTime") ?? .min
    let end = try parameters.integer("endTime") ?? .max
    let found = account.trades.filter {
      $0.symbol == symbol && $0.id >= from ?? .min && (orderID == nil || $0.orderID == orderID)
        && $0.timeMs >= start && $0.timeMs <= end
    }
    let kept = from == nil ? found.suffix(limit) : found.prefix(limit)
    return .array(kept.map { tradeJSON($0) })
  }
}
