import Core

/// All that ``Evaluator`` found.
public struct EvaluationReport: Sendable {
  public let options: EvaluationOptions
  public var symbols: [SymbolEvaluation]
  /// By horizon.
  public var weights: [SliceWeights] = []
  public var comparisons: [RunComparison] = []
  /// Cells with a test, and those that survive, over symbols, prices and horizons.
  public private(set) var looks = Looks()
  /// The same of slices; cells that hold a symbol's all rows are not looked at twice.
  public private(set) var sliceLooks = Looks()

  public struct Looks: Equatable, Sendable {
    public var cells = 0
    public var surviving = 0
  }

  init(options: EvaluationOptions, symbols: [SymbolEvaluation]) {
    self.options = options
    self.symbols = symbols
  }

  /// Marks the cells whose AUC differs from ½ after all looks are accounted for; wholes and slices are two
  /// families.
  mutating func correctForLooks() {
    func kept(_ cells: [CellStatistics]) -> [Bool?] {
      let values = cells.map { $0.auc?.p(against: 0.5) }
      var keeps = MultipleTesting.keeps(values.compactMap(\.self)).makeIterator()
      return values.map { $0 == nil ? nil : keeps.next() }
    }
    func count(_ marks: [Bool?]) -> Looks {
      Looks(cells: marks.count { $0 != nil }, surviving: marks.count { $0 == true })
    }
    let keys = symbols.indices.flatMap { symbol in
      EvaluationOptions.Prices.allCases.flatMap { prices in
        (symbols[symbol].curves[prices] ?? []).indices.map { (symbol, prices, $0) }
      }
    }
    let marks = kept(keys.map { symbols[$0.0].curves[$0.1]![$0.2] })
    for (key, mark) in zip(keys, marks) { symbols[key.0].curves[key.1]![key.2].survives = mark }
    looks = count(marks)

    var places: [(symbol: Int, seconds: Int, slice: Int)] = []
    for (symbol, one) in symbols.enumerated() {
      for seconds in options.horizonsSeconds {
        for (number, slice) in (one.slices[seconds] ?? []).enumerated() {
          if slice.isWhole {
            symbols[symbol].slices[seconds]![number].cell.survives =
              one.cell(seconds, options.prices)?.survives
          } else {
            places.append((symbol, seconds, number))
          }
        }
      }
    }
    let sliceMarks = kept(places.map { symbols[$0.symbol].slices[$0.seconds]![$0.slice].cell })
    for (place, mark) in zip(places, sliceMarks) {
      symbols[place.symbol].slices[place.seconds]![place.slice].cell.survives = mark
    }
    sliceLooks = count(sliceMarks)
  }

  /// The cells that were asked for, with a test: how many of their intervals hold ½.
  public var cellsHoldingHalf: (cells: Int, holding: Int) {
    let intervals = symbols.flatMap { symbol in
      options.horizonsSeconds.compactMap { symbol.cell($0, options.prices)?.auc?.interval }
    }
    return (intervals.count, intervals.count { $0.contains(0.5) })
  }
}

/// Another run of the same tape, against this one.
public struct RunComparison: Sendable {
  public var name: String
  /// Of the other run's rows.
  public var audit: LeakAudit
  public var cells: [PairedComparison]

  public init(name: String, audit: LeakAudit, cells: [PairedComparison]) {
    self.name = name
    self.audit = audit
    self.cells = cells
  }
}
