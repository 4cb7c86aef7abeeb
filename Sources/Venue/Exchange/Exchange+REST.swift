import Core

/// The REST interface: faults, limits, routing.
extension Exchange {
  /// Answers a request as the exchange at `now`; control paths under `/venue/` are outside all limits and
  /// faults.
  public func respond(to request: VenueRequest, now: UnixNanos) -> VenueResponse {
    run(to: now.rawValue)
    let parameters = RequestParameters(target: request.target, body: request.body)
    if parameters.path.hasPrefix("/venue/") { return control(request, parameters) }
    if struck({ if case .restDrop = $0 { true } else { false } }) != nil {
      var response = VenueResponse(status: 503, body: [])
      response.isDropped = true
      return response
    }
    if let refusal = injectedRefusal() { return refusal }
    guard let cost = Exchange.weight(request.method, parameters) else {
      return VenueError(
        -5000, "Path \(parameters.path), Method \(request.method) is invalid", status: 404
      ).response
    }
    let isOrder = request.method == "POST" && parameters.path == "/fapi/v1/order"
    switch limiter.admit(weight: cost, isOrder: isOrder, now: self.now) {
    case .banned: return banned(until: limiter.bannedUntil)
    case .limited(let seconds): return limited(retryAfterS: seconds)
    case .served: break
    }
    var response: VenueResponse
    do throws(VenueError) {
      response = try serve(request, parameters)
    } catch {
      response = error.response
    }
    response.headers.append(("X-MBX-USED-WEIGHT-1M", String(limiter.weight)))
    if isOrder { response.headers.append(("X-MBX-ORDER-COUNT-1M", String(limiter.orders))) }
    return response
  }

  private func injectedRefusal() -> VenueResponse? {
    if struck({ if case .ban = $0 { true } else { false } }) != nil {
      let until = activeFaults.map { injected[$0] }.filter { if case .ban = $0.fault { true } else { false } }
        .map(\.until).max()
      return banned(until: until ?? now)
    }
    if case .rateLimit(_, let seconds) = struck({ if case .rateLimit = $0 { true } else { false } }) {
      return limited(retryAfterS: seconds)
    }
    if struck({ if case .restError = $0 { true } else { false } }) != nil {
      return VenueError(
        -1001, "Internal error; unable to process your request. Please try again.", status: 503
      ).response
    }
    return nil
  }

  private func limited(retryAfterS: Int64) -> VenueResponse {
    var response = VenueError(
      -1003,
      "Too many requests; current limit of IP is \(options.weightPerMinuteMax) request weight per minute."
        + " Please use the websocket for live updates to avoid polling the API.", status: 429
    ).response
    response.headers.append(("Retry-After", String(retryAfterS)))
    response.headers.append(("X-MBX-USED-WEIGHT-1M", String(limiter.weight)))
    return response
  }

  private func banned(until: Int64) -> VenueResponse {
    let untilMs = until / Nanoseconds.millisecond
    var response = VenueError(
      -1003,
      "Way too many requests; IP banned until \(untilMs). Please use the websocket for live updates to avoid"
        + " bans.", status: 418
    ).response
    let seconds = max(0, until - now + Nanoseconds.second - 1) / Nanoseconds.second
    response.headers.append(("Retry-After", String(seconds)))
    return response
  }

  /// The weight of a request; nil for an unknown path or method.
  private static func weight(_ method: String, _ parameters: RequestParameters) -> Int? {
    let hasSymbol = parameters["symbol"] != nil
    let limit = parameters["limit"].flatMap { Int($0) }
    switch (method, parameters.path) {
    case ("GET", "/fapi/v1/ping"), ("GET", "/fapi/v1/time"), ("GET", "/fapi/v1/exchangeInfo"),
      // python-binance asks the spot paths before it does anything else.
      ("GET", "/api/v3/ping"), ("GET", "/api/v3/time"):
      return 1
    case ("GET", "/fapi/v1/depth"):
      switch limit ?? 500 {
      case ...50: return 2
      case ...100: return 5
      case ...500: return 10
      default: return 20
      }
    case ("GET", "/fapi/v1/aggTrades"): return 20
    case ("GET", "/fapi/v1/trades"): return 5
    case ("GET", "/fapi/v1/klines"):
      switch limit ?? 500 {
      case ..<100: return 1
      case ..<500: return 2
      case ...1000: return 5
      default: return 10
      }
    case ("GET", "/fapi/v1/ticker/24hr"): return hasSymbol ? 1 : 40
    case ("GET", "/fapi/v1/ticker/price"), ("GET", "/fapi/v2/ticker/price"): return hasSymbol ? 1 : 2
    case ("GET", "/fapi/v1/ticker/bookTicker"): return hasSymbol ? 2 : 5
    case ("GET", "/fapi/v1/premiumIndex"): return hasSymbol ? 1 : 10
    case ("GET", "/fapi/v1/openInterest"): return 1
    case ("POST", "/fapi/v1/order"), ("POST", "/fapi/v1/order/test"): return 0
    case ("GET", "/fapi/v1/order"), ("DELETE", "/fapi/v1/order"), ("DELETE", "/fapi/v1/allOpenOrders"),
      ("GET", "/fapi/v1/openOrder"):
      return 1
    case ("GET", "/fapi/v1/openOrders"): return hasSymbol ? 1 : 40
    case ("GET", "/fapi/v1/allOrders"), ("GET", "/fapi/v1/userTrades"): return 5
    case ("GET", "/fapi/v2/account"), ("GET", "/fapi/v3/account"), ("GET", "/fapi/v2/balance"),
      ("GET", "/fapi/v3/balance"), ("GET", "/fapi/v2/positionRisk"), ("GET", "/fapi/v3/positionRisk"):
      return 5
    case ("POST", "/fapi/v1/listenKey"), ("PUT", "/fapi/v1/listenKey"), ("DELETE", "/fapi/v1/listenKey"):
      return 1
    case ("POST", "/fapi/v1/leverage"), ("POST", "/fapi/v1/marginType"),
      ("POST", "/fapi/v1/positionSide/dual"):
      return 1
    case ("GET", "/fapi/v1/leverageBracket"): return 1
    case ("GET", "/fapi/v1/positionSide/dual"): return 30
    default: return nil
    }
  }

  private func serve(_ request: VenueRequest, _ parameters: RequestParameters) throws(VenueError)
    -> VenueResponse
  {
    switch (request.method, parameters.path) {
    case ("GET", "/fapi/v1/ping"), ("GET", "/api/v3/ping"): return VenueResponse(.object([]))
    case ("GET", "/fapi/v1/time"), ("GET", "/api/v3/time"):
      return VenueResponse(.object(["serverTime": .integer(timeMs)]))
    case ("GET", "/fapi/v1/exchangeInfo"): return VenueResponse(exchangeInformation())
    case ("GET", "/fapi/v1/depth"): return try depth(parameters)
    case ("GET", "/fapi/v1/aggTrades"): return VenueResponse(try aggregateTrades(parameters))
    case ("GET", "/fapi/v1/trades"): return VenueResponse(try recentTrades(parameters))
    case ("GET", "/fapi/v1/klines"): return VenueResponse(try klines(parameters))
    case ("GET", "/fapi/v1/ticker/24hr"): return VenueResponse(try each(parameters) { dayTicker($0) })
    case ("GET", "/fapi/v1/ticker/price"), ("GET", "/fapi/v2/ticker/price"):
      return VenueResponse(try each(parameters) { priceTicker($0) })
    case ("GET", "/fapi/v1/ticker/bookTicker"):
      return VenueResponse(try each(parameters) { bookTicker($0) })
    case ("GET", "/fapi/v1/premiumIndex"): return VenueResponse(try each(parameters) { premiumIndex($0) })
    case ("GET", "/fapi/v1/openInterest"): return VenueResponse(try openInterest(parameters))
    case (_, "/fapi/v1/listenKey"): return VenueResponse(try listenKey(request))
    default: return VenueResponse(try serveSigned(request, parameters))
    }
  }

  private func serveSigned(_ request: VenueRequest, _ parameters: RequestParameters) throws(VenueError)
    -> JSONValue
  {
    let account = try authenticate(request, parameters)
    switch (request.method, parameters.path) {
    case ("POST", "/fapi/v1/order"): return try placeOrder(account, parameters)
    case ("POST", "/fapi/v1/order/test"):
      _ = try checkedOrder(account, parameters)
      return .object([])
    case ("GET", "/fapi/v1/order"): return try queryOrder(account, parameters)
    case ("DELETE", "/fapi/v1/order"): return try cancelOrder(account, parameters)
    case ("GET", "/fapi/v1/openOrder"): return try queryOrder(account, parameters, openOnly: true)
    case ("GET", "/fapi/v1/openOrders"): return try listOpenOrders(account, parameters)
    case ("DELETE", "/fapi/v1/allOpenOrders"): return try cancelAllOrders(account, parameters)
    case ("GET", "/fapi/v1/allOrders"): return try listOrders(account, parameters)
    case ("GET", "/fapi/v1/userTrades"): return try listTrades(account, parameters)
    case ("GET", "/fapi/v2/account"), ("GET", "/fapi/v3/account"): return accountInformation(account)
    case ("GET", "/fapi/v2/balance"), ("GET", "/fapi/v3/balance"): return balances(account)
    case ("GET", "/fapi/v2/positionRisk"): return try positionRisk(account, parameters, all: true)
    case ("GET", "/fapi/v3/positionRisk"): return try positionRisk(account, parameters, all: false)
    case ("GET", "/fapi/v1/leverageBracket"): return try leverageBrackets(parameters)
    case ("POST", "/fapi/v1/leverage"): return try setLeverage(account, parameters)
    case ("POST", "/fapi/v1/marginType"): return try setMarginType(parameters)
    case ("GET", "/fapi/v1/positionSide/dual"): return .object(["dualSidePosition": .bool(false)])
    case ("POST", "/fapi/v1/positionSide/dual"):
      guard try parameters.boolean("dualSidePosition") != nil else { throw .missing("dualSidePosition") }
      if try parameters.boolean("dualSidePosition") == true {
        throw VenueError(-4068, "Position side cannot be changed: this exchange has one-way positions only.")
      }
      throw VenueError(-4059, "No need to change position side.")
    default:
      throw VenueError(-5000, "Path \(parameters.path), Method \(request.method) is invalid", status: 404)
    }
  }
}
