import Configuration
import Core
import Evaluation
import Store
import Strategy
import Tape
import Testing

@testable import Services

@Suite("Evaluation input")
struct EvaluateInputTests {
  @Test(arguments: [SignalSinkSet.Choice.jsonl, .sqlite, .dual])
  func aRunIsCleanAndOnItsGrid(sink: SignalSinkSet.Choice) throws {
    let market = try EvaluatedMarket(seed: 3, minutes: 0.5, gaps: 2)
    let result = try market.replay(sink)
    let input = try market.load()
    #expect(input.audit.verdict == .clean, "\(input.audit.text)")
    #expect(input.audit.rowsCompared == Int(result.sinks.rowsAppended))
    #expect(input.audit.rowsEqual == input.audit.rowsCompared && input.audit.offsetSteps == nil)
    #expect(input.facts["source"]?.text == (sink == .sqlite ? "sqlite" : "jsonl"))
    #expect(input.facts["configuration"]?["configuration_is_the_runs"]?.boolean == true)
    #expect(input.series.map(\.symbol).sorted() == ["BTCUSDT", "ETHUSDT"])
    for series in input.series {
      #expect(series.stepNs == 250 * Nanoseconds.millisecond && series.startNs % series.stepNs == 0)
      #expect(
        series.mids.count == series.microprices.count && series.mids.count == series.spreadsBps.count)
      #expect(series.rows.allSatisfy { series.mids.indices.contains($0.index) })
      #expect(zip(series.rows, series.rows.dropFirst()).allSatisfy { $0.timeNs <= $1.timeNs })
      for row in series.rows {
        let point = series.startNs + Int64(row.index) * series.stepNs
        #expect(point >= row.timeNs && point - row.timeNs < series.stepNs)
        #expect(row.trigger == .strong || point == row.timeNs)
      }
    }
  }

  /// The price of a grid row and the price at its index are made of the same records, and equal bit for bit.
  @Test func pricesAreThoseOfTheRows() throws {
    let market = try EvaluatedMarket(seed: 4, minutes: 0.6, gaps: 2)
    try market.replay()
    let input = try market.load()
    var compared = 0
    for row in try market.storedRows() where row["signal_id"]!.text!.hasSuffix("-g") {
      let series = try #require(input.series.first { $0.symbol == row["symbol"]!.text! })
      let index = series.index(atOrAfter: row["recv_ns"]!.integer!)
      let price = row["price"]!.double ?? .nan
      #expect(series.mids[index] == price || (series.mids[index].isNaN && price.isNaN))
      let spread = row["spread_bps"]!.double
      #expect(spread.map { abs($0 - series.spreadsBps[index]) <= 5e-7 } ?? series.spreadsBps[index].isNaN)
      if price.isFinite {
        compared += 1
        #expect(abs(series.microprices[index] / price - 1) <= series.spreadsBps[index] * 0.5e-4 + 1e-12)
      }
    }
    #expect(compared > 200)
  }

  @Test func theConfigurationIsKeptOnceAndTheSameForTheSame() throws {
    let market = try EvaluatedMarket(minutes: 0.2)
    try market.replay()
    let path = market.run + "/config.yaml"
    let kept = try Files.read(path)
    let again = try ConfigLoader(WeirConfiguration.schema).load(file: path)
    #expect(again.version == market.loaded.version)
    // Of another origin, and yet the same text.
    #expect(Array(again.render(omitsSecrets: true, showsOrigins: false).utf8) == kept)
    try Files.remove(market.run + "/summary.json")
    try Files.remove(path)
    let service = try SignalService(
      SignalOptions(run: market.options(), follower: .init(idleSecondsMax: 0.02)))
    _ = try service.run()
    #expect(try Files.read(path) == kept)
  }

  @Test func whatCannotBeEvaluatedIsSaid() throws {
    let market = try EvaluatedMarket(minutes: 0.2)
    #expect(throws: EvaluationError.noRun(market.run)) { try market.load() }
    try Files.makeFolder(market.run)
    #expect(throws: EvaluationError.noRun(market.run)) { try market.load() }
    try market.replay()
    let other = try EvaluatedMarket(seed: 2, minutes: 0.2)
    #expect(throws: EvaluationError.otherTape(run: market.run, tape: other.tape)) {
      try EvaluationInput.load(
        runFolder: market.run, tape: other.tape, configuration: WeirConfiguration())
    }
    try Files.makeFolder(market.folder + "/empty")
    #expect(throws: EvaluationError.emptyTape(market.folder + "/empty")) {
      try EvaluationInput.load(
        runFolder: market.run, tape: market.folder + "/empty", configuration: WeirConfiguration())
    }
    try market.rewrite([])
    #expect(throws: EvaluationError.noRows(market.run)) { try market.load() }
  }

  /// Junk among the rows is counted, and passed.
  @Test func linesThatAreNoRowsAreCounted() throws {
    let market = try EvaluatedMarket(minutes: 0.3)
    try market.replay()
    var rows = try market.storedRows()
    rows.append(.object(["not": .string("a row")]))
    rows.append(rows[0].with("signal_type", .string("sideways")))
    try market.rewrite(rows)
    let input = try market.load()
    #expect(input.facts["rows_unreadable"]?.integer == 2)
    #expect(input.audit.verdict == .clean)
  }
}

@Suite("Grid quotes")
struct GridQuoteTests {
  /// The tapped quotes of a tape, in blocks of a size.
  private func tap(_ lines: [UInt8], blockBytes: Int) -> [GridQuote] {
    var pipeline = SignalPipeline(quickConfiguration)
    pipeline.tapQuotes()
    var quotes: [GridQuote] = []
    var start = 0
    while start < lines.count {
      var end = min(lines.count, start + blockBytes)
      while end < lines.count, lines[end - 1] != 10 { end += 1 }
      let block = UnsafeMutableRawBufferPointer.allocate(
        byteCount: end - start + Tape.blockPaddingBytes, alignment: 64)
      defer { block.deallocate() }
      block.initializeMemory(as: UInt8.self, repeating: 0)
      lines[start..<end].withUnsafeBytes { block.copyMemory(from: $0) }
      var offset = 0
      while offset < end - start {
        offset = pipeline.process(UnsafeRawBufferPointer(rebasing: block[0..<(end - start)]), from: offset)
        #expect(pipeline.tappedQuotes.count < SignalPipeline.gridQuotesMax + SymbolTable.countMax)
        quotes += pipeline.tappedQuotes
        pipeline.removeQuotes()
        pipeline.removeRows()
      }
      start = end
    }
    return quotes
  }

  private func frame(_ tape: inout TapeText, _ timeMs: Int64, _ id: Int, bid: String, ask: String) {
    tape.record(
      "frame", timeMs * 1_000_000, stream: "btcusdt@bookTicker",
      """
      {"e":"bookTicker","u":\(id),"s":"BTCUSDT","b":"\(bid)","B":"1.000","a":"\(ask)","A":"3.000",\
      "T":\(timeMs),"E":\(timeMs)}
      """)
  }

  /// The last before each point, whatever the blocks, against a reader of its own.
  @Test(arguments: [1, 5000, 1 << 20])
  func theLastQuoteBeforeEachPoint(blockBytes: Int) throws {
    var random = SeededRandom(seed: UInt64(blockBytes))
    var tape = TapeText()
    var times: [Int64] = []
    var time: Int64 = 1_700_000_000_100
    for id in 1...400 {
      frame(
        &tape, time, id, bid: DecimalScale(2).text(Int64(10_000 + id)),
        ask: DecimalScale(2).text(Int64(10_003 + id)))
      times.append(time)
      // On the grid as often as not; a repetition of the same instant now and then.
      time += random.bernoulli(0.5) ? 250 - time % 250 : Int64(random.below(700))
    }
    let quotes = tap(tape.bytes, blockBytes: blockBytes)
    let first = (times[0] / 250 + 1) * 250
    let points = stride(from: first, through: times.last!, by: 250)
    #expect(quotes.map { $0.timeNs / 1_000_000 } == Array(points))
    for quote in quotes {
      let id = times.lastIndex { $0 < quote.timeNs / 1_000_000 }! + 1
      #expect(quote.quote.bidPrice == Int64(10_000 + id), "at \(quote.timeNs)")
    }
  }

  /// Where no row is made, a quote is noted all the same; in a silence without rows there is none.
  @Test func quotesDoNotDependOnRows() {
    var tape = TapeText()
    var time: Int64 = 1_700_000_000_100
    for id in 1...40 {
      frame(&tape, time, id, bid: "100.00", ask: "100.10")
      if id == 10 {
        tape.record(
          "note", time * 1_000_000, stream: Control.stream,
          """
          {"control":"degrade","light_rows":true,"strong_only":false,"conservative_cost":false,\
          "threshold_scale":1.0}
          """)
      }
      time += 250
    }
    time += 600_000
    frame(&tape, time, 41, bid: "101.00", ask: "101.10")
    frame(&tape, time + 1000, 42, bid: "101.00", ask: "101.10")
    let quotes = tap(tape.bytes, blockBytes: .max / 2)
    let rows = runPipeline(tape.bytes, configuration: quickConfiguration).rows.filter { $0.trigger == .grid }
    #expect(rows.count < quotes.count - 20)
    let gaps = zip(quotes, quotes.dropFirst()).map { $1.timeNs - $0.timeNs }
    #expect(gaps.filter { $0 != 250_000_000 }.count == 1 && gaps.max()! > 500 * Nanoseconds.second)
  }

  /// A book out of sync has no quote, unless a ticker has.
  @Test(arguments: [true, false])
  func aQuoteIsNotTrustedWithoutABookOrATicker(hasTicker: Bool) throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeMarket(folder, seed: 6, minutes: 0.6, gaps: 3)
    var lines = try tapeBytes(folder).split(separator: 0x0A)
    if !hasTicker { lines.removeAll { String(decoding: $0, as: UTF8.self).contains("@bookTicker") } }
    let bytes = Array(lines.joined(separator: [0x0A])) + [0x0A]
    let rows = runPipeline(bytes, configuration: quickConfiguration).rows.filter { $0.trigger == .grid }
    let quotes = tap(bytes, blockBytes: 1 << 16)
    let known = Set(quotes.map { [$0.timeNs, Int64($0.symbol.index)] })
    var lost = 0
    for row in rows {
      let isKnown = known.contains([row.receiveTime.rawValue, Int64(row.symbol.index)])
      #expect(isKnown == (row.doubledMid != nil))
      if row.qualityFlags.contains(.depthGap) {
        lost += 1
        #expect(isKnown == hasTicker)
      }
    }
    #expect(lost > 0)
  }
}
