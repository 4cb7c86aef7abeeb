import Rules
import Testing

@testable import SimulationKit

/// Alerts that fire by a cause injected into the real stages, and recover when it ends, in tape time.
///
/// The other rules have no cause that these stages can be given in this build, and the series in `config/alerts.yaml`
/// prove them (suite "Shipped rules"):
/// - `queue_dropped`: no queue of the harvester drops;
/// - `feature_compute_slow`: the time that rows take is the machine's, measured around the pipeline;
/// - `predict_slow`, `predict_saturated`, `calibration_off`, `cost_model_off`, `pr_auc_drop`, `false_positives_up`: the
///   model's service is not part of this build;
/// - `export_failing`, `service_down`, `service_unhealthy`, `process_heartbeat_missed`, `ASYNC_TASK_OVERRUN`,
///   `process_cpu_high`, `memory_high`, `process_memory_high`, `open_files_high`, `disk_low`: of processes and of the
///   machine; `WatchTests` fires the third with a real one.
@Suite("Alerts in tape time")
struct AlertTests {
  /// The time before a cause, and how much later than its `for` a rule may fire: the minute that its expression looks
  /// back, and the harvester's check every 15 seconds.
  static let calmSeconds = 90
  static let lookbackSeconds = 90

  /// Fired `for` after the cause began, by no more than the lookback, and recovered; before the cause nothing fired, and
  /// after it only what belongs to it.
  private func expect(
    _ world: AlertWorld, _ rule: String, forSeconds: Int, recoveredBy limit: Int,
    lookback: Int = AlertTests.lookbackSeconds, besides others: Set<String> = []
  ) {
    let cause = AlertTests.calmSeconds
    guard let life = world.life(rule) else {
      Issue.record("\(rule) did not fire; \(world.lives)")
      return
    }
    #expect((cause + forSeconds...cause + forSeconds + lookback).contains(life.fired), "\(life)")
    #expect(life.recovered.map { $0 <= limit } == true, "\(life), must recover by \(limit)")
    #expect(!world.lives.contains { $0.fired <= cause }, "\(world.lives)")
    #expect(Set(world.lives.map(\.rule)) == others.union([rule]), "\(world.lives)")
    #expect(world.world.outcome.violations.isEmpty)
  }

  private func calm(seed: UInt64) throws -> AlertWorld {
    let world = try AlertWorld(seed: seed)
    world.run(seconds: AlertTests.calmSeconds)
    #expect(world.rows.rows > 60)
    return world
  }

  @Test func aFeedThatStops() throws {
    let world = try calm(seed: 1)
    world.cutOff(seconds: 300)
    world.run(seconds: 300)
    let end = world.seconds
    world.run(untilRecovered: "signal_total_zero", secondsMax: 120)
    expect(world, "signal_total_zero", forSeconds: 120, recoveredBy: end + 60)
  }

  @Test func lostTrades() throws {
    let world = try calm(seed: 2)
    world.lose(every: 33, of: "aggTrade")
    world.run(seconds: 450)
    let end = world.seconds
    world.lose(every: nil, of: "aggTrade")
    world.run(untilRecovered: "ws_packet_loss", secondsMax: 180)
    // Behind each hole the flow's windows fill again, and rows have no z meanwhile.
    expect(world, "ws_packet_loss", forSeconds: 300, recoveredBy: end + 120, besides: ["feature_nan"])
    #expect(world.actions.contains(.restartWebSocket))
    // Asked for by the alert, performed once, and what was missed came by REST.
    #expect(world.counters.restarts == 1)
    #expect(world.counters.lost == 0)
  }

  @Test func lostBookEvents() throws {
    let world = try calm(seed: 3)
    world.lose(every: 60, of: "depth@100ms")
    world.run(seconds: 300)
    let end = world.seconds
    world.lose(every: nil, of: "depth@100ms")
    world.run(untilRecovered: "ws_depth_gap", secondsMax: 180)
    expect(world, "ws_depth_gap", forSeconds: 180, recoveredBy: end + 120, besides: ["feature_nan"])
    expect(world, "feature_nan", forSeconds: 180, recoveredBy: end + 120, besides: ["ws_depth_gap"])
    #expect(world.actions.contains(.rebuildSnapshot))
    #expect(world.bookIsSynchronized)
  }

  @Test func aSlowNetwork() throws {
    let world = try calm(seed: 4)
    world.world.network.latencyMs = 500
    world.run(seconds: 720)
    let end = world.seconds
    world.world.network.latencyMs = 5
    world.run(untilRecovered: "ws_end_to_end_slow", secondsMax: 240)
    // Its quantile is of the last one to two minutes.
    expect(
      world, "ws_end_to_end_slow", forSeconds: 600, recoveredBy: end + 180, lookback: 120,
      besides: ["binance_ws_latency_high"])
    expect(
      world, "binance_ws_latency_high", forSeconds: 180, recoveredBy: end + 120,
      besides: ["ws_end_to_end_slow"])
  }

  @Test func aClockThatRunsAway() throws {
    let world = try calm(seed: 5)
    // A tenth too fast. A clock that is set, once, is no drift: the harvester tells that apart.
    world.clockErrorNs = 100_000_000
    world.run(seconds: 600)
    let end = world.seconds
    #expect(world.timeSyncIsForced, "the action reached the signals")
    world.clockErrorNs = 0
    world.run(untilRecovered: "clock_drift", secondsMax: 900)
    // A sample every 30 s; the best of eight is what counts, so it takes some to be seen and some to be forgotten.
    // The offset that latency is freed of lags behind, too.
    expect(
      world, "clock_drift", forSeconds: 300, recoveredBy: end + 600, lookback: 240,
      besides: ["binance_ws_latency_high", "ws_end_to_end_slow"])
    world.run(seconds: AlertWorld.scrapeSeconds)
    #expect(!world.timeSyncIsForced, "time is good again")
  }

  @Test func connectionsThatAreHalfOpen() throws {
    let world = try calm(seed: 6)
    world.halfOpen()
    world.run(seconds: 60)
    world.run(untilRecovered: "WS_HEARTBEAT_MISSED", secondsMax: 120)
    expect(world, "WS_HEARTBEAT_MISSED", forSeconds: 0, recoveredBy: AlertTests.calmSeconds + 120)
    #expect(world.actions.contains(.restartWebSocket))
    #expect(world.isConnected)
  }

  @Test func factorsThatDisagree() throws {
    let world = try calm(seed: 7)
    world.control(#"{"control":"params","version":"0123456789ab","values":{"gates.consistency_min":0.99}}"#)
    world.run(seconds: 90)
    let end = world.seconds
    world.control(#"{"control":"params","version":"0123456789ab","values":{"gates.consistency_min":0}}"#)
    world.run(untilRecovered: "low_consistency_share", secondsMax: 120)
    expect(world, "low_consistency_share", forSeconds: 0, recoveredBy: end + 60)
  }

  @Test func strongSignalsThatCease() throws {
    let world = try calm(seed: 8)
    world.control(#"{"control":"params","version":"0123456789ab","values":{"fusion.base.strong":10}}"#)
    world.run(seconds: 780)
    let end = world.seconds
    world.control(#"{"control":"params","version":"0123456789ab","values":{"fusion.base.strong":1}}"#)
    world.run(untilRecovered: "strong_ratio_collapse", secondsMax: 600)
    expect(world, "strong_ratio_collapse", forSeconds: 120, recoveredBy: end + 600, lookback: 780)
  }

  /// A day without a feed, so that only the commands are on the tape.
  @Test func aModeThatFlapsAndStays() throws {
    let world = try AlertWorld(seed: 9, backoffMsMax: 600_000)
    world.run(seconds: AlertTests.calmSeconds)
    world.closeExchange()
    for _ in 0..<8 {
      for mode in ["active", "quiet"] {
        world.control(#"{"control":"mode","value":"\#(mode)","by":"ctl"}"#)
        world.run(seconds: 60)
      }
    }
    let quiet = world.seconds - 60
    world.everySeconds = 300
    world.run(seconds: 14_400)
    let life = try #require(world.life("stuck_in_quiet"), "\(world.lives)")
    #expect((quiet + 14_400...quiet + 14_400 + 300).contains(life.fired), "\(life)")
    world.control(#"{"control":"mode","value":"auto","by":"ctl"}"#)
    world.run(seconds: 300)
    #expect(world.life("stuck_in_quiet")?.recovered != nil)
    // Seventeen switches, and a day later none of them.
    let flaps = try #require(world.life("mode_switches_frequent"), "\(world.lives)")
    #expect(flaps.fired <= quiet + 300, "\(flaps)")
    world.everySeconds = 900
    world.run(untilRecovered: "mode_switches_frequent", secondsMax: 90_000)
    #expect(
      world.life("mode_switches_frequent")?.recovered.map { $0 <= quiet + 86_400 + 1800 } == true)
    #expect(world.world.outcome.violations.isEmpty)
  }

  @Test func parametersThatTakeLong() throws {
    let world = try calm(seed: 10)
    world.slowDownParameters(milliseconds: 350)
    world.control(#"{"control":"params","version":"0123456789ab","values":{"gates.score_min":0.3}}"#)
    world.run(untilRecovered: "parameter_update_slow", secondsMax: 600)
    // Its rate is of five minutes.
    expect(world, "parameter_update_slow", forSeconds: 0, recoveredBy: AlertTests.calmSeconds + 360)
  }
}
