import Core
import Evaluation
import Store
import Strategy

/// A symbol's rows as they are stored, with what the replay of the tape says beside them.
///
/// 77 bytes a row (the row itself 56, the replay's features 16, a hash and marks 5) and 24 bytes a grid
/// point.
struct EvaluatedSymbol {
  /// What is known of a stored row.
  struct Marks: OptionSet {
    let rawValue: UInt8
    /// A shift left it its features.
    static let hasFeatures = Marks(rawValue: 1)
    /// The replay makes it, too.
    static let isReplayed = Marks(rawValue: 2)
    /// With the same features.
    static let isEqual = Marks(rawValue: 4)
  }

  /// A feature of all rows as bits that are equal where the values are: for the search of an offset.
  struct Column {
    var name: String
    var stored: [UInt32]
    var replayed: [UInt32]
  }

  let name: String
  private(set) var rows: [EvaluationSeries.Row] = []
  private(set) var marks: [Marks] = []
  var prices = GridPrices()
  /// See ``RowFeatures/levels``.
  private var levels: [UInt32] = []
  private var replayedLevels: [UInt32] = []
  /// NaN where absent. Six decimals below 8 are kept apart by a `Float`.
  private(set) var replayedScores: [Float] = []
  private var replayedZOFI: [Float] = []
  private var replayedZCVD: [Float] = []

  /// The next row that the replay has not come to.
  private var cursor = 0
  private(set) var rowsUnknown = 0
  private(set) var rowsMissing = 0
  private var isSorted = true

  init(name: String) { self.name = name }

  // MARK: Stored rows

  mutating func append(_ row: EvaluationSeries.Row, levels: UInt32) {
    if let last = rows.last, EvaluatedSymbol.key(row) < EvaluatedSymbol.key(last) { isSorted = false }
    rows.append(row)
    self.levels.append(levels)
  }

  /// By time, a grid row before a strong one of the same time: the order in which they are made.
  private static func key(_ row: EvaluationSeries.Row) -> (Int64, UInt8) {
    (row.timeNs, row.trigger.rawValue)
  }

  /// Ends the reading: rows of a file that was edited out of order are put in order, and the features of each
  /// row become those of the row so many places behind it, none where there is none.
  mutating func finishReading(shiftedBy shift: Int) {
    if !isSorted {
      let order = rows.indices.sorted { EvaluatedSymbol.key(rows[$0]) < EvaluatedSymbol.key(rows[$1]) }
      rows = order.map { rows[$0] }
      levels = order.map { levels[$0] }
    }
    marks = [Marks](repeating: .hasFeatures, count: rows.count)
    replayedLevels = [UInt32](repeating: 0, count: rows.count)
    replayedScores = [Float](repeating: .nan, count: rows.count)
    replayedZOFI = replayedScores
    replayedZCVD = replayedScores
    guard shift != 0 else { return }
    let range = rows.indices
    for step in range {
      // A row is overwritten after it was copied.
      let index = shift > 0 ? step : range.count - 1 - step
      let source = index + shift
      let isThere = range.contains(source)
      if !isThere { marks[index] = [] }
      levels[index] = isThere ? levels[source] : 0
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
    let key = (signal.receiveTime.rawValue, signal.trigger.rawValue)
    while cursor < rows.count, EvaluatedSymbol.key(rows[cursor]) < key {
      rowsUnknown += 1
      cursor += 1
    }
    guard cursor < rows.count else { return nil }
    guard EvaluatedSymbol.key(rows[cursor]) == key else {
      // Before its first row a folder may have lost hours to age; in between nothing may be missing.
      if cursor > 0 { rowsMissing += 1 }
      return nil
    }
    let place = cursor
    cursor += 1
    let replayed = RowFeatures(signal)
    replayedLevels[place] = replayed.levels
    replayedScores[place] = EvaluatedSymbol.float(replayed.score)
    replayedZOFI[place] = EvaluatedSymbol.float(replayed.zOFI)
    replayedZCVD[place] = EvaluatedSymbol.float(replayed.zCVD)
    marks[place].insert(.isReplayed)
    guard marks[place].contains(.hasFeatures) else { return nil }
    guard replayed == RowFeatures(rows[place], levels: levels[place]) else { return place }
    marks[place].insert(.isEqual)
    return nil
  }

  private static func float(_ value: Micros) -> Float { value.double.map { Float($0) } ?? .nan }

  /// Ends the comparison: rows behind the replay's last are unknown to it.
  mutating func finishComparing() {
    rowsUnknown += rows.count - cursor
    cursor = rows.count
  }

  // MARK: The result

  /// What is compared, one after the other; each takes 8 bytes a row.
  var columns: some Sequence<Column> {
    func bits(_ value: Float) -> UInt32 { value.isNaN ? .max : (value + 0).bitPattern }
    func stored(_ value: KeyPath<EvaluationSeries.Row, Double>) -> [UInt32] {
      rows.map { bits(EvaluatedSymbol.float(Micros($0[keyPath: value]))) }
    }
    return (0..<4).lazy.map { place in
      switch place {
      case 0:
        Column(name: "score", stored: stored(\.score), replayed: replayedScores.map(bits))
      case 1: Column(name: "z_ofi", stored: stored(\.zOFI), replayed: replayedZOFI.map(bits))
      case 2: Column(name: "z_cvd", stored: stored(\.zCVD), replayed: replayedZCVD.map(bits))
      default: Column(name: "cvd and price", stored: levels, replayed: replayedLevels)
      }
    }
  }

  /// Takes the rows and prices out.
  mutating func takeSeries(startNs: Int64, stepNs: Int64) -> EvaluationSeries {
    var series = EvaluationSeries(symbol: name, startNs: startNs, stepNs: stepNs)
    swap(&series.mids, &prices.mids)
    swap(&series.microprices, &prices.microprices)
    swap(&series.spreadsBps, &prices.spreadsBps)
    swap(&series.rows, &rows)
    for row in series.rows.indices {
      series.rows[row].index = series.index(atOrAfter: series.rows[row].timeNs)
    }
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

  /// NaN up to a grid point.
  mutating func fill(to count: Int) {
    guard mids.count < count else { return }
    let missing = repeatElement(Double.nan, count: count - mids.count)
    mids.append(contentsOf: missing)
    microprices.append(contentsOf: missing)
    spreadsBps.append(contentsOf: missing)
  }
}
