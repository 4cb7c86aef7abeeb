import Core
import Glibc
import Rules
import Testing

/// Our evaluator against Prometheus' own on the same random series: same text, same result, bit by bit.
@Suite("Expressions as Prometheus reads them")
struct PromtoolTests {
  /// Sums and means of fractions depend on the order of series, which promtool shuffles: compared to nine
  /// decimals. The rest is compared exactly.
  static let rounded = [
    "sum(rate(rows_total[1m]))", "sum by (symbol) (increase(gated_total[5m]))",
    "avg by (job) (lag)", "avg without (symbol) (rate(gated_total[2m]))", "avg(spread * 0.1)",
    "sum(rate(rows_total[5m])) by (job) / sum(increase(rows_total[5m])) by (job)",
    "histogram_quantile(0.95, sum by (le) (rate(age_bucket[5m])))",
    "histogram_quantile(0.5, sum by (le, symbol) (increase(age_bucket[3m])))",
    "clamp_max(sum(increase(gated_total[1m])) / sum(increase(rows_total[1m])), 1)",
  ]
  static let exact = [
    "lag", "lag{symbol=\"BTC\"}", "lag{symbol!=\"BTC\",job=~\"signal|run\"}", "lag{symbol=~\"BTC|ETH\"}",
    "lag{reason=\"\"}", "gated_total{reason!~\"lag\"}", "absent_metric",
    "rate(rows_total[1m])", "rate(rows_total[17s])", "increase(rows_total[5m])", "delta(lag[2m])",
    "increase(gated_total{reason=\"lag\"}[45s])", "rate(rows_total[10m])", "increase(rows_total[20m])",
    "avg_over_time(lag[3m])", "max_over_time(lag[3m])", "min_over_time(lag[3m])", "sum_over_time(lag[4m])",
    "count_over_time(lag[5m])", "last_over_time(lag[5m])", "quantile_over_time(0.9, lag[5m])",
    "absent(absent_metric)", "absent(absent_metric{a=\"b\",c!=\"d\",a=\"e\"})", "absent(lag)",
    "absent(absent_metric{a=\"b\"} or absent_metric{c=\"d\"})", "absent(rate(absent_metric{a=\"b\"}[5m]))",
    "histogram_quantile(0.95, age_bucket)", "histogram_quantile(0.5, rate(age_bucket[5m]))",
    "histogram_quantile(0, rate(age_bucket[5m]))", "histogram_quantile(1, increase(age_bucket[2m]))",
    "histogram_quantile(0.9, age_bucket{le!=\"+Inf\"})", "histogram_quantile(2, age_bucket)",
    "clamp_max(lag, 10)", "clamp_min(lag, -10)", "abs(lag)", "-lag", "- -lag", "time()", "time() - lag",
    "sum(lag)", "sum by (symbol) (gated_total)", "sum without (reason, job) (gated_total)",
    "max(lag) - min(lag)", "count by (reason) (gated_total)", "count(lag > 0)",
    "lag + spread", "lag - on (symbol) spread", "lag * ignoring (job) spread", "lag / spread",
    "sum(lag) + on () sum(spread)", "lag > 0", "0 < lag", "lag > spread", "lag > on (symbol) spread",
    "lag == lag", "lag != 0", "lag >= 0 and spread >= 0", "lag and on (symbol) mode == 1",
    "lag unless on (symbol) mode == 1", "lag > 30 or spread > 30", "lag or mode", "lag unless spread",
    "1 + 2 * 3 - 4 / 8", "lag * 2 + 1", "-1 * lag", "lag > 0 == 5", "lag > -1e3 <= 1.5e1", "lag / 0",
    "sum(gated_total) or absent(gated_total) - 1", "lag > -Inf", "lag * NaN",
    "rows_total - on (symbol) sum by (symbol) (gated_total)", "max by (symbol) (lag or spread)",
  ]

  private static func evaluate(_ text: String, _ series: RandomSeries, _ second: Int) throws
    -> [MetricExpression.Element]
  {
    let expression = try MetricExpression(parsing: text)
    let store = series.store(upTo: second, keeping: expression.rangesMs)
    return try expression.evaluate(in: store, at: seconds(second)).elements
  }

  private static func check(_ text: String, _ second: Int, _ samples: [(String, Double)]) -> String {
    let quoted = text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
    var result = "      - expr: '\(quoted)'\n        eval_time: \(second)s\n        exp_samples:\n"
    if samples.isEmpty { result.replace("exp_samples:\n", with: "exp_samples: []\n") }
    for (labels, value) in samples {
      let number = value.isInfinite ? (value < 0 ? "-.inf" : ".inf") : value.description
      result += "          - labels: '\(labels)'\n            value: \(number)\n"
    }
    return result
  }

  /// promtool cannot expect NaN: what is not NaN is compared, and how many there are in all.
  private static func checks(_ text: String, _ series: RandomSeries, _ second: Int, rounded: Bool) throws
    -> String
  {
    let elements = try evaluate(text, series, second)
    if try MetricExpression(parsing: text).isScalar {
      return check(text, second, elements.map { ("{}", $0.value) })
    }
    let perUnit = 1 / 1e-9
    let numbers = elements.filter { !$0.value.isNaN }.map { element in
      (element.series, rounded ? (element.value * perUnit + 0.5).rounded(.down) / perUnit : element.value)
    }
    let filtered = "(\(text)) >= -Inf"
    let count = elements.isEmpty ? [] : [("{}", Double(elements.count))]
    return check(rounded ? "round(\(filtered), 1e-9)" : filtered, second, numbers)
      + check("count(\(text))", second, count)
  }

  private static func agree(_ body: String, _ series: RandomSeries) throws -> (status: Int32, output: String)
  {
    let folder = try TemporaryFolder()
    let text = "tests:\n  - \(series.promtoolText.dropFirst(4))    promql_expr_test:\n" + body
    try Files.writeAtomically("\(folder.path)/expressions.yaml", text)
    return Promtool.run("test rules \(folder.path)/expressions.yaml")
  }

  @Test(.enabled(if: Promtool.isThere, "\(Promtool.missing)"), arguments: [1, 2, 3] as [UInt64])
  func sameResultOnRandomSeries(_ seed: UInt64) throws {
    let series = RandomSeries(seed: seed)
    var random = SeededRandom(seed: seed).stream(1)
    var body = ""
    for text in Self.exact + Self.rounded {
      for _ in 0..<2 {
        // Between scrapes as well as on them, and beyond the last one.
        let second = random.bernoulli(0.3) ? 15 * random.below(90) : random.below(1500)
        body += try Self.checks(text, series, second, rounded: Self.rounded.contains(text))
      }
    }
    let verdict = try Self.agree(body, series)
    #expect(verdict.status == 0, "seed \(seed): \(verdict.output.prefix(3000))")
  }

  /// What we refuse to evaluate is left out here; that Prometheus refuses it too is the next test.
  @Test(.enabled(if: Promtool.isThere, "\(Promtool.missing)"), arguments: [5, 6, 7] as [UInt64])
  func sameResultOnRandomExpressions(_ seed: UInt64) throws {
    let series = RandomSeries(seed: seed)
    var random = SeededRandom(seed: seed).stream(2)
    var expressions = RandomExpression(random: SeededRandom(seed: seed).stream(3))
    var body = ""
    var compared = 0
    for _ in 0..<150 {
      let text = expressions.next()
      do {
        body += try Self.checks(text, series, random.below(1300), rounded: false)
        compared += 1
      } catch is RuleError {
      }
    }
    #expect(compared > 75)
    let verdict = try Self.agree(body, series)
    #expect(verdict.status == 0, "seed \(seed): \(verdict.output.prefix(3000))")
  }

  @Test(
    .enabled(if: Promtool.isThere, "\(Promtool.missing)"),
    arguments: [
      "lag + on () spread", "lag + on (job) spread", "gated_total > on (symbol) lag",
      "abs({__name__=~\"lag|spread\"})", "lag or on () (lag * 2) + on (job) spread",
    ])
  func bothRefuseAmbiguousMatches(_ text: String) throws {
    let series = RandomSeries(seed: 9)
    let accepted = (try? Self.evaluate(text, series, 300)) != nil
    #expect(!accepted)
    #expect(try Self.agree(Self.check(text, 300, []), series).status != 0)
  }

  /// A rule file of ours is never one that Prometheus cannot load.
  @Test(.enabled(if: Promtool.isThere, "\(Promtool.missing)"))
  func prometheusParsesWhatWeParse() throws {
    let seed: UInt64 = 21
    var expressions = RandomExpression(random: SeededRandom(seed: seed))
    var random = SeededRandom(seed: seed).stream(1)
    var texts = Self.exact + Self.rounded
    while texts.count < 600 {
      // Mutated, so that the parsers' edges are met too.
      var scalars = Array(expressions.next().unicodeScalars)
      for _ in 0..<random.below(3) {
        let place = random.below(scalars.count)
        let pool = Array("()[]{},=!~<>+-*/ 0159.eomdx\"_:".unicodeScalars)
        switch random.below(3) {
        case 0: scalars.remove(at: place)
        case 1: scalars[place] = pool[random.below(pool.count)]
        default: scalars.insert(pool[random.below(pool.count)], at: place)
        }
        if scalars.isEmpty { break }
      }
      let text = String(String.UnicodeScalarView(scalars))
      if (try? MetricExpression(parsing: text)) != nil { texts.append(text) }
    }
    let folder = try TemporaryFolder()
    var file = "groups:\n  - name: all\n    rules:\n"
    for (index, text) in texts.enumerated() {
      let escaped = text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
      file += "      - record: r\(index)\n        expr: '\(escaped)'\n"
    }
    try Files.writeAtomically("\(folder.path)/parse.yaml", file)
    let verdict = Promtool.run("check rules \(folder.path)/parse.yaml")
    #expect(verdict.status == 0, "seed \(seed): \(verdict.output.prefix(3000))")
  }
}
