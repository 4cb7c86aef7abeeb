import Core
import Foundation
import ProcessKit
import Testing

private let hasBinary = ProcessInfo.processInfo.environment["WEIR_BINARY"] != nil

/// Short waits of the strategy, so that a run of some seconds has confirmed signals and orders; frequent looks.
let shortRunSettings = [
  "flow.ofi_window_ms=1000", "flow.cvd_window_ms=1000", "flow.history_ms=60000", "flow.history_stride_ms=200",
  "flow.warmup_ms=1000", "flow.row_interval_ms=100", "fusion.base.signal=0.8", "fusion.base.strong=1.6",
  "gates.consistency_min=0", "gates.resync_cooldown_ms=200", "gates.reconnect_cooldown_ms=200",
  "run.health_s=1", "run.scrape_s=1",
].flatMap { ["--set", $0] }
let allServices = ["--enable", "harvest,signal,broker,report"]

/// The whole product as a desk runs it: one command, real processes, signals and files.
@Suite("Run", .enabled(if: hasBinary, "WEIR_BINARY names no binary; run make test"), .serialized)
struct RunTests {
  /// What an undisturbed replay of the run's tape gives must be what the run left.
  private func expectLikeAReplay(_ run: SupervisedRun, _ scratch: Scratch) throws {
    #expect(try weir("tape", "verify", run.folder + "/tape").code == 0)
    let out = scratch.path + "/judge"
    let replay = try execute([
      "replay", run.folder + "/tape", "--out", out, "--sink", "jsonl", "--json", "--quiet", "--config",
      run.folder + "/config.yaml",
    ])
    #expect(replay.code == 0, "\(replay.error)")
    #expect(replay.last["signals_sha256"] != nil)
    #expect(replay.last["signals_sha256"] == run.json("summary.json")["signals_sha256"])
    let (mine, theirs) = (run.folder + "/signals/jsonl", out + "/signals/jsonl")
    let names = try Files.list(theirs).filter { $0.hasSuffix(".jsonl") }
    #expect(!names.isEmpty)
    for name in names {
      #expect(try Files.read(mine + "/" + name) == Files.read(theirs + "/" + name), "\(name)")
    }
  }

  /// Conditions that did not hold, by name.
  private func broken(_ run: SupervisedRun) -> [String] {
    (run.manifest["conditions"]?.elements ?? []).filter { $0["holds"]?.boolean != true }.map {
      "\($0["name"]?.text ?? "?"): \($0["value"]?.text ?? "?") (limit \($0["limit"]?.text ?? "?"))"
    }
  }

  @Test func aShortRunLeavesItsEvidence() throws {
    let scratch = Scratch()
    let run = try SupervisedRun(
      folder: scratch.path + "/run",
      allServices + ["--sink", "dual", "--minutes", "0.34", "--rate", "400", "--json"] + shortRunSettings)
    let (code, last) = try run.process.wait()
    #expect(code == 0, "\(broken(run)) \(run.process.errorText.suffix(2000))")
    #expect(run.leftovers() == [])

    let manifest = run.manifest
    #expect(last["run_id"] != nil && last["run_id"] == manifest["run_id"])
    for key in [
      "started_at", "ended_at", "config_hash", "restart_backoff_pattern", "alerts", "timeseries_data",
      "artefacts",
    ] {
      #expect(manifest[key] != nil, "\(key)")
    }
    for name in SupervisedRun.services {
      let process = manifest["status"]?["processes"]?[name]
      #expect((process?["pid"]?.integer ?? 0) > 0, "\(name)")
      #expect(process?["state"]?.text == "stopped", "\(name)")
      #expect(process?["restart_count"]?.integer == 0, "\(name)")
      let usage = manifest["resource_usage"]?["processes"]?[name]
      #expect(
        (usage?["max_rss_mb"]?.double ?? 0) > 1 && (usage?["max_open_files"]?.integer ?? 0) > 3, "\(name)")
    }
    let harvester = manifest["harvester_metrics"]
    for key in ["queue_dropped", "substream_timeout_detected", "reconnect_count", "gaps", "resyncs"] {
      #expect(harvester?[key]?.integer == 0, "\(key)")
    }
    #expect((harvester?["frames"]?.integer ?? 0) > 1000)
    let order = (manifest["shutdown_order"]?.elements ?? []).compactMap(\.text).filter { $0 != "venue" }
    #expect(order == ["report", "broker", "signal", "harvest"])
    #expect(manifest["unread_records"]?.integer == 0)
    #expect(manifest["timeseries_export"]?["export_count"]?.integer == 0)
    #expect(manifest["timeseries_export"]?["error_count"]?.integer == 0)
    #expect((manifest["health"]?["series"]?.elements?.count ?? 0) >= 10)

    let source = run.json("source_manifest.json")
    for key in [
      "symbols", "session_start", "session_end", "ws_endpoints", "ws_region", "input_mode", "replay_mode",
      "config_snapshot",
    ] {
      #expect(source[key] != nil, "\(key)")
    }
    #expect(source["input_mode"]?.text == "embedded")
    let parity = run.json("parity_diff.json")
    #expect(parity["exact"]?.boolean == true)
    #expect((parity["jsonl"]?["confirmed"]?.integer ?? 0) > 0)
    let names = try Files.list(run.folder)
    #expect(names.contains { $0.hasPrefix("summary_") && $0.hasSuffix(".json") })
    #expect(names.contains { $0.hasPrefix("summary_") && $0.hasSuffix(".md") })
    let orders = try Files.read(run.folder + "/orders/orders.jsonl").split(separator: 0x0A)
    let ids = orders.compactMap { line in
      line.withUnsafeBytes { try? JSONValue(parsing: $0)["order_id"]?.text }
    }
    #expect(ids.count == orders.count && !ids.isEmpty && Set(ids).count == ids.count)
    try expectLikeAReplay(run, scratch)
  }

  @Test func killedServicesAreBackAndNobodyCanTell() throws {
    let scratch = Scratch()
    let run = try SupervisedRun(
      folder: scratch.path + "/run", allServices + ["--sink", "dual", "--rate", "400"] + shortRunSettings)
    try #require(run.waitReady() != nil, "\(run.process.errorText.suffix(2000))")
    for name in ["signal", "broker", "signal", "report", "harvest"] {
      Thread.sleep(forTimeInterval: 1.3)
      let old = try #require(run.pid(of: name), "\(name)")
      kill(old, SIGKILL)
      let seconds = run.wait(60) { run.ready(after: [old]).isSuperset(of: SupervisedRun.services) }
      #expect(seconds != nil, "\(name) was not back within 12 s: \(run.states())")
    }
    Thread.sleep(forTimeInterval: 1.5)
    let (code, _) = try run.process.stop()
    #expect(code <= 1, "\(run.process.errorText.suffix(2000))")
    // Looks every second see what one every ten would miss.
    #expect(broken(run).filter { !$0.hasPrefix("health_green_share") } == [])
    #expect(run.leftovers() == [])
    let restarts = run.manifest["restart_backoff_pattern"]?.elements ?? []
    #expect(
      restarts.compactMap { $0["process"]?.text } == ["signal", "broker", "signal", "report", "harvest"])
    for restart in restarts {
      #expect((restart["ready_after_ms"]?.double ?? .infinity) < 12_000, "\(restart.text())")
    }
    #expect(run.json("parity_diff.json")["exact"]?.boolean == true)
    try expectLikeAReplay(run, scratch)
  }

  @Test func ctlVerbsWork() throws {
    let scratch = Scratch()
    let run = try SupervisedRun(
      folder: scratch.path + "/run", allServices + ["--sink", "dual", "--rate", "400"] + shortRunSettings)
    try #require(run.waitReady() != nil, "\(run.process.errorText.suffix(2000))")
    func ctl(_ words: String...) throws -> (code: Int32, last: JSONValue, error: String) {
      try execute(["ctl"] + words + ["--run-dir", run.folder, "--json"])
    }
    Thread.sleep(forTimeInterval: 2)
    let status = try ctl("status")
    #expect(status.code == 0)
    let processes = status.last["processes"]?.elements ?? []
    let names = Set(processes.compactMap { $0["name"]?.text })
    #expect(names.isSuperset(of: SupervisedRun.services))
    // What Prometheus is told to scrape can be scraped.
    let targets = run.json("metrics_targets.json").elements ?? []
    let jobs = Set(targets.compactMap { $0["labels"]?["job"]?.text })
    #expect(jobs.isSuperset(of: SupervisedRun.services + ["run"]))
    for target in targets {
      let port = target["targets"]?[0]?.text?.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
      #expect(try Loopback.request(port: port, "GET", "/healthz").status == 200, "\(target.text())")
      #expect(try Loopback.request(port: port, "GET", "/metrics").body.contains("# TYPE"))
    }

    #expect(try ctl("mode", "quiet").code == 0)
    #expect(run.wait(60) { run.ask("status")["result"]?["mode"]?.text == "quiet" } != nil)
    #expect(try ctl("mode", "auto").code == 0)
    #expect(try ctl("pause-shadow", "on").code == 0)
    #expect(try ctl("pause-shadow", "off").code == 0)
    #expect(try ctl("fallback-rest", "on").code == 0)
    Thread.sleep(forTimeInterval: 1)
    #expect(try ctl("fallback-rest", "off").code == 0)
    // Connections are replaced with an overlap, as in a rotation, so that nothing is missed meanwhile.
    #expect(try ctl("restart-ws").code == 0)
    let isReplaced = run.wait(60) {
      let segments = (try? Files.list(run.folder + "/tape"))?.filter { $0.hasSuffix(".ndjson") } ?? []
      return segments.contains { name in
        let tape = (try? Files.read(run.folder + "/tape/" + name)) ?? []
        return String(decoding: tape, as: UTF8.self).contains(#""kind":"close""#)
      }
    }
    #expect(isReplaced != nil, "restart-ws closed no old connection")
    #expect(try ctl("rebuild-snapshot", "BTCUSDT").code == 0)
    let old = run.pid(of: "broker") ?? 0
    #expect(try ctl("restart", "broker").code == 0)
    #expect(run.wait(60) { run.ready(after: [old]).isSuperset(of: SupervisedRun.services) } != nil)
    #expect(try ctl("reload").code == 0)

    #expect(try ctl("restart", "brokr").code != 0)
    #expect(try ctl("mode", "loud").code == 2)
    #expect(try ctl("no-such-verb").code == 2)
    #expect(try ctl("drain").code == 0)
    let (code, _) = try run.process.wait()
    #expect(code <= 1, "\(run.process.errorText.suffix(2000))")
    #expect(run.manifest["stop_reason"]?.text?.contains("drain") == true)
    let after = try ctl("status")
    #expect(after.code == 1 && after.error.contains(run.folder), "\(after.error)")
    #expect(run.leftovers() == [])
    // What an operator changed is on the tape, and a replay obeys it at the same records.
    try expectLikeAReplay(run, scratch)
  }

  @Test(arguments: ["jsonl", "sqlite"])
  func partOfTheServicesAndOneSink(_ sink: String) throws {
    let scratch = Scratch()
    let run = try SupervisedRun(
      folder: scratch.path + "/run",
      ["--enable", "harvest,signal", "--sink", sink, "--rate", "400"] + shortRunSettings)
    #expect(run.waitReady(["harvest", "signal"]) != nil, "\(run.process.errorText.suffix(2000))")
    Thread.sleep(forTimeInterval: 3)
    #expect(Set(run.children().map(\.name)) == ["venue", "harvest", "signal"])
    let (code, _) = try run.process.stop()
    #expect(code == 0, "\(broken(run)) \(run.process.errorText.suffix(2000))")
    #expect(Files.exists(run.folder + "/signals.sqlite") == (sink == "sqlite"))
    #expect(Files.exists(run.folder + "/signals/jsonl") == (sink == "jsonl"))
    let order = (run.manifest["shutdown_order"]?.elements ?? []).compactMap(\.text).filter { $0 != "venue" }
    #expect(order == ["signal", "harvest"])
    // With one sink there is nothing to compare, and the file says so instead of passing.
    #expect(run.json("parity_diff.json")["pass"]?.boolean == false)
    #expect(run.json("parity_diff.json")["verdict"]?.text == "inconclusive")
  }

  /// A recording of another day is fresh by its own clock, and the run ends when it has been read.
  @Test func aTapeIsRunInItsOwnTime() throws {
    let scratch = Scratch()
    let tape = scratch.path + "/tape"
    let generated = try weir(
      "venue", "generate", "--seed", "4", "--minutes", "2", "--symbols", "BTCUSDT,ETHUSDT", "--out", tape,
      "--quiet")
    #expect(generated.code == 0)
    let run = try SupervisedRun(
      folder: scratch.path + "/run",
      ["--enable", "signal,broker,report", "--tape", tape, "--sink", "dual"] + shortRunSettings
        + ["--set", "run.health_s=3"],
      environment: ["WEIR_REPLAY_MODE": "1"])
    #expect(run.wait(60) { !run.process.isRunning } != nil)
    let (code, _) = try run.process.wait()
    #expect(code == 0, "\(broken(run)) \(run.process.errorText.suffix(2000))")
    #expect(run.json("source_manifest.json")["replay_mode"]?.boolean == true)
    #expect(run.json("parity_diff.json")["exact"]?.boolean == true)
    #expect((run.json("summary.json")["frames_total"]?.integer ?? 0) > 10_000)
  }
}

/// Runs the release binary with a list of words.
func execute(
  _ words: [String], environment: [String: String] = [:]
) throws -> (code: Int32, last: JSONValue, error: String) {
  let process = try WeirProcess(words, environment: environment)
  let (code, last) = try process.wait()
  return (code, last, process.errorText)
}
