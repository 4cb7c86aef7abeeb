import Core
import Glibc
import Tape

extension RetentionInventory {
  /// Of a segment's files. Records first: a seal without them is no segment.
  static let segmentSuffixes = [".ndjson", ".ndjson.zst", ".seal.json"]

  /// Looks at folders: tapes, Parquet, and runs, which hold either and more.
  ///
  /// - Parameter positions: further position files of loaders, which hold every tape.
  /// - Throws: ``RetentionError``, `FileError`, `TapeError`
  /// - Complexity: one small read a segment and conversion record
  public static func read(_ folders: [String], positions: [String] = []) throws -> RetentionInventory {
    var reader = InventoryReader(positions: positions)
    for folder in folders { try reader.add(trimmed(folder)) }
    return try reader.finish()
  }

  private static func trimmed(_ path: String) -> String {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    return path
  }
}

/// Why retention cannot look at what it was given.
public enum RetentionError: Error, Equatable, CustomStringConvertible {
  case nothingKnown(String)
  case locked(String)
  /// Copies and originals do not agree; the originals stay.
  case rowsDiffer(path: String, expected: Int64, found: Int64)
  case record(path: String)

  public var description: String {
    switch self {
    case .nothingKnown(let path):
      "\(path) holds neither a tape, nor converted Parquet, nor a run; name such a folder"
    case .locked(let path): "another weir gc is at work on \(path); wait for it or stop it"
    case .rowsDiffer(let path, let expected, let found):
      "\(path) would have \(found) rows instead of \(expected); its hours stay as they are; run weir validate"
    case .record(let path): "\(path) is no record of a conversion; run weir convert again"
    }
  }
}

private struct InventoryReader {
  private var inventory = RetentionInventory()
  private var tapes: [String] = []
  private var tables: [String] = []
  private var runs: [String] = []
  private var diskByDevice: [UInt: Int] = [:]
  private let positions: [String]

  init(positions: [String]) { self.positions = positions }

  mutating func add(_ folder: String) throws {
    guard Files.isFolder(folder) else { throw FileError("open the folder", folder, code: ENOENT) }
    var isKnown = false
    func note(_ path: String, _ list: inout [String], _ holds: Bool) {
      guard holds else { return }
      isKnown = true
      if !list.contains(path) { list.append(path) }
    }
    func isTape(_ path: String) -> Bool { (try? !Tape.segments(path).isEmpty) ?? false }
    func isParquet(_ path: String) -> Bool {
      Files.isFolder(path + "/_conversion")
        || (try? Files.list(path).contains { $0.hasPrefix("kind=") }) ?? false
    }
    note(folder, &tapes, isTape(folder))
    note(folder, &tables, isParquet(folder))
    note(folder + "/tape", &tapes, isTape(folder + "/tape"))
    note(folder + "/parquet", &tables, isParquet(folder + "/parquet"))
    note(folder, &runs, Files.isFolder(folder + "/signals") || Files.exists(folder + "/replay.json"))
    if !isKnown { throw RetentionError.nothingKnown(folder) }
  }

  mutating func finish() throws -> RetentionInventory {
    var seals: [String: Set<String>] = [:]
    for folder in tables {
      try readTables(folder)
      for record in try RetainedRecord.list(folder) {
        // A record without its files proves nothing.
        guard let seal = record.sealSHA256,
          record.files.allSatisfy({ Files.exists("\(folder)/\($0.path)") })
        else { continue }
        seals[record.segment, default: []].insert(seal)
      }
    }
    for tape in tapes { try readTape(tape, seals) }
    for run in runs { try readRun(run) }
    return inventory
  }

  // MARK: Tapes

  private mutating func readTape(_ folder: String, _ seals: [String: Set<String>]) throws {
    let index = inventory.tapes.count
    let disk = try disk(of: folder)
    let trim = try TapeTrim.read(folder)
    inventory.tapes.append(
      .init(
        folder: folder, isBeingWritten: Tape.isBeingWritten(folder), holds: try holds(on: folder),
        trimmedTo: trim?.lastSequence))
    let segments = try Tape.segments(folder)
    if trim != nil, let first = segments.first {
      // Seals of segments whose records a killed trim has removed.
      for name in try Files.list(folder) where name.hasSuffix(".seal.json") && name < first.stem {
        let path = "\(folder)/\(name)"
        inventory.items.append(
          .init(kind: .tape, path: path, bytes: bytes(path), endNs: 0, disk: disk, detail: .file))
      }
    }
    for segment in segments {
      // A seal that cannot be understood is none to rely on.
      let seal = try? segment.seal()
      let isConverted = seal.map { seals[segment.stem]?.contains($0.sha256) ?? false } ?? false
      let path = "\(folder)/\(segment.stem)"
      inventory.items.append(
        .init(
          kind: .tape, path: path,
          bytes: RetentionInventory.segmentSuffixes.reduce(0) { $0 + bytes(path + $1) },
          endNs: segment.end.rawValue, disk: disk,
          detail: .segment(
            .init(
              tape: index, stem: segment.stem, lastSequence: seal?.lastSequence,
              isCompressed: segment.path.hasSuffix(".zst"), isConverted: isConverted))))
    }
  }

  private func holds(on tape: String) throws -> [RetentionInventory.Hold] {
    let parent = tape + "/.."
    var holds: [RetentionInventory.Hold] = []
    for name in try Files.list(tape) where name.hasPrefix(".hold-") && name.hasSuffix(".json") {
      holds.append(.init(name: name, sequence: member("seq", "\(tape)/\(name)")))
    }
    for path in [parent + "/clickhouse/position.json"] + positions where Files.exists(path) {
      let json = json(path)
      let segment = json?["segment"]?.text.map { String($0.prefix { $0 != "." }) }
      // What it names is loaded; a loader that starts again reads its segment from the beginning.
      holds.append(
        .init(
          name: "the ClickHouse loader (\(path))", sequence: json?["seq"]?.integer.map { $0 &+ 1 },
          stem: segment))
    }
    // A run that has not ended starts again from its checkpoint, and without one from the beginning.
    let isRunning = Files.exists(parent + "/replay.json") && !Files.exists(parent + "/summary.json")
    if isRunning {
      holds.append(.init(name: "the run's signal stage", stem: SignalCheckpoint.segment(runFolder: parent)))
    }
    return holds
  }

  private func json(_ path: String) -> JSONValue? {
    guard let bytes = try? Files.read(path, bytesMax: 16 << 20) else { return nil }
    return bytes.withUnsafeBytes { try? JSONValue(parsing: $0) }
  }

  private func member(_ name: String, _ path: String) -> Int64? { json(path)?[name]?.integer }

  // MARK: Parquet

  private mutating func readTables(_ folder: String) throws {
    let disk = try disk(of: folder)
    inventory.unfinishedCompactions += try ParquetCompaction.unfinished(folder)
    for kindName in try Files.list(folder) {
      guard let kind = value(of: "kind", kindName).flatMap({ RetainedKind(rawValue: $0) }), kind.isParquet
      else { continue }
      for date in try Files.list("\(folder)/\(kindName)") {
        guard let day = value(of: "date", date).flatMap({ CalendarDay($0) }),
          day.daysSince1970 >= 0, day.daysSince1970 < Int(Int64.max / Nanoseconds.day) - 1
        else { continue }
        for symbol in try Files.list("\(folder)/\(kindName)/\(date)") where symbol.hasPrefix("symbol=") {
          try readLeaf(folder, "\(kindName)/\(date)/\(symbol)", kind, day, disk)
        }
      }
    }
  }

  private mutating func readLeaf(
    _ folder: String, _ leaf: String, _ kind: RetainedKind, _ day: CalendarDay, _ disk: Int
  ) throws {
    let start = Int64(day.daysSince1970) * Nanoseconds.day
    for name in try Files.list("\(folder)/\(leaf)") {
      let hour: Int?
      if name == ParquetCompaction.dayName {
        hour = nil
      } else if name.hasSuffix(".parquet"), let text = value(of: "hour", String(name.dropLast(8))),
        text.utf8.count == 2, let number = Int(text), (0..<24).contains(number)
      {
        hour = number
      } else {
        continue
      }
      let path = "\(folder)/\(leaf)/\(name)"
      let end = hour.map { start + Int64($0 + 1) * Nanoseconds.hour } ?? start + Nanoseconds.day
      inventory.items.append(
        .init(
          kind: kind, path: path, bytes: bytes(path), endNs: end, disk: disk,
          detail: .table(.init(folder: folder, leaf: leaf, name: name, hour: hour))))
    }
  }

  private func value(of key: String, _ name: String) -> String? {
    name.hasPrefix(key + "=") ? String(name.dropFirst(key.count + 1)) : nil
  }

  // MARK: Runs

  private mutating func readRun(_ folder: String) throws {
    for part in ["signals/jsonl", "shadow/signals/jsonl"] {
      try readFiles("\(folder)/\(part)", .runSignals) { name, _ in
        guard name.hasPrefix("signals-"), name.hasSuffix(".jsonl"),
          let day = CalendarDay(String(name.dropFirst(8).prefix(10)))
        else { return nil }
        return Int64(day.daysSince1970 + 1) * Nanoseconds.day
      }
    }
    for part in ["reports", "reports/charts"] {
      try readFiles("\(folder)/\(part)", .runReports) { _, changedNs in changedNs }
    }
    try readFiles("\(folder)/logs", .runLogs) { name, changedNs in name.hasSuffix(".log") ? changedNs : nil }
  }

  private mutating func readFiles(
    _ folder: String, _ kind: RetainedKind, end: (_ name: String, _ changedNs: Int64) -> Int64?
  ) throws {
    guard Files.isFolder(folder) else { return }
    let disk = try disk(of: folder)
    for name in try Files.list(folder) {
      let path = "\(folder)/\(name)"
      var status = stat()
      guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
      guard let endNs = end(name, Int64(status.st_mtim.tv_sec) &* Nanoseconds.second) else { continue }
      inventory.items.append(
        .init(
          kind: kind, path: path, bytes: Int64(status.st_size), endNs: endNs, disk: disk, detail: .file))
    }
  }

  // MARK: Disks

  private func bytes(_ path: String) -> Int64 {
    var status = stat()
    return stat(path, &status) == 0 ? Int64(status.st_size) : 0
  }

  private mutating func disk(of folder: String) throws -> Int {
    var status = stat()
    guard stat(folder, &status) == 0 else { throw FileError("examine", folder) }
    if let index = diskByDevice[UInt(status.st_dev)] { return index }
    var space = statvfs()
    guard statvfs(folder, &space) == 0 else { throw FileError("examine the disk of", folder) }
    func bytes(_ blocks: UInt) -> Int64 {
      Int64(clamping: UInt64(blocks).multipliedReportingOverflow(by: UInt64(space.f_frsize)).partialValue)
    }
    let index = inventory.disks.count
    // What is reserved for root counts as used, as df has it.
    inventory.disks.append(
      .init(
        path: folder,
        totalBytes: bytes(space.f_blocks) - bytes(space.f_bfree) + bytes(space.f_bavail),
        freeBytes: bytes(space.f_bavail)))
    diskByDevice[UInt(status.st_dev)] = index
    return index
  }
}
