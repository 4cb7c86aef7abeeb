import Configuration
import Core
import Rules
import Testing

@Suite("Rule file")
struct RuleFileTests {
  static let good = """
    interval_s: 5
    storm:
      count: 5
      window_s: 600
    alerts:
      - name: high
        expression: max by (symbol) (lag)
        comparison: ">"
        threshold: 0.5
        for: 1m30s
        level: P1
        severity: warning
        action: restart_ws
        runbook: docs/runbooks/alerts.md#high
        summary: it is "high"
        proof:
          cause: it rises
          every: 1m
          series:
            'lag{symbol="BTC"}': 0x3 1x4 0x3
    degrade:
      - name: deep
        expression: depth
        comparison: ">"
        threshold: 5
        for: 0s
        recover_for: 1m
        effects: [light_rows]
        summary: it is deep
    """

  @Test func readsWhatIsThere() throws {
    let rules = try RuleSet(parsing: Self.good, path: "test.yaml")
    #expect(rules.alerts.count == 1)
    #expect(rules.alerts[0].condition.forNs == 90 * Nanoseconds.second)
    #expect(rules.alerts[0].condition.promQL == "(max by (symbol) (lag)) > 0.5")
    #expect(rules.degrade[0].effects == [.lightRows])
    #expect(rules.metricNames == ["depth", "lag"])
    #expect(rules.suppressNs == 300 * Nanoseconds.second)
    #expect(rules.runProofs()[0].description == "high: fires after 6m, recovers after 9m")
  }

  @Test(arguments: [
    (
      "action: restart_ws", "action: restart_wx",
      "test.yaml:13:13: alerts[0].action: found \"restart_wx\"; did you mean restart_ws?"
    ),
    ("    for: 1m30s", "    foe: 1m30s", "test.yaml:10:5: alerts[0]: unknown key \"foe\"; did you mean for?"),
    ("    for: 1m30s", "    foe: 1m30s", "test.yaml:6:5: alerts[0]: for: is missing"),
    ("for: 1m30s", "for: 90", "test.yaml:10:10: alerts[0].for: expected a length of time"),
    (
      "max by (symbol) (lag)", "maxx(lag)",
      "test.yaml:7:17: alerts[0].expression: column 1: unknown function \"maxx\"; did you mean max?"
    ),
    (
      "max by (symbol) (lag)", "time()", "test.yaml:7:17: alerts[0].expression: gives a number without series"
    ),
    ("threshold: 0.5", "threshold: high", "test.yaml:9:16: alerts[0].threshold: expected a number"),
    (
      "threshold: 0.5", "threshold: 0.5\n    threshold: 1",
      "the key \"threshold\" is written twice, on lines 9 and 10"
    ),
    ("interval_s: 5", "interval_s: 0", "test.yaml:1:13: interval_s: expected a number from 1 to 300"),
    ("interval_s: 5", "intervals: 5", "test.yaml:1:1: unknown key \"intervals\"; did you mean interval_s?"),
    ("count: 5", "count: five", "storm.count: expected a number"),
    ("level: P1", "level: P7", "alerts[0].level: found \"P7\"; did you mean P0?"),
    ("name: high", "name: 1high", "\"1high\" is no name"),
    ("name: deep", "name: [deep]", "degrade[0].name: expected a text"),
    ("effects: [light_rows]", "effects: [light_rows, light_rows]", "an effect stands twice"),
    ("effects: [light_rows]", "effects: [light_row]", "did you mean light_rows?"),
    ("effects: [light_rows]", "effects: []", "name at least one effect"),
    ("0x3 1x4 0x3", "0x3 1xx4", "\"1xx4\" is no value of a series"),
    ("'lag{symbol=\"BTC\"}'", "'rate(lag[5m])'", "is no series"),
    ("every: 1m", "every: 5ms", "must be at least 1s"),
    ("it rises", "'{{ it }}'", "would be read as a template"),
    ("alerts:", "alarms:", "unknown key \"alarms\"; did you mean alerts?"),
  ])
  func errorsNameFileLineAndKey(_ found: String, _ replaced: String, _ message: String) {
    let text = Self.good.replacing(found, with: replaced, maxReplacements: 1)
    #expect(text != Self.good)
    do {
      _ = try RuleSet(parsing: text, path: "test.yaml")
      Issue.record("accepted: \(replaced)")
    } catch {
      #expect(error.description.contains(message), "\(error)")
    }
  }

  @Test func aNameTwiceIsAnError() {
    let rule = Self.good.split(separator: "alerts:\n")[1].split(separator: "degrade:")[0]
    let text = "alerts:\n\(rule)\(rule)"
    let error = #expect(throws: ConfigError.self) { try RuleSet(parsing: text, path: "test.yaml") }
    #expect(error?.description.contains("the name high is used twice, on lines 2 and 17") == true)
  }

  @Test(arguments: ["", "5", "alerts: 5", "alerts: [5]", "alerts:\n  - {}", "a: [", "alerts: {}"])
  func whatIsNoRuleFileIsAnError(_ text: String) {
    #expect(throws: ConfigError.self) { try RuleSet(parsing: text, path: "test.yaml") }
  }

  @Test func aMissingFileIsAnError() {
    let error = #expect(throws: ConfigError.self) { try RuleSet(loading: "/nowhere/alerts.yaml") }
    #expect(error?.description.contains("/nowhere/alerts.yaml: cannot open") == true)
  }

  @Test(
    arguments: [
      ("5", [5]), ("5x2", [5, 5, 5]), ("5+2x2", [5, 7, 9]), ("5-2x3", [5, 3, 1, -1]), ("-5+1x1", [-5, -4]),
      ("1e-3+1e-3x1", [0.001, 0.002]), ("_ 1 _x2 stale 2", [nil, 1, nil, nil, -99, 2]),
    ] as [(String, [Double?])])
  func notation(_ text: String, _ expected: [Double?]) throws {
    let steps = try SeriesNotation(parsing: text).steps.map { step -> Double? in
      switch step {
      case .none: nil
      case .stale: -99
      case .value(let value): value
      }
    }
    #expect(steps == expected)
  }

  @Test(arguments: [
    "x", "5x", "5xx", "x5", "5+x2", "5+2", "5x-1", "5x999999999999", "5x100001", "a5", "5+2x2x2",
  ])
  func notationThatIsNone(_ text: String) {
    #expect(throws: RuleError.self) { try SeriesNotation(parsing: text) }
  }

  @Test func aProofThatDoesNotFireOrRecoverIsToldApart() throws {
    func problem(_ values: String) throws -> String? {
      let text = Self.good.replacing("0x3 1x4 0x3", with: values)
      return try RuleSet(parsing: text, path: "test.yaml").runProofs()[0].problem
    }
    #expect(try problem("0x9")?.contains("never make it fire") == true)
    #expect(try problem("0x3 1x9")?.contains("don't let it recover") == true)
    #expect(try problem("0x3 1x4 0x3") == nil)
  }
}
