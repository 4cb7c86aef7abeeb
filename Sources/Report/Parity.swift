import Core
import Store

/// Why two sinks could not be compared.
public enum ParityError: Error, Equatable, CustomStringConvertible {
  /// The run wrote only one of them.
  case missingSink(runFolder: String, missing: String)

  public var description: String {
    switch self {
    case .missingSink(let runFolder, let missing):
      "\(runFolder) has no \(missing): comparing the sinks needs --sink dual; run it again with that"
    }
  }
}

/// Rows counted on one side of a comparison.
public struct ParityCounts: Equatable, Sendable {
  public var total = 0
  public var confirmed = 0
  /// Confirmed rows of a strong type.
  public var strong = 0

  /// `nil` without confirmed rows.
  public var strongRatio: Double? { confirmed == 0 ? nil : Double(strong) / Double(confirmed) }

  mutating func count(_ row: StoredRow) {
    total += 1
    if row.isConfirmed {
      confirmed += 1
      if row.isStrong { strong += 1 }
    }
  }
}

/// JSON lines against the database of one run, row by row.
///
/// Totals that agree prove little: a lost row and a doubled one cancel out. Both sides are therefore read in
/// one order (tape time, then id) and merged like two sorted lists, so that every row is matched, missing or
/// different, in memory that does not grow with the run. A row is compared by its canonical rendering,
/// doubles by their bits. What cannot be seen: digits of the JSON text beyond what a double holds (17
/// significant).
public struct ParityReport: Sendable {
  public struct Minute: Equatable, Sendable {
    public var start: UnixNanos
    public var jsonl: ParityCounts
    public var sqlite: ParityCounts
  }

  /// The first row, in tape order, that is not the same on both sides.
  public struct Difference: Equatable, Sendable {
    public var signalID: String
    public var column: String
    public var jsonl: JSONValue
    public var sqlite: JSONValue
    /// SHA-256 of the row's canonical rendering; `nil` where the row is missing.
    public var jsonlHash: String?
    public var sqliteHash: String?
  }

  public enum Verdict: String, Sendable {
    case pass, fail
    /// Neither side has a row: nothing was compared.
    case inconclusive
  }

  /// The share of differing rows that is still accepted.
  public static let differenceRatioMax = 0.005
  /// Minutes beyond this are left out of the table (69 days).
  public static let minutesMax = 100_000

  public var jsonl = ParityCounts()
  public var sqlite = ParityCounts()
  public var minutes: [Minute] = []
  public var minutesLeftOut = 0
  public var rowsOnlyJSONL = 0
  public var rowsOnlySQLite = 0
  public var rowsDifferent = 0
  /// Rows that the JSON lines hold more than once; the repeats.
  public var rowsDuplicatedJSONL = 0
  public var rowsOutOfOrderJSONL = 0
  public var linesUnreadableJSONL = 0
  public var firstBadLine: String?
  public var firstDifference: Difference?
  public var jsonlHash = ""
  public var sqliteHash = ""

  /// Rows that are not the same on both sides, over the larger side's rows.
  public var differenceRatio: Double {
    let differing = rowsOnlyJSONL + rowsOnlySQLite + rowsDifferent + rowsDuplicatedJSONL
    return Double(differing) / Double(max(1, jsonl.total, sqlite.total))
  }

  /// Nothing differs, nothing is damaged, and the lines lie in tape order.
  public var isExact: Bool {
    verdict == .pass && differenceRatio == 0 && linesUnreadableJSONL == 0 && rowsOutOfOrderJSONL == 0
      && jsonlHash == sqliteHash
  }

  public var verdict: Verdict {
    if max(jsonl.total, sqlite.total) == 0 { return .inconclusive }
    return differenceRatio < ParityReport.differenceRatioMax ? .pass : .fail
  }

  public var json: JSONValue {
    func side(_ counts: ParityCounts, _ hash: String) -> JSONValue {
      .object([
        "total": .integer(counts.total), "confirmed": .integer(counts.confirmed),
        "strong": .integer(counts.strong), "strong_ratio": .rounded(counts.strongRatio, 6),
        "rows_sha256": .string(hash),
      ])
    }
    return .object([
      "schema_version": .integer(1),
      "verdict": .string(verdict.rawValue),
      "pass": .bool(verdict == .pass),
      "exact": .bool(isExact),
      "difference_ratio": .rounded(differenceRatio, 9),
      "difference_ratio_max": .rounded(ParityReport.differenceRatioMax, 9),
      "jsonl": side(jsonl, jsonlHash),
      "sqlite": side(sqlite, sqliteHash),
      "rows_only_jsonl": .integer(rowsOnlyJSONL),
      "rows_only_sqlite": .integer(rowsOnlySQLite),
      "rows_different": .integer(rowsDifferent),
      "rows_duplicated_jsonl": .integer(rowsDuplicatedJSONL),
      "rows_out_of_order_jsonl": .integer(rowsOutOfOrderJSONL),
      "lines_unreadable_jsonl": .integer(linesUnreadableJSONL),
      "first_unreadable_line": firstBadLine.map { .string($0) } ?? .null,
      "first_difference": firstDifference.map { difference in
        .object([
          "signal_id": .string(difference.signalID), "column": .string(difference.column),
          "jsonl": difference.jsonl, "sqlite": difference.sqlite,
          "jsonl_row_sha256": difference.jsonlHash.map { .string($0) } ?? .null,
          "sqlite_row_sha256": difference.sqliteHash.map { .string($0) } ?? .null,
        ])
      } ?? .null,
      "minutes_left_out": .integer(minutesLeftOut),
      "per_minute": .array(
        minutes.map { minute in
          .object([
            "minute": .string(minuteText(minute.start)),
            "jsonl_total": .integer(minute.jsonl.total), "sqlite_total": .integer(minute.sqlite.total),
            "jsonl_confirmed": .integer(minute.jsonl.confirmed),
            "sqlite_confirmed": .integer(minute.sqlite.confirmed),
            "jsonl_strong": .integer(minute.jsonl.strong), "sqlite_strong": .integer(minute.sqlite.strong),
          ])
        }),
    ])
  }
}

/// `2024-07-18T23:57Z`
func minuteText(_ time: UnixNanos) -> String {
  let date = UTCDate(time)
  return "\(date.dayText)T\(date.timeText.prefix(5))Z"
}

/// Compares a run's two sinks and leaves `parity_diff.json` in its folder.
///
/// - Throws: ``ParityError``, `SignalStoreError`, `FileError`
/// - Complexity: O(rows), in memory of two readers and one entry a minute
public func compareSinks(runFolder: String) throws -> ParityReport {
  if try SignalFiles.list(jsonlFolder: SignalFiles.jsonlFolder(runFolder)).isEmpty {
    // A run without a single row leaves no file; its folder tells that the sink was on.
    guard Files.isFolder(SignalFiles.jsonlFolder(runFolder)) else {
      throw ParityError.missingSink(runFolder: runFolder, missing: "signals/jsonl")
    }
  }
  guard Files.exists(SignalFiles.database(runFolder)) else {
    throw ParityError.missingSink(runFolder: runFolder, missing: "signals.sqlite")
  }
  var merge = ParityMerge()
  var jsonl = try JSONLReader(runFolder: runFolder)
  var sqlite = try SQLiteReader(runFolder: runFolder)
  var a = try jsonl.next()
  var b = try sqlite.next()
  while a != nil || b != nil {
    switch merge.take(a, b) {
    case .jsonl: a = try jsonl.next()
    case .sqlite: b = try sqlite.next()
    case .both:
      a = try jsonl.next()
      b = try sqlite.next()
    }
  }
  var report = merge.finish()
  report.rowsOutOfOrderJSONL = jsonl.rowsOutOfOrder
  report.linesUnreadableJSONL = jsonl.linesUnreadable
  report.firstBadLine = jsonl.firstBadLine.map { "\(Files.name($0.path)):\($0.line): \($0.problem)" }
  try Files.writeAtomically(runFolder + "/parity_diff.json", report.json.text(pretty: true) + "\n")
  return report
}
