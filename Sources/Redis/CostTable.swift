import Core

/// What trading is expected to cost, by regime, symbol and time frame, for whoever has to decide without the
/// model at hand.
public struct CostTable {
  /// Costs older than this are gone; a model refreshes them more often.
  public static let lifeSecondsRange = 300...900

  public struct Cost: Equatable, Sendable {
    /// Of one way, in basis points of the notional.
    public var takerBps: Double
    public var makerBps: Double
    /// When it was estimated.
    public var estimatedAt: UnixNanos

    public init(takerBps: Double, makerBps: Double, estimatedAt: UnixNanos) {
      self.takerBps = takerBps
      self.makerBps = makerBps
      self.estimatedAt = estimatedAt
    }

    var json: JSONValue {
      .object([
        "taker_bps": .double(takerBps), "maker_bps": .double(makerBps),
        "estimated_ns": .integer(estimatedAt.rawValue),
      ])
    }

    init?(_ bytes: [UInt8]) {
      guard let json = bytes.withUnsafeBytes({ try? JSONValue(parsing: $0) }),
        let taker = json["taker_bps"]?.double, let maker = json["maker_bps"]?.double,
        let time = json["estimated_ns"]?.integer
      else { return nil }
      self.init(takerBps: taker, makerBps: maker, estimatedAt: UnixNanos(time))
    }
  }

  private let connection: RedisConnection
  private let keys: RedisKeys
  private let lifeSeconds: Int

  /// - Parameter lifeSeconds: within ``lifeSecondsRange``; others are moved into it.
  public init(_ connection: RedisConnection, keys: RedisKeys = RedisKeys(), lifeSeconds: Int = 600) {
    self.connection = connection
    self.keys = keys
    self.lifeSeconds = min(
      max(lifeSeconds, CostTable.lifeSecondsRange.lowerBound), CostTable.lifeSecondsRange.upperBound)
  }

  /// - Throws: ``RedisError``
  public func set(
    _ cost: Cost, regime: String, symbol: String, timeframe: String
  ) throws(RedisError) {
    try connection.call(
      "SETEX", keys.cost(regime: regime, symbol: symbol, timeframe: timeframe), String(lifeSeconds),
      cost.json.text())
  }

  /// - Returns: nil when there is no estimate, or it has run out.
  /// - Throws: ``RedisError``
  public func cost(
    regime: String, symbol: String, timeframe: String
  ) throws(RedisError) -> Cost? {
    let key = keys.cost(regime: regime, symbol: symbol, timeframe: timeframe)
    guard let bytes = try connection.call("GET", key).bytes else { return nil }
    guard let cost = Cost(bytes) else {
      throw .foreign(what: "the key \(key)", reason: "it holds no cost; delete it")
    }
    return cost
  }
}
