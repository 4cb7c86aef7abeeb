import Core

/// What a cell says, in a word and in a sentence.
public struct Finding: Equatable, Sendable {
  public enum Verdict: String, Sendable {
    /// The interval of the AUC excludes ½, and the cell survives all looks.
    case predictive
    /// The same, below ½: the price goes against the score.
    case inverted
    case notPredictive = "not predictive"
    case inconclusive
  }

  public var symbol: String
  public var horizonSeconds: Int
  public var verdict: Verdict
  public var text: String

  init(_ symbol: String, _ cell: CellStatistics, _ looks: EvaluationReport.Looks) {
    self.symbol = symbol
    horizonSeconds = cell.horizonSeconds
    let name = "\(symbol), \(cell.horizonSeconds) s: "
    guard let auc = cell.auc, let interval = auc.interval else {
      verdict = .inconclusive
      text = name + "inconclusive; \(cell.why ?? "there is no interval")."
      return
    }
    let figures =
      "AUC \(decimal(auc.value, 3)) (\(decimal(interval.lowerBound, 3))–\(decimal(interval.upperBound, 3)))"
    if interval.contains(0.5) {
      verdict = .notPredictive
      text = name + "not predictive; \(figures) holds 0.5"
    } else if cell.survives != true {
      verdict = .notPredictive
      text =
        name
        + "not predictive; \(figures) excludes 0.5, but does not survive \(looks.cells) looks"
    } else {
      verdict = auc.value > 0.5 ? .predictive : .inverted
      text =
        name + (verdict == .predictive ? "predictive" : "predictive with the sign turned round")
        + "; \(figures) excludes 0.5 and survives all \(looks.cells) looks"
    }
    if cell.effectiveRows < 100 { text += " (only \(decimal(cell.effectiveRows, 0)) independent rows)" }
    text += ". " + Finding.net(cell)
  }

  private static func net(_ cell: CellStatistics) -> String {
    guard let directional = cell.directional else { return "No row says buy or sell." }
    let net = directional.netMeanBps
    let signals = directional.rows == 1 ? "1 signal brings" : "\(directional.rows) signals bring"
    let mean = "\(signals) \(signed(net.value, 2)) bps each net of cost"
    guard let interval = net.interval else { return mean + ", without an interval." }
    let bounds = "(\(signed(interval.lowerBound, 2)) … \(signed(interval.upperBound, 2)))"
    if interval.lowerBound > 0 { return "\(mean) \(bounds): above 0." }
    return "\(mean) \(bounds): \(net.value > 0 ? "not distinguishable from 0" : "not worth their cost")."
  }
}

/// Rounded for people; an absent number is a dash.
func decimal(_ value: Double?, _ decimals: Int) -> String {
  guard let value, value.isFinite, let text = JSONValue.rounded(value, decimals).text else { return "–" }
  guard decimals > 0 else { return text }
  let point = text.firstIndex(of: ".")
  let have = point.map { text.distance(from: $0, to: text.endIndex) - 1 } ?? 0
  return text + (point == nil ? "." : "") + String(repeating: "0", count: decimals - have)
}

/// With its sign.
func signed(_ value: Double?, _ decimals: Int) -> String {
  let text = decimal(value, decimals)
  return text == "–" || text.hasPrefix("-") ? text : "+" + text
}

/// `0.512 (0.498–0.526)`
func withInterval(_ estimate: Estimate?, _ decimals: Int) -> String {
  guard let estimate else { return "–" }
  guard let interval = estimate.interval else { return decimal(estimate.value, decimals) }
  let bounds = "\(decimal(interval.lowerBound, decimals)) … \(decimal(interval.upperBound, decimals))"
  return "\(decimal(estimate.value, decimals)) (\(bounds))"
}
