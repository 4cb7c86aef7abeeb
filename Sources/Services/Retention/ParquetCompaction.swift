import CSystem
import Core
import Glibc

/// A symbol's day of hourly Parquet files as one file.
///
/// **Problem.** A year of 200 symbols and nine kinds is sixteen million hourly files. Queries of one day read
/// 24 footers instead of one.
///
/// **Why the obvious answer fails.** Writing the day's file beside its hours and then removing them shows every row
/// twice for a while, removing them first shows none; killed in between, it stays so.
///
/// **Algorithm.** The new file is made in a folder of its own, `DIR/_compaction/<id>/new`. When it is whole and durable, a
/// `plan.json` beside it makes that final: from then on the compaction is only carried forward, by whoever comes
/// next. The conversion records are told; then `new` and the symbol's folder change places in one step
/// (`renameat2` with `RENAME_EXCHANGE`): a reader sees the hours or the day. What was the symbol's folder becomes
/// `old`, and goes. Records come first because a conversion that runs in between must not take the hours for lost
/// and make them again; that they name a day which is not there yet, it refuses.
///
/// **Bounds.** Row groups are copied as bytes; twice a symbol's day on the disk. File systems that cannot exchange
/// (NFS) keep their hours.
struct ParquetCompaction {
  static let dayName = "day.parquet"
  private static let stagingName = "_compaction"

  /// Copies the row groups of files into a new one, in order.
  typealias Concatenate = (_ paths: [String], _ path: String) throws -> (rows: Int64, bytes: Int)

  /// The folder of all Parquet.
  let folder: String
  /// `kind=K/date=D/symbol=S`
  let leaf: String
  /// Names of the files that become one, in the order of their rows.
  let sources: [String]

  private var staging: String {
    "\(folder)/\(ParquetCompaction.stagingName)/" + leaf.split(separator: "/").joined(separator: "~")
  }

  /// - Parameter hook: called before each step, by its name; ``FaultInjected`` thrown by it is as a kill there.
  /// - Returns: the day's rows and bytes.
  /// - Throws: ``RetentionError/rowsDiffer(path:expected:found:)``, `FileError`, what `concatenate` throws; the
  ///   hours then stay.
  func run(
    _ concatenate: Concatenate, hook: (String) throws -> Void = { _ in }
  ) throws -> (rows: Int64, bytes: Int) {
    let made: (rows: Int64, bytes: Int)
    do {
      made = try prepare(concatenate, hook)
    } catch let error as FaultInjected {
      throw error
    } catch {
      removeFolder(staging)
      throw error
    }
    try complete(hook)
    return made
  }

  private func prepare(
    _ concatenate: Concatenate, _ hook: (String) throws -> Void
  ) throws -> (rows: Int64, bytes: Int) {
    try hook("stage")
    for part in ["/new", "/probe"] { try Files.makeFolder(staging + part) }
    try ParquetCompaction.exchange(staging + "/new", staging + "/probe")
    try hook("concatenate")
    let target = "\(staging)/new/\(ParquetCompaction.dayName)"
    let made = try concatenate(sources.map { "\(folder)/\(leaf)/\($0)" }, target)
    if let expected = try rowsExpected(), expected != made.rows {
      throw RetentionError.rowsDiffer(path: target, expected: expected, found: made.rows)
    }
    try hook("sync")
    try File(target, .append).sync()
    try Files.syncFolder(staging + "/new")
    try hook("plan")
    try Files.writeAtomically(staging + "/plan.json", plan.text() + "\n")
    try Files.syncFolder(staging)
    return made
  }

  /// Carries forward what an earlier process has made final, or throws away what it has not.
  ///
  /// - Parameter staging: as ``unfinished(_:)`` names it.
  static func finish(_ staging: String, hook: (String) throws -> Void = { _ in }) throws {
    let folder = staging.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
      .joined(separator: "/")
    guard let (leaf, sources) = finalPlan(staging) else { return removeFolder(staging) }
    try ParquetCompaction(folder: folder, leaf: leaf, sources: sources).complete(hook)
  }

  private static func finalPlan(_ staging: String) -> (leaf: String, sources: [String])? {
    guard let bytes = try? Files.read(staging + "/plan.json", bytesMax: 1 << 20),
      let json = bytes.withUnsafeBytes({ try? JSONValue(parsing: $0) }), let leaf = json["leaf"]?.text,
      let sources = json["sources"]?.elements?.compactMap(\.text)
    else { return nil }
    return (leaf, sources)
  }

  /// Compactions that were begun and not completed.
  static func unfinished(
    _ folder: String
  ) throws(FileError) -> [RetentionInventory.UnfinishedCompaction] {
    let parent = "\(folder)/\(stagingName)"
    guard Files.isFolder(parent) else { return [] }
    return try Files.list(parent).map { name in
      let path = "\(parent)/\(name)"
      return .init(path: path, place: finalPlan(path).map { "\(folder)/\($0.leaf)" })
    }
  }

  private var plan: JSONValue {
    .object(["leaf": .string(leaf), "sources": .array(sources.map { .string($0) })])
  }

  private func complete(_ hook: (String) throws -> Void) throws {
    let (new, old) = (staging + "/new", staging + "/old")
    if !Files.isFolder(old) {
      let paths = Set(sources.map { "\(leaf)/\($0)" })
      for var record in try RetainedRecord.list(folder)
      where record.move(paths, to: "\(leaf)/\(ParquetCompaction.dayName)") {
        try hook("record")
        try record.write()
      }
      // Hours under `new` have been exchanged already; they go only from `old`.
      let present = try Files.list(new)
      if !sources.contains(where: { $0 != ParquetCompaction.dayName && present.contains($0) }) {
        try hook("exchange")
        try ParquetCompaction.exchange("\(folder)/\(leaf)", new)
      }
      try hook("rename")
      try Files.rename(new, old)
      let day = leaf.split(separator: "/").dropLast().joined(separator: "/")
      try Files.syncFolder("\(folder)/\(day)")
      try Files.syncFolder(staging)
    }
    // What came into the folder while its day was made is no part of the day.
    for name in try Files.list(old) where !sources.contains(name) {
      try hook("return")
      try Files.rename("\(old)/\(name)", "\(folder)/\(leaf)/\(name)")
    }
    for name in sources {
      try hook("remove")
      try Files.remove("\(old)/\(name)")
    }
    try hook("end")
    try Files.remove(staging + "/plan.json")
    removeFolder(staging)
  }

  /// Rows that the conversion records give for the sources; nil where one is not recorded.
  private func rowsExpected() throws -> Int64? {
    var rows: [String: Int64] = [:]
    for record in try RetainedRecord.list(folder) {
      for file in record.files { rows[file.path, default: 0] += file.rows }
    }
    var sum: Int64 = 0
    for source in sources {
      guard let count = rows["\(leaf)/\(source)"] else { return nil }
      sum += count
    }
    return sum
  }

  private static func exchange(_ a: String, _ b: String) throws(FileError) {
    if weir_exchange(a, b) == 0 { return }
    throw FileError("exchange in one step (a file system without RENAME_EXCHANGE cannot) with \(b)", a)
  }
}

/// Thrown by tests in the place of a kill: nothing is tidied up.
struct FaultInjected: Error {}
