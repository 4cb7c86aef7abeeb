import Core
import Tables
import Tape

/// # Proof of a conversion
///
/// **Problem.** A conversion is trusted for years after its tape is gone. Counting rows does not prove it: a
/// flipped byte, two columns swapped, a decimal rounded, all keep the count.
///
/// **Why the obvious answer fails.** Reading the files by the code that wrote them repeats its mistakes, and so
/// does making the expected rows by the code that made the files.
///
/// **What is done.** Both sides share nothing but the definition of a column's hash. The tape is read by the plain
/// reading of its JSON (the conversion uses templates), a segment at a time; the files are read by DuckDB
/// (the conversion has its own writer). Of each part (segment, kind, symbol) both sides count rows and nulls
/// and hash each column in the order of the tape; a difference names file and column. Around that: columns and
/// their types, schema version of records and files, the files' names against the records, the records against
/// the tape's segments, the segments' bytes against their seals.
///
/// A compacted day's file holds its hours' rows one after the other; each hour is compared as if it had its own
/// file.
///
/// **Bounds.** One block of the tape (or one longer record) and one vector of a file are held, and 8 KiB a column
/// of a segment's parts; of parts that are done, their hashes.
public struct ConversionValidator {
  public enum Failure: Error, Equatable, CustomStringConvertible {
    case noTables(folder: String)
    case noSegments(tape: String)

    public var description: String {
      switch self {
      case .noTables(let folder):
        "\(folder) holds no converted tables; make them by weir convert TAPE --out \(folder)"
      case .noSegments(let tape): "\(tape) holds no tape; check the path"
      }
    }
  }

  /// Rows that one file must have, in their order.
  private struct Part {
    var segment: SegmentStem
    var summary: TableDigest.Summary
  }

  /// A compacted day's file and the hours seen for it so far.
  private struct Day {
    var kind: TableKind
    var symbol: String?
    var parts: [Part]
  }

  private let folder: ParquetFolder
  private let checksSeals: Bool
  private let database: DuckDBDatabase
  private let segments: [(tape: TapeSegment, stem: SegmentStem)]
  private let records: [SegmentStem: ConversionRecord]
  private var verdict = ConversionVerdict()
  private var days: [String: Day] = [:]
  /// Files that were compared or found missing.
  private var seen: Set<String> = []
  /// Of every part: hash of its columns' hashes on the tape and in the files.
  private var partHashes: [String: (tape: String, parquet: String)] = [:]

  /// - Parameter checksSeals: recompute the hash of each segment, else believe its seal.
  /// - Throws: ``Failure``, ``DuckDBError``, `FileError`
  public init(tape: String, folder: String, checksSeals: Bool = true) throws {
    guard let found = ParquetFolder(folder) else { throw Failure.noTables(folder: folder) }
    segments = try Tape.segments(tape).compactMap { segment in
      SegmentStem(segment.stem).map { (segment, $0) }
    }
    guard !segments.isEmpty else { throw Failure.noSegments(tape: tape) }
    self.folder = found
    self.checksSeals = checksSeals
    let (records, unreadable) = ConversionRecord.all(in: found.root)
    self.records = records
    for path in unreadable { verdict.note(path, "it cannot be understood; convert the segment again") }
    database = try DuckDBDatabase(
      DuckDBOptions(
        threads: 1, memoryMegabytesMax: ConversionValidator.memoryMegabytesMax, folders: [found.root]))
    try database.lock()
  }

  /// DuckDB's share: some row groups of one file.
  static let memoryMegabytesMax = 1024

  /// Compares everything.
  ///
  /// - Parameter progress: told the tape's records read so far.
  /// - Throws: `TapeError` when the tape cannot be read; whatever is wrong with the files is a difference.
  /// - Complexity: O(bytes of tape and files)
  public mutating func run(progress: (Int64) -> Void = { _ in }) throws -> ConversionVerdict {
    checkRecords()
    try compareSegments(progress)
    try compareDays(before: nil)
    for path in try folder.files() where !seen.contains(path) {
      let isNamed = records.values.contains { $0.files.contains { $0.path == path } }
      verdict.note(path, isNamed ? "the tape has no rows for it" : "no conversion record names it")
    }
    for (stem, record) in records.sorted(by: { $0.key < $1.key }) {
      for file in record.files where !seen.contains(file.path) && !Files.exists("\(folder.root)/\(file.path)")
      {
        verdict.note(file.path, "the conversion record of \(stem.text) names it, and it is missing")
      }
    }
    verdict.contentHashTape = contentHash(\.tape)
    verdict.contentHashParquet = contentHash(\.parquet)
    return verdict
  }

  private mutating func checkRecords() {
    for (stem, record) in records.sorted(by: { $0.key < $1.key }) {
      let path = record.path
      verdict.schemaVersions.insert("\(record.schemaVersion)")
      if record.schemaVersion != TableSchema.version {
        verdict.note(path, "its schema version is \(record.schemaVersion) instead of \(TableSchema.version)")
      }
      if !segments.contains(where: { $0.stem == stem }) {
        verdict.note(path, "the tape has no such segment")
      }
    }
  }

  // MARK: The tape

  private mutating func compareSegments(_ progress: (Int64) -> Void) throws {
    var recordsBefore: Int64 = 0
    for (segment, stem) in segments {
      try compareDays(before: stem.date)
      guard let record = records[stem] else {
        if segment.isSealed {
          verdict.segments += 1
          verdict.note(stem.text, "this closed segment of the tape is not converted")
        } else {
          verdict.segmentsOpen += 1
        }
        continue
      }
      verdict.segments += 1
      recordsBefore += try compare(segment, record) { progress(recordsBefore + $0) }
    }
  }

  /// - Returns: the segment's records.
  private mutating func compare(
    _ segment: TapeSegment, _ record: ConversionRecord, progress: (Int64) -> Void
  ) throws -> Int64 {
    var reader = try TapeSegmentReader(segment, hashes: checksSeals)
    var projection = TapeProjection(grouping: .bySymbol, reading: .plain)
    var digests: [TableDigest] = []
    while let block = try reader.nextBlock() {
      projection.take(block)
      for (place, batch) in projection.batches.enumerated() {
        if place == digests.count { digests.append(TableDigest(batch.schema)) }
        digests[place].add(batch)
        batch.removeAll()
      }
      progress(projection.recordCount)
    }
    if let damage = reader.damage {
      verdict.note(record.segment.text, "the tape's segment cannot be read to its end: \(damage)")
    }
    checkSeal(segment, record, checksSeals ? reader.sha256() : nil, projection.recordCount)
    // In the order of kinds and symbols, so that differences come in a stable order.
    let parts = projection.batches.enumerated().sorted {
      ($0.element.schema.kind.rawValue, $0.element.symbol ?? "")
        < ($1.element.schema.kind.rawValue, $1.element.symbol ?? "")
    }
    for (place, batch) in parts { compare(batch.schema.kind, batch.symbol, record, digests[place].finish()) }
    return projection.recordCount
  }

  private mutating func checkSeal(
    _ segment: TapeSegment, _ record: ConversionRecord, _ sha256: String?, _ recordCount: Int64
  ) {
    let path = record.path
    if record.records != recordCount {
      verdict.note(path, "it says \(record.records) records, the tape has \(recordCount)")
    }
    guard segment.isSealed else {
      if let sha256, let converted = record.sha256, converted != sha256 {
        verdict.note(path, "the open segment has changed since it was converted; convert it again")
      }
      return
    }
    guard let seal = try? segment.seal() else {
      return verdict.note(record.segment.text, "the tape's seal cannot be understood")
    }
    if let sha256, seal.sha256 != sha256 {
      verdict.note(record.segment.text, "the segment's bytes are not those of its seal")
    }
    // Of a segment that was open when it was converted the record has only the hash of the bytes.
    if record.sealSHA256 ?? record.sha256 != seal.sha256 {
      verdict.note(path, "it was made of another tape: its seal_sha256 is not that of the segment")
    }
    if record.firstSequence != seal.firstSequence || record.lastSequence != seal.lastSequence {
      verdict.note(path, "its first or last seq is not that of the segment")
    }
  }

  // MARK: The files

  private mutating func compare(
    _ kind: TableKind, _ symbol: String?, _ record: ConversionRecord, _ summary: TableDigest.Summary
  ) {
    let segment = record.segment
    let key = "\(segment.text) \(kind.name) \(symbol ?? "")"
    partHashes[key] = (hash(summary), "")
    verdict.rowsTape[kind, default: 0] += summary.rows
    let part = Part(segment: segment, summary: summary)
    let path = ParquetFolder.path(kind: kind, symbol: symbol, segment: segment)
    if !Files.exists("\(folder.root)/\(path)") {
      let day = "\(ParquetFolder.folder(kind: kind, symbol: symbol, date: segment.date))/day.parquet"
      if Files.exists("\(folder.root)/\(day)") {
        days[day, default: Day(kind: kind, symbol: symbol, parts: [])].parts.append(part)
        if !record.files.contains(where: { $0.path == day }) {
          verdict.note(day, "the conversion record of \(segment.text) does not name it")
        }
        return
      }
      seen.insert(path)
      verdict.rowsParquet[kind, default: 0] += 0
      verdict.note(path, "it is missing; the tape has \(summary.rows) rows for it")
      return
    }
    if let entry = record.files.first(where: { $0.path == path }) {
      let bytes = (try? File("\(folder.root)/\(path)", .read).size()) ?? 0
      if bytes != Int(entry.bytes) {
        verdict.note(path, "it has \(bytes) bytes, its record says \(entry.bytes)")
      }
      if entry.rows != summary.rows {
        verdict.note(path, "its record says \(entry.rows) rows, the tape has \(summary.rows)")
      }
    } else {
      verdict.note(path, "the conversion record of \(segment.text) does not name it")
    }
    compare(path, kind, symbol, [part])
  }

  /// Compares the compacted days before a date, or all.
  private mutating func compareDays(before date: String?) throws {
    for (path, day) in days.sorted(by: { $0.key < $1.key }) {
      if let date, day.parts[0].segment.date >= date { continue }
      compare(path, day.kind, day.symbol, day.parts)
      days[path] = nil
    }
  }

  private mutating func compare(_ path: String, _ kind: TableKind, _ symbol: String?, _ parts: [Part]) {
    seen.insert(path)
    verdict.files += 1
    let schema = TableSchema.of(kind)
    let reading: ParquetReading
    do throws(DuckDBError) {
      reading = try ParquetReading(
        database, path: "\(folder.root)/\(path)", schema: schema, partRows: parts.map(\.summary.rows))
    } catch {
      verdict.rowsParquet[kind, default: 0] += 0
      let reason = "\(error)".split(separator: "\n").first.map(String.init) ?? "no reason is given"
      return verdict.note(path, "it cannot be read: \(reason)")
    }
    verdict.rowsParquet[kind, default: 0] += reading.rows
    checkShape(path, kind, reading)
    let expected = parts.reduce(0) { $0 + $1.summary.rows }
    if reading.rows != expected { verdict.note(path, "it has \(reading.rows) rows, the tape \(expected)") }
    var nulls = verdict.nulls[kind] ?? schema.columns.map { _ in 0 }
    for (part, found) in zip(parts, reading.parts) {
      let hash = hash(found)
      partHashes["\(part.segment.text) \(kind.name) \(symbol ?? "")"]?.parquet = hash
      for (index, column) in schema.columns.enumerated() {
        nulls[index] += found.nulls[index]
        if reading.missing.contains(column.name)
          || reading.wrong.contains(where: { $0.column == column.name })
          || reading.rows != expected
        {
          continue
        }
        let hour = parts.count > 1 ? " in the hour \(part.segment.hour)" : ""
        if found.nulls[index] != part.summary.nulls[index] {
          verdict.note(
            path, column: column.name,
            "\(found.nulls[index]) values are null\(hour), on the tape \(part.summary.nulls[index])")
        } else if found.hashes[index] != part.summary.hashes[index] {
          verdict.note(path, column: column.name, "its values\(hour) are not those of the tape")
        }
      }
    }
    verdict.nulls[kind] = nulls
  }

  private mutating func checkShape(_ path: String, _ kind: TableKind, _ reading: ParquetReading) {
    verdict.schemaVersions.insert(reading.schemaVersion ?? "none")
    if reading.schemaVersion != "\(TableSchema.version)" {
      verdict.note(
        path,
        "its schema version is \(reading.schemaVersion ?? "not given") instead of \(TableSchema.version)")
    }
    for column in reading.missing {
      verdict.noteMissing(kind, column)
      verdict.note(path, column: column, "the column is missing")
    }
    for (column, what) in reading.wrong { verdict.note(path, column: column, what) }
    if reading.isReordered { verdict.note(path, "its columns are in another order") }
  }

  // MARK: Hashes

  private func hash(_ summary: TableDigest.Summary) -> String {
    var hash = SHA256Stream()
    for text in ["\(summary.rows)\n"] + summary.hashes { hash.update(text) }
    return hash.hexadecimal()
  }

  private func contentHash(_ side: KeyPath<(tape: String, parquet: String), String>) -> String {
    var hash = SHA256Stream()
    for (key, hashes) in partHashes.sorted(by: { $0.key < $1.key }) {
      hash.update("\(key) \(hashes[keyPath: side])\n")
    }
    return hash.hexadecimal()
  }
}

extension SHA256Stream {
  fileprivate mutating func update(_ text: String) {
    var copy = text
    copy.withUTF8 { update(UnsafeRawBufferPointer($0)) }
  }
}
