import Core
import Flow
import Glibc
import Report
import Strategy

/// A symbol's shadow statistics beside the gates that a release asks for.
///
/// A verdict says `misses` only beyond the sampling error of the independent values there are, and `undecided`
/// where there are fewer than ``ZQuality/independentSamplesMin``. Independent are values whose windows do not
/// overlap; order flow remembers longer than its windows, so the intervals are rather too narrow.
struct ShadowFindings: Equatable, Sendable {
  typealias Verdict = ZQuality.Verdict

  struct Gate: Equatable, Sendable {
    var name: String
    var verdict: Verdict
    var words: String
  }

  /// A mean that differs from 0 beyond doubt and by no more than this share of a standard deviation is small.
  static let meanMax = 0.05
  static let shareAbove2Min = 0.05
  static let shareAbove2Max = 0.10
  static let divergenceRateMax = 0.15
  /// Of gates, in the order of ``gates``.
  static let gateNames = [
    "z_cvd_mean", "z_cvd_tail", "fusion_activity", "divergence_rate",
  ]

  var statistics: ShadowStatistics
  var plan: ShadowPlan

  // MARK: Gates

  var gates: [Gate] {
    zip(ShadowFindings.gateNames, [meanGate, tailGate, activityGate, divergenceGate]).map {
      Gate(name: $0, verdict: $1.verdict, words: $1.words)
    }
  }

  /// Misses when one gate does, undecided when one is, else meets.
  var verdict: Verdict {
    let verdicts = gates.map(\.verdict)
    return verdicts.contains(.misses) ? .misses : verdicts.contains(.undecided) ? .undecided : .meets
  }

  private typealias Judgement = (verdict: Verdict, words: String)

  private func tooFew(_ independent: Int) -> Judgement? {
    guard independent < ZQuality.independentSamplesMin else { return nil }
    return (
      .undecided,
      "\(independent) independent values, fewer than \(ZQuality.independentSamplesMin): too few to judge"
    )
  }

  private var meanGate: Judgement {
    let independent = plan.independent(statistics.zCVD.moments.count, windowMs: plan.cvdWindowMs)
    if let few = tooFew(independent) { return few }
    let mean = statistics.zCVD.moments.mean
    let margin = 1.96 * (statistics.zCVD.moments.deviation ?? 0) / Double(independent).squareRoot()
    let measured = "the mean of z_cvd is \(text(mean, 3)) ± \(text(margin, 3))"
    if abs(mean) <= margin { return (.meets, "\(measured), which covers 0") }
    if abs(mean) <= ShadowFindings.meanMax {
      return (.meets, "\(measured): not 0, and no more than \(text(ShadowFindings.meanMax, 2))")
    }
    return (.misses, "\(measured), which does not cover 0")
  }

  private var tailGate: Judgement {
    let independent = plan.independent(statistics.zCVD.moments.count, windowMs: plan.cvdWindowMs)
    if let few = tooFew(independent) { return few }
    let share = statistics.zCVD.share(statistics.zCVD.above2) ?? 0
    let (low, high) = (ShadowFindings.shareAbove2Min, ShadowFindings.shareAbove2Max)
    let measured = "P(|z_cvd|>2) is \(percent(share))"
    if share >= low, share <= high { return (.meets, "\(measured), within 5 to 10 %") }
    let limit = share > high ? high : low
    let words = "\(measured), \(share > high ? "above" : "below") \(percent(limit))"
    return abs(share - limit) > margin(share, independent)
      ? (.misses, words)
      : (.undecided, "\(words), but within the sampling error of \(independent) independent values")
  }

  private var activityGate: Judgement {
    let independent = plan.independent(statistics.fusionActivity.count, windowMs: plan.scoreWindowMs)
    if let few = tooFew(independent) { return few }
    guard let interval = interval(statistics.fusionActivity) else {
      return (.undecided, "activity or the score never changed")
    }
    let measured =
      "the correlation of |fusion| with activity is "
      + "\(text(statistics.fusionActivity.correlation, 3)) (\(text(interval.low, 3)) to \(text(interval.high, 3)))"
    if interval.low > 0 { return (.meets, measured) }
    return interval.high < 0
      ? (.misses, "\(measured): below 0") : (.undecided, "\(measured): the sign is open")
  }

  private var divergenceGate: Judgement {
    guard plan.judgesDivergences else { return (.undecided, "divergences are switched off") }
    let independent = Int(statistics.divergenceSamples) / max(1, plan.separationSamples)
    if let few = tooFew(independent) { return few }
    let rate = statistics.divergenceRate ?? 0
    let limit = ShadowFindings.divergenceRateMax
    let words = "\(percent(rate)) of \(statistics.divergenceSamples) samples are divergences"
    if rate < limit { return (.meets, words) }
    return rate - limit > margin(rate, independent)
      ? (.misses, "\(words), not below \(percent(limit))")
      : (.undecided, "\(words), within the sampling error of \(percent(limit))")
  }

  private func margin(_ share: Double, _ independent: Int) -> Double {
    1.96 * (share * (1 - share) / Double(max(1, independent))).squareRoot()
  }

  /// 95 % by Fisher's transformation; nil without a correlation, or for too few values.
  func interval(_ pairs: RunningCorrelation) -> (low: Double, high: Double)? {
    let independent = plan.independent(pairs.count, windowMs: plan.scoreWindowMs)
    guard let r = pairs.correlation, abs(r) < 1, independent > 3 else { return nil }
    let margin = 1.96 / Double(independent - 3).squareRoot()
    return (tanh(atanh(r) - margin), tanh(atanh(r) + margin))
  }

  private func text(_ value: Double?, _ decimals: Int) -> String {
    JSONValue.rounded(value, decimals).text ?? "–"
  }

  private func percent(_ share: Double) -> String { "\(text(share * 100, 1)) %" }

  /// In one line.
  var text: String {
    let rows = ShadowChannel.allCases.map { "\($0.name) \(statistics[$0].onsets)" }
    let missed = gates.filter { $0.verdict == .misses }.map(\.name)
    return "\(rows.joined(separator: ", ")) rows; gates: \(verdict.rawValue)"
      + (missed.isEmpty ? "" : " (\(missed.joined(separator: ", ")))")
  }

  // MARK: JSON

  /// `shadow` of a symbol in `summary.json`.
  var json: JSONValue {
    .object([
      "verdict": .string(verdict.rawValue),
      "gates": .object(
        gates.map {
          .init(
            $0.name, .object(["verdict": .string($0.verdict.rawValue), "words": .string($0.words)]))
        }),
      "observed_s": .rounded(Double(statistics.observedNs) / 1e9, 3),
      "z_cvd": distribution(statistics.zCVD, plan.cvdWindowMs),
      "score": distribution(statistics.score, plan.scoreWindowMs),
      "fusion": distribution(statistics.fusion, plan.scoreWindowMs),
      "activity": .object([
        "score": correlation(statistics.scoreActivity), "fusion": correlation(statistics.fusionActivity),
      ]),
      "divergence": .object([
        "samples": .integer(statistics.divergenceSamples), "events": .integer(statistics.divergenceEvents),
        "rate": .rounded(statistics.divergenceRate, 6),
        "kinds": .object(
          DivergenceKind.allCases.dropFirst().map {
            .init("\($0.name)", .integer(statistics.divergences[Int($0.rawValue)]))
          }),
      ]),
      "confirmed": .integer(statistics.confirmed),
      "channels": .object(
        ShadowChannel.allCases.map { channel in
          let counts = statistics[channel]
          return .init(
            "\(channel.name)",
            .object([
              "rows": .integer(counts.onsets), "gated": .integer(counts.gated),
              "per_hour": .rounded(statistics.onsetsPerHour(channel), 3),
              "by_utc_hour": .array(counts.byHour.map { .integer($0) }),
              "same_direction": .integer(counts.same), "opposite_direction": .integer(counts.opposite),
              "agreement": .rounded(statistics.agreement(channel), 6),
            ]))
        }),
    ])
  }

  private func distribution(_ values: ShadowStatistics.Distribution, _ windowMs: Int) -> JSONValue {
    let isEmpty = values.moments.count == 0
    return .object([
      "samples": .integer(values.moments.count),
      "independent_samples": .integer(plan.independent(values.moments.count, windowMs: windowMs)),
      "mean": .rounded(isEmpty ? nil : values.moments.mean, 6),
      "sd": .rounded(values.moments.deviation, 6),
      "median_abs": .rounded(values.median, 3), "p_abs_gt_2": .rounded(values.share(values.above2), 6),
      "p_abs_gt_3": .rounded(values.share(values.above3), 6),
    ])
  }

  private func correlation(_ pairs: RunningCorrelation) -> JSONValue {
    let interval = interval(pairs)
    return .object([
      "samples": .integer(pairs.count),
      "independent_samples": .integer(plan.independent(pairs.count, windowMs: plan.scoreWindowMs)),
      "r": .rounded(pairs.correlation, 6),
      "ci": interval.map { .array([.rounded($0.low, 6), .rounded($0.high, 6)]) } ?? .null,
    ])
  }
}
