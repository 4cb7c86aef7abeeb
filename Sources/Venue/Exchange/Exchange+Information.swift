import Core

/// `exchangeInfo`: limits, instruments, filters.
extension Exchange {
  func exchangeInformation() -> JSONValue {
    let listed: [JSONValue]
    if let tape {
      listed = tape.listedSymbols.map { name in
        let (_, price, quantity) = tape.history(name)
        return listing(
          Listing(name: name, price: price, quantity: quantity, tickUnits: 1, maxPrice: 1 << 50, maxLots: 1 << 50))
      }
    } else {
      listed = symbolNames.indices.map { index in
        let instrument = symbols[index].market.instrument
        return listing(
          Listing(
            name: symbolNames[index], price: instrument.priceScale, quantity: instrument.quantityScale,
            tickUnits: instrument.tickUnits,
            maxPrice: Int64(instrument.startTicks) * 100 * instrument.tickUnits, maxLots: maxLots(index)))
      }
    }
    return .object([
      "timezone": .string("UTC"), "serverTime": .integer(timeMs), "futuresType": .string("U_MARGINED"),
      "rateLimits": .array([
        rateLimit("REQUEST_WEIGHT", "MINUTE", 1, options.weightPerMinuteMax),
        rateLimit("ORDERS", "MINUTE", 1, 1200),
      ]),
      "exchangeFilters": .array([]),
      "assets": .array([
        .object([
          "asset": .string("USDT"), "marginAvailable": .bool(true), "autoAssetExchange": .string("-10000"),
        ])
      ]),
      "symbols": .array(listed),
    ])
  }

  private func rateLimit(_ kind: String, _ interval: String, _ number: Int, _ limit: Int) -> JSONValue {
    .object([
      "rateLimitType": .string(kind), "interval": .string(interval), "intervalNum": .integer(number),
      "limit": .integer(limit),
    ])
  }

  private struct Listing {
    var name: String
    var price: DecimalScale
    var quantity: DecimalScale
    var tickUnits: Int64
    var maxPrice: Int64
    var maxLots: Int64
  }

  private func listing(_ one: Listing) -> JSONValue {
    let quote = ["USDT", "USDC", "BUSD"].first { one.name.hasSuffix($0) && one.name.count > $0.count } ?? "USDT"
    let base = one.name.hasSuffix(quote) ? String(one.name.dropLast(quote.count)) : one.name
    func filter(_ kind: String, _ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
      .object(
        [JSONValue.Member("filterType", .string(kind))] + members.map { JSONValue.Member($0.key, $0.value) })
    }
    let lots: KeyValuePairs<String, JSONValue> = [
      "minQty": .string(one.quantity.text(1)), "maxQty": .string(one.quantity.text(one.maxLots)),
      "stepSize": .string(one.quantity.text(1)),
    ]
    let filters: [JSONValue] = [
      filter(
        "PRICE_FILTER",
        [
          "minPrice": .string(one.price.text(one.tickUnits)), "maxPrice": .string(one.price.text(one.maxPrice)),
          "tickSize": .string(one.price.text(one.tickUnits)),
        ]),
      filter("LOT_SIZE", lots), filter("MARKET_LOT_SIZE", lots),
      filter("MAX_NUM_ORDERS", ["limit": .integer(VenueAccount.openOrdersMax)]),
      filter("MAX_NUM_ALGO_ORDERS", ["limit": .integer(0)]),
      filter("MIN_NOTIONAL", ["notional": .string(String(Exchange.notionalMin))]),
      filter(
        "PERCENT_PRICE",
        [
          "multiplierUp": .string(DecimalScale(4).text(10_000 + Exchange.priceBand)),
          "multiplierDown": .string(DecimalScale(4).text(10_000 - Exchange.priceBand)),
          "multiplierDecimal": .string("4"),
        ]),
    ]
    return .object([
      "symbol": .string(one.name), "pair": .string(one.name), "contractType": .string("PERPETUAL"),
      "deliveryDate": .integer(4_133_404_800_000), "onboardDate": .integer(1_569_398_400_000),
      "status": .string("TRADING"), "maintMarginPercent": .string("2.5000"),
      "requiredMarginPercent": .string("5.0000"), "baseAsset": .string(base), "quoteAsset": .string(quote),
      "marginAsset": .string(quote), "pricePrecision": .integer(one.price.decimals),
      "quantityPrecision": .integer(one.quantity.decimals), "baseAssetPrecision": .integer(8),
      "quotePrecision": .integer(8), "underlyingType": .string("COIN"), "underlyingSubType": .array([]),
      "settlePlan": .integer(0), "triggerProtect": .string("0.0500"), "liquidationFee": .string("0.020000"),
      "marketTakeBound": .string("0.05"), "maxMoveOrderLimit": .integer(10_000),
      "filters": .array(filters),
      "orderTypes": .array([.string("LIMIT"), .string("MARKET")]),
      "timeInForce": .array(["GTC", "IOC", "FOK", "GTX", "GTD"].map { .string($0) }),
    ])
  }
}
