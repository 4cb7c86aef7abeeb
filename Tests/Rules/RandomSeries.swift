import Core
import Rules
import Telemetry

/// Random counters with resets, gauges and histograms with gaps and ends, for our store and for promtool.
///
/// Values are multiples of 1/4, so that sums don't depend on their order.
struct RandomSeries {
  static let everySeconds = 15
  static let stepCount = 80

  struct Series {
    var name: String
    var labels: LabelSet
    /// In promtool's notation: a number, `_` or `stale`.
    var values: [String]
  }

  private(set) var series: [Series] = []

  init(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    for symbol in ["BTC", "ETH", "SOL"] {
      for reason in ["lag", "weak"] where random.bernoulli(0.8) {
        let labels = [MetricSample.Label("symbol", symbol), .init("reason", reason), .init("job", "signal")]
        add("gated_total", labels, counter(&random), &random)
      }
      add("rows_total", [.init("symbol", symbol), .init("job", "signal")], counter(&random), &random)
      add("lag", [.init("symbol", symbol), .init("job", "signal")], gauge(&random), &random)
      add("spread", [.init("symbol", symbol), .init("job", "signal")], gauge(&random), &random)
      add(
        "mode", [.init("symbol", symbol), .init("job", "run")], gauge(&random).map { $0 < 0 ? 0 : 1 }, &random
      )
      addHistogram(symbol, &random)
    }
  }

  private mutating func add(
    _ name: String, _ labels: [MetricSample.Label], _ values: [Double], _ random: inout SeededRandom
  ) {
    var words: [String] = []
    var gap = random.bernoulli(0.3) ? random.below(20) : 0
    for value in values {
      if gap == 0, random.bernoulli(0.04) { gap = random.bernoulli(0.2) ? 30 : 1 + random.below(6) }
      if gap > 0 {
        words.append("_")
        gap -= 1
      } else if random.bernoulli(0.02) {
        words.append("stale")
      } else {
        words.append(value == value.rounded() ? String(Int(value)) : value.description)
      }
    }
    series.append(Series(name: name, labels: LabelSet(labels), values: words))
  }

  private func counter(_ random: inout SeededRandom) -> [Double] {
    var value = random.bernoulli(0.5) ? 0 : Double(random.below(4000)) / 4
    let isIdle = random.bernoulli(0.2)
    return (0..<Self.stepCount).map { _ in
      if random.bernoulli(0.03) { value = Double(random.below(20)) / 4 }
      if !isIdle { value += random.bernoulli(0.3) ? 0 : Double(random.below(200)) / 4 }
      return value
    }
  }

  private func gauge(_ random: inout SeededRandom) -> [Double] {
    (0..<Self.stepCount).map { _ in random.bernoulli(0.1) ? 0 : Double(random.below(400)) / 4 - 50 }
  }

  private mutating func addHistogram(_ symbol: String, _ random: inout SeededRandom) {
    let bounds = ["0.1", "0.25", "0.5", "1", "+Inf"]
    var counts = [Double](repeating: 0, count: bounds.count)
    var values = [[Double]](repeating: [], count: bounds.count)
    for _ in 0..<Self.stepCount {
      if random.bernoulli(0.02) { counts = counts.map { _ in 0 } }
      for _ in 0..<random.below(12) {
        let bucket = random.below(bounds.count)
        for index in bucket..<bounds.count { counts[index] += 1 }
      }
      for index in bounds.indices { values[index].append(counts[index]) }
    }
    for index in bounds.indices {
      add("age_bucket", [.init("symbol", symbol), .init("le", bounds[index])], values[index], &random)
    }
  }

  /// The store as it is after all samples up to a time.
  func store(upTo second: Int, keeping rangesMs: [String: Int64]) -> MetricStore {
    var store = MetricStore(keeping: rangesMs)
    for index in 0..<Self.stepCount where index * Self.everySeconds <= second {
      for series in series where series.values[index] != "_" {
        let value = Double(series.values[index])
        store.append(series.name, series.labels, value, at: seconds(index * Self.everySeconds))
      }
    }
    return store
  }

  /// The `input_series` of a promtool test.
  var promtoolText: String {
    var text = "    interval: \(Self.everySeconds)s\n    input_series:\n"
    for series in series {
      let name = series.name + series.labels.description
      text += "      - series: '\(name)'\n        values: '\(series.values.joined(separator: " "))'\n"
    }
    return text
  }
}

/// Random expressions whose value doesn't depend on the order of series.
struct RandomExpression {
  var random: SeededRandom

  mutating func next() -> String { vector(3) }

  private mutating func pick(_ texts: [String]) -> String { texts[random.below(texts.count)] }

  private mutating func selector() -> String {
    let name = pick(["rows_total", "gated_total", "lag", "spread", "mode", "absent_metric"])
    let matcher = pick([
      "", "", #"{symbol="BTC"}"#, #"{symbol!="ETH"}"#, #"{symbol=~"BTC|SOL"}"#, #"{symbol!~"SOL|XRP"}"#,
      #"{reason=""}"#, #"{job="signal",symbol=~"ETH|"}"#,
    ])
    return name + matcher
  }

  private mutating func range() -> String { selector() + pick(["[30s]", "[1m]", "[2m30s]", "[5m]"]) }

  private mutating func scalar() -> String { pick(["0", "1", "-2.5", "8", "0.25", "time()", "(2 + 3 * 4)"]) }

  private mutating func matching() -> String {
    pick(["", "", "on (symbol) ", "on () ", "ignoring (job) ", "ignoring (reason, job) "])
  }

  /// Sums and products of quarters are exact for a few levels.
  private mutating func exact(_ depth: Int) -> String {
    if depth == 0 { return selector() }
    switch random.below(6) {
    case 0: return "(\(exact(depth - 1)) \(pick(["+", "-"])) \(matching())\(exact(depth - 1)))"
    case 1: return "sum by (\(pick(["symbol", "job", "symbol, reason", ""]))) (\(exact(depth - 1)))"
    case 2: return "-\(exact(depth - 1))"
    case 3: return "\(pick(["clamp_max", "clamp_min"]))(\(exact(depth - 1)), \(scalar()))"
    case 4: return "abs(\(exact(depth - 1)))"
    default: return selector()
    }
  }

  private mutating func vector(_ depth: Int) -> String {
    if depth == 0 { return exact(1) }
    switch random.below(13) {
    case 0, 1: return "\(pick(["rate", "increase", "delta"]))(\(range()))"
    case 2:
      let function = pick([
        "avg_over_time", "max_over_time", "min_over_time", "sum_over_time", "count_over_time",
        "last_over_time",
      ])
      return "\(function)(\(range()))"
    case 3: return "quantile_over_time(\(pick(["0.5", "0.9", "0", "1", "1.5"])), \(range()))"
    case 4: return "histogram_quantile(\(pick(["0.5", "0.95", "0.99", "-1"])), rate(age_bucket[5m]))"
    case 5: return "absent(\(vector(depth - 1)))"
    case 6: return "\(vector(depth - 1)) \(pick(["and", "or", "unless"])) \(matching())\(vector(depth - 1))"
    case 7:
      return
        "(\(vector(depth - 1)) \(pick(["<", "<=", "==", "!=", ">", ">="])) \(matching())\(vector(depth - 1)))"
    case 8: return "(\(vector(depth - 1)) \(pick(["<", ">", "!="])) \(scalar()))"
    case 9: return "(\(scalar()) \(pick([">", "<=", "==", "+", "*", "/"])) \(vector(depth - 1)))"
    case 10: return "(\(vector(depth - 1)) \(pick(["+", "-", "*", "/"])) \(matching())\(vector(depth - 1)))"
    case 11:
      return "\(pick(["max", "min", "count"])) \(pick(["by", "without"])) (\(pick(["symbol", "job", ""]))) "
        + "(\(vector(depth - 1)))"
    default: return exact(2)
    }
  }
}
