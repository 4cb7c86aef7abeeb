/// A total that only grows; it starts again at zero with its service.
public final class Counter {
  public private(set) var value: Double = 0

  init() {}

  /// - Precondition: `amount` ≥ 0.
  public func add(_ amount: Double = 1) {
    precondition(amount >= 0, "a counter only grows")
    value += amount
  }

  /// Takes over a total kept elsewhere, which goes down only when its keeper started again (readers of the
  /// text format understand every decrease as that).
  ///
  /// - Precondition: `total` ≥ 0.
  public func set(total: Double) {
    precondition(total >= 0, "a total is not negative")
    value = total
  }
}
