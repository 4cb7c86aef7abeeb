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
/// **Algorithm.** The new file is made in a folder of its own, `DIR/_compaction/<id>/new`, beside a `plan.json` that
/// says what it replaces. When it is whole and durable, that folder and the symbol's folder change places in one
/// step (`renameat2` with `RENAME_EXCHANGE`): a reader sees the hours or the day. Then the conversion records are
/// told, and the old files go. A process killed at any point leaves `plan.json`, from which ``finish(_:hook:)``
/// tells on which side of the exchange that was: it completes it or throws it away.
///
/// **Bounds.** Row groups are copied as bytes; twice a symbol's day on the disk, once in memory at most.
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
  /// - Throws: ``RetentionError/rowsDiffer(path:expected:found:)`` before anything is replaced, `FileError`,
  ///   what `concatenate` throws
  func run(
    _ concatenate: Concatenate, hook: (String) throws -> Void = { _ in }
  ) throws -> (rows: Int64, bytes: Int) {
    let new = staging + "/new"
    try hook("stage")
    try Files.makeFolder(new)
    try hook("plan")
    try Files.writeAtomically(staging + "/plan.json", plan.text() + "\n")
    let target = "\(new)/\(ParquetCompaction.dayName)"
    do {
      try hook("concatenate")
      let made = try concatenate(sources.map { "\(folder)/\(leaf)/\($0)" }, target)
      if let expected = try rowsExpected(), expected != made.rows {
        throw RetentionError.rowsDiffer(path: target, expected: expected, found: made.rows)
      }
      try hook("sync")
      try File(target, .append).sync()
      try Files.syncFolder(new)
      try Files.syncFolder(staging)
      try hook("exchange")
      try exchange("\(folder)/\(leaf)", new)
      try complete(hook)
      return made
    } catch let error as FaultInjected {
      throw error
    } catch {
      // What cannot be merged stays as it is, and leaves nothing behind.
      try? ParquetCompaction.finish(staging)
      throw error
    }
  }

  /// Completes what an earlier process has begun, or throws it away.
  ///
  /// - Parameter staging: as ``unfinished(_:)`` names it.
  static func finish(_ staging: String, hook: (String) throws -> Void = { _ in }) throws {
    let folder = staging.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
      .joined(separator: "/")
    guard let bytes = try? Files.read(staging + "/plan.json", bytesMax: 1 << 20),
      let json = bytes.withUnsafeBytes({ try? JSONValue(parsing: $0) }), let leaf = json["leaf"]?.text,
      let sources = json["sources"]?.elements?.compactMap(\.text)
    else { return try removeTree(staging) }
    let compaction = ParquetCompaction(folder: folder, leaf: leaf, sources: sources)
    // After the exchange the hours are here, and gone only when all else is done.
    let present = (try? Files.list(staging + "/new")) ?? []
    let isExchanged = sources.contains { $0 != dayName && present.contains($0) }
    if isExchanged { try compaction.complete(hook) } else { try removeTree(staging) }
  }

  /// Folders of compactions that were begun and not completed.
  static func unfinished(_ folder: String) throws(FileError) -> [String] {
    let parent = "\(folder)/\(stagingName)"
    guard Files.isFolder(parent) else { return [] }
    return try Files.list(parent).map { "\(parent)/\($0)" }
  }

  private var plan: JSONValue {
    .object(["leaf": .string(leaf), "sources": .array(sources.map { .string($0) })])
  }

  private func complete(_ hook: (String) throws -> Void) throws {
    let old = staging + "/new"
    try hook("return")
    // What came into the folder while its day was made is no part of the day.
    for name in try Files.list(old) where !sources.contains(name) {
      try Files.rename("\(old)/\(name)", "\(folder)/\(leaf)/\(name)")
    }
    let paths = Set(sources.map { "\(leaf)/\($0)" })
    for var record in try RecordedConversion.list(folder)
    where record.move(paths, to: "\(leaf)/\(ParquetCompaction.dayName)") {
      try hook("record")
      try record.write()
    }
    for name in sources {
      try hook("remove")
      try Files.remove("\(old)/\(name)")
    }
    try hook("end")
    try removeTree(staging)
  }

  /// Rows that the conversion records give for the sources; nil where one is not recorded.
  private func rowsExpected() throws -> Int64? {
    var rows: [String: Int64] = [:]
    for record in try RecordedConversion.list(folder) {
      for file in record.files { rows[file.path, default: 0] += file.rows }
    }
    var sum: Int64 = 0
    for source in sources {
      guard let count = rows["\(leaf)/\(source)"] else { return nil }
      sum += count
    }
    return sum
  }

  private func exchange(_ a: String, _ b: String) throws(FileError) {
    if weir_exchange(a, b) == 0 { return }
    throw FileError("exchange in one step (a file system without RENAME_EXCHANGE cannot) with \(b)", a)
  }
}

/// Removes a folder and what is in it.
func removeTree(_ path: String) throws(FileError) {
  for name in try Files.list(path) {
    let inner = "\(path)/\(name)"
    var status = stat()
    guard lstat(inner, &status) == 0 else { continue }
    if status.st_mode & S_IFMT == S_IFDIR { try removeTree(inner) } else { try Files.remove(inner) }
  }
  if rmdir(path) != 0, errno != ENOENT { throw FileError("remove the folder", path) }
}

/// Thrown by tests in the place of a kill: nothing is tidied up.
struct FaultInjected: Error {}
