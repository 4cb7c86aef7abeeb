import Core
import Evaluation
import Store
import Testing

@testable import Services

@Suite("Leak audit")
struct EvaluateLeakTests {
  @Test(arguments: [1, 2, 7, 40, 150])
  func featuresOfALaterRowAreALeak(shift: Int) throws {
    let market = try EvaluatedMarket(seed: 5)
    try market.replay()
    let audit = try market.load(shift: shift).audit
    #expect(audit.verdict == .leak && audit.offsetSteps == shift, "\(audit.text)")
    #expect(audit.text.hasPrefix("leak detected: features come from \(shift) row"))
    #expect(audit.json["verdict"]?.text == "leak detected")
    #expect(audit.rowsEqual < audit.rowsCompared / 4)
  }

  @Test(arguments: [1, 40, 150])
  func featuresOfAnEarlierRowAreStale(shift: Int) throws {
    let market = try EvaluatedMarket(seed: 5)
    try market.replay()
    let audit = try market.load(shift: -shift).audit
    #expect(audit.verdict == .stale && audit.offsetSteps == -shift, "\(audit.text)")
  }

  /// A shift beyond every row leaves no features; nothing can be said, and nothing traps.
  @Test(arguments: [Int.max, Int.min, 1 << 40])
  func aShiftBeyondEveryRowLeavesNothing(shift: Int) throws {
    let market = try EvaluatedMarket(minutes: 0.3)
    try market.replay()
    let input = try market.load(shift: shift)
    #expect(input.audit.verdict == .unverifiable && input.audit.rowsCompared == 0)
    #expect(input.series.allSatisfy { $0.rows.allSatisfy { $0.score.isNaN } })
  }

  /// Rewrites the rows so that some columns come from the next row of a kind, as an edited folder would have them.
  @Test(arguments: [
    ["score", "z_ofi", "z_cvd", "ofi", "cvd", "consistency", "dispersion", "price", "spread_bps"],
    ["score", "z_ofi", "z_cvd"], ["z_cvd"], ["cvd", "price"],
  ])
  func aDoctoredFolderIsCaught(columns: [String]) throws {
    let market = try EvaluatedMarket(seed: 7)
    try market.replay()
    var rows = try market.storedRows()
    // Features of the next row of the symbol; every other run, of the next grid row.
    for symbol in ["BTCUSDT", "ETHUSDT"] {
      let places = rows.indices.filter { place in
        rows[place]["symbol"]?.text == symbol
          && (columns.count > 3 || rows[place]["signal_id"]!.text!.hasSuffix("-g"))
      }
      for (place, next) in zip(places, places.dropFirst()) {
        for column in columns { rows[place] = rows[place].with(column, rows[next][column]) }
      }
    }
    try market.rewrite(rows)
    let audit = try market.load().audit
    #expect(audit.verdict == .leak && audit.offsetSteps == 1, "\(audit.text)")
  }

  /// A leak in a few rows of one symbol is one.
  @Test func aLeakInAFewRowsIsCaught() throws {
    let market = try EvaluatedMarket(seed: 8)
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
    let market = try EvaluatedMarket(seed: 9)
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
    let market = try EvaluatedMarket(seed: 10, minutes: 0.5)
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
    let market = try EvaluatedMarket(seed: 11, minutes: 3)
    try market.replay(keepsConfiguration: false)
    var given = market.loaded.value
    given.signal.flow.ofiWindowMs = 400
    let honest = try market.load(configuration: given).audit
    #expect(honest.verdict == .unverifiable && honest.text.contains("no config.yaml"), "\(honest.text)")
    for shift in [1, 4, 20] {
      let audit = try market.load(shift: shift, configuration: given).audit
      #expect(audit.verdict == .leak && audit.offsetSteps == shift, "\(audit.text) \(audit.json.text())")
    }
    // With the run's own it is clean.
    #expect(try market.load(configuration: market.loaded.value).audit.verdict == .clean)
  }

  /// A score that is the return of the next seconds leaks in no single step.
  @Test func aForwardReturnAsAScoreIsALeak() throws {
    let market = try EvaluatedMarket(seed: 12, minutes: 2)
    try market.replay()
    let series = try market.load().series
    var rows = try market.storedRows()
    for place in rows.indices {
      let one = series.first { $0.symbol == rows[place]["symbol"]?.text }!
      let index = one.index(atOrAfter: rows[place]["recv_ns"]!.integer!)
      let ahead = one.returnBps(one.mids, from: index, steps: 40)
      if rows[place]["score"]?.double != nil, ahead.isFinite {
        rows[place] = rows[place].with("score", .rounded(ahead, 6))
      }
    }
    try market.rewrite(rows)
    let audit = try market.load().audit
    #expect(audit.verdict == .leak, "\(audit.text)")
    #expect(audit.text.contains("goes with the return"), "\(audit.text)")
  }
}
