import Core
import Evaluation
import Store
import Strategy

/// A symbol's rows as they are stored, with what the replay of the tape says beside them.
///
/// 76 bytes a row (the row itself 56, two fingerprints of its features, a score), and 24 bytes a grid point.
struct EvaluatedSymbol {
  let name: String
  var rows: [EvaluationSeries.Row] = []
  /// Fingerprints of the features the rows have; 0 for none, where a shift left none.
  var stored: [UInt64] = []
  /// And of those that the replay makes for the same rows; 0 where it makes no such row.
  var replayed: [UInt64] = []
  /// NaN where absent.
  var replayedScores: [Float] = []
  var prices = GridPrices()

  /// The next row that the replay has not come to.
  private var cursor = 0
  private(set) var rowsUnknown = 0
  private(set) var rowsMissing = 0
  private var isSorted = true

  init(name: String) { self.name = name }

  // MARK: Stored rows

  mutating func append(_ row: EvaluationSeries.Row, _ features: RowFeatures) {
    if let last = rows.last, EvaluatedSymbol.isOrdered(row, before: last) { isSorted = false }
    rows.append(row)
    stored.append(features.fingerprint)
  }

  /// By time, a grid row before a strong one of the same time: the order in which they are made.
  private static func isOrdered(_ a: EvaluationSeries.Row, before b: EvaluationSeries.Row) -> Bool {
    (a.timeNs, a.trigger.rawValue) < (b.timeNs, b.trigger.rawValue)
  }

  /// Ends the reading: rows of a file that was edited out of order are put in order, and the features of each row
  /// become those of the row so many places behind it, none where there is none.
  mutating func finishReading(shiftedBy shift: Int) {
    if !isSorted {
      let order = rows.indices.sorted { EvaluatedSymbol.isOrdered(rows[$0], before: rows[$1]) }
      rows = order.map { rows[$0] }
      stored = order.map { stored[$0] }
    }
    replayed = [UInt64](repeating: 0, count: rows.count)
    replayedScores = [Float](repeating: .nan, count: rows.count)
    guard shift != 0 else { return }
    let range = rows.indices
    for step in range {
      // A row is overwritten after it was copied.
      let index = shift > 0 ? step : range.count - 1 - step
      let source = index + shift
      let isThere = range.contains(source)
      stored[index] = isThere ? stored[source] : 0
      rows[index].score = isThere ? rows[source].score : .nan
      rows[index].zOFI = isThere ? rows[source].zOFI : .nan
      rows[index].zCVD = isThere ? rows[source].zCVD : .nan
    }
  }

  // MARK: The replay's rows

  /// Puts a row of the replay beside the stored row of its time and trigger. Rows come in order.
  ///
  /// - Returns: the stored row's place when there is one with other features.
  mutating func compare(_ signal: Signal) -> Int? {
    let timeNs = signal.receiveTime.rawValue
    let key = (timeNs, signal.trigger.rawValue)
    while cursor < rows.count, (rows[cursor].timeNs, rows[cursor].trigger.rawValue) < key {
      rowsUnknown += 1
      cursor += 1
    }
    guard cursor < rows.count else { return nil }
    guard (rows[cursor].timeNs, rows[cursor].trigger.rawValue) == key else {
      // Before its first row a folder may have lost hours to age; in between nothing may be missing.
      if cursor > 0 { rowsMissing += 1 }
      return nil
    }
    let place = cursor
    cursor += 1
    replayed[place] = RowFeatures(signal).fingerprint
    replayedScores[place] = signal.score.double.map { Float($0) } ?? .nan
    return stored[place] != 0 && stored[place] != replayed[place] ? place : nil
  }

  /// Ends the comparison: rows behind the replay's last are unknown to it.
  mutating func finishComparing() {
    rowsUnknown += rows.count - cursor
    cursor = rows.count
  }

  // MARK: The result

  /// Takes the rows and prices out.
  mutating func takeSeries(startNs: Int64, stepNs: Int64, count: Int) -> EvaluationSeries {
    var series = EvaluationSeries(symbol: name, startNs: startNs, stepNs: stepNs)
    prices.fill(to: count)
    swap(&series.mids, &prices.mids)
    swap(&series.microprices, &prices.microprices)
    swap(&series.spreadsBps, &prices.spreadsBps)
    swap(&series.rows, &rows)
    return series
  }
}

/// A symbol's prices on the grid; NaN at points without a quote.
struct GridPrices {
  var mids: [Double] = []
  var microprices: [Double] = []
  var spreadsBps: [Double] = []

  mutating func append(_ quote: Quote, _ scale: DecimalScale, at index: Int) {
    fill(to: index)
    mids.append(Double(quote.doubledMid) / (2 * Double(scale.factor)))
    // As a share of the spread: the products of prices and sizes may leave Int64.
    let bidQuantity = Double(quote.bidQuantity)
    let share = bidQuantity / (bidQuantity + Double(quote.askQuantity))
    let spread = Double(quote.askPrice - quote.bidPrice)
    microprices.append((Double(quote.bidPrice) + spread * share) / Double(scale.factor))
    spreadsBps.append(Gates.spreadBps(quote) ?? .nan)
  }

  mutating func fill(to count: Int) {
    guard mids.count < count else { return }
    let missing = repeatElement(Double.nan, count: count - mids.count)
    mids.append(contentsOf: missing)
    microprices.append(contentsOf: missing)
    spreadsBps.append(contentsOf: missing)
  }
}
