import Core

/// A symbol's holdings: what was bought or sold and not yet closed, first in, first out.
///
/// Profit against an average price needs a division and so a rounding; against the very fills that are closed
/// it is a sum of products and stays exact.
public struct PaperPosition: Equatable, Sendable {
  struct Lot: Equatable, Sendable {
    var price: Pico
    /// Positive; the position's sign says whether it is long.
    var quantity: Pico
  }

  /// A symbol that has more open fills takes no further ones (``RejectReason/positionLimit``).
  public static let lotsMax = 4096

  /// In the base asset; negative when short.
  public private(set) var quantity = Pico.zero
  /// Before fees.
  public private(set) var realizedProfit = Amount.zero
  public private(set) var fees = Amount.zero
  /// What fills brought in less what they cost, fees included.
  public private(set) var cash = Amount.zero
  public private(set) var fills = 0
  /// Decimals of the symbol's prices as far as its orders have shown them.
  public var priceDecimals = 0
  /// Of the newest order that got a price.
  public var lastPrice: Pico?
  private(set) var lots: [Lot] = []

  public init() {}

  /// Takes a fill.
  ///
  /// - Returns: false, with this value undefined, when a sum leaves its range or there are too many lots.
  mutating func fill(_ side: OrderSide, _ filled: Pico, at price: Pico, fee: Amount) -> Bool {
    let sign: Int128 = side == .buy ? 1 : -1
    var left = filled.rawValue
    var closed = 0
    while left > 0, closed < lots.count, quantity.rawValue.signum() == -sign {
      let part = min(left, lots[closed].quantity.rawValue)
      let gain = (lots[closed].price.rawValue - price.rawValue) * sign
      guard let profit = Amount(Pico(rawValue: gain), times: Pico(rawValue: part)),
        let sum = realizedProfit.adding(profit)
      else { return false }
      realizedProfit = sum
      left -= part
      lots[closed].quantity.rawValue -= part
      if lots[closed].quantity == .zero { closed += 1 }
    }
    lots.removeFirst(closed)
    if left > 0 {
      if lots.count >= PaperPosition.lotsMax { return false }
      lots.append(Lot(price: price, quantity: Pico(rawValue: left)))
    }
    let (after, overflow) = quantity.rawValue.addingReportingOverflow(sign * filled.rawValue)
    guard !overflow, let paid = Amount(price, times: Pico(rawValue: 0 - sign * filled.rawValue)),
      let net = cash.adding(paid)?.adding(Amount(rawValue: 0 - fee.rawValue)), let feeSum = fees.adding(fee)
    else { return false }
    quantity = Pico(rawValue: after)
    cash = net
    fees = feeSum
    fills += 1
    return true
  }

  /// What closing everything at a price would add to the realised profit; `nil` beyond the range.
  public func unrealizedProfit(at price: Pico) -> Amount? {
    var sum = Amount.zero
    for lot in lots {
      let gain = (price.rawValue - lot.price.rawValue) * quantity.rawValue.signum()
      guard let part = Amount(Pico(rawValue: gain), times: lot.quantity), let next = sum.adding(part) else {
        return nil
      }
      sum = next
    }
    return sum
  }
}
