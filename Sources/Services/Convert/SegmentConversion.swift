import Core
import Glibc
import Parquet
import Tables
import Tape

/// One segment of a tape on its way to Parquet files in a staging folder.
///
/// **Bounds.** A batch becomes a row group at so many rows or bytes; and when the memory of all batches
/// passes its bound, the one that holds the most becomes one and gives its memory back. One file is open at a
/// time.
struct SegmentConversion: ~Copyable {
  private static let batchBytesMax = 64 << 20

  private let options: ConvertOptions
  private let encoder: ParquetEncoder
  private let segment: TapeSegment
  private let staging: String
  private var projection = TapeProjection(grouping: .bySymbol)
  private var writers: [ObjectIdentifier: Output] = [:]

  private struct Output {
    var batch: TableBatch
    /// Below the staging folder, and below the output folder at last.
    var path: String
    var writer: ParquetFileWriter
  }

  init(_ segment: TapeSegment, staging: String, _ options: ConvertOptions, _ encoder: ParquetEncoder) {
    self.segment = segment
    self.staging = staging
    self.options = options
    self.encoder = encoder
    projection.beginSegment()
  }

  struct Outcome {
    var record: ConversionRecord
    var tornBytes: Int
    /// Whether the segment begins with the bytes that an earlier conversion took.
    var continuesPrevious: Bool
  }

  /// Reads the segment and writes its files, which are not synced.
  ///
  /// - Parameter onBlock: gets the number of records so far.
  /// - Throws: `ConvertError.damagedSegment`, `ParquetError`, `TapeError`
  mutating func run(
    seal: TapeSeal?, previous: ConversionRecord?, onBlock: (Int64) throws -> Void
  ) throws -> Outcome {
    let hashes = options.verifiesSeals || seal == nil || previous != nil
    var reader = try TapeSegmentReader(segment, hashes: hashes, mark: previous?.bytes ?? 0)
    var firstSequence: Int64 = 0
    while let block = try reader.nextBlock() {
      projection.take(block)
      try makeRoom()
      try onBlock(projection.recordCount)
    }
    let sha256 = hashes ? reader.sha256() : seal?.sha256 ?? ""
    try check(seal, sha256, reader.byteCount, damage: reader.damage)
    firstSequence = try seal?.firstSequence ?? segment.firstSequence() ?? 0
    for batch in projection.batches where batch.rowCount > 0 { try write(batch) }
    let files = try finishFiles()
    let record = ConversionRecord(
      segment: segment.stem, firstSequence: firstSequence, lastSequence: projection.lastSequence,
      records: projection.recordCount, unreadableLines: projection.unreadableLines,
      sealSHA256: seal?.sha256, bytes: reader.byteCount, sha256: sha256, files: files)
    return Outcome(
      record: record, tornBytes: reader.tornBytes,
      continuesPrevious: previous.map { $0.bytes == 0 || reader.markedSHA256 == $0.sha256 } ?? true)
  }

  private func check(_ seal: TapeSeal?, _ sha256: String, _ bytes: Int, damage: String?) throws {
    func damaged(_ reason: String) -> ConvertError { .damagedSegment(path: segment.path, reason: reason) }
    if let damage { throw damaged(damage) }
    guard let seal else { return }
    if bytes != seal.bytes { throw damaged("its seal says \(seal.bytes) bytes, there are \(bytes)") }
    if sha256 != seal.sha256 { throw damaged("its content is not what was sealed (SHA-256 differs)") }
  }

  // MARK: Memory

  private mutating func makeRoom() throws {
    var storage = 0
    for batch in projection.batches {
      if batch.rowCount >= options.rowGroupRows || batch.byteCount >= SegmentConversion.batchBytesMax {
        try write(batch)
        batch.removeAll()
      }
      storage += batch.storageBytes
    }
    while storage > options.memoryBytesMax {
      guard let fullest = projection.batches.max(by: { $0.storageBytes < $1.storageBytes }) else { return }
      let before = fullest.storageBytes
      if fullest.rowCount > 0 { try write(fullest) }
      fullest.removeAllAndShrink()
      // All are as small as they get: there are more symbols than this bound allows for.
      if fullest.storageBytes >= before { return }
      storage -= before - fullest.storageBytes
    }
  }

  // MARK: Files

  private mutating func write(_ batch: TableBatch) throws {
    let output = try writers[ObjectIdentifier(batch)] ?? open(batch)
    try output.writer.append(batch)
  }

  private mutating func open(_ batch: TableBatch) throws -> Output {
    let folder = ParquetLayout.folder(batch.schema.kind, day: segment.day, symbol: batch.symbol)
    try Files.makeFolder("\(staging)/\(folder)")
    let path = "\(folder)/\(ParquetLayout.hourFile(segment.hour))"
    let writer = ParquetFileWriter(
      "\(staging)/\(path)", schema: batch.schema,
      metadata: [(key: "weir.segment", value: segment.stem)], encoder: encoder)
    let output = Output(batch: batch, path: path, writer: writer)
    writers[ObjectIdentifier(batch)] = output
    return output
  }

  private func finishFiles() throws -> [ConversionRecord.File] {
    let outputs = writers.values.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
    return try outputs.map { output in
      try output.writer.finish()
      return ConversionRecord.File(
        path: output.path, kind: output.batch.schema.kind.name, symbol: output.batch.symbol,
        rows: output.writer.rowCount, bytes: output.writer.byteCount)
    }
  }
}
