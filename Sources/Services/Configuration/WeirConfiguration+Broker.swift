import Broker
import Configuration

extension WeirConfiguration {
  static let brokerKeys: [ConfigKey<WeirConfiguration>] = [
    .double(
      "broker.notional_usdt", \.broker.notionalUSDT, BrokerConfiguration.notionalRange, "of a paper order"),
    .double("broker.taker_fee_bps", \.broker.takerFeeBps, BrokerConfiguration.feeRange, "fee of a fill"),
    .double(
      "broker.position_notional_usdt_max", \.broker.positionNotionalUSDTMax,
      BrokerConfiguration.positionRange, "of a symbol's position, at the order's price"),
    .integer(
      "broker.quantity_decimals", \.broker.quantityDecimals, 0...BrokerConfiguration.decimalsMax,
      "decimals of quantities of symbols that instruments does not name"),
    .integer(
      "report.interval_s", \.reportIntervalSeconds, 1...86_400, "between two reports while a run goes on"),
  ]

  /// What the broker is told, with the decimals that are configured.
  public var brokerConfiguration: BrokerConfiguration {
    var configuration = broker
    configuration.activePositionNotionalUSDTMax = signal.strategy.active.positionNotionalUSDTMax
    configuration.quietPositionNotionalUSDTMax = signal.strategy.quiet.positionNotionalUSDTMax
    configuration.instruments = instruments.mapValues { .init(price: $0.price, quantity: $0.quantity) }
    return configuration
  }
}
