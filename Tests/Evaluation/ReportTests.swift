import Core
import Testing

@testable import Evaluation

@Suite("Evaluation: report") struct EvaluationReportTests {
  private static let shared: EvaluationReport = {
    var options = EvaluationOptions()
    options.horizonsSeconds = [10, 60, 4000]
    options.decaySeconds = [1, 10, 30]
    options.resamples = 200
    let flow = PlantedFlow(rows: 1500, memory: 0.8, correlation: 0.2)
    let names = ["BTCUSDT", "A<b>&|\"'"]
    return Evaluator(options).evaluate(
      names.enumerated().map { flow.series(seed: UInt64($0.offset), symbol: $0.element) })
  }()
  private let report = EvaluationReportTests.shared

  /// What acceptance reads.
  @Test func membersOfTheContract() throws {
    let json = report.json(leak: .object(["verdict": .string("clean")]), facts: .null)
    let text = json.text()
    #expect(!text.contains("nan") && !text.contains("inf"))
    let read = try JSONValue(parsing: text)
    #expect(read["leak"]?["verdict"]?.text == "clean")
    for symbol in ["BTCUSDT", "A<b>&|\"'"] {
      for horizon in ["10", "60", "4000"] {
        let cell = try #require(read["symbols"]?[symbol]?[horizon])
        for member in [
          "n", "n_effective", "auc", "auc_ci", "ic", "ic_ci", "hit_rate", "mean_bps_net", "monotone",
        ] {
          #expect(cell[member] != nil, "\(member) of \(symbol) at \(horizon) s")
        }
        let n = try #require(cell["n"]?.integer)
        if horizon == "4000" {
          #expect(n == 0 && cell["auc"] == .null && cell["auc_ci"] == .null && cell["why"]?.text != nil)
        } else {
          let auc = try #require(cell["auc"]?.double)
          let low = try #require(cell["auc_ci"]?[0]?.double)
          let high = try #require(cell["auc_ci"]?[1]?.double)
          #expect(low < auc && auc < high && n == 1500 - Int64(horizon)!)
          #expect(try #require(cell["n_effective"]?.double) <= Double(n))
          #expect(cell["monotone"]?.boolean != nil)
        }
      }
      #expect(read["decay"]?[symbol]?["mid"]?.elements?.count == 5)
      #expect(read["decay"]?[symbol]?["microprice"]?.elements?.count == 4)
    }
    let looks = try #require(read["multiple_testing"]?["cells"]?.integer)
    #expect(looks == 2 * (4 + 4))
  }

  @Test func markdownEscapesNames() {
    let text = report.markdown(title: "Evaluation of a|b", leakText: "clean <b>")
    #expect(text.contains("# Evaluation of a\\|b") && text.contains("A\\<b\\>&\\|"))
    #expect(!text.contains("<b>") && !text.contains("nan"))
    #expect(text.contains("not predictive") || text.contains("predictive;"))
  }

  @Test func chartsAreWellFormed() {
    for symbol in report.symbols {
      let charts = report.charts(symbol)
      #expect(charts.count == 3)
      for chart in charts {
        #expect(xmlProblem(chart.svg) == nil)
        #expect(!chart.svg.contains("nan") && !chart.svg.contains("inf"))
        #expect(chart.svg.utf8.count < 60_000)
      }
    }
    #expect(report.charts(report.symbols[1])[0].name == "decay_A~3cb~3e~26~7c~22~27.svg")
  }

  @Test func figuresForPeople() {
    #expect(decimal(0.5, 3) == "0.500" && decimal(-0.25, 1) == "-0.2" && decimal(12, 0) == "12")
    #expect(decimal(nil, 2) == "–" && decimal(.nan, 2) == "–")
    #expect(signed(1.5, 2) == "+1.50" && signed(-1.5, 2) == "-1.50")
  }

  @Test func findingsSayWhatTheCellsSay() {
    func finding(_ auc: Estimate?, survives: Bool?) -> Finding {
      var cell = CellStatistics(horizonSeconds: 10, why: "few rows")
      cell.auc = auc
      cell.survives = survives
      cell.effectiveRows = 500
      return Finding("X", cell, .init(cells: 9, surviving: 1))
    }
    #expect(finding(nil, survives: nil).verdict == .inconclusive)
    #expect(finding(Estimate(0.6), survives: nil).verdict == .inconclusive)
    #expect(finding(Estimate(0.6, interval: 0.55...0.65), survives: true).verdict == .predictive)
    #expect(finding(Estimate(0.6, interval: 0.55...0.65), survives: false).verdict == .notPredictive)
    #expect(finding(Estimate(0.4, interval: 0.35...0.45), survives: true).verdict == .inverted)
    #expect(finding(Estimate(0.52, interval: 0.45...0.59), survives: false).verdict == .notPredictive)
  }
}

/// What keeps a text from being one well-formed element; nil when nothing does. Knows as much XML as charts
/// use.
func xmlProblem(_ text: String) -> String? {
  var open: [Substring] = []
  var rest = text[...]
  while let start = rest.firstIndex(of: "<") {
    let plain = rest[..<start]
    if plain.contains(">") { return "a bare >" }
    if open.isEmpty, !plain.allSatisfy(\.isWhitespace) { return "text outside the root" }
    for piece in plain.split(separator: "&", omittingEmptySubsequences: false).dropFirst()
    where !["amp;", "lt;", "gt;", "quot;", "#39;"].contains(where: { piece.hasPrefix($0) }) {
      return "a bare &"
    }
    guard let end = rest[start...].firstIndex(of: ">") else { return "a tag without an end" }
    let tag = rest[rest.index(after: start)..<end]
    if tag.count(where: { $0 == "\"" }) % 2 != 0 { return "an open quotation mark in <\(tag)>" }
    let name = tag.drop { $0 == "/" }.prefix { $0.isLetter || $0.isNumber }
    if name.isEmpty { return "a tag without a name" }
    if tag.hasPrefix("/") {
      guard open.popLast() == name else { return "</\(name)> closes another element" }
    } else if !tag.hasSuffix("/") {
      open.append(name)
    }
    rest = rest[rest.index(after: end)...]
  }
  return open.isEmpty ? nil : "\(open) not closed"
}
