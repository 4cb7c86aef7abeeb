import Core
import Foundation
import Testing

private let binary = ProcessInfo.processInfo.environment["WEIR_BINARY"]

@Suite("Evaluate, end to end", .enabled(if: binary != nil, "WEIR_BINARY names no binary; run make test"))
struct EvaluateTests {
  /// A generated market, its run, and everything `weir evaluate` promises about them.
  @Test func contractAndHonestyChecks() throws {
    let scratch = Scratch()
    let (tape, run) = (scratch.path + "/tape", scratch.path + "/run")
    try weir(
      "venue", "generate", "--seed", "11", "--symbols", "BTCUSDT", "--minutes", "12", "--out", tape)
    try weir("replay", tape, "--out", run, "--sink", "jsonl")

    let plain = try weir("evaluate", run, "--tape", tape, "--horizons", "1,10,3600", "--json")
    #expect(plain.code == 0 && plain.json["leak"]?["verdict"]?.text == "clean", "\(plain.error)")
    for horizon in ["1", "10", "3600"] {
      let cell = try #require(plain.json["symbols"]?["BTCUSDT"]?[horizon])
      for member in [
        "n", "n_effective", "auc", "auc_ci", "ic", "ic_ci", "hit_rate", "mean_bps_net", "monotone",
      ] {
        #expect(cell[member] != nil, "\(member) at \(horizon) s")
      }
      #expect((cell["auc_ci"]?.elements?.count == 2) == (horizon != "3600"))
    }
    for file in ["evaluation.json", "evaluation.md", "decay_BTCUSDT.svg"] {
      #expect(Files.exists("\(run)/evaluation/\(file)"))
    }
    #expect(
      try weir("evaluate", run, "--tape", tape, "--horizons", "1,10,3600", "--json").output == plain.output)

    let shuffled = try weir("evaluate", run, "--tape", tape, "--horizons", "10", "--shuffle", "7", "--json")
    #expect(shuffled.code == 0)
    let interval = try #require(shuffled.json["symbols"]?["BTCUSDT"]?["10"]?["auc_ci"])
    #expect(try #require(interval[0]?.double) < 0.5 && #require(interval[1]?.double) > 0.5)

    let shifted = try weir("evaluate", run, "--tape", tape, "--shift-features", "1", "--json")
    #expect(shifted.code == 0 && shifted.json["leak"]?["verdict"]?.text == "leak detected")
    #expect(shifted.json["checks"]?["shift_features"]?["offset"]?.integer == 1)

    let itself = try weir("evaluate", run, "--tape", tape, "--against", run, "--horizons", "10", "--json")
    #expect(itself.json["against"]?[0]?["cells"]?[0]?["auc_difference"]?.double == 0)
    let people = try weir("evaluate", run, "--tape", tape, "--horizons", "10")
    #expect(people.code == 0 && people.output.contains("leak audit: clean"))
  }

  @Test func usage() throws {
    let scratch = Scratch()
    #expect(try weir("evaluate").code == 2)
    #expect(try weir("evaluate", scratch.path).code == 2)
    #expect(try weir("evaluate", scratch.path, "--tape", scratch.path).code == 2)
    #expect(try weir("evaluate", "--klines", scratch.path).code == 2)
    #expect(try weir("evaluate", scratch.path, "--klines", scratch.path).code == 2)
    #expect(try weir("evaluate", scratch.path, "--tape", scratch.path, "--horizons", "10,x").code == 2)
    #expect(try weir("evaluate", scratch.path, "--tape", scratch.path, "--horizons", "10,10").code == 2)
  }
}
