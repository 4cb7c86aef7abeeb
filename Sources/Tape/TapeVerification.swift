import Core

/// What checking a tape from its first byte to its last found.
public struct TapeVerification: Equatable, Sendable {
  public struct Segment: Equatable, Sendable {
    /// The file that was read.
    public var file: String
    public var isSealed: Bool
    public var records: Int
    public var bytes: Int
    public var sha256: String
    public var problems: [String]
  }

  public var segments: [Segment] = []
  public var records = 0
  public var firstSequence: Int64 = 0
  public var lastSequence: Int64 = 0
  /// What retention has removed before the first segment.
  public var trim: TapeTrim?

  public var isIntact: Bool { segments.allSatisfy { $0.problems.isEmpty } }

  /// Every problem with the file it is in.
  public var problems: [String] {
    segments.flatMap { segment in segment.problems.map { "\(segment.file): \($0)" } }
  }

  public var json: JSONValue {
    .object([
      "intact": .bool(isIntact),
      "records": .integer(records),
      "first_seq": .integer(firstSequence),
      "last_seq": .integer(lastSequence),
      "trimmed": trim?.json ?? .null,
      "segments": .array(
        segments.map { segment in
          .object([
            "file": .string(segment.file),
            "sealed": .bool(segment.isSealed),
            "records": .integer(segment.records),
            "bytes": .integer(segment.bytes),
            "sha256": .string(segment.sha256),
            "problems": .array(segment.problems.map { .string($0) }),
          ])
        }),
    ])
  }
}

/// Checks a tape: every line is a record, `seq` is dense from 1 (or from behind what ``TapeTrim`` says was removed),
/// receive times never decrease and lie in their segment's hour, and every closed segment has a seal that its
/// content matches.
///
/// - Complexity: O(bytes); nothing is changed.
public func verifyTape(_ folder: String) throws(TapeError) -> TapeVerification {
  let segments = try SegmentFiles.list(folder)
  var result = TapeVerification()
  var blocks = SegmentBlocks()
  result.trim = try TapeTrim.read(folder)
  var nextSequence: Int64 = 1
  if let trim = result.trim, let first = segments.first {
    let seal = first.hasSeal ? TapeSeal.read("\(folder)/\(first.name.seal)") : nil
    nextSequence = trim.firstSequenceDue(found: seal?.firstSequence ?? trim.lastSequence + 1)
  }
  var lastReceiveTime = Int64.min
  for (index, files) in segments.enumerated() {
    let overlongBefore = blocks.overlongLines
    try blocks.open(
      "\(folder)/\(files.hasPlain ? files.name.plain : files.name.compressed)", compressed: !files.hasPlain)
    var check = SegmentCheck(files.name, nextSequence, lastReceiveTime)
    while let block = try blocks.next() { check.add(block) }
    nextSequence = check.nextSequence
    lastReceiveTime = check.lastReceiveTime

    var problems = check.problems
    if let damage = blocks.damage { problems.append("it cannot be read to its end: \(damage)") }
    if blocks.overlongLines > overlongBefore {
      problems.append(
        "\(blocks.overlongLines - overlongBefore) lines are longer than \(Tape.recordBytesMax) bytes")
    }
    if blocks.tornBytes > 0 { problems.append("its last line is torn (\(blocks.tornBytes) bytes)") }
    if files.hasPlain, files.hasCompressed {
      problems.append("\(files.name.compressed) exists as well; opening the tape for writing keeps one")
    }
    let seal = check.builder.seal(files.name)
    let stored = files.hasSeal ? TapeSeal.read("\(folder)/\(files.name.seal)") : nil
    if files.hasSeal {
      problems += stored.map { differences(from: $0, to: seal) } ?? ["its seal cannot be understood"]
    } else if !files.hasPlain || index < segments.count - 1 {
      problems.append("it is closed but has no seal")
    }
    if !files.hasPlain, let noted = stored?.compressed,
      noted != (try TapeSeal.measure("\(folder)/\(files.name.compressed)"))
    {
      problems.append("its bytes are not those that were written when it was compressed")
    }
    result.records += seal.records
    if result.firstSequence == 0 { result.firstSequence = seal.firstSequence }
    if seal.records > 0 { result.lastSequence = seal.lastSequence }
    result.segments.append(
      .init(
        file: files.hasPlain ? files.name.plain : files.name.compressed, isSealed: stored != nil,
        records: seal.records, bytes: seal.bytes, sha256: seal.sha256, problems: problems))
  }
  return result
}

private func differences(from stored: TapeSeal, to actual: TapeSeal) -> [String] {
  var found: [String] = []
  func compare(_ what: String, _ a: some Equatable, _ b: some Equatable & CustomStringConvertible) {
    if "\(a)" != "\(b)" { found.append("its seal says \(what) \(a), its content \(b)") }
  }
  compare("segment", stored.segment, actual.segment)
  compare("records", stored.records, actual.records)
  compare("bytes", stored.bytes, actual.bytes)
  compare("first_seq", stored.firstSequence, actual.firstSequence)
  compare("last_seq", stored.lastSequence, actual.lastSequence)
  compare("first_recv_ns", stored.firstReceiveTime.rawValue, actual.firstReceiveTime.rawValue)
  compare("last_recv_ns", stored.lastReceiveTime.rawValue, actual.lastReceiveTime.rawValue)
  compare("sha256", stored.sha256, actual.sha256)
  if stored.kinds != actual.kinds { found.append("its seal's counts by kind differ from its content") }
  if stored.symbols != actual.symbols { found.append("its seal's counts by symbol differ from its content") }
  return found
}

/// The running check of one segment. The first problem of each sort is described, the rest are counted.
private struct SegmentCheck: ~Copyable {
  var builder = SealBuilder()
  var nextSequence: Int64
  var lastReceiveTime: Int64
  private let start: Int64
  private let end: Int64
  private var lines = 0
  private var first: [String?] = [nil, nil, nil, nil]
  private var counts = [0, 0, 0, 0]

  init(_ name: SegmentName, _ nextSequence: Int64, _ lastReceiveTime: Int64) {
    self.nextSequence = nextSequence
    self.lastReceiveTime = lastReceiveTime
    start = name.start.rawValue
    end = name.end.rawValue
  }

  var problems: [String] {
    first.indices.compactMap { sort in
      first[sort].map { counts[sort] == 1 ? $0 : "\($0) (and \(counts[sort] - 1) more)" }
    }
  }

  mutating func add(_ block: UnsafeRawBufferPointer) {
    builder.add(bytes: block)
    forEachLine(block) { line, _ in
      lines += 1
      guard let record = TapeRecord(parsing: line) else {
        report(0, "line \(lines) is no record")
        return true
      }
      if record.sequence != nextSequence {
        report(1, "line \(lines) has seq \(record.sequence) where \(nextSequence) is due")
      }
      nextSequence = record.sequence &+ 1
      let time = record.receiveTime.rawValue
      if time < lastReceiveTime { report(2, "line \(lines) was received before the line above") }
      if time < start || time >= end { report(3, "line \(lines) belongs to another hour") }
      lastReceiveTime = max(lastReceiveTime, time)
      let symbol = record.kind == .frame ? frameSymbol(stream: record.stream, data: record.data) : nil
      builder.add(sequence: record.sequence, receiveTime: time, kind: record.kind, symbolName: symbol)
      return true
    }
  }

  private mutating func report(_ sort: Int, _ text: String) {
    if first[sort] == nil { first[sort] = text }
    counts[sort] += 1
  }
}
