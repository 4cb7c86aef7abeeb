import Strategy

/// What the paper broker is told.
public struct BrokerConfiguration: Equatable, Sendable {
  /// An instrument's decimals, where they are configured.
  public struct InstrumentDecimals: Equatable, Sendable {
    public var price: Int
    public var quantity: Int

    public init(price: Int, quantity: Int) {
      self.price = price
      self.quantity = quantity
    }
  }

  /// Of every order.
  public var notionalUSDT = 1000.0
  public var takerFeeBps = 5.0
  /// Of a symbol's position, at the order's price.
  public var positionNotionalUSDTMax = 5000.0
  /// Instead of it for signals of the regime; 0 for the same.
  public var activePositionNotionalUSDTMax = 0.0
  public var quietPositionNotionalUSDTMax = 0.0
  /// The quantity step, as decimals, of a symbol that is not configured.
  public var quantityDecimals = 3
  public var instruments: [String: InstrumentDecimals] = [:]

  public init() {}

  /// What a signal of a regime may take a position to.
  public func positionNotionalUSDTMax(in regime: Signal.Regime) -> Double {
    let own =
      switch regime {
      case .normal: 0.0
      case .active: activePositionNotionalUSDTMax
      case .quiet: quietPositionNotionalUSDTMax
      }
    return own > 0 ? own : positionNotionalUSDTMax
  }

  public static let notionalRange = 1.0...1_000_000.0
  public static let feeRange = 0.0...100.0
  public static let positionRange = 1.0...1_000_000_000.0
  public static let decimalsMax = Pico.decimals
}
