import Core

/// How well a standardised value keeps to its targets, measured and never forced.
///
/// Neighbouring samples of a windowed value share most of their window: 14,000 rows of a 5 s window on a
/// 250 ms grid are 700 independent values. The verdict's sampling error comes from the latter, and a miss
/// within that error, or a recording with too few values, is not called a miss.
/// Targets: median |z| ≤ 1, P(|z|>2) in 1–8 %, P(|z|>3) ≤ 2 %.
public struct ZQuality: Equatable, Sendable {
  public static let medianMax = 1.0
  public static let shareAbove2Min = 0.01
  public static let shareAbove2Max = 0.08
  public static let shareAbove3Max = 0.02
  /// Below this, a share of 5 % has a 95 % margin of more than 4 points.
  public static let independentSamplesMin = 100

  private static let binMicros: Int64 = 10_000
  private static let binCount = 1000
  private var bins = [UInt32](repeating: 0, count: ZQuality.binCount + 1)
  public private(set) var samples = 0
  private var above2 = 0
  private var above3 = 0

  public init() {}

  /// Counts one value; an absent one is none.
  public mutating func add(_ z: Micros) {
    if z.isAbsent { return }
    let magnitude = Int64(clamping: z.rawValue.magnitude)
    bins[Int(min(magnitude / ZQuality.binMicros, Int64(ZQuality.binCount)))] += 1
    samples += 1
    if magnitude > 2_000_000 { above2 += 1 }
    if magnitude > 3_000_000 { above3 += 1 }
  }

  public mutating func add(_ other: ZQuality) {
    for index in bins.indices { bins[index] += other.bins[index] }
    samples += other.samples
    above2 += other.above2
    above3 += other.above3
  }

  /// The median of |z| to within 0.005; `nil` without samples.
  public var median: Double? {
    if samples == 0 { return nil }
    var seen = 0
    for (index, count) in bins.enumerated() {
      seen += Int(count)
      if 2 * seen >= samples { return (Double(index) + 0.5) * Double(ZQuality.binMicros) / 1e6 }
    }
    return nil
  }

  /// P(|z|>2)
  public var shareAbove2: Double? { samples == 0 ? nil : Double(above2) / Double(samples) }
  /// P(|z|>3)
  public var shareAbove3: Double? { samples == 0 ? nil : Double(above3) / Double(samples) }

  public enum Verdict: String, Sendable {
    case meets, misses, undecided
  }

  /// - Parameter independent: how many of the samples are independent of each other.
  /// - Returns: the verdict and its reason in plain words.
  public func verdict(independent: Int) -> (verdict: Verdict, words: String) {
    guard let median, let shareAbove2, let shareAbove3 else {
      return (.undecided, "no value yet: the recording ends within the warm-up")
    }
    func percent(_ share: Double) -> String { "\(JSONValue.rounded(share * 100, 1).text ?? "0") %" }
    func margin(_ share: Double) -> Double {
      1.96 * (share * (1 - share) / Double(max(1, independent))).squareRoot()
    }
    var misses: [String] = []
    var isBeyondError = false
    func check(_ share: Double, _ name: String, _ low: Double, _ high: Double) {
      if share >= low, share <= high { return }
      let limit = share > high ? high : low
      misses.append("\(name) is \(percent(share)), \(share > high ? "above" : "below") \(percent(limit))")
      if abs(share - limit) > margin(limit) { isBeyondError = true }
    }
    check(shareAbove2, "P(|z|>2)", ZQuality.shareAbove2Min, ZQuality.shareAbove2Max)
    check(shareAbove3, "P(|z|>3)", 0, ZQuality.shareAbove3Max)
    if median > ZQuality.medianMax {
      misses.append("median |z| is \(JSONValue.rounded(median, 2).text ?? ""), above 1")
      isBeyondError = true
    }
    let measured =
      misses.isEmpty ? "the measured values lie within the targets" : misses.joined(separator: "; ")
    if independent < ZQuality.independentSamplesMin {
      return (
        .undecided,
        "recording too short to judge: \(independent) independent values, a share of 5 % is known to "
          + "±\(percent(margin(0.05))) only; \(measured)"
      )
    }
    if misses.isEmpty { return (.meets, "meets the targets") }
    if !isBeyondError {
      return (.undecided, "\(measured), but within the sampling error of \(independent) independent values")
    }
    let isRestless = shareAbove2 > ZQuality.shareAbove2Max || shareAbove3 > ZQuality.shareAbove3Max
    let reason =
      isRestless || median > ZQuality.medianMax
      ? "the market was more restless than the history it is judged against"
      : "the market was calmer than the history it is judged against"
    return (.misses, "misses the targets: \(measured); \(reason)")
  }
}
