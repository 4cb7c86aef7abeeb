import Core
import Flow
import Glibc
import Report
import Store
import Strategy
import Tape
import Testing

@testable import Services

/// The shadow channels on tapes, against models that see only the rows and the tape.
@Suite("Shadow signals")
struct ShadowTests {
  private static let lines: [[UInt8]] = {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try! makeMarket(folder, seed: 23, minutes: 1.5, gaps: 3, duplicates: 2, reorders: 2)
    var random = SeededRandom(seed: 23)
    return disturbed(try! tapeBytes(folder), &random)
  }()

  /// Low thresholds for the candidate as for the main chain: onsets by the hundred.
  private static func configuration(isEnabled: Bool = true) -> SignalConfiguration {
    var configuration = quickConfiguration
    // The tape forces modes; in all of them the same thresholds and every row.
    configuration.flow.fusion.active = configuration.flow.fusion.base
    configuration.flow.fusion.quiet = configuration.flow.fusion.base
    configuration.strategy.throttlesInQuiet = false
    configuration.divergence.isEnabled = false
    configuration.shadow.isEnabled = isEnabled
    configuration.shadow.weightOFI = 0.3
    configuration.shadow.weightCVD = 0.9
    return configuration
  }

  private func run(_ lines: [[UInt8]] = ShadowTests.lines, isEnabled: Bool = true) -> PipelineRun {
    runPipeline(lines.flatMap { $0 }, configuration: ShadowTests.configuration(isEnabled: isEnabled))
  }

  /// Puts a control behind the record at a share of the tape; its receive time.
  private func insert(_ data: String, at share: Double, _ lines: inout [[UInt8]]) -> Int64 {
    let index = Int(Double(lines.count) * share)
    let time = lines[index].withUnsafeBytes { try! JSONValue(parsing: $0)["recv_ns"]!.integer! }
    let line =
      "{\"seq\":0,\"recv_ns\":\(time),\"conn\":-1,\"kind\":\"note\",\"stream\":\"weir@control\",\"data\":\(data)}\n"
    lines.insert(Array(line.utf8), at: index + 1)
    return time
  }

  // MARK: Rows

  @Test func theMainChainIsNotTouched() {
    let (on, off) = (run(), run(isEnabled: false))
    #expect(on.rows == off.rows && on.books == off.books)
    #expect(on.shadowRows.count > 100 && off.shadowRows.isEmpty)
    #expect(off.symbols.allSatisfy { $0.shadow == nil })
  }

  private struct Onset: Equatable {
    var time: UnixNanos
    var symbol: SymbolID
    var trigger: Signal.Trigger
    var kind: Signal.Kind

    init(_ row: Signal, _ trigger: Signal.Trigger, _ kind: Signal.Kind) {
      time = row.receiveTime
      symbol = row.symbol
      self.trigger = trigger
      self.kind = kind
    }
  }

  /// The candidate's score from a stored row; a factor that stands alone is the score itself.
  private static func candidate(_ row: Signal) -> Double? {
    guard let score = row.score.double, let zOFI = row.zOFI.double, let zCVD = row.zCVD.double else {
      return nil
    }
    if row.qualityFlags.contains(.degradedOFIOnly) || row.qualityFlags.contains(.degradedCVDOnly) {
      return score
    }
    return (0.3 * zOFI + 0.9 * zCVD) / 1.2
  }

  /// Every change of a channel's type to one that is not neutral has a row, and nothing else has.
  @Test func rowsAreTheOnsetsOfTheMainRows() {
    let run = run()
    let configuration = ShadowTests.configuration().flow.fusion
    var expected: [Onset] = []
    for symbol in [SymbolID(0), SymbolID(1)] {
      var classifiers = [SignalClassifier(), SignalClassifier()]
      var kinds = [Signal.Kind.neutral, .neutral]
      for row in run.rows where row.symbol == symbol {
        for (index, score) in [row.zCVD.double, ShadowTests.candidate(row)].enumerated() {
          let kind = classifiers[index].step(
            score: score, at: row.receiveTime.milliseconds, configuration.base, configuration)
          if kind != kinds[index], kind != .neutral {
            expected.append(Onset(row, index == 0 ? .shadowCVD : .shadowFusion, kind))
          }
          kinds[index] = kind
        }
      }
    }
    let found = run.shadowRows.map { Onset($0, $0.trigger, $0.kind) }
    #expect(found.filter { $0.symbol == SymbolID(0) } + found.filter { $0.symbol == SymbolID(1) } == expected)
    #expect(Set(expected.map(\.kind)).count == 4 && Set(expected.map(\.trigger)).count == 2)
  }

  /// A shadow row is its main row with another score and type, never confirmed.
  @Test func rowsAreThoseOfTheirMoment() throws {
    let run = run()
    var reasons: Set<Signal.GuardReason> = []
    for row in run.shadowRows {
      let main = try #require(
        run.rows.last { $0.receiveTime == row.receiveTime && $0.symbol == row.symbol })
      #expect(!row.confirmed && row.trigger.isShadow && row.kind != .neutral)
      reasons.insert(row.guardReason)
      #expect((row.guardReason == .depthGap) == main.qualityFlags.contains(.depthGap))
      if row.trigger == .shadowCVD {
        #expect(row.score == main.zCVD && row.consistency.isAbsent && row.dispersion.isAbsent)
      } else {
        let candidate = try #require(ShadowTests.candidate(main))
        #expect(abs(try #require(row.score.double) - candidate) < 2e-6)
        #expect(row.consistency == main.consistency)
      }
      var copy = row
      copy.trigger = main.trigger
      copy.score = main.score
      copy.kind = main.kind
      copy.confirmed = main.confirmed
      copy.guardReason = main.guardReason
      copy.consistency = main.consistency
      copy.dispersion = main.dispersion
      #expect(copy == main)
    }
    #expect(reasons.contains(.none) && reasons.isSubset(of: [.none, .warmup, .depthGap]))
  }

  /// Each divergence of a main row has a row of its channel that says its direction, and nothing else has.
  @Test func divergencesOfTheMainRowsHaveTheirs() {
    var configuration = ShadowTests.configuration()
    configuration.divergence.isEnabled = true
    configuration.divergence.pivotSamples = 2
    configuration.divergence.separationSamples = 1
    configuration.divergence.cooldownMs = 0
    configuration.divergence.conflictZOFI = 0.5
    configuration.divergence.conflictZCVD = 0.3
    let run = runPipeline(ShadowTests.lines.flatMap { $0 }, configuration: configuration)
    let expected = run.rows.filter { $0.divergence != .none }
    let found = run.shadowRows.filter { $0.trigger == .shadowDivergence }
    #expect(expected.count > 5 && found.count == expected.count, "\(expected.count)")
    for (row, main) in zip(found, expected) {
      #expect(row.receiveTime == main.receiveTime && row.symbol == main.symbol)
      #expect(row.divergence == main.divergence && row.kind.direction == main.divergence.direction)
      #expect(!row.confirmed)
    }
    #expect(run.shadowRows.filter { $0.trigger != .shadowDivergence }.allSatisfy { $0.divergence == .none })
  }

  @Test(arguments: 1...3 as ClosedRange<UInt64>)
  func blocksOfAnySizeGiveTheSameRows(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let whole = run()
    let pieces = runPipeline(
      ShadowTests.lines.flatMap { $0 }, blockBytes: 500 + random.below(50_000),
      configuration: ShadowTests.configuration())
    #expect(
      pieces.shadowRows == whole.shadowRows && pieces.symbols.map(\.shadow) == whole.symbols.map(\.shadow))
  }

  // MARK: Pausing

  /// Paused, no row is written; afterwards only real onsets are, and the statistics lack exactly the time between.
  @Test func aPauseHidesWhatFallsIntoIt() throws {
    var lines = ShadowTests.lines
    let began = insert(#"{"control":"shadow","value":"pause","by":"ctl"}"#, at: 0.5, &lines)
    let ended = insert(#"{"control":"shadow","value":"resume","by":"ctl"}"#, at: 0.7, &lines)
    let (whole, paused) = (run(), run(lines))
    func isHeard(_ row: Signal) -> Bool {
      row.receiveTime.rawValue <= began || row.receiveTime.rawValue > ended
    }
    #expect(paused.rows == whole.rows)
    #expect(paused.shadowRows == whole.shadowRows.filter(isHeard))
    #expect(paused.shadowRows.count < whole.shadowRows.count - 20)
    for (mine, theirs) in zip(paused.symbols, whole.symbols) {
      let statistics = try #require(mine.shadow).statistics
      let all = try #require(theirs.shadow).statistics
      let rows = paused.shadowRows.filter { "\(paused.symbols[$0.symbol.index].name)" == mine.name }
      #expect(statistics.channels.reduce(0) { $0 + $1.onsets } == Int64(rows.count))
      let missing = Double(all.observedNs - statistics.observedNs)
      #expect(abs(missing - Double(ended - began)) < 2.1e9)
      #expect(statistics.confirmed < all.confirmed)
    }
  }

  // MARK: Statistics

  /// Against the rows, and for activity against the frames of the tape.
  @Test func statisticsAreThoseOfTheRows() throws {
    let run = run()
    let second = Nanoseconds.second
    for (index, symbol) in run.symbols.enumerated() {
      let found = try #require(symbol.shadow).statistics
      let own = run.rows.filter { $0.symbol.index == index }
      var samples: [Signal] = []
      for row in own where row.trigger == .grid {
        if row.receiveTime.rawValue / second != samples.last.map({ $0.receiveTime.rawValue / second }) {
          samples.append(row)
        }
      }
      for (values, distribution) in [
        (samples.compactMap(\.zCVD.double), found.zCVD), (samples.compactMap(\.score.double), found.score),
        (samples.compactMap(ShadowTests.candidate), found.fusion),
      ] {
        let mean = values.reduce(0, +) / Double(values.count)
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        #expect(values.count > 50 && distribution.moments.count == Int64(values.count))
        #expect(abs(distribution.moments.mean - mean) < 2e-6)
        let deviation = (squares / Double(values.count - 1)).squareRoot()
        #expect(abs(distribution.moments.deviation! - deviation) < 2e-6)
        #expect(distribution.above2 == Int64(values.count { abs($0) > 2 }))
        #expect(distribution.above3 == Int64(values.count { abs($0) > 3 }))
        let median = values.map(abs).sorted()[(values.count - 1) / 2]
        #expect(abs(distribution.median! - median) <= 0.5 / 64 + 1e-6)
      }

      let times = try eventTimes(symbol.name)
      var pairs: [(magnitude: Double, activity: Double)] = []
      for (before, sample) in zip(samples, samples.dropFirst()) {
        let span = sample.receiveTime.rawValue - before.receiveTime.rawValue
        guard span <= 5 * second, let candidate = ShadowTests.candidate(sample) else { continue }
        // A row is made before the first record at or behind its time.
        let events = times.count {
          $0 >= before.receiveTime.rawValue && $0 < sample.receiveTime.rawValue
        }
        pairs.append((abs(candidate), log1p(Double(events) / (Double(span) / 1e9))))
      }
      let correlation = try #require(Statistics.correlation(pairs.map(\.magnitude), pairs.map(\.activity)))
      #expect(found.fusionActivity.count == Int64(pairs.count))
      #expect(abs(found.fusionActivity.correlation! - correlation) < 1e-4)

      let confirmed = own.filter(\.confirmed)
      #expect(found.confirmed == Int64(confirmed.count) && confirmed.count > 20)
      for channel in [ShadowChannel.cvd, .fusion] {
        let onsets = run.shadowRows.filter { $0.symbol.index == index && $0.trigger == channel.trigger }
        #expect(found[channel].onsets == Int64(onsets.count))
        #expect(found[channel].gated == Int64(onsets.count { $0.guardReason != .none }))
        #expect(found[channel].byHour.reduce(0, +) == found[channel].onsets - found[channel].gated)
        #expect(found[channel].same + found[channel].opposite <= found.confirmed)
      }
      // The candidate is the live score with other weights.
      #expect(found[.fusion].same > found.confirmed / 2 && found[.fusion].opposite < found[.fusion].same / 4)
    }
  }

  /// Receive times of a symbol's trades and quotes; an answer by REST has one trade on this tape.
  private func eventTimes(_ name: String) throws -> [Int64] {
    let streams = ["bookTicker", "aggTrade", "trade", "aggTrades"].map { "\(name.lowercased())@\($0)" }
    return ShadowTests.lines.compactMap { line in
      line.withUnsafeBytes { bytes in
        guard let record = TapeRecord(parsing: UnsafeRawBufferPointer(rebasing: bytes.dropLast())),
          record.kind == .frame || record.kind == .snapshot, let stream = record.stream,
          streams.contains(String(decoding: stream, as: UTF8.self))
        else { return nil }
        return record.receiveTime.rawValue
      }
    }
  }
}
