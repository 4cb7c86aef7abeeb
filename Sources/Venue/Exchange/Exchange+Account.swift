import Core

/// The account endpoints: balances, positions, leverage.
extension Exchange {
  func balances(_ account: VenueAccount) -> JSONValue {
    let available = available(account)
    return .array([
      .object([
        "accountAlias": .string("weir"), "asset": .string("USDT"), "balance": money(account.wallet),
        "crossWalletBalance": money(account.wallet), "crossUnPnl": money(unrealised(account)),
        "availableBalance": money(available), "maxWithdrawAmount": money(available),
        "marginAvailable": .bool(true), "updateTime": .integer(timeMs),
      ])
    ])
  }

  private func margins(_ account: VenueAccount) -> Int64 {
    Int64(clamping: account.positions.indices.reduce(Int128(0)) { $0 + margin($1, account.positions[$1]) })
  }

  private func available(_ account: VenueAccount) -> Int64 {
    max(0, account.wallet + unrealised(account) - margins(account))
  }

  func accountInformation(_ account: VenueAccount) -> JSONValue {
    let zero = money(0)
    let profit = unrealised(account)
    let initial = margins(account)
    let totals: KeyValuePairs<String, JSONValue> = [
      "totalInitialMargin": money(initial), "totalMaintMargin": zero,
      "totalWalletBalance": money(account.wallet),
      "totalUnrealizedProfit": money(profit), "totalMarginBalance": money(account.wallet + profit),
      "totalPositionInitialMargin": money(initial), "totalOpenOrderInitialMargin": zero,
      "totalCrossWalletBalance": money(account.wallet), "totalCrossUnPnl": money(profit),
      "availableBalance": money(available(account)), "maxWithdrawAmount": money(available(account)),
    ]
    let asset: JSONValue = .object([
      "asset": .string("USDT"), "walletBalance": money(account.wallet), "unrealizedProfit": money(profit),
      "marginBalance": money(account.wallet + profit), "maintMargin": zero, "initialMargin": money(initial),
      "positionInitialMargin": money(initial), "openOrderInitialMargin": zero,
      "crossWalletBalance": money(account.wallet), "crossUnPnl": money(profit),
      "availableBalance": money(available(account)), "maxWithdrawAmount": money(available(account)),
      "marginAvailable": .bool(true), "updateTime": .integer(timeMs),
    ])
    let positions = account.positions.indices.map { index in
      let position = account.positions[index]
      return JSONValue.object([
        "symbol": .string(symbolNames[index]),
        "initialMargin": money(Int64(clamping: margin(index, position))),
        "maintMargin": zero, "unrealizedProfit": money(unrealised(index, position)),
        "positionInitialMargin": money(Int64(clamping: margin(index, position))),
        "openOrderInitialMargin": zero, "leverage": .string(String(position.leverage)),
        "isolated": .bool(false), "entryPrice": .string(entryPrice(index, position)),
        "breakEvenPrice": .string(entryPrice(index, position)), "maxNotional": .string("1000000"),
        "bidNotional": .string("0"), "askNotional": .string("0"), "positionSide": .string("BOTH"),
        "positionAmt": quantity(index, position.lots),
        "notional": money(notional(index, position)), "isolatedWallet": .string("0"),
        "updateTime": .integer(position.updateMs),
      ])
    }
    let head: KeyValuePairs<String, JSONValue> = [
      "feeTier": .integer(0), "canTrade": .bool(true), "canDeposit": .bool(true), "canWithdraw": .bool(true),
      "updateTime": .integer(0), "multiAssetsMargin": .bool(false), "tradeGroupId": .integer(-1),
    ]
    let members = (Array(head) + Array(totals)).map { JSONValue.Member($0.key, $0.value) }
    return .object(
      members + [
        JSONValue.Member("assets", .array([asset])), JSONValue.Member("positions", .array(positions)),
      ])
  }

  private func notional(_ symbol: Int, _ position: VenuePosition) -> Int64 {
    amount(symbol, Int128(symbols[symbol].market.doubledMid) * Int128(position.lots)) / 2
  }

  /// - Parameter all: also symbols without a position, as version 2 does.
  func positionRisk(_ account: VenueAccount, _ parameters: RequestParameters, all: Bool) throws(VenueError)
    -> JSONValue
  {
    let wanted = parameters["symbol"] == nil ? nil : try symbolIndex(parameters)
    let indices = account.positions.indices.filter { index in
      (wanted == nil || wanted == index) && (all || account.positions[index].lots != 0)
    }
    return .array(
      indices.map { index in
        let position = account.positions[index]
        let mark = symbols[index].encoder.markAndIndex(symbols[index].market).mark
        return .object([
          "symbol": .string(symbolNames[index]), "positionAmt": quantity(index, position.lots),
          "entryPrice": .string(entryPrice(index, position)),
          "breakEvenPrice": .string(entryPrice(index, position)), "markPrice": money(mark),
          "unRealizedProfit": money(unrealised(index, position)), "liquidationPrice": .string("0"),
          "leverage": .string(String(position.leverage)), "maxNotionalValue": .string("1000000"),
          "marginType": .string("cross"), "isolatedMargin": money(0), "isAutoAddMargin": .string("false"),
          "positionSide": .string("BOTH"), "notional": money(notional(index, position)),
          "isolatedWallet": .string("0"), "marginAsset": .string("USDT"),
          "initialMargin": money(
            Int64(clamping: margin(index, position))), "maintMargin": money(0), "adl": .integer(0),
          "updateTime": .integer(position.updateMs), "isolated": .bool(false), "adlQuantile": .integer(0),
        ])
      })
  }

  /// One bracket for all notionals: margins are those of the leverage, and nothing is liquidated.
  func leverageBrackets(_ parameters: RequestParameters) throws(VenueError) -> JSONValue {
    let names = parameters["symbol"] == nil ? symbolNames : [symbolNames[try symbolIndex(parameters)]]
    return .array(
      names.map { name in
        .object([
          "symbol": .string(name), "notionalCoef": .number("1.0"),
          "brackets": .array([
            .object([
              "bracket": .integer(1), "initialLeverage": .integer(125), "notionalCap": .integer(1_000_000),
              "notionalFloor": .integer(0), "maintMarginRatio": .number("0.004"), "cum": .number("0.0"),
            ])
          ]),
        ])
      })
  }

  func setLeverage(_ account: VenueAccount, _ parameters: RequestParameters) throws(VenueError) -> JSONValue {
    let symbol = try symbolIndex(parameters)
    guard let leverage = try parameters.integer("leverage") else { throw .missing("leverage") }
    guard (1...125).contains(leverage) else { throw VenueError(-4028, "Leverage \(leverage) is not valid") }
    account.positions[symbol].leverage = leverage
    return .object([
      "symbol": .string(symbolNames[symbol]), "leverage": .integer(leverage),
      "maxNotionalValue": .string("1000000"),
    ])
  }

  func setMarginType(_ parameters: RequestParameters) throws(VenueError) -> JSONValue {
    _ = try symbolIndex(parameters)
    switch try parameters.required("marginType") {
    case "CROSSED", "CROSS": throw VenueError(-4046, "No need to change margin type.")
    case "ISOLATED":
      throw VenueError(-4168, "Isolated margin is not supported: this exchange has cross margin only.")
    default: throw VenueError(-1130, "Data sent for parameter 'marginType' is not valid.")
    }
  }
}
