import Core

/// One symbol's day as a chart needs it: lows and highs on a time grid that coarsens as the day grows.
///
/// A day has 345,600 rows a symbol and a chart is a thousand pixels wide. Keeping every n-th row loses the
/// extremes, which are what a chart is looked at for; so each cell keeps the lowest and the highest value and
/// which came first. Cells lie at multiples of the step since 1970, and when more than ``cellsMax`` are
/// filled the step doubles and pairs are merged: the result depends on the rows alone, not on when they came.
public struct ChartSeries: Equatable, Sendable {
  /// Places of the four quantities in a cell's vectors.
  public enum Quantity: Int, CaseIterable, Sendable {
    case price, ofi, cvd, score
  }

  /// The strongest confirmed signal of a cell in one direction.
  public struct Mark: Equatable, Sendable {
    public var score: Double
    public var price: Double
    public var isStrong: Bool
  }

  public struct Cell: Equatable, Sendable {
    /// Start time divided by the step.
    public var index: Int64
    /// NaN where the quantity is absent.
    public var low = SIMD4<Double>(repeating: .nan)
    public var high = SIMD4<Double>(repeating: .nan)
    /// By quantity: the low came before the high.
    public var lowFirst = SIMD4<Int64>(repeating: 1)
    public var buy: Mark?
    public var sell: Mark?

    public static func == (a: Cell, b: Cell) -> Bool {
      func bits(_ v: SIMD4<Double>) -> [UInt64] { (0..<4).map { v[$0].bitPattern } }
      return a.index == b.index && bits(a.low) == bits(b.low) && bits(a.high) == bits(b.high)
        && a.lowFirst == b.lowFirst && a.buy == b.buy && a.sell == b.sell
    }
  }

  /// Two points a cell: at most 2,000 points.
  public static let cellsMax = 1000
  /// The finest grid, that of the rows.
  public static let stepNsMin = 250 * Nanoseconds.millisecond

  public private(set) var cells: [Cell] = []
  public private(set) var stepNs = ChartSeries.stepNsMin

  public init() {}

  /// Adds a row's values, NaN for absent ones. A row of an earlier time than the last counts as of the last.
  public mutating func add(time: UnixNanos, _ values: SIMD4<Double>, buy: Mark? = nil, sell: Mark? = nil) {
    var index = floorDivide(time.rawValue, stepNs)
    if let last = cells.last {
      index = max(index, last.index)
      if index != last.index { cells.append(Cell(index: index)) }
    } else {
      cells.append(Cell(index: index))
    }
    let place = cells.count - 1
    for quantity in 0..<4 where !values[quantity].isNaN {
      let value = values[quantity]
      if cells[place].low[quantity].isNaN {
        cells[place].low[quantity] = value
        cells[place].high[quantity] = value
      } else if value < cells[place].low[quantity] {
        cells[place].low[quantity] = value
        cells[place].lowFirst[quantity] = 0
      } else if value > cells[place].high[quantity] {
        cells[place].high[quantity] = value
        cells[place].lowFirst[quantity] = 1
      }
    }
    cells[place].buy = ChartSeries.stronger(cells[place].buy, buy)
    cells[place].sell = ChartSeries.stronger(cells[place].sell, sell)
    while cells.count > ChartSeries.cellsMax { coarsen() }
  }

  static func stronger(_ a: Mark?, _ b: Mark?) -> Mark? {
    guard let a, let b else { return a ?? b }
    return abs(b.score) > abs(a.score) ? b : a
  }

  private mutating func coarsen() {
    stepNs *= 2
    var merged: [Cell] = []
    merged.reserveCapacity(ChartSeries.cellsMax + 1)
    for var cell in cells {
      cell.index >>= 1
      if let last = merged.last, last.index == cell.index {
        merged[merged.count - 1] = ChartSeries.merge(last, cell)
      } else {
        merged.append(cell)
      }
    }
    cells = merged
  }

  private static func merge(_ a: Cell, _ b: Cell) -> Cell {
    var result = a
    for quantity in 0..<4 where !b.low[quantity].isNaN {
      if a.low[quantity].isNaN {
        result.low[quantity] = b.low[quantity]
        result.high[quantity] = b.high[quantity]
        result.lowFirst[quantity] = b.lowFirst[quantity]
        continue
      }
      let lowIsLater = b.low[quantity] < a.low[quantity]
      let highIsLater = b.high[quantity] > a.high[quantity]
      if lowIsLater { result.low[quantity] = b.low[quantity] }
      if highIsLater { result.high[quantity] = b.high[quantity] }
      if lowIsLater, highIsLater {
        result.lowFirst[quantity] = b.lowFirst[quantity]
      } else if lowIsLater != highIsLater {
        result.lowFirst[quantity] = highIsLater ? 1 : 0
      }
    }
    result.buy = stronger(a.buy, b.buy)
    result.sell = stronger(a.sell, b.sell)
    return result
  }
}

/// The quotient rounded toward minus infinity; the divisor is positive.
func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
  let quotient = value / divisor
  return value % divisor < 0 ? quotient - 1 : quotient
}
