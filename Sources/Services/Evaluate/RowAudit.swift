import Core
import Evaluation
import Store

/// The exact leak audit of one symbol: which rows differ from the replay's, and from where their features
/// come.
///
/// **Problem.** An evaluation is worth nothing if the rows knew what they predict. Whether they did cannot be
/// read off the rows: a shifted feature looks like any other, only better.
///
/// **Why the obvious answer fails.** A test on results ("too good to be true") finds gross leaks and condemns
/// good signals; checking the code that made the rows says nothing of the files that are evaluated.
///
/// **Algorithm.** The tape is the truth and the pipeline reads it forward only, so the features of a replay
/// are causal by construction. Rows are compared by symbol, time and trigger. Where a feature differs in some
/// rows, those are looked up k rows away, k from −40 to 40 (and the shift that was asked for): the k at which
/// at least 95 % agree says from where the feature comes. Only differing rows are asked, because in a quiet
/// market neighbours may be equal and agree at any k. Values from several places ahead, with no single k, are
/// a leak as well if they are found ahead and nowhere else.
///
/// Rows must also be complete: those that the replay makes between a run's first and last one and the run
/// lacks were taken out by someone, and what is left is a selection.
///
/// **Bounds.** O(differing rows · offsets) time; 8 bytes a row of one symbol at a time.
struct RowAudit {
  static let offsetMax = 40
  static let shareMin = 0.95

  /// A feature that is not the replay's in some rows.
  struct Difference {
    var column: String
    var rows: Int
    /// Where their values come from, in rows; nil: from nowhere near.
    var offset: Int?
    /// Of the differing rows, those that agree at the best offset.
    var share: Double
  }

  let name: String
  var compared = 0
  var equal = 0
  /// Stored, and not made by the replay.
  var unknown: Int
  /// Made by the replay, and not stored.
  var missing: Int
  var differences: [Difference] = []

  init(_ symbol: EvaluatedSymbol, shift: Int) {
    name = symbol.name
    unknown = symbol.rowsUnknown
    missing = symbol.rowsMissing
    for marks in symbol.marks where marks.isSuperset(of: [.hasFeatures, .isReplayed]) {
      compared += 1
      if marks.contains(.isEqual) { equal += 1 }
    }
    if compared == equal { return }
    var offsets = (1...RowAudit.offsetMax).flatMap { [$0, -$0] }
    if shift.magnitude > RowAudit.offsetMax { offsets.append(shift) }
    for column in symbol.columns {
      let rows = symbol.marks.indices.filter {
        symbol.marks[$0].isSuperset(of: [.hasFeatures, .isReplayed])
          && column.stored[$0] != column.replayed[$0]
      }
      if !rows.isEmpty { differences.append(RowAudit.search(symbol, column, rows, offsets)) }
    }
  }

  var isClean: Bool { compared == equal && unknown == 0 && missing == 0 }

  /// A feature that comes from the future.
  var leak: Difference? { differences.first { $0.offset ?? 0 > 0 } }
  /// The first of the differing features, when all of them come from the past.
  var delay: Difference? {
    differences.allSatisfy { $0.offset ?? 0 < 0 } && unknown == 0 && missing == 0 ? differences.first : nil
  }

  private static func search(
    _ symbol: EvaluatedSymbol, _ column: EvaluatedSymbol.Column, _ rows: [Int], _ offsets: [Int]
  ) -> Difference {
    var result = Difference(column: column.name, rows: rows.count, share: 0)
    var best = 0
    var bestAhead = (offset: 1, share: 0.0)
    for offset in offsets {
      let share = share(symbol, column, rows, offset)
      if share > result.share { (best, result.share) = (offset, share) }
      if offset > 0, share > bestAhead.share { bestAhead = (offset, share) }
    }
    if result.share >= shareMin {
      result.offset = best
    } else if isAhead(symbol, column, rows) {
      (result.offset, result.share) = bestAhead
    }
    return result
  }

  /// How many of the rows have the replay's value at an offset, among those that have such a row; 0 where
  /// that are too few to tell.
  private static func share(
    _ symbol: EvaluatedSymbol, _ column: EvaluatedSymbol.Column, _ rows: [Int], _ offset: Int
  ) -> Double {
    var possible = 0
    var found = 0
    for row in rows {
      let source = row + offset
      guard symbol.marks.indices.contains(source), symbol.marks[source].contains(.isReplayed) else {
        continue
      }
      possible += 1
      if column.stored[row] == column.replayed[source] { found += 1 }
    }
    return 2 * possible >= rows.count ? Double(found) / Double(possible) : 0
  }

  /// Whether nearly all of the rows have a value that the replay has in some row ahead and in none behind.
  private static func isAhead(
    _ symbol: EvaluatedSymbol, _ column: EvaluatedSymbol.Column, _ rows: [Int]
  ) -> Bool {
    let found = rows.count { row in
      func isFound(_ range: ClosedRange<Int>) -> Bool {
        range.clamped(to: 0...symbol.marks.count - 1).contains {
          symbol.marks[$0].contains(.isReplayed) && column.replayed[$0] == column.stored[row]
        }
      }
      guard row + 1 < symbol.marks.count else { return false }
      return isFound(row + 1...row + offsetMax) && !isFound(row - offsetMax...row)
    }
    return Double(found) >= shareMin * Double(rows.count)
  }

  var json: JSONValue {
    .object([
      "rows_compared": .integer(compared), "rows_equal": .integer(equal), "rows_unknown": .integer(unknown),
      "rows_missing": .integer(missing),
      "differences": .array(
        differences.map {
          .object([
            "column": .string($0.column), "rows": .integer($0.rows),
            "offset_rows": $0.offset.map { .integer($0) } ?? .null, "share": .rounded($0.share, 4),
          ])
        }),
    ])
  }
}

/// The first row in time whose features are not the replay's.
struct FirstDifference {
  var text: String

  init(symbol: String, _ row: EvaluationSeries.Row, _ replayed: RowFeatures) {
    func shown(_ value: Micros) -> String { JSONValue.rounded(value.double, 6).text() }
    let columns: [(name: String, stored: Micros, replayed: Micros)] = [
      ("score", Micros(row.score), replayed.score), ("z_ofi", Micros(row.zOFI), replayed.zOFI),
      ("z_cvd", Micros(row.zCVD), replayed.zCVD),
    ]
    let found = columns.first { $0.stored != $0.replayed }
    let difference =
      found.map { "\($0.name) is \(shown($0.stored)), the replay says \(shown($0.replayed))" }
      ?? "its cvd or price is another"
    let letter = String(decoding: [row.trigger.letter], as: UTF8.self)
    text = "\(symbol)-\(row.timeNs)-\(letter) (\(difference))"
  }
}
