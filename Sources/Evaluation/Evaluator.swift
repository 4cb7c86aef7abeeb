import Core
import Flow
import Strategy

/// # Evaluation
///
/// Were the signals worth anything? The question is easy to answer wrongly, in five ways, and each has its
/// answer here.
///
/// - **The label knows the signal's past, or the signal the label's future.** A row is compared with prices
///   at and behind its own grid point only (`ForwardSample`); where a run's rows come from elsewhere, the
///   leak audit compares them with what a causal replay gives.
/// - **Neighbouring rows are not independent.** Intervals come from whole stretches of time
///   (`BlockBootstrap`), and every cell says how many independent rows it holds.
/// - **Look often enough and something shines.** The number of cells is stated, and which of them survive
///   (`MultipleTesting`).
/// - **A right direction is not a profit.** Net figures pay the spread and the fees of both fills
///   (``CellStatistics/NetFigures``), from the mid, whatever price was chosen for the returns.
/// - **The yardstick itself may be bent.** Shuffled returns have to give ½, shifted features have to be
///   caught.
///
/// Everything is a function of the series, the options and their seed.
///
/// Memory: symbols are evaluated one after the other. Beside the series (56 bytes a row, 24 a grid point) the
/// symbol at work needs about 200 bytes a row: 24 hours of 250 ms rows of ten symbols, 3.5 M rows, stay below
/// 400 MB.
public struct Evaluator {
  let options: EvaluationOptions

  public init(_ options: EvaluationOptions) { self.options = options }

  /// - Parameter progress: called with how many of the cells of all symbols are done.
  public func evaluate(_ series: [EvaluationSeries], progress: (Int) -> Void = { _ in }) -> EvaluationReport {
    var done = 0
    var symbols: [SymbolEvaluation] = []
    for one in series {
      symbols.append(
        evaluate(one) {
          done += 1
          progress(done)
        })
    }
    var report = EvaluationReport(options: options, symbols: symbols)
    report.correctForLooks()
    report.weights = options.horizonsSeconds.map { SliceWeights(symbols, horizonSeconds: $0, options) }
    return report
  }

  private func evaluate(_ series: EvaluationSeries, _ step: () -> Void) -> SymbolEvaluation {
    let rows = ScoredRows(series)
    var result = SymbolEvaluation(rows)
    for prices in EvaluationOptions.Prices.allCases {
      let isChosen = prices == options.prices
      if prices == .microprice, !isChosen, series.microprices.isEmpty { continue }
      var curve: [CellStatistics] = []
      for seconds in Set(options.horizonsSeconds + options.decaySeconds).sorted() {
        let isAsked = isChosen && options.horizonsSeconds.contains(seconds)
        guard let steps = gridSteps(seconds: seconds, series.stepNs) else {
          if isAsked {
            curve.append(
              CellStatistics(
                horizonSeconds: seconds,
                why: "the data has prices every \(series.stepNs / Nanoseconds.second) s only"))
          }
          continue
        }
        let sample = ForwardSample(
          rows, horizonSteps: steps, latencySteps: latencySteps(series.stepNs), prices: prices,
          shuffleSeed: options.shuffleSeed)
        // The curve ends where the data does.
        if sample.count == 0, !isAsked { continue }
        let cell = CellStatistics(sample, horizonSeconds: seconds, options, isWhole: isAsked)
        curve.append(cell)
        if isAsked {
          result.slices[seconds] = Slice.all(sample, series, whole: cell, options)
        }
        step()
      }
      result.curves[prices] = curve
    }
    return result
  }

  /// nil where the horizon falls between two points of the grid.
  func gridSteps(seconds: Int, _ stepNs: Int64) -> Int? {
    let horizonNs = Int64(seconds) * Nanoseconds.second
    return horizonNs % stepNs == 0 ? Int(horizonNs / stepNs) : nil
  }

  func latencySteps(_ stepNs: Int64) -> Int {
    Int((Int64(options.latencyMs) * Nanoseconds.millisecond + stepNs - 1) / stepNs)
  }
}

/// One symbol's part of the report.
public struct SymbolEvaluation: Sendable {
  public let symbol: String
  public let rowsScored: Int
  public let rowsWithoutScore: Int
  public let rowsShadow: Int
  /// How long the score takes to forget itself.
  public let autocorrelationSeconds: Double
  /// By rising horizon: those asked for and those of the decay curve.
  public var curves: [EvaluationOptions.Prices: [CellStatistics]] = [:]
  /// By horizon in seconds, of the chosen prices.
  public var slices: [Int: [Slice]] = [:]

  init(_ rows: ScoredRows) {
    symbol = rows.series.symbol
    rowsScored = rows.scores.count
    rowsWithoutScore = rows.rowsWithoutScore
    rowsShadow = rows.rowsShadow
    autocorrelationSeconds =
      rows.autocorrelationSteps * Double(rows.series.stepNs) / Double(Nanoseconds.second)
  }

  /// The cell of a horizon that was asked for.
  public func cell(_ seconds: Int, _ prices: EvaluationOptions.Prices) -> CellStatistics? {
    curves[prices]?.first { $0.horizonSeconds == seconds }
  }
}
