import Core
import Rules
import Telemetry
import Testing

@Suite("Degrade ladder")
struct DegradeLadderTests {
  private struct Bench {
    var ladder: DegradeLadder
    var store: MetricStore
    var second = 0

    init() throws {
      let rules = try shippedRules()
      ladder = DegradeLadder(rules)
      store = MetricStore(for: rules)
    }

    /// The transitions of `count` seconds: `72 +effect` for entered in second 72, `-effect` for returned.
    mutating func run(_ count: Int, _ samples: [MetricSample]) -> [String] {
      var seen: [String] = []
      for _ in 0..<count {
        second += 1
        store.append(samples, target: [], at: seconds(second))
        for transition in ladder.step(now: seconds(second), store) {
          seen.append("\(second) \(transition.kind == .entered ? "+" : "-")\(transition.effect.rawValue)")
        }
      }
      return seen
    }
  }

  private func backlog(_ value: Double) -> MetricSample {
    MetricSample("weir_run_backlog_records", [.init("process", "signal")], value)
  }
  private func gaps(_ value: Double) -> MetricSample { MetricSample("ws_depth_gap_ratio", [], value) }
  private func clock(_ value: Double) -> MetricSample {
    MetricSample("weir_harvest_degraded_time_sync", [], value)
  }

  /// Each trigger of operations.md and what it leads to.
  @Test(arguments: [
    ("weir_run_backlog_records", 60_000, 100, 10, ["light_rows", "strong_only"]),
    ("ws_depth_gap_ratio", 0.01, 0, 60, ["thresholds_up"]),
    ("ws_packet_loss_ratio", 0.05, 0, 60, ["thresholds_up"]),
    ("weir_harvest_degraded_time_sync", 1, 0, 0, ["thresholds_up"]),
    ("weir_signal_volatility_bps", 80, 10, 30, ["conservative_cost"]),
    ("weir_harvest_connections_open", 0, 2, 300, ["rest_fallback"]),
    ("weir_run_disk_free_ratio", 0.05, 0.5, 10, ["compress_now"]),
  ])
  func everyTriggerHasItsEffects(
    _ metric: String, _ bad: Double, _ good: Double, _ after: Int, _ effects: [String]
  )
    throws
  {
    var bench = try Bench()
    let labels: [MetricSample.Label] =
      metric == "weir_run_backlog_records" ? [.init("process", "signal")] : []
    #expect(bench.run(10, [MetricSample(metric, labels, good)]) == [])
    let entered = bench.run(after + 1, [MetricSample(metric, labels, bad)])
    #expect(entered == effects.map { "\(11 + after) +\($0)" })
    let transition = try #require(bench.ladder.history.first)
    #expect(transition.value == bad)
    #expect(transition.reason.isEmpty == false)
    let returned = bench.run(1200, [MetricSample(metric, labels, good)])
    #expect(returned.map { $0.split(separator: " ")[1] } == effects.reversed().map { "-\($0)" })
    #expect(bench.ladder.activeEffects.isEmpty)
  }

  @Test func returnIsStepwise() throws {
    var bench = try Bench()
    _ = bench.run(11, [backlog(60_000), gaps(0)])
    #expect(bench.ladder.activeEffects == [.lightRows, .strongOnly])
    #expect(bench.run(61, [backlog(60_000), gaps(0.01)]) == ["72 +thresholds_up"])
    #expect(bench.ladder.activeSteps == ["depth_holes", "backlog_deep"])
    // Both are good from second 73; the backlog's clear time is 60 s, the gaps' 120 s, and no two at once.
    let seen = bench.run(600, [backlog(10), gaps(0)])
    #expect(seen == ["133 -strong_only", "193 -light_rows", "313 -thresholds_up"])
    #expect(bench.ladder.history.count == 6)
    #expect(bench.ladder.history.last?.reason == "0, within 0.002 for 2m")
  }

  @Test func aRelapseTakesEverythingAgain() throws {
    var bench = try Bench()
    _ = bench.run(11, [backlog(60_000)])
    #expect(bench.run(61, [backlog(0)]) == ["72 -strong_only"])
    #expect(bench.run(11, [backlog(60_000)]) == ["83 +strong_only"])
    // A short good spell is no recovery.
    #expect(bench.run(59, [backlog(0)]) == [])
    #expect(bench.run(1, [backlog(60_000)]) == [])
    #expect(bench.run(60, [backlog(0)]) == [])
    #expect(bench.run(1, [backlog(0)]) == ["204 -strong_only"])
  }

  @Test func anEffectLastsUntilItsLastStepLetsGo() throws {
    var bench = try Bench()
    #expect(bench.run(1, [clock(1), gaps(0.01)]) == ["1 +thresholds_up"])
    #expect(bench.run(61, [clock(1), gaps(0.01)]) == [])
    #expect(bench.ladder.activeSteps == ["depth_holes", "time_degraded"])
    #expect(bench.run(300, [clock(0), gaps(0.01)]) == [])
    #expect(bench.ladder.activeSteps == ["depth_holes"])
    #expect(bench.run(121, [clock(0), gaps(0)]) == ["483 -thresholds_up"])
  }

  /// A dead service's silence is neither a reason to degrade nor a recovery.
  @Test func silenceIsUnknown() throws {
    var bench = try Bench()
    #expect(bench.run(600, []) == [])
    _ = bench.run(11, [backlog(60_000)])
    #expect(bench.run(1000, []) == [])
    #expect(bench.ladder.activeEffects == [.lightRows, .strongOnly])
    // The clear time counts from the first measurement.
    #expect(bench.run(60, [backlog(0)]) == [])
    #expect(bench.run(1, [backlog(0)]) == ["1672 -strong_only"])
  }

  @Test func historyIsBounded() throws {
    let quick = RuleFileTests.good.replacing("recover_for: 1m", with: "recover_for: 1s")
    let rules = try RuleSet(parsing: quick, path: "test.yaml")
    var ladder = DegradeLadder(rules)
    var store = MetricStore(for: rules)
    for second in 0..<900 {
      store.append("depth", .empty, second % 3 == 0 ? 9 : 0, at: seconds(second))
      _ = ladder.step(now: seconds(second), store)
    }
    #expect(ladder.history.count == DegradeLadder.historyMax)
    #expect(ladder.history.last?.at == seconds(899))
  }
}
