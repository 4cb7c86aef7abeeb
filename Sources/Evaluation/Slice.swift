import Core
import Flow
import Strategy

/// A cell of only some of a symbol's rows.
public struct Slice: Sendable {
  /// By what rows are told apart. Names are part of the output format.
  public enum Axis: String, CaseIterable, Sendable {
    case activity
    case scenario
    /// UTC.
    case hour
    case signalType = "signal_type"

    fileprivate func value(_ row: EvaluationSeries.Row) -> UInt8 {
      switch self {
      case .activity: row.regime.rawValue
      case .scenario: row.scenario.rawValue
      case .hour: UInt8(UTCDate(UnixNanos(row.timeNs)).hour)
      case .signalType: row.kind.rawValue
      }
    }

    fileprivate func name(_ value: UInt8) -> String {
      switch self {
      case .activity: Signal.Regime(rawValue: value)!.name.description
      case .scenario: value == 0 ? "none" : Scenario(rawValue: value)!.name.description
      case .hour: (value < 10 ? "0" : "") + String(value)
      case .signalType: Signal.Kind(rawValue: value)!.name.description
      }
    }
  }

  public var axis: Axis
  public var name: String
  public var cell: CellStatistics
  /// It holds all the symbol's rows: the same look as the whole, not another one.
  public var isWhole: Bool

  /// All slices by all axes; those of one axis have each row once.
  static func all(
    _ sample: ForwardSample, _ series: EvaluationSeries, whole: CellStatistics, _ options: EvaluationOptions
  ) -> [Slice] {
    var slices: [Slice] = []
    for axis in Axis.allCases {
      let values = sample.places.map { axis.value(series.rows[Int($0)]) }
      var counts = [Int](repeating: 0, count: 256)
      for value in values { counts[Int(value)] += 1 }
      for value in counts.indices where counts[value] > 0 {
        let isWhole = counts[value] == sample.count
        let cell =
          isWhole
          ? whole
          : CellStatistics(
            sample.filtered { values[$0] == value }, horizonSeconds: whole.horizonSeconds, options,
            isWhole: false)
        slices.append(Slice(axis: axis, name: axis.name(UInt8(value)), cell: cell, isWhole: isWhole))
      }
    }
    return slices
  }
}

/// How much each activity should count at each fee: a table for a desk that allots size.
///
/// `IC · n / (n + k)`, with n the independent rows and k = ``EvaluationOptions/shrinkageRows``, draws an IC
/// toward 0 the more, the less it rests on (n = k halves it). A negative one gives no weight; nor does a
/// slice whose signals do not earn their cost at that fee on the mean. What remains is divided by its sum, so
/// that the weights of one fee tier add up to 1, or are all 0. Symbols are pooled: ICs weighted with their
/// independent rows, nets with their signals.
public struct SliceWeights: Sendable {
  public struct Entry: Equatable, Sendable {
    public var activity: String
    public var tier: FeeTier
    public var effectiveRows: Double
    public var ic: Double?
    public var shrunkIC: Double?
    public var signals: Int
    public var netMeanBps: Double?
    public var weight = 0.0
  }

  public let horizonSeconds: Int
  public private(set) var entries: [Entry] = []

  init(_ symbols: [SymbolEvaluation], horizonSeconds: Int, _ options: EvaluationOptions) {
    self.horizonSeconds = horizonSeconds
    let slices = symbols.flatMap { $0.slices[horizonSeconds] ?? [] }.filter { $0.axis == .activity }
    var names: [String] = []
    for slice in slices where !names.contains(slice.name) { names.append(slice.name) }
    for tier in options.feeTiers {
      var column = names.map { name in
        SliceWeights.entry(name, tier, slices.filter { $0.name == name }.map(\.cell), options)
      }
      let sum = column.reduce(0) { $0 + $1.weight }
      if sum > 0 {
        for index in column.indices { column[index].weight /= sum }
      }
      entries += column
    }
  }

  /// With the weight not yet divided.
  private static func entry(
    _ activity: String, _ tier: FeeTier, _ cells: [CellStatistics], _ options: EvaluationOptions
  ) -> Entry {
    var entry = Entry(activity: activity, tier: tier, effectiveRows: 0, signals: 0)
    var ics = 0.0
    var nets = 0.0
    for cell in cells {
      if let ic = cell.ic {
        entry.effectiveRows += cell.effectiveRows
        ics += ic.value * cell.effectiveRows
      }
      if let directional = cell.directional {
        entry.signals += directional.rows
        let net = directional.net(takerFeeBps: tier.takerBps, insteadOf: options.takerFeeBps)
        nets += net.value * Double(directional.rows)
      }
    }
    if entry.effectiveRows > 0 {
      let ic = ics / entry.effectiveRows
      entry.ic = ic
      entry.shrunkIC = ic * entry.effectiveRows / (entry.effectiveRows + options.shrinkageRows)
    }
    if entry.signals > 0 { entry.netMeanBps = nets / Double(entry.signals) }
    if let shrunk = entry.shrunkIC, let net = entry.netMeanBps, net > 0 { entry.weight = max(0, shrunk) }
    return entry
  }
}
