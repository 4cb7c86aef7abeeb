import Core
import Glibc

/// Round numbers along a value axis.
///
/// Steps are 1, 2 or 5 times a power of ten. Source: P. Heckbert, "Nice Numbers for Graph Labels", Graphics
/// Gems (1990).
public struct ChartAxis {
  public let low: Double
  public let high: Double
  public let ticks: [Double]
  private let decimals: Int
  private let divisor: Double
  private let suffix: String

  /// An axis over a range, widened a little so that no line runs along the frame.
  public init(covering range: ClosedRange<Double>, ticksMax: Int, compact: Bool) {
    var low = range.lowerBound
    var high = range.upperBound
    if high - low <= max(abs(low), abs(high)) * 1e-12 {
      let pad = max(abs(high) * 1e-4, 1e-6)
      low -= pad
      high += pad
    }
    let margin = (high - low) * 0.06
    low -= margin
    high += margin
    self.low = low
    self.high = high
    let wanted = (high - low) / Double(ticksMax)
    let power = pow(10, floor(log10(wanted)))
    let ratio = wanted / power
    let step = (ratio <= 1 ? 1 : ratio <= 2 ? 2 : ratio <= 5 ? 5 : 10) * power
    var ticks: [Double] = []
    var multiple = (low / step).rounded(.up)
    while multiple * step <= high, ticks.count <= ticksMax {
      ticks.append(multiple == 0 ? 0 : multiple * step)
      multiple += 1
    }
    self.ticks = ticks
    let largest = max(abs(low), abs(high))
    (divisor, suffix) =
      !compact || largest < 1e5
      ? (1, "")
      : largest < 1e6 ? (1e3, "k") : largest < 1e9 ? (1e6, "M") : largest < 1e12 ? (1e9, "G") : (1e12, "T")
    decimals = max(0, min(9, -Int(floor(log10(step / divisor) + 1e-9))))
  }

  /// Where a value lies, from `top` down.
  public func position(_ value: Double, top: Double, height: Double) -> Double {
    top + height * (high - value) / (high - low)
  }

  public func label(_ value: Double) -> String {
    let scaled = (value / divisor * Double(powerOfTen(decimals))).rounded()
    guard scaled.magnitude < 9e18 else { return String(value) }
    return DecimalScale(decimals).text(Int64(scaled)).replacingMinus() + suffix
  }
}

extension String {
  /// The typographic minus sign, as wide as a plus.
  fileprivate func replacingMinus() -> String { hasPrefix("-") ? "−" + dropFirst() : self }
}
