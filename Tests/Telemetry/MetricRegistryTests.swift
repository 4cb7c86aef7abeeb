import Core
import Telemetry
import Testing

/// What a registry writes, without the two lines about itself.
private func text(_ registry: MetricRegistry) -> String {
  var writer = ByteWriter()
  registry.write(into: &writer)
  return writer.string().split(separator: "\n", omittingEmptySubsequences: false)
    .filter { !$0.contains(" weir_telemetry_series_dropped_total ") }.joined(separator: "\n")
}

@Suite("Metric registry") struct MetricRegistryTests {
  @Test("families stand in order of first registration, each with one head") func order() {
    let registry = MetricRegistry()
    registry.gauge("b_ratio", "Second letter.").set(0.25)
    registry.counter("a_total", "First letter.", labels: ["symbol": "BTCUSDT"]).add()
    registry.gauge("b_ratio", "Second letter.", labels: ["symbol": "ETHUSDT"]).set(-1)
    registry.counter("a_total", "First letter.", labels: ["symbol": "ETHUSDT"]).add(41.5)
    #expect(
      text(registry) == """
        # HELP b_ratio Second letter.
        # TYPE b_ratio gauge
        b_ratio 0.25
        b_ratio{symbol="ETHUSDT"} -1
        # HELP a_total First letter.
        # TYPE a_total counter
        a_total{symbol="BTCUSDT"} 1
        a_total{symbol="ETHUSDT"} 41.5

        """)
  }

  @Test("a histogram's buckets are cumulative and inclusive above") func histogram() {
    let registry = MetricRegistry()
    let histogram = registry.histogram(
      "wait_seconds", "Waiting.", buckets: [0.005, 1, 2.5], labels: ["step": "x"])
    for value in [-1, 0.005, 0.006, 1, 3] { histogram.observe(value) }
    histogram.observe(2, count: 10)
    histogram.observe(.nan)
    histogram.observe(7, count: 0)
    #expect(
      text(registry) == """
        # HELP wait_seconds Waiting.
        # TYPE wait_seconds histogram
        wait_seconds_bucket{step="x",le="0.005"} 2
        wait_seconds_bucket{step="x",le="1"} 4
        wait_seconds_bucket{step="x",le="2.5"} 14
        wait_seconds_bucket{step="x",le="+Inf"} 15
        wait_seconds_sum{step="x"} 23.011
        wait_seconds_count{step="x"} 15

        """)
    #expect(histogram.counts == [2, 2, 10, 1])
  }

  @Test("a distribution kept elsewhere is taken over") func takenOver() {
    let histogram = MetricRegistry().histogram("wait_seconds", "Waiting.", buckets: [1, 2])
    histogram.set(sum: 12, count: 9) { $0 == 1 ? 4 : 7 }
    #expect(histogram.counts == [4, 3, 2])
    #expect(histogram.sum == 12)
    #expect(histogram.count == 9)
  }

  @Test("the same name and labels give the same object, in whichever order the labels are named")
  func identity() {
    let registry = MetricRegistry()
    let first = registry.counter("c_total", "C.", labels: ["a": "1", "b": "2"])
    #expect(registry.counter("c_total", "C.", labels: ["b": "2", "a": "1"]) === first)
    #expect(registry.counter("c_total", "C.", labels: ["a": "1", "b": "3"]) !== first)
    #expect(registry.counter("c_total", "C.") !== first)
    let histogram = registry.histogram("h", "H.", buckets: [1])
    #expect(registry.histogram("h", "H.", buckets: [1]) === histogram)
  }

  @Test("values and texts are escaped and spelt as Prometheus does") func spelling() {
    let registry = MetricRegistry()
    registry.gauge("g", "A \\ and\na \"line\".", labels: ["v": "a\\b\"c\nd,}=é"]).set(.nan)
    registry.gauge("g", "", labels: ["v": "up"]).set(.infinity)
    registry.gauge("g", "", labels: ["v": "down"]).set(-.infinity)
    registry.gauge("g", "", labels: ["v": "tiny"]).set(.leastNonzeroMagnitude)
    registry.gauge("g", "", labels: ["v": "large"]).set(1.5e300)
    #expect(
      text(registry) == #"""
        # HELP g A \\ and\na "line".
        # TYPE g gauge
        g{v="a\\b\"c\nd,}=é"} NaN
        g{v="up"} +Inf
        g{v="down"} -Inf
        g{v="tiny"} 5e-324
        g{v="large"} 1.5e+300

        """#)
  }

  @Test("a declared metric has a head and no sample") func declared() {
    let registry = MetricRegistry()
    registry.declare("later_total", .counter, "Later.")
    #expect(text(registry) == "# HELP later_total Later.\n# TYPE later_total counter\n")
    #expect(registry.samples().isEmpty)
    registry.counter("later_total", "Later.").add()
    #expect(registry.samples() == [MetricSample("later_total", [], 1)])
  }

  @Test("jobs run before every exposition, in order, and may add series") func collecting() {
    let registry = MetricRegistry()
    let depth = registry.gauge("depth", "Depth.")
    var runs = 0.0
    registry.onCollect { runs += 1 }
    registry.onCollect {
      depth.set(runs)
      registry.counter("runs_total", "Runs.").set(total: runs)
    }
    #expect(registry.samples().map(\.value) == [1, 1])
    #expect(text(registry).contains("\ndepth 2\n"))
    #expect(text(registry).contains("\nruns_total 3\n"))
  }

  @Test("beyond the bound of a family one hidden object is shared and every request counted")
  func bounded() {
    let registry = MetricRegistry(seriesPerFamilyMax: 2)
    for index in 0..<5 { registry.counter("c_total", "C.", labels: ["n": "\(index)"]).add() }
    let extra = registry.gauge("g", "G.", labels: ["n": "0"])
    #expect(registry.gauge("g", "G.", labels: ["n": "1"]) !== extra)
    let hidden = registry.gauge("g", "G.", labels: ["n": "2"])
    #expect(registry.gauge("g", "G.", labels: ["n": "3"]) === hidden)
    #expect(registry.gauge("g", "G.", labels: ["n": "0"]) === extra)
    registry.histogram("h", "H.", buckets: [1]).observe(0)
    for index in 0..<3 { registry.histogram("h", "H.", buckets: [1], labels: ["n": "\(index)"]).observe(0) }
    let samples = registry.samples()
    #expect(samples.filter { $0.name == "c_total" }.map(\.value) == [1, 1])
    #expect(samples.filter { $0.name == "g" }.count == 2)
    #expect(samples.filter { $0.name == "h_count" }.count == 2)
    let dropped = samples.filter { $0.name == "weir_telemetry_series_dropped_total" }
    #expect(dropped.map { $0["metric"] } == ["c_total", "g", "h"])
    #expect(dropped.map(\.value) == [3, 2, 2])
  }

  @Test("samples are what the text says, histograms included") func samples() {
    let registry = MetricRegistry()
    registry.histogram("h", "H.", buckets: [0.5], labels: ["a": "1"]).observe(0.25)
    let label = MetricSample.Label("a", "1")
    #expect(
      registry.samples() == [
        MetricSample("h_bucket", [label, .init("le", "0.5")], 1),
        MetricSample("h_bucket", [label, .init("le", "+Inf")], 1),
        MetricSample("h_sum", [label], 0.25),
        MetricSample("h_count", [label], 1),
      ])
  }

  @Test("a total kept elsewhere is taken over, a restart included") func totals() {
    let counter = MetricRegistry().counter("c_total", "C.")
    counter.set(total: 17)
    counter.add(2)
    #expect(counter.value == 19)
    counter.set(total: 3)
    #expect(counter.value == 3)
  }
}
