import ClickHouse
import Core
import Net
import Tables
import Tape

/// Proves that ClickHouse holds a tape: rows, values and bars.
///
/// The tape is read by the plain reading (not the one that loaded it), its sums and bars are compared with
/// those that the server computes; see `ContentSums` and `BarBuilder`.
///
/// **Bounds.** Memory holds the tape's bars, on both sides: about 40 MB a symbol and day.
public struct ClickHouseCheck {
  public struct Verdict {
    public var rowsOnTape: [TableKind: UInt64] = [:]
    public var rowsOnServer: [TableKind: UInt64] = [:]
    /// By width's name: SHA-256 on the tape's side and on the server's.
    public var bars: [(name: String, count: Int, tape: String, server: String)] = []
    public var differences: [String] = []
    public var seconds = 0.0

    public var isMatch: Bool { differences.isEmpty }

    public var json: JSONValue {
      func rows(_ rows: [TableKind: UInt64]) -> JSONValue {
        .object(TableKind.allCases.map { .init($0.name, .integer(rows[$0] ?? 0)) })
      }
      return .object([
        "match": .bool(isMatch), "rows_tape": rows(rowsOnTape), "rows_clickhouse": rows(rowsOnServer),
        "bars": .object(
          bars.map { bar in
            .init(
              bar.name,
              .object([
                "count": .integer(bar.count), "tape_sha256": .string(bar.tape),
                "clickhouse_sha256": .string(bar.server), "equal": .bool(bar.tape == bar.server),
              ]))
          }),
        "differences": .array(differences.map { .string($0) }), "seconds": .rounded(seconds, 3),
      ])
    }
  }

  private let tape: String
  private let identity: String?
  private let client: ClickHouseClient
  private let settings: ClickHouseSettings

  /// - Parameter identity: the tape's, where it is known; else that of its first record.
  public init(
    tape: String, identity: String?, server: ClickHouseServer, settings: ClickHouseSettings
  ) throws {
    self.tape = tape
    self.identity = identity
    self.settings = settings
    client = ClickHouseClient(on: try EventLoop(), server: server)
  }

  /// - Throws: what keeps the check from a verdict; differences are part of the verdict.
  public func run(progress: (Int64) -> Void = { _ in }) throws -> Verdict {
    let began = EventLoop.monotonicNow()
    let schema = try settings.schema(try client.dialect())
    try client.verify(schema)
    var sums = TableKind.allCases.map { ContentSums($0) }
    var builders = ClickHouseSchema.barWidths.map { BarBuilder(widthNs: $0.ns) }
    var tapeID = identity
    try read(progress) { first, projection in
      tapeID = tapeID ?? first.tape
      for batch in projection.batches {
        sums[Int(batch.schema.kind.rawValue)].add(batch)
        for index in builders.indices { builders[index].add(batch) }
      }
    }
    guard let tapeID else { throw ReplayError.emptyTape(tape) }
    var verdict = Verdict()
    for kind in TableKind.allCases {
      let query = ContentSums.query(kind, schema, tape: tapeID)
      let row = try client.rows(query, timeoutNs: 10 * Nanoseconds.minute).first ?? []
      let found = try ContentSums(kind, row: row)
      let wanted = sums[Int(kind.rawValue)]
      verdict.rowsOnTape[kind] = wanted.rows
      verdict.rowsOnServer[kind] = found.rows
      verdict.differences += wanted.differences(from: found)
    }
    for (index, width) in ClickHouseSchema.barWidths.enumerated() {
      let wanted = builders[index].result
      let found = try client.bars(width.name, tape: tapeID)
      let digests = (Bar.digest(wanted), Bar.digest(found))
      verdict.bars.append((width.name, wanted.count, digests.0, digests.1))
      if digests.0 != digests.1 {
        verdict.differences.append(difference(width.name, wanted, found))
      }
    }
    verdict.seconds = Double(EventLoop.monotonicNow() - began) / 1e9
    return verdict
  }

  private func difference(_ name: String, _ wanted: [Bar], _ found: [Bar]) -> String {
    let place = zip(wanted, found.sorted { ($0.symbol, $0.startNs) < ($1.symbol, $1.startNs) })
      .first { $0 != $1 }
    let what = place.map { "; first: \($0.text.dropLast()) on the tape, \($1.text.dropLast()) on the server" }
    return "\(name): \(wanted.count) bars on the tape, \(found.count) on the server" + (what ?? "")
  }

  private func read(
    _ progress: (Int64) -> Void, _ take: (FirstRecord, borrowing TapeProjection) -> Void
  ) throws {
    var reader = try TapeReader(folder: tape)
    var projection = TapeProjection(grouping: .together, reading: .plain)
    var segments = 0
    var first: FirstRecord?
    while let block = try reader.nextBlock() {
      if reader.report.segments != segments {
        segments = reader.report.segments
        projection.beginSegment()
      }
      for batch in projection.batches { batch.removeAll() }
      projection.take(block)
      first = first ?? FirstRecord(of: block)
      if let first { take(first, projection) }
      progress(projection.lastSequence)
    }
  }
}
