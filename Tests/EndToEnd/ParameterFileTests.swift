import Core
import Foundation
import ProcessKit
import Testing

private let hasBinary = ProcessInfo.processInfo.environment["WEIR_BINARY"] != nil

/// Scenario parameters that change under a run, as a tool or a person changes them: by writing the file.
@Suite(
  "Parameter file of a run", .enabled(if: hasBinary, "WEIR_BINARY names no binary; run make test"),
  .serialized)
struct ParameterFileTests {
  private func start(_ scratch: Scratch, _ file: String) throws -> SupervisedRun {
    try SupervisedRun(
      folder: scratch.path + "/run",
      ["--enable", "harvest,signal", "--sink", "jsonl", "--rate", "200"] + shortRunSettings
        + ["--set", "strategy.mode=active", "--set", "strategy.parameters=" + file])
  }

  private func parameters(_ run: SupervisedRun) -> JSONValue? { run.ask("status")["result"]?["parameters"] }

  /// The versions that rows carry, in order of appearance.
  private func versions(_ run: SupervisedRun) throws -> [String] {
    var versions: [String] = []
    let folder = run.folder + "/signals/jsonl"
    var lines: [(time: Int64, version: String)] = []
    for name in try Files.list(folder) where name.hasSuffix(".jsonl") {
      for line in try Files.read(folder + "/" + name).split(separator: 0x0A) {
        let row = try Array(line).withUnsafeBytes { try JSONValue(parsing: $0) }
        lines.append((row["recv_ns"]?.integer ?? 0, row["config_version"]?.text ?? ""))
      }
    }
    for (_, version) in lines.sorted(by: { $0.time < $1.time }) where versions.last != version {
      versions.append(version)
    }
    return versions
  }

  private func expectLikeAReplay(_ run: SupervisedRun, _ scratch: Scratch) throws {
    #expect(try weir("tape", "verify", run.folder + "/tape").code == 0)
    let replay = try execute([
      "replay", run.folder + "/tape", "--out", scratch.path + "/judge", "--sink", "jsonl", "--json",
      "--quiet",
      "--config", run.folder + "/config.yaml",
    ])
    #expect(replay.code == 0, "\(replay.error)")
    #expect(replay.last["signals_sha256"] != nil)
    #expect(replay.last["signals_sha256"] == run.json("summary.json")["signals_sha256"])
  }

  @Test func aChangedFileIsTakenOver() throws {
    let scratch = Scratch()
    let file = scratch.file("p.yaml", "version: first\nscenarios:\n  A_H: {entry_buy: 3}\n")
    let run = try start(scratch, file)
    try #require(run.waitReady(["harvest", "signal"]) != nil, "\(run.process.errorText.suffix(2000))")
    #expect(parameters(run)?["version"]?.text == "first")
    #expect(
      parameters(run)?["fallback"]?.elements?.compactMap(\.text).suffix(3) == ["A_L", "Q_H", "Q_L"])
    Thread.sleep(forTimeInterval: 1)

    _ = scratch.file("p.yaml", "version: second\nscenarios:\n  A_H: {entry_by: 2}\n")
    let isRefused = run.wait(60) { run.process.errorText.contains("parameters_refused") }
    #expect(isRefused != nil, "\(run.process.errorText.suffix(2000))")
    #expect(run.process.errorText.contains("did you mean entry_buy?"))
    Thread.sleep(forTimeInterval: 2.5)
    let refusals = run.process.errorText.components(separatedBy: "parameters_refused").count - 1
    #expect(refusals == 1, "said once")
    #expect(parameters(run)?["version"]?.text == "first" && parameters(run)?["failures"]?.integer == 1)

    _ = scratch.file("p.yaml", "version: third\nscenarios:\n  A_H: {entry_buy: 2}\n  Q_L: {exit: 0.1}\n")
    let isTaken = run.wait(60) { parameters(run)?["version"]?.text == "third" }
    #expect(isTaken != nil, "\(run.process.errorText.suffix(2000))")
    Thread.sleep(forTimeInterval: 2)
    // Nothing changes by SIGHUP: it is in force already.
    run.process.signal(SIGHUP)
    Thread.sleep(forTimeInterval: 1)
    _ = try run.process.stop()
    #expect(run.leftovers() == [])

    let manifest = run.manifest
    #expect(manifest["parameters"]?["version"]?.text == "third")
    #expect(manifest["parameters"]?["reloads"]?.integer == 1)
    #expect(manifest["parameters"]?["failures"]?.integer == 1)
    let reloads = manifest["reloads"]?.elements ?? []
    #expect(reloads.compactMap { $0["ok"]?.boolean } == [false, true, true])
    #expect(reloads.last?["applied"]?.elements?.isEmpty == true)
    let version = try #require(reloads[1]["config_version"]?.text)
    #expect(try versions(run) == [manifest["config_version"]?.text ?? "", version])
    try expectLikeAReplay(run, scratch)
  }

  /// The file has changed since; the run goes on, and takes over the change again.
  @Test func aKilledRunGoesOnWithTheNewFile() throws {
    let scratch = Scratch()
    let file = scratch.file("p.yaml", "version: first\nscenarios:\n  A_H: {entry_buy: 3}\n")
    let first = try start(scratch, file)
    try #require(first.waitReady(["harvest", "signal"]) != nil, "\(first.process.errorText.suffix(2000))")
    Thread.sleep(forTimeInterval: 2)
    _ = first.children()
    first.process.signal(SIGKILL)
    _ = try first.process.wait()
    let began = Date()
    while !first.leftovers().isEmpty, Date().timeIntervalSince(began) < 10 { usleep(50_000) }
    _ = scratch.file("p.yaml", "version: second\nscenarios:\n  A_H: {entry_buy: 2}\n")
    let second = try start(scratch, file)
    try #require(second.waitReady(["harvest", "signal"]) != nil, "\(second.process.errorText.suffix(2000))")
    Thread.sleep(forTimeInterval: 4)
    _ = try second.process.stop()
    #expect(second.manifest["parameters"]?["version"]?.text == "second")
    let versions = try versions(second)
    #expect(versions.count == 2 && versions.first == second.manifest["config_version"]?.text, "\(versions)")
    try expectLikeAReplay(second, scratch)
    // Another configuration is no continuation.
    let other = try weir(
      "run", "--run-dir", second.folder, "--set", "flow.levels=3", "--minutes", "0.1")
    #expect(other.code == 1)
  }
}
