import CSystem
import Core
import Glibc
import Parquet
import Tables
import Tape

/// What is to be converted, and how.
public struct ConvertOptions: Sendable {
  public var tape: String
  public var output: String
  /// Of zstd.
  public var level = 1
  public var rowGroupRows = 500_000
  /// Of all rows that wait for their row group.
  public var memoryBytesMax = 256 << 20
  /// Whether each segment's hash is recomputed and compared with its seal.
  public var verifiesSeals = true

  public init(tape: String, output: String) {
    self.tape = tape
    self.output = output
  }
}

/// Converts a tape's segments to Parquet files, each of them once.
///
/// **Problem.** The files must be the tape's rows whatever happens: a kill at any instant, a full disk, a
/// second start, a segment that was continued or damaged, another tape by mistake.
///
/// **Why the obvious answer fails.** Files written in place are seen half-written; a file renamed into place
/// alone says nothing about its neighbours of the same hour; a position in a checkpoint knows nothing of what
/// became of the files.
///
/// **Algorithm.** A segment is the unit. Its files are written below `DIR/_staging/SEGMENT/`, synced, checked
/// against the seal, renamed into place, and then its record (``ConversionRecord``) is written atomically:
/// the commit. Without a record the segment is converted again, to the same bytes, for a file depends only on
/// its segment and the options; so a kill anywhere is harmless. A segment whose record has its hash is
/// passed. A record with another hash is that of a shorter version of the segment when the segment begins
/// with exactly those bytes; else it is another tape's, and so is a record before or after it whose numbers
/// do not fit: both are refused before anything is put in place.
public final class TapeConverter {
  public let options: ConvertOptions
  private let encoder: ParquetEncoder
  private let lock: FolderLock
  public private(set) var result = ConvertResult()
  /// The segments that this converter knows to be done, by their seals' hashes, with what they count for: a
  /// service that looks every hour need not read the records of a year.
  private var done: [String: (sealSHA256: String, counts: ConversionRecord)] = [:]

  /// Makes the output folder, keeps other converters from it and clears what a killed one has left.
  ///
  /// - Throws: ``ConvertError/inUse(output:)``, `FileError`
  public init(_ options: ConvertOptions) throws {
    self.options = options
    encoder = ParquetEncoder(level: options.level)
    try Files.makeFolder(ConversionRecord.folder(options.output))
    do {
      lock = try FolderLock(ConversionRecord.folder(options.output))
    } catch is FolderLock.Held {
      throw ConvertError.inUse(output: options.output)
    }
    removeFolder(staging)
  }

  private var staging: String { "\(options.output)/\(ParquetLayout.staging)" }

  /// Converts what is there and was not converted yet.
  ///
  /// A damaged segment is noted in ``result`` and does not keep the others from being converted.
  ///
  /// - Parameters:
  ///   - sealedOnly: leave the open segment alone, also where nobody writes it now.
  ///   - onBlock: gets the number of records so far, some thousand times a second; what it throws ends the
  ///     conversion, as a kill would.
  /// - Throws: ``ConvertError``, `ParquetError`, `TapeError`, `FileError`
  public func convert(sealedOnly: Bool = false, onBlock: (Int64) throws -> Void = { _ in }) throws {
    let segments = try Tape.segments(options.tape)
    let isLive = !sealedOnly && segments.contains { !$0.isSealed } && Tape.isBeingWritten(options.tape)
    result = ConvertResult()
    for segment in segments {
      guard segment.isSealed || !sealedOnly && !isLive else {
        if !sealedOnly { result.openSegments.append(segment.stem) }
        continue
      }
      do {
        try convert(segment) { [before = result.records] in try onBlock(before + $0) }
      } catch ConvertError.damagedSegment(let path, let reason) {
        result.damage.append("\(ConvertError.damagedSegment(path: path, reason: reason))")
        result.damagedSegments.append(segment.stem)
      } catch TapeError.damaged(let path, let reason) {
        result.damage.append("\(TapeError.damaged(path: path, reason: reason))")
        result.damagedSegments.append(segment.stem)
      }
    }
  }

  /// Whether this converter has converted or passed a segment.
  func isDone(_ segment: TapeSegment) -> Bool { done[segment.stem] != nil }

  private func note(_ record: ConversionRecord, isNew: Bool) {
    result.add(record, isNew: isNew)
    done[record.segment] = record.sealSHA256.map { ($0, record.counts) }
  }

  private func convert(_ segment: TapeSegment, onBlock: (Int64) throws -> Void) throws {
    let seal = try segment.seal()
    if let known = done[segment.stem], known.sealSHA256 == seal?.sha256 {
      return result.add(known.counts, isNew: false)
    }
    done[segment.stem] = nil
    let previous = ConversionRecord.read(options.output, segment.stem)
    if var record = previous, let seal, record.sha256 == seal.sha256,
      record.schemaVersion == TableSchema.version, hasFiles(record)
    {
      if record.sealSHA256 == nil {
        record.sealSHA256 = seal.sha256
        try record.write(options.output)
      }
      return note(record, isNew: false)
    }
    if let previous, previous.files.contains(where: { !isHourly($0.path) }) {
      throw ConvertError.compacted(output: options.output, segment: segment.stem)
    }
    try checkNeighbours(segment, first: try seal?.firstSequence ?? segment.firstSequence() ?? 0)

    let folder = "\(staging)/\(segment.stem)"
    defer { removeFolder(staging) }
    var conversion = SegmentConversion(segment, staging: folder, options, encoder)
    let outcome = try conversion.run(seal: seal, previous: previous, onBlock: onBlock)
    guard outcome.continuesPrevious else {
      throw ConvertError.otherTape(
        output: options.output, segment: segment.stem,
        reason: "the segment does not begin with what was converted for this hour")
    }
    try checkNeighbours(segment, first: outcome.record.firstSequence, last: outcome.record.lastSequence)
    try put(outcome.record, from: folder, replacing: previous)
    note(outcome.record, isNew: true)
    result.tornBytes += outcome.tornBytes
  }

  // MARK: Whose rows are there

  private func isHourly(_ path: String) -> Bool { Files.name(path).hasPrefix("hour=") }

  private func hasFiles(_ record: ConversionRecord) -> Bool {
    // A day's file holds the rows of many records, and its size is in none of them.
    record.files.allSatisfy { file in
      var status = stat()
      guard stat("\(options.output)/\(file.path)", &status) == 0 else { return false }
      return !isHourly(file.path) || Int(status.st_size) == file.bytes
    }
  }

  /// Records of a tape are numbered on from hour to hour.
  private func checkNeighbours(_ segment: TapeSegment, first: Int64, last: Int64 = 0) throws {
    guard first > 0 else { return }
    let segments = ConversionRecord.segments(options.output)
    func other(_ reason: String) -> ConvertError {
      .otherTape(output: options.output, segment: segment.stem, reason: reason)
    }
    if let before = segments.last(where: { $0 < segment.stem }),
      let record = ConversionRecord.read(options.output, before), record.lastSequence >= first
    {
      throw other("the hour \(before) ends with seq \(record.lastSequence), this one begins with \(first)")
    }
    if let after = segments.first(where: { $0 > segment.stem }),
      let record = ConversionRecord.read(options.output, after), record.firstSequence > 0,
      record.firstSequence <= max(first, last)
    {
      throw other(
        "the hour \(after) begins with seq \(record.firstSequence), this one ends with \(max(first, last))")
    }
    if let own = ConversionRecord.read(options.output, segment.stem), own.firstSequence > 0,
      own.firstSequence != first
    {
      throw other("this hour was converted from seq \(own.firstSequence) on, now it begins with \(first)")
    }
  }

  // MARK: Into place

  private func put(_ record: ConversionRecord, from folder: String, replacing previous: ConversionRecord?)
    throws
  {
    try syncDisk()
    for file in record.files {
      let target = "\(options.output)/\(file.path)"
      try Files.makeFolder(String(target[..<target.lastIndex(of: "/")!]))
      try Files.rename("\(folder)/\(file.path)", target)
    }
    let paths = Set(record.files.map(\.path))
    for file in previous?.files ?? [] where !paths.contains(file.path) {
      try Files.remove("\(options.output)/\(file.path)")
    }
    try syncDisk()
    try record.write(options.output)
  }

  /// One call for the files and folders of all symbols: syncing each for itself costs a commit of the file
  /// system's journal each, a minute for an hour of two hundred symbols.
  private func syncDisk() throws(FileError) {
    let folder = try File(options.output, .read)
    if syncfs(folder.descriptor) != 0 { throw FileError("sync the disk of", options.output) }
  }
}

/// Removes a folder with all that is in it, as far as it can be.
func removeFolder(_ path: String) {
  for name in (try? Files.list(path)) ?? [] {
    let inner = "\(path)/\(name)"
    var status = stat()
    if lstat(inner, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
      removeFolder(inner)
    } else {
      unlink(inner)
    }
  }
  rmdir(path)
}
