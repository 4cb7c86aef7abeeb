/// Values of a series at equal steps, in the notation of `promtool test rules`.
///
/// Separated by blanks: `5` a value, `_` none, `stale` the series' end, `5x3` the value and three more,
/// `5+2x3` and `5-2x3` the same with a step between them, `_x3` three without a value.
public struct SeriesNotation: Equatable, Sendable {
  public enum Step: Equatable, Sendable {
    case none
    case stale
    case value(Double)
  }

  public static let stepsMax = 100_000

  public let text: String
  public let steps: [Step]

  /// - Throws: a message that names the word at fault.
  public init(parsing text: String) throws(RuleError) {
    self.text = text
    var steps: [Step] = []
    for word in text.split(whereSeparator: { $0 == " " || $0 == "\n" }) {
      guard let more = SeriesNotation.expand(word), steps.count + more.count <= SeriesNotation.stepsMax else {
        throw RuleError(
          message: "\(legible(String(word))) is no value of a series; write such as 5, 5+2x10, _x3 or stale")
      }
      steps += more
    }
    self.steps = steps
  }

  private static func expand(_ word: Substring) -> [Step]? {
    if word == "stale" { return [.stale] }
    if word == "_" { return [.none] }
    let parts = word.split(separator: "x", omittingEmptySubsequences: false)
    guard parts.count <= 2 else { return nil }
    var times = 0
    if parts.count == 2 {
      guard let count = Int(parts[1]), (0...stepsMax).contains(count), parts[1].first != "+" else {
        return nil
      }
      times = count
    }
    if parts[0] == "_" { return Array(repeating: .none, count: times) }
    guard let (first, step) = start(parts[0]) else { return nil }
    var value = first
    if step != nil, parts.count == 1 { return nil }
    var steps: [Step] = []
    // Added up as Prometheus does, so that the bits agree.
    for _ in 0...times {
      steps.append(.value(value))
      value += step ?? 0
    }
    return steps
  }

  /// `5` or `5+2`: the sign that parts them is the last one that no `e` precedes.
  private static func start(_ text: Substring) -> (value: Double, step: Double?)? {
    if let value = Double(text) { return (value, nil) }
    var at = text.endIndex
    while at > text.startIndex {
      at = text.index(before: at)
      guard text[at] == "+" || text[at] == "-", at > text.startIndex else { continue }
      let before = text[text.index(before: at)]
      if before == "e" || before == "E" { continue }
      guard let value = Double(text[..<at]), let step = Double(text[at...]) else { return nil }
      return (value, step)
    }
    return nil
  }
}
