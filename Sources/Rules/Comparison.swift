/// How a measured value is compared with a threshold.
public enum Comparison: String, CaseIterable, Sendable {
  case less = "<"
  case atMost = "<="
  case equal = "=="
  case unequal = "!="
  case atLeast = ">="
  case greater = ">"

  /// NaN holds for `!=` only, as in Prometheus.
  public func holds(_ value: Double, _ threshold: Double) -> Bool {
    switch self {
    case .less: value < threshold
    case .atMost: value <= threshold
    case .equal: value == threshold
    case .unequal: value != threshold
    case .atLeast: value >= threshold
    case .greater: value > threshold
    }
  }
}
