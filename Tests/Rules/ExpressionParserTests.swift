import Core
import Rules
import Testing

@Suite("Expression parser")
struct ExpressionParserTests {
  @Test(arguments: [
    ("", 1, "empty"),
    ("rat(x[5m])", 1, "unknown function \"rat\"; did you mean rate?"),
    ("1 + histogram_quantil(0.9, x)", 5, "did you mean histogram_quantile?"),
    ("rate(x)", 6, "rate takes a range here, such as metric[5m]; found a vector"),
    ("rate(x[5m], 1)", 1, "rate takes 1 argument, found 2"),
    ("clamp_max(x, y)", 14, "takes a scalar here, such as 0.95; found a vector"),
    ("x[5m]", 1, "a range of values is no result"),
    ("rate(x[5 m])", 8, "\"5 m\" is no range"),
    ("rate(x[5m:1m])", 8, "subqueries are not supported"),
    ("rate(x[8d])", 8, "longer than 7d"),
    ("rate(x[5m", 7, "never closed"),
    ("x offset 5m", 3, "offset is not supported"),
    ("x > bool 1", 5, "bool is not supported"),
    ("x / on (a) group_left y", 12, "group_left is not supported"),
    ("sum(x", 6, "found the end, expected \")\""),
    ("sum(1)", 5, "sum takes a vector; found a scalar"),
    ("sum", 4, "expected \"(\" behind sum"),
    ("x and 1", 3, "joins series, not numbers"),
    ("1 > 2", 3, "both sides are numbers"),
    ("1 + on (a) x", 3, "apply between series"),
    ("x[5m] + 1", 7, "does not apply to a range"),
    ("{a=\"b\"}", 1, "name the metric"),
    ("x{a=b}", 5, "a text in quotes"),
    ("x{a~\"b\"}", 4, "has no meaning here"),
    ("x{a=\"b}", 5, "never closed"),
    ("x{a=~\"b.*\"}", 6, "a pattern is plain words joined by |"),
    ("x{__name__=\"y\"}", 3, "the name of a label"),
    ("x y", 3, "expected an operator or the end"),
    ("5m", 1, "is no number"),
    ("x > 010", 5, "is no number"),
    ("by", 1, "a word of the language"),
    ("x # why", 3, "has no meaning here"),
  ])
  func errorsNameTheColumn(_ text: String, _ column: Int, _ message: String) {
    do {
      _ = try MetricExpression(parsing: text)
      Issue.record("\(text) was accepted")
    } catch {
      #expect(error.column == column, "\(text): \(error)")
      #expect(error.message.contains(message), "\(text): \(error)")
    }
  }

  @Test func rangesAreTheLongestOfEachMetric() throws {
    let expression = try MetricExpression(
      parsing: "sum(rate(a[5m])) / sum(increase(a[1h30m])) and b > 0 or absent(c)")
    #expect(expression.rangesMs == ["a": 5_400_000, "b": 0, "c": 0])
    #expect(!expression.isScalar)
    #expect(try MetricExpression(parsing: "time() / 2").isScalar)
  }

  @Test func depthAndLengthAreBounded() {
    let deep = String(repeating: "(", count: 1000) + "x" + String(repeating: ")", count: 1000)
    let long = "x" + String(repeating: " + x", count: 1500)
    let wide = "x" + String(repeating: " + x", count: 500)
    for text in [deep, long, wide] {
      #expect(throws: ExpressionError.self) { try MetricExpression(parsing: text) }
    }
    #expect(throws: Never.self) {
      try MetricExpression(parsing: String(repeating: "-", count: 2000) + "x")
    }
  }

  @Test(arguments: [
    ("0s", 0), ("0", 0), ("250ms", 250), ("1h30m", 5_400_000), ("2d", 172_800_000), ("1m1s1ms", 61_001),
  ])
  func spansReadBack(_ text: String, _ milliseconds: Int64) {
    #expect(TimeSpan.milliseconds(parsing: text) == milliseconds)
    #expect(TimeSpan.milliseconds(parsing: TimeSpan.text(milliseconds: milliseconds)) == milliseconds)
  }

  @Test(arguments: ["", "5", "m", "5m1h", "1m1m", "-5m", "5.5m", "5min", "99999999999999999999d", "9y"])
  func spansThatAreNone(_ text: String) { #expect(TimeSpan.milliseconds(parsing: text) == nil) }

  /// Whatever the bytes: an expression or an error, and what is accepted can be evaluated.
  @Test(arguments: [1, 2, 3] as [UInt64])
  func randomTextNeverTraps(_ seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let words = [
      "rate", "sum", "by", "without", "(", ")", "[", "]", "{", "}", "5m", "[5m]", "x", "=~", "!~", "=", "==",
      "\"a|b\"", "'", "\"", "\\", ",", " ", "\n", "-", "+", "*", "/", "1e9", ".5", "1e", "and", "unless",
      "or",
      "on", "ignoring", "time", "()", "absent", "histogram_quantile", "quantile_over_time", "NaN", "é",
      "\u{0}",
      "🂡", "0x1", "9999999999999999999999", "__", ":", "offset",
    ]
    var accepted = 0
    for _ in 0..<3000 {
      let text = (0..<(1 + random.below(14))).map { _ in words[random.below(words.count)] }.joined()
      guard let expression = try? MetricExpression(parsing: text) else { continue }
      accepted += 1
      var store = MetricStore(keeping: expression.rangesMs)
      store.append("x", .empty, 1, at: seconds(10))
      store.append("x", LabelSet([.init("a", "b")]), 2, at: seconds(11))
      _ = try? expression.evaluate(in: store, at: seconds(12))
    }
    #expect(accepted > 0, "seed \(seed)")
  }
}
