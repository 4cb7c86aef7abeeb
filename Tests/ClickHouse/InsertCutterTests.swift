import Core
import Tables
import Testing

@testable import ClickHouse

/// What an insert is, for comparison.
private struct Cut: Equatable {
  var token: String
  var rows: Int
  var day: Int64
  var bytes: [UInt8]

  init(_ batch: InsertBatch) {
    token = batch.token(tape: "t")
    rows = batch.rowCount
    day = batch.day
    bytes = batch.bytes
  }
}

@Suite("Cutting a tape into inserts")
struct InsertCutterTests {
  private static let bounds = InsertCutter.Bounds(rowsMax: 40, bytesMax: 1 << 20, sliceNs: 60_000_000_000)

  private func cutter(
    _ dialect: ClickHouseDialect = .modern, places: [TableKind: RowPlace] = [:],
    promises: [TableKind: RowPlace] = [:], bounds: InsertCutter.Bounds = bounds
  ) throws -> InsertCutter {
    InsertCutter(
      schema: try ClickHouseSchema(database: "weir", dialect: dialect), tape: "t", bounds: bounds,
      places: places, promises: promises)
  }

  private func cut(
    _ sample: SampleRows, _ cutter: InsertCutter, blocks: () -> Int, asks: Bool = false
  ) -> [InsertBatch] {
    var cutter = cutter
    var batches: [InsertBatch] = []
    sample.read(blockLines: blocks) { projection in
      for batch in projection.batches { cutter.add(batch) { batches.append($0) } }
      if asks { cutter.endSlices(at: projection.lastReceiveNs) { batches.append($0) } }
    }
    cutter.end { batches.append($0) }
    return batches
  }

  private func byKind(_ batches: [InsertBatch]) -> [TableKind: [Cut]] {
    Dictionary(grouping: batches, by: \.kind).mapValues { $0.map(Cut.init) }
  }

  @Test(arguments: [ClickHouseDialect.modern, .legacy])
  func cutsDependOnTheRowsAlone(dialect: ClickHouseDialect) throws {
    let seed = UInt64.random(in: 0..<1 << 32)
    let sample = SampleRows(seed: seed, count: 600)
    let whole = byKind(cut(sample, try cutter(dialect), blocks: { 600 }))
    #expect(whole[.depth]!.count > 5 && whole[.trade]!.contains { $0.rows > 1 })
    var random = SeededRandom(seed: seed)
    for round in 0..<6 {
      let blocks = { round == 0 ? 1 : 1 + random.below(50) }
      let pieces = byKind(cut(sample, try cutter(dialect), blocks: blocks, asks: round % 2 == 0))
      #expect(pieces == whole, "seed \(seed), round \(round)")
    }
  }

  @Test func everyInsertHasOneDayAndStaysNearItsBound() throws {
    let sample = SampleRows(seed: 7, count: 800)
    let batches = cut(sample, try cutter(), blocks: { 100 })
    #expect(Set(batches.map(\.day)).count == 2)
    for batch in batches { #expect(batch.rowCount < 40 + 12) }
    // Each insert begins where the one before it ended.
    for (_, list) in Dictionary(grouping: batches, by: \.kind) {
      var end = RowPlace.start
      for batch in list {
        #expect(batch.after == end)
        #expect(batch.upTo > batch.after)
        end = batch.upTo
      }
    }
  }

  /// From any cut on, a second reading that skips what is there makes the inserts that are left.
  @Test func resumingMakesTheSameInserts() throws {
    let seed = UInt64.random(in: 0..<1 << 32)
    var random = SeededRandom(seed: seed)
    let sample = SampleRows(seed: seed, count: 500)
    let all = cut(sample, try cutter(), blocks: { 37 })
    for _ in 0..<12 {
      let done = random.below(all.count)
      var places: [TableKind: RowPlace] = [:]
      for batch in all[..<done] { places[batch.kind] = batch.upTo }
      let rest = byKind(cut(sample, try cutter(places: places), blocks: { 1 + random.below(90) }))
      #expect(rest == byKind(Array(all[done...])), "seed \(seed), \(done) of \(all.count)")
    }
  }

  /// Rows that an old server kept of an insert that was cut off: any first part of it.
  @Test func resumingWithinAnInsertLosesAndDoublesNoRow() throws {
    let seed = UInt64.random(in: 0..<1 << 32)
    var random = SeededRandom(seed: seed)
    let sample = SampleRows(seed: seed, count: 300)
    let all = cut(sample, try cutter(.legacy), blocks: { 300 })
    let whole = all.filter { $0.kind == .depth }.flatMap(\.bytes)
    // The place behind each row, by counting rows of its record.
    var places: [RowPlace] = []
    sample.read(blockLines: { 1 }) { projection in
      for batch in projection.batches where batch.schema.kind == .depth && batch.rowCount > 0 {
        for row in 1...batch.rowCount {
          places.append(RowPlace(sequence: projection.lastSequence, rows: Int64(row)))
        }
      }
    }
    #expect(places.count > 100)
    for _ in 0..<20 {
      let kept = random.below(places.count - 1)
      let rest = cut(sample, try cutter(.legacy, places: [.depth: places[kept]]), blocks: { 50 })
        .filter { $0.kind == .depth }
      #expect(rest.map(\.rowCount).reduce(0, +) == places.count - kept - 1, "seed \(seed)")
      #expect(whole.suffix(rest.map(\.bytes.count).reduce(0, +)).elementsEqual(rest.flatMap(\.bytes)))
    }
  }

  /// The tape ended, what was left was sent; then it grew, and the answer had been lost.
  @Test func aPromisedEndIsKeptWhenTheTapeHasGrown() throws {
    let sample = SampleRows(seed: 11, count: 400)
    var short = try cutter()
    var sent: [InsertBatch] = []
    var records = 0
    var promises: [TableKind: RowPlace] = [:]
    var tails: [InsertBatch] = []
    sample.read(blockLines: { 50 }) { projection in
      records += 50
      guard records <= 250 else { return }
      for batch in projection.batches { short.add(batch) { sent.append($0) } }
      guard records == 250 else { return }
      promises = short.tails
      short.end { tails.append($0) }
    }
    #expect(!tails.isEmpty)
    var places: [TableKind: RowPlace] = [:]
    for batch in sent { places[batch.kind] = batch.upTo }
    let grown = cut(sample, try cutter(places: places, promises: promises), blocks: { 400 })
    for tail in tails {
      let again = try #require(grown.first { $0.kind == tail.kind })
      #expect(Cut(again) == Cut(tail))
    }
  }
}
