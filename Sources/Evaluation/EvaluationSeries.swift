import Core
import Flow
import Strategy

/// One symbol's signals and prices over a run, as evaluation and tuning see them.
///
/// Prices stand on a regular grid of tape time: element i is the last quote *before* `startNs + i·stepNs`, so
/// a row made at a grid point and the price at its index know exactly the same records. A row between two
/// grid points has the index of the next one: nobody can have acted on it earlier.
public struct EvaluationSeries: Sendable {
  public var symbol: String
  public var startNs: Int64
  public var stepNs: Int64
  /// In quote currency; NaN where there is no quote, or no trust in it.
  public var mids: [Double] = []
  /// (ask size · bid + bid size · ask) / (bid size + ask size); NaN as in ``mids``.
  public var microprices: [Double] = []
  /// Best ask − best bid in basis points of the mid; NaN as in ``mids``.
  public var spreadsBps: [Double] = []
  /// In order of time.
  public var rows: [Row] = []

  /// What a signal row knew.
  public struct Row: Sendable {
    /// Into the grid: the first point at or behind the row's time.
    public var index: Int
    public var timeNs: Int64
    public var trigger: Signal.Trigger
    /// NaN where absent.
    public var score: Double
    public var zOFI: Double
    public var zCVD: Double
    public var kind: Signal.Kind
    public var isConfirmed: Bool
    public var guardReason: Signal.GuardReason
    public var regime: Signal.Regime
    public var scenario: Scenario
    public var divergence: DivergenceKind

    public init(
      index: Int, timeNs: Int64, trigger: Signal.Trigger = .grid, score: Double, zOFI: Double = .nan,
      zCVD: Double = .nan, kind: Signal.Kind = .neutral, isConfirmed: Bool = false,
      guardReason: Signal.GuardReason = .none, regime: Signal.Regime = .normal, scenario: Scenario = .none,
      divergence: DivergenceKind = .none
    ) {
      self.index = index
      self.timeNs = timeNs
      self.trigger = trigger
      self.score = score
      self.zOFI = zOFI
      self.zCVD = zCVD
      self.kind = kind
      self.isConfirmed = isConfirmed
      self.guardReason = guardReason
      self.regime = regime
      self.scenario = scenario
      self.divergence = divergence
    }
  }

  public init(symbol: String, startNs: Int64, stepNs: Int64) {
    self.symbol = symbol
    self.startNs = startNs
    self.stepNs = stepNs
  }

  /// The grid index of a moment, rounded up; may lie outside the grid.
  public func index(atOrAfter timeNs: Int64) -> Int {
    let offset = timeNs - startNs
    return Int(offset <= 0 ? 0 : (offset + stepNs - 1) / stepNs)
  }

  /// A moment's price return in basis points over so many grid steps; NaN where either price is.
  public func returnBps(_ prices: [Double], from index: Int, steps: Int) -> Double {
    guard index >= 0, index + steps < prices.count else { return .nan }
    return 1e4 * (prices[index + steps] / prices[index] - 1)
  }
}
