import Core

/// Why an order was not made.
public enum RejectReason: String, CaseIterable, Sendable {
  case noDirection = "no_direction"
  /// The row has no mid price or no spread.
  case noQuote = "no_quote"
  /// No price grid agrees with the row's mid and spread.
  case quoteOffGrid = "quote_off_grid"
  /// The notional buys less than one quantity step.
  case belowStep = "below_step"
  case positionLimit = "position_limit"
  /// A price, quantity or sum beyond what is counted exactly.
  case outOfRange = "out_of_range"
  /// More symbols than an exchange lists.
  case symbolLimit = "symbol_limit"
}

/// One order and what became of it: a line of the journal.
public struct PaperOrder: Equatable, Sendable {
  public enum Status: String, Sendable {
    case filled = "FILLED"
    case rejected = "REJECTED"
  }

  public var orderID: String
  public var signalID: String
  public var traceID: String
  public var timeMs: Int64
  public var receiveTime: UnixNanos
  public var symbol: String
  public var side: OrderSide?
  /// `nil` when the order got no price. With all the decimals of the symbol's grid as far as it is known.
  public var price: Pico?
  public var priceDecimals: Int
  public var quantity: Pico
  public var notional: Amount
  public var fee: Amount
  /// `nil` for a filled order.
  public var reason: RejectReason?
  /// The symbol's position after the order; negative when short.
  public var position: Pico
  /// The symbol's realised profit after the order, since the beginning, before fees.
  public var realizedProfit: Amount
  public var configVersion: String

  public var status: Status { reason == nil ? .filled : .rejected }

  /// The journal's line, with its newline.
  public func append(to writer: inout ByteWriter) {
    func text(_ key: StaticString, _ value: String?) {
      writer.append(key)
      if let value { writer.append(jsonString: value) } else { writer.append("null") }
    }
    func number(_ key: StaticString, _ value: String?) {
      writer.append(key)
      writer.append(value ?? "null")
    }
    text("{\"order_id\":", orderID)
    text(",\"signal_id\":", signalID)
    text(",\"trace_id\":", traceID)
    number(",\"ts_ms\":", String(timeMs))
    number(",\"recv_ns\":", String(receiveTime.rawValue))
    text(",\"symbol\":", symbol)
    text(",\"side\":", side?.rawValue)
    text(",\"type\":", "MARKET")
    number(",\"price\":", price?.text(decimals: priceDecimals))
    number(",\"quantity\":", quantity.text())
    number(",\"notional\":", notional.text)
    number(",\"fee\":", fee.text)
    text(",\"status\":", status.rawValue)
    text(",\"reason\":", reason?.rawValue)
    number(",\"position\":", position.text())
    number(",\"realized_pnl\":", realizedProfit.text)
    text(",\"config_version\":", configVersion)
    writer.append("}\n")
  }

  /// Reads a journal's line, without its newline.
  ///
  /// - Returns: `nil` when it is none.
  public init?(line: UnsafeRawBufferPointer) {
    guard let json = try? JSONValue(parsing: line), let members = json.members,
      members.map(\.key) == PaperOrder.keys,
      let orderID = json["order_id"]?.text, let signalID = json["signal_id"]?.text,
      let traceID = json["trace_id"]?.text, let timeMs = json["ts_ms"]?.integer,
      let receiveNs = json["recv_ns"]?.integer, let symbol = json["symbol"]?.text,
      let quantity = json["quantity"]?.text.flatMap({ Pico($0) }),
      let notional = json["notional"]?.text.flatMap({ Amount($0) }),
      let fee = json["fee"]?.text.flatMap({ Amount($0) }),
      let status = json["status"]?.text.flatMap({ Status(rawValue: $0) }),
      let position = json["position"]?.text.flatMap({ Pico($0) }),
      let realizedProfit = json["realized_pnl"]?.text.flatMap({ Amount($0) }),
      let configVersion = json["config_version"]?.text
    else { return nil }
    self.orderID = orderID
    self.signalID = signalID
    self.traceID = traceID
    self.timeMs = timeMs
    receiveTime = UnixNanos(receiveNs)
    self.symbol = symbol
    self.quantity = quantity
    self.notional = notional
    self.fee = fee
    self.position = position
    self.realizedProfit = realizedProfit
    self.configVersion = configVersion
    side = json["side"]?.text.flatMap { OrderSide(rawValue: $0) }
    reason = json["reason"]?.text.flatMap { RejectReason(rawValue: $0) }
    priceDecimals = 0
    if let text = json["price"]?.text {
      guard let value = Pico(text) else { return nil }
      price = value
      if let point = text.utf8.firstIndex(of: 0x2E) {
        priceDecimals = text.utf8.distance(from: point, to: text.utf8.endIndex) - 1
      }
    }
    guard self.status == status else { return nil }
    // Far beyond any fill, and far enough from the integers' end that no difference of two leaves it.
    let sane = 1...Int128(1_000_000_000_000_000) * 1_000_000_000_000_000
    guard status == .rejected || side != nil && sane.contains(quantity.rawValue),
      price.map({ sane.contains($0.rawValue) }) ?? (status == .rejected)
    else { return nil }
  }

  init(_ signal: ConfirmedSignal, position: Pico, realizedProfit: Amount) {
    orderID = Broker.orderID(signalID: signal.signalID)
    signalID = signal.signalID
    traceID = signal.traceID
    timeMs = signal.timeMs
    receiveTime = signal.receiveTime
    symbol = signal.symbol
    side = signal.side
    priceDecimals = 0
    quantity = .zero
    notional = .zero
    fee = .zero
    self.position = position
    self.realizedProfit = realizedProfit
    configVersion = signal.configVersion
  }

  private static let keys = [
    "order_id", "signal_id", "trace_id", "ts_ms", "recv_ns", "symbol", "side", "type", "price", "quantity",
    "notional", "fee", "status", "reason", "position", "realized_pnl", "config_version",
  ]
}
