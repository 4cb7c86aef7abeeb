import Core
import Glibc
import Tape

/// What an executed plan has done.
public struct RetentionResult: Equatable, Sendable {
  public var filesRemoved = 0
  public var bytesRemoved: Int64 = 0
  public var daysCompacted = 0
  public var filesCompacted = 0
  public var rowsCompacted: Int64 = 0
  public var bytesBeforeCompaction: Int64 = 0
  public var bytesAfterCompaction: Int64 = 0
  /// What could not be merged, with the reason; its hours stay.
  public var compactionsFailed: [String] = []

  public init() {}

  public var json: JSONValue {
    .object([
      "removed_files": .integer(filesRemoved), "removed_bytes": .integer(bytesRemoved),
      "compacted_days": .integer(daysCompacted), "compacted_files": .integer(filesCompacted),
      "compacted_rows": .integer(rowsCompacted), "bytes_before_compaction": .integer(bytesBeforeCompaction),
      "bytes_after_compaction": .integer(bytesAfterCompaction),
      "failed": .array(compactionsFailed.map { .string($0) }),
    ])
  }
}

/// Executes a ``RetentionPlan``, to the letter. Killed at any point and run again it comes to the same end.
///
/// Each removal is announced before it happens, where somebody would miss what is gone: segments in
/// ``TapeTrim``, Parquet files in their ``RetainedRecord``.
public struct RetentionRun: ~Copyable {
  private let inventory: RetentionInventory
  private let concatenate: ParquetCompaction.Concatenate
  private let hook: (String) throws -> Void
  private let nowNs: Int64
  private var result = RetentionResult()

  init(
    _ inventory: RetentionInventory, nowNs: Int64, concatenate: @escaping ParquetCompaction.Concatenate,
    hook: @escaping (String) throws -> Void = { _ in }
  ) {
    self.inventory = inventory
    self.nowNs = nowNs
    self.concatenate = concatenate
    self.hook = hook
  }

  /// - Parameter progress: called with the number of actions done.
  consuming func execute(
    _ plan: RetentionPlan, progress: (Int64) -> Void = { _ in }
  ) throws -> RetentionResult {
    try announce(plan.removals)
    for (index, action) in plan.actions.enumerated() {
      switch action.verb {
      case .finishCompaction: try ParquetCompaction.finish(action.path, hook: hook)
      case .remove: for item in action.items { try remove(item) }
      case .compact: try compact(action)
      case .keep: break
      }
      progress(Int64(index + 1))
    }
    return result
  }

  // MARK: Removing

  private func announce(_ removals: [RetentionInventory.Item]) throws {
    var paths: [String: Set<String>] = [:]
    for item in removals {
      if case .table(let file) = item.detail {
        paths[file.folder, default: []].insert("\(file.leaf)/\(file.name)")
      }
    }
    for (folder, paths) in paths.sorted(by: { $0.key < $1.key }) {
      for var record in try RetainedRecord.list(folder) where record.remove(paths, at: UnixNanos(nowNs)) {
        try hook("announce file")
        try record.write()
      }
    }
    for (index, tape) in inventory.tapes.enumerated() {
      let stems = removals.compactMap { item -> String? in
        if case .segment(let segment) = item.detail, segment.tape == index { segment.stem } else { nil }
      }
      guard !stems.isEmpty else { continue }
      try hook("announce segments")
      try announceTrim(of: tape.folder, Set(stems))
    }
  }

  private func announceTrim(of folder: String, _ stems: Set<String>) throws {
    let before = try TapeTrim.read(folder)
    // Segments of an interrupted trim are in its numbers already.
    let seals = try Tape.segments(folder).filter { stems.contains($0.stem) }.compactMap { try $0.seal() }
      .filter { $0.lastSequence > before?.lastSequence ?? 0 }
    guard let first = seals.first, let last = seals.last else { return }
    let trim = TapeTrim(
      firstSequence: before?.firstSequence ?? first.firstSequence,
      firstReceiveTime: before?.firstReceiveTime ?? first.firstReceiveTime, lastSequence: last.lastSequence,
      segments: (before?.segments ?? 0) + seals.count,
      records: seals.reduce(before?.records ?? 0) { $0 + Int64($1.records) },
      bytes: seals.reduce(before?.bytes ?? 0) { $0 + Int64($1.bytes) }, at: UnixNanos(nowNs))
    try trim.write(folder)
  }

  private mutating func remove(_ item: RetentionInventory.Item) throws {
    switch item.detail {
    case .segment(let segment):
      let tape = inventory.tapes[segment.tape].folder
      for suffix in RetentionInventory.segmentSuffixes {
        let file = "\(tape)/\(segment.stem)\(suffix)"
        guard Files.exists(file) else { continue }
        try hook("remove segment")
        try Files.remove(file)
        result.filesRemoved += 1
      }
    case .table(let file):
      try hook("remove file")
      try Files.remove(item.path)
      result.filesRemoved += 1
      // Symbol, day, kind: as far up as nothing is left.
      var leaf = file.leaf[...]
      while rmdir("\(file.folder)/\(leaf)") == 0, let slash = leaf.lastIndex(of: "/") {
        leaf = leaf[..<slash]
      }
    case .file:
      try hook("remove file")
      try Files.remove(item.path)
      result.filesRemoved += 1
    }
    result.bytesRemoved += item.bytes
  }

  // MARK: Compacting

  private mutating func compact(_ action: RetentionPlan.Action) throws {
    let files = action.items.compactMap { item -> RetentionInventory.TableFile? in
      if case .table(let file) = item.detail { file } else { nil }
    }
    guard let first = files.first else { return }
    let compaction = ParquetCompaction(folder: first.folder, leaf: first.leaf, sources: files.map(\.name))
    do {
      let made = try compaction.run(concatenate, hook: hook)
      result.daysCompacted += 1
      result.filesCompacted += files.count
      result.rowsCompacted += made.rows
      result.bytesBeforeCompaction += action.bytes
      result.bytesAfterCompaction += Int64(made.bytes)
    } catch let error as FaultInjected {
      throw error
    } catch {
      result.compactionsFailed.append("\(action.path): \(error)")
    }
  }
}
