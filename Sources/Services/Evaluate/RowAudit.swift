import Core
import Evaluation
import Store

/// The exact leak audit of one symbol: which rows differ from the replay's, and from where their features come.
///
/// **Problem.** An evaluation is worth nothing if the rows knew what they predict. Whether they did cannot be read
/// off the rows: a shifted feature looks like any other, only better.
///
/// **Why the obvious answer fails.** A test on results ("too good to be true") finds gross leaks and condemns good
/// signals; checking the code that made the rows says nothing of the files that are evaluated.
///
/// **Algorithm.** The tape is the truth and the pipeline reads it forward only, so the features of a replay are
/// causal by construction. Rows are compared by symbol, time and trigger, by fingerprints of their features. Where
/// some differ, the differing rows are looked up k rows away, k from −40 to 40 (and the shift that was asked for):
/// the k at which at least 95 % agree says from where the features come. Only differing rows are asked, because in
/// a quiet market neighbouring rows may be equal and agree at any k. Features from several places ahead, with no
/// single k, are a leak as well if they are found ahead and nowhere else.
///
/// Features must also be complete: rows that the replay makes between a run's first and last one and the run lacks
/// were taken out by someone, and what is left is a selection.
///
/// **Bounds.** O(differing rows · offsets); no memory beside the fingerprints.
struct RowAudit {
  static let offsetMax = 40
  static let shareMin = 0.95

  let name: String
  var compared = 0
  var equal = 0
  /// Stored, and not made by the replay.
  var unknown = 0
  /// Made by the replay, and not stored.
  var missing = 0
  /// Where the differing rows' features come from, in rows; nil: nowhere, or all are equal.
  var offset: Int?
  /// Of the differing rows that could be, those that agree there.
  var share = 0.0

  init(_ symbol: EvaluatedSymbol, shift: Int) {
    name = symbol.name
    unknown = symbol.rowsUnknown
    missing = symbol.rowsMissing
    var differing: [Int32] = []
    for (place, pair) in zip(symbol.stored, symbol.replayed).enumerated() where pair.0 != 0 && pair.1 != 0 {
      compared += 1
      if pair.0 == pair.1 { equal += 1 } else { differing.append(Int32(place)) }
    }
    if !differing.isEmpty { search(symbol, differing, shift) }
  }

  var isClean: Bool { compared == equal && unknown == 0 && missing == 0 }

  private mutating func search(_ symbol: EvaluatedSymbol, _ differing: [Int32], _ shift: Int) {
    var offsets = (1...RowAudit.offsetMax).flatMap { [$0, -$0] }
    if shift != 0, abs(shift) > RowAudit.offsetMax { offsets.append(shift) }
    var best = (offset: 0, share: 0.0)
    var bestAhead = (offset: 1, share: 0.0)
    for offset in offsets {
      let share = RowAudit.share(symbol, differing, offset)
      if share > best.share { best = (offset, share) }
      if offset > 0, share > bestAhead.share { bestAhead = (offset, share) }
    }
    share = best.share
    if best.share >= RowAudit.shareMin {
      offset = best.offset
    } else if RowAudit.shareAhead(symbol, differing) >= RowAudit.shareMin {
      (offset, share) = bestAhead
    }
  }

  /// How many of the rows have the features of the replay's row at an offset, among those that have such a row; 0
  /// where that are too few to tell.
  private static func share(_ symbol: EvaluatedSymbol, _ places: [Int32], _ offset: Int) -> Double {
    var possible = 0
    var found = 0
    for place in places {
      let source = Int(place) + offset
      guard symbol.replayed.indices.contains(source), symbol.replayed[source] != 0 else { continue }
      possible += 1
      if symbol.stored[Int(place)] == symbol.replayed[source] { found += 1 }
    }
    return 2 * possible >= places.count ? Double(found) / Double(possible) : 0
  }

  /// How many of the rows have the features of some row ahead and of none behind.
  private static func shareAhead(_ symbol: EvaluatedSymbol, _ places: [Int32]) -> Double {
    let found = places.count { place in
      func isFound(_ range: ClosedRange<Int>) -> Bool {
        symbol.replayed[range.clamped(to: 0...symbol.replayed.count - 1)].contains(symbol.stored[Int(place)])
      }
      let place = Int(place)
      guard place + 1 < symbol.replayed.count else { return false }
      return isFound(place + 1...place + offsetMax) && !isFound(place - offsetMax...place)
    }
    return Double(found) / Double(places.count)
  }

  var json: JSONValue {
    .object([
      "rows_compared": .integer(compared), "rows_equal": .integer(equal), "rows_unknown": .integer(unknown),
      "rows_missing": .integer(missing), "offset_rows": offset.map { .integer($0) } ?? .null,
      "offset_share": .rounded(compared == equal ? nil : share, 4),
    ])
  }
}

/// The first row in time whose features are not the replay's.
struct FirstDifference {
  var text: String

  init(symbol: String, _ row: EvaluationSeries.Row, _ replayed: RowFeatures) {
    func shown(_ value: Double) -> String { value.isFinite ? JSONValue.rounded(value, 6).text() : "null" }
    let columns: [(name: String, stored: Double, replayed: Micros)] = [
      ("score", row.score, replayed.score), ("z_ofi", row.zOFI, replayed.zOFI),
      ("z_cvd", row.zCVD, replayed.zCVD),
    ]
    let found = columns.first { Micros($0.stored) != $0.replayed }
    let difference =
      found.map {
        "\($0.name) is \(shown($0.stored)), the replay says \(shown($0.replayed.double ?? .nan))"
      } ?? "its cvd or price is another"
    let letter = String(decoding: [row.trigger.letter], as: UTF8.self)
    text = "\(symbol)-\(row.timeNs)-\(letter) (\(difference))"
  }
}
