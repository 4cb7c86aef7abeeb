import CommandLineKit
import Core
import Foundation
import ProcessKit

/// Kills services of a running Weir at random and proves that nobody could tell from what it leaves.
///
/// **Problem.** "Crash equals no crash" has to hold at every instant of a service's life: while it reads its
/// configuration, restores a checkpoint, writes half a line, drains. Instants of that kind cannot be listed.
///
/// **Why the obvious answer fails.** A test that kills a service at a chosen point proves that point. A service
/// inside the test's own process cannot be killed at all: what the kernel does with its files, sockets and
/// memory is part of the question.
///
/// **Method.** The binary that a desk runs, `weir run` with its own venue, in real time. A seed draws the
/// services and the moments of `kill -9`: alone, in pairs, again while the service starts, during the start of
/// the whole and during its drain. The judge is the same binary over the same tape, undisturbed: signals,
/// orders and reports must be the same bytes. The seed repeats the plan; the instants within a service's work
/// are the machine's own, which is why many kills are made.
///
/// **Bounds.** A recovery may take 12 s, the whole end 90 s. Kills are spread over rounds of a run each, so
/// that starts and drains are hit as well, and each round is judged by itself.
@main
enum ChaosCommand {
  /// There is one thing to do, so that its name may be left out: `chaos BINARY --kills 200`.
  static func main() {
    let words = Array(CommandLine.arguments.dropFirst())
    let isNamed = words.first.map { ["run", "help", "version", "--help", "-h"].contains($0) } ?? true
    signal(SIGPIPE, SIG_IGN)
    exit(tool.run(isNamed ? words : ["run"] + words, console: Console()).rawValue)
  }

  private static let tool = CommandLineTool(
    name: "chaos", summary: "kill -9 of random services; outputs must equal an undisturbed run's",
    version: "1",
    commands: [command])

  private static let command = Command(
    name: "run", summary: "rounds of kills; exit code 1 when anything differs",
    arguments: [CommandArgument("binary", "the weir binary")],
    options: [
      .integer("kills", 1...100_000, default: 200, "how many"),
      .integer("seed", 0...Int.max, default: 1, "of the plan and of the market"),
      .integer("rounds", 1...1000, "runs they are spread over; default: one for each 50"),
      .integer("quiet-ms", 0...600_000, default: 250, "mean pause between a recovery and the next kill"),
      .double("recovery-s-max", 0.1...600, default: 12, "limit of a recovery"),
      .text("services", "A,B", default: "harvest,signal,broker,report", "whom to kill"),
      .text("symbols", "A,B", default: "BTCUSDT,ETHUSDT", "the market's symbols"),
      .double("rate", 1...200_000, default: 1000, "frames a second of the market"),
      .text("run-dir", "DIR", "keep all files here; default: a folder that is removed when all is well"),
      .text("set", "KEY=VALUE", "a configuration key, for run and judge alike").repeatable(),
    ],
    examples: ["chaos run .build/release/weir --kills 200 --seed 7", "chaos run weir --kills 20 --json"]
  ) { arguments in
    let kills = arguments.integer("kills")!
    let rounds = arguments.integer("rounds") ?? max(1, (kills + 25) / 50)
    let seed = UInt64(arguments.integer("seed")!)
    let keeps = arguments.has("run-dir")
    let folder = arguments.text("run-dir") ?? NSTemporaryDirectory() + "weir-chaos-" + UUID().uuidString
    let root = try absolute(folder)
    let configuration = root + "/chaos.yaml"
    try Files.writeAtomically(configuration, configurationText)
    let services = try arguments.list("services")
    for name in services where !SupervisedRun.services.contains(name) {
      throw UsageError("--services knows \(SupervisedRun.services.joined(separator: ", ")); found \(name)")
    }

    var report = ChaosReport(seed: seed)
    let clock = DispatchTime.now().uptimeNanoseconds
    for round in 0..<rounds {
      let share = kills * (round + 1) / rounds - kills * round / rounds
      guard share > 0 else { continue }
      var random = SeededRandom(seed: seed).stream(UInt64(round))
      let plan = ChaosPlan(
        kills: share, services: services, quietMsMean: arguments.integer("quiet-ms")!, random: &random)
      let folder = root + "/round-\(round + 1)"
      let settings = ["--config", configuration] + arguments.texts("set").flatMap { ["--set", $0] }
      let performed = ChaosRound(
        .init(
          binary: arguments.argument("binary"), folder: folder, settings: settings,
          runWords: [
            "--enable", SupervisedRun.services.joined(separator: ","), "--sink", "dual", "--minutes", "600",
            "--seed", "\(seed &+ UInt64(round))", "--symbols", arguments.text("symbols")!,
            "--rate", arguments.text("rate")!, "--json",
          ], services: services, recoverySecondsMax: arguments.double("recovery-s-max")!))
      try performed.perform(plan) { arguments.console.note("round \(round + 1)/\(rounds): \($0)") }
      var verification = ChaosVerification(
        binary: arguments.argument("binary"), folder: folder, judgeFolder: folder + "-judge",
        settings: settings)
      try verification.perform()
      report.add(performed, verification)
    }
    report.seconds = Double(DispatchTime.now().uptimeNanoseconds - clock) / 1e9
    if !arguments.isJSON { try arguments.console.write(report.text(arguments.console.style)) }
    try arguments.console.print(json: report.json)
    if !keeps, report.holds {
      try? FileManager.default.removeItem(atPath: root)
    } else {
      arguments.console.note("files: \(root)")
    }
    return report.holds ? .ok : .failedCheck
  }

  private static func absolute(_ folder: String) throws -> String {
    try Files.makeFolder(folder)
    guard let whole = realpath(folder, nil) else { throw FileError("resolve", folder) }
    defer { free(whole) }
    return String(cString: whole)
  }

  /// Short waits of the strategy, so that kills meet confirmed signals and orders and not the warm-up that
  /// follows each; and a supervisor that does not give up.
  private static let configurationText = """
    flow:
      ofi_window_ms: 1000
      cvd_window_ms: 1000
      history_ms: 60000
      history_stride_ms: 200
      warmup_ms: 1000
      row_interval_ms: 100
    fusion:
      base:
        signal: 0.8
        strong: 1.6
    gates:
      consistency_min: 0
      dedupe_ms: 0
      missing_ratio_max: 1
      resync_cooldown_ms: 200
      reconnect_cooldown_ms: 200
      reverse_cooldown_ms: 100
    run:
      restarts_max: 1000
      backoff_ms_max: 500
      stable_s: 1
      health_s: 1

    """
}
