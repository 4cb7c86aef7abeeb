/// A value that goes up and down; NaN while it is not known.
public final class Gauge {
  public var value: Double = 0

  init() {}

  public func set(_ value: Double) { self.value = value }
}
