import Configuration
import Core
import Evaluation
import Tape
import Testing
import Venue

@testable import Services

/// The relation planted in a generated market, from its truth to the stored rows.
@Suite("Planted relation in rows")
struct EvaluatePlantedTests {
  /// z of the past ten seconds' flow against the next ten seconds' move, on rows ten seconds apart, has the AUC that
  /// the market's own observer measured, within its interval.
  @Test func theTruthsAUCIsFoundInTheRows() throws {
    let seed: UInt64 = 1
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    let market = try MarketOptions(seed: seed, symbols: ["BTCUSDT"], minutes: 20, framesPerSecond: 25)
    let truth = try generateMarket(market, output: folder + "/tape", tape: TapeWriter.Options()).truth
    let loaded = try ConfigLoader(WeirConfiguration.schema).load(overrides: [
      (key: "flow.ofi_window_ms", value: "10000"), (key: "flow.levels", value: "1"),
      (key: "flow.row_interval_ms", value: "1000"), (key: "flow.warmup_ms", value: "60000"),
    ])
    _ = try Replay.run(
      ReplayOptions(
        tape: folder + "/tape", out: folder + "/run", sink: .jsonl, configuration: loaded.value,
        configurationVersion: loaded.version,
        configurationText: loaded.render(omitsSecrets: true, showsOrigins: false)))
    let input = try EvaluationInput.load(
      runFolder: folder + "/run", tape: folder + "/tape", configuration: WeirConfiguration())
    #expect(input.audit.verdict == .clean)
    let series = try #require(input.series.first)
    let samples = series.rows.filter { $0.trigger == .grid && $0.timeNs % (10 * Nanoseconds.second) == 0 }
    var ups: [Double] = []
    var downs: [Double] = []
    for row in samples where row.zOFI.isFinite {
      let move = series.returnBps(series.mids, from: row.index, steps: 10)
      if move > 0 { ups.append(row.zOFI) } else if move < 0 { downs.append(row.zOFI) }
    }
    #expect(ups.count + downs.count > 80)
    var wins = 0.0
    for up in ups { for down in downs { wins += up > down ? 1 : up == down ? 0.5 : 0 } }
    let auc = wins / Double(ups.count * downs.count)
    let planted = try #require(truth["symbols"]?["BTCUSDT"]?["reference"]?["next_move"]?["ofi"])
    let expected = try #require(planted["auc"]?.double)
    let error = try #require(planted["auc_standard_error"]?.double)
    #expect(abs(auc - expected) < 1.96 * error, "seed \(seed): \(auc), planted \(expected) ± \(error)")
  }
}
