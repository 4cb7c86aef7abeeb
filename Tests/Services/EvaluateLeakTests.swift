import Core
import Evaluation
import Store
import Testing

@testable import Services

@Suite("Leak audit")
struct EvaluateLeakTests {
  @Test func featuresOfOtherRowsAreFoundWithTheirOffset() throws {
    let market = try EvaluatedMarket(seed: 5, minutes: 0.75)
    try market.replay()
    for shift in [1, 2, 40, 90] {
      let later = try market.load(shift: shift).audit
      #expect(later.verdict == .leak && later.offsetSteps == shift, "\(later.text)")
      #expect(later.text.hasPrefix("leak detected: features come from \(shift) row"))
      #expect(later.json["verdict"]?.text == "leak detected")
      #expect(later.rowsEqual < later.rowsCompared / 4)
    }
    for shift in [1, 90] {
      let earlier = try market.load(shift: -shift).audit
      #expect(earlier.verdict == .stale && earlier.offsetSteps == -shift, "\(earlier.text)")
    }
  }

  /// A shift beyond every row leaves no features; nothing can be said, and nothing traps.
  @Test func aShiftBeyondEveryRowLeavesNothing() throws {
    let market = try EvaluatedMarket(minutes: 0.2)
    try market.replay()
    for shift in [Int.max, Int.min, 1 << 40] {
      let input = try market.load(shift: shift)
      #expect(input.audit.verdict == .unverifiable && input.audit.rowsCompared == 0)
      #expect(input.series.allSatisfy { $0.rows.allSatisfy { $0.score.isNaN } })
    }
  }

  /// Rows of which some columns come from the symbol's next row, or its next grid row, as an edited folder has them.
  @Test func aDoctoredFolderIsCaught() throws {
    let market = try EvaluatedMarket(seed: 7, minutes: 0.75)
    try market.replay()
    let original = try market.storedRows()
    for (columns, isGridOnly) in [
      (["score", "z_ofi", "z_cvd", "ofi", "cvd", "consistency", "dispersion", "price", "spread_bps"], false),
      (["score", "z_ofi", "z_cvd"], true), (["z_cvd"], true), (["cvd", "price"], false),
    ] {
      var rows = original
      for symbol in ["BTCUSDT", "ETHUSDT"] {
        let places = rows.indices.filter { place in
          rows[place]["symbol"]?.text == symbol
            && (!isGridOnly || rows[place]["signal_id"]!.text!.hasSuffix("-g"))
        }
        for (place, next) in zip(places, places.dropFirst()) {
          for column in columns { rows[place] = rows[place].with(column, original[next][column]) }
        }
      }
      try market.rewrite(rows)
      let audit = try market.load().audit
      #expect(audit.verdict == .leak && audit.offsetSteps == 1, "\(columns): \(audit.text)")
    }
  }

  /// A leak in a few rows of one symbol is one.
  @Test func aLeakInAFewRowsIsCaught() throws {
    let market = try EvaluatedMarket(seed: 8, minutes: 0.6)
    try market.replay()
    var rows = try market.storedRows()
    let places = rows.indices.filter { rows[$0]["symbol"]?.text == "ETHUSDT" }
    for place in 100..<110 {
      for column in ["score", "z_ofi", "z_cvd"] {
        rows[places[place]] = rows[places[place]].with(column, rows[places[place + 3]][column])
      }
    }
    try market.rewrite(rows)
    let audit = try market.load().audit
    #expect(audit.verdict == .leak, "\(audit.text)")
    #expect(audit.rowsEqual == audit.rowsCompared - 10 || audit.rowsEqual == audit.rowsCompared - 9)
  }

  /// A value that comes from nowhere is named.
  @Test func anEditedValueIsNamed() throws {
    let market = try EvaluatedMarket(seed: 9, minutes: 0.4)
    try market.replay()
    var rows = try market.storedRows()
    let place = rows.indices.filter { rows[$0]["score"]?.double != nil }[20]
    let id = try #require(rows[place]["signal_id"]?.text)
    rows[place] = rows[place].with("z_ofi", .number("0.123456"))
    try market.rewrite(rows)
    let audit = try market.load().audit
    #expect(audit.verdict == .unverifiable && audit.rowsEqual == audit.rowsCompared - 1)
    #expect(audit.text.contains(id) && audit.text.contains("z_ofi is 0.123456"), "\(audit.text)")
  }

  /// Whoever takes rows out, or adds some, chooses the sample.
  @Test func rowsTakenOutOrAddedAreNoticed() throws {
    let market = try EvaluatedMarket(seed: 10, minutes: 0.3)
    try market.replay()
    let rows = try market.storedRows()
    // A run may end before its tape, and its first hours may be gone.
    try market.rewrite(Array(rows.dropFirst(6).dropLast(6)))
    #expect(try market.load().audit.verdict == .clean)
    try market.rewrite(Array(rows[..<60] + rows[70...]))
    let without = try market.load().audit
    #expect(without.verdict == .unverifiable && without.text.contains("10 rows that the replay makes"))
    var added = rows
    let time = rows[60]["recv_ns"]!.integer! + 1
    added.insert(
      rows[60].with("recv_ns", .integer(time)).with("signal_id", .string("BTCUSDT-\(time)-s")), at: 61)
    try market.rewrite(added)
    let with = try market.load().audit
    #expect(with.verdict == .unverifiable && with.text.contains("1 rows are none"), "\(with.text)")
  }

  /// Without the run's configuration every row differs; look-ahead still shows.
  @Test func withoutTheConfigurationLookAheadShowsInTheProfile() throws {
    let market = try EvaluatedMarket(seed: 11, minutes: 1.5)
    try market.replay(keepsConfiguration: false)
    var given = market.loaded.value
    given.signal.flow.ofiWindowMs = 400
    let honest = try market.load(configuration: given).audit
    #expect(honest.verdict == .unverifiable && honest.text.contains("no config.yaml"), "\(honest.text)")
    for shift in [1, 20] {
      let audit = try market.load(shift: shift, configuration: given).audit
      #expect(audit.verdict == .leak && audit.offsetSteps == shift, "\(audit.text) \(audit.json.text())")
    }
    // With the run's own it is clean.
    #expect(try market.load(configuration: market.loaded.value).audit.verdict == .clean)
  }
}
