import Core

// A stored property added to one of these types belongs into its extension here, or into the sentence that
// says why not. `CheckpointLayoutTests` holds the sizes of the types, so that it is not forgotten.

extension StrategyMode: Checkpointed {
  /// Configuration and schedule are given.
  public func save(to writer: inout CheckpointWriter) {
    writer.append(regime)
    writer.append(reason)
    writer.append([windows.seen, windows.active, windows.quiet, Int64(activeInARow), Int64(quietInARow)])
    writer.append(newest != nil)
    newest?.save(to: &writer)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    regime = try reader.value()
    reason = try reader.value()
    let values = try reader.words(max: 5)
    guard values.count == 5, values.allSatisfy({ $0 >= 0 }), values[3] <= configuration.activeWindowsMin,
      values[4] <= configuration.quietWindowsMin
    else { throw reader.failure("counts of windows that cannot be") }
    windows = Windows(seen: values[0], active: values[1], quiet: values[2])
    (activeInARow, quietInARow) = (Int(values[3]), Int(values[4]))
    newest = try reader.boolean() ? try Window(from: &reader) : nil
  }
}

extension StrategyMode.Window {
  public func save(to writer: inout CheckpointWriter) {
    writer.append(endNs)
    for asked in [schedule, market] { writer.append(asked.map { $0 ? 1 : 0 as UInt8 } ?? 2) }
    writer.append(verdict != nil)
    guard let verdict else { return }
    writer.append(Int64(verdict.symbols))
    writer.append(Int64(verdict.symbolsActive))
    writer.append(verdict.isActive)
    let figures = verdict.figures
    for value in [
      figures.tradesPerMinute, figures.quotesPerSecond, figures.spreadBps, figures.volatilityBps,
      figures.volumeUSD,
    ] {
      writer.append(value != nil)
      writer.append(value ?? 0)
    }
  }

  public init(from reader: inout CheckpointReader) throws(CheckpointError) {
    endNs = try reader.integer()
    func asked() throws(CheckpointError) -> Bool? {
      switch try reader.integer(in: 0...2 as ClosedRange<UInt8>) {
      case 0: false
      case 1: true
      default: nil
      }
    }
    schedule = try asked()
    market = try asked()
    verdict = nil
    guard try reader.boolean() else { return }
    let symbols = Int(try reader.integer(in: 1...Int64(SymbolTable.countMax)))
    let symbolsActive = Int(try reader.integer(in: 0...Int64(symbols)))
    let isActive = try reader.boolean()
    var values: [Double?] = []
    for _ in 0..<5 {
      let isThere = try reader.boolean()
      let value = try reader.double()
      guard value.isFinite else { throw reader.failure("a figure that is not finite") }
      values.append(isThere ? value : nil)
    }
    verdict = MarketVerdict(
      symbols: symbols, symbolsActive: symbolsActive, isActive: isActive,
      figures: MarketFigures(
        tradesPerMinute: values[0] ?? 0, quotesPerSecond: values[1], spreadBps: values[2],
        volatilityBps: values[3], volumeUSD: values[4] ?? 0))
  }
}

extension MarketWindow: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    writer.append(trades)
    writer.append(volume)
    writer.append(squaredReturns)
    writer.append(minutesOfReturns)
    writer.append(doubledMid)
    writer.append([tickersSeen, depthsSeen, framesBefore])
    writer.append(isWhole)
    for values in [quoteRates, spreadsBps] {
      writer.append(UInt32(values.count))
      for value in values { writer.append(value) }
    }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    trades = try reader.integer(in: 0...Int64.max)
    volume = try reader.finite()
    squaredReturns = try reader.finite()
    minutesOfReturns = try reader.finite()
    guard volume >= 0, squaredReturns >= 0, minutesOfReturns >= 0 else {
      throw reader.failure("a negative sum")
    }
    doubledMid = try reader.optionalInteger()
    guard doubledMid.map({ $0 > 0 && $0 < Int64.max / 2 }) ?? true else {
      throw reader.failure("a mid that cannot be")
    }
    let counts = try reader.words(max: 3)
    // The stage's counters are taken from these.
    guard counts.count == 3, counts.allSatisfy({ (0...Int64.max / 2).contains($0) }) else {
      throw reader.failure("counters that cannot be")
    }
    (tickersSeen, depthsSeen, framesBefore) = (counts[0], counts[1], counts[2])
    isWhole = try reader.boolean()
    quoteRates = try reader.finiteDoubles(max: MarketWindow.secondsMax)
    spreadsBps = try reader.finiteDoubles(max: MarketWindow.secondsMax)
  }

  /// More than any window has.
  static let secondsMax = 4096
}

extension VolatilityAxis: Checkpointed {
  /// The configuration, and what follows from it, is given. Steps behind the window are left out.
  public func save(to writer: inout CheckpointWriter) {
    writer.append(UInt32(steps.count - firstStep))
    for step in steps[firstStep...] {
      writer.append(step.endNs)
      writer.append(step.elapsedNs)
      writer.append(step.squaredReturn)
    }
    writer.append(UInt32(history.count))
    for value in history { writer.append(value) }
    writer.append(Int64(oldestValue))
    writer.append(strideIndex)
    writer.append(isHigh.map { $0 ? 1 : 0 as UInt8 } ?? 2)
    writer.append(volatilityBps != nil)
    writer.append(volatilityBps ?? 0)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    steps = []
    firstStep = 0
    for _ in 0..<(try reader.count(bytesEach: 24, max: MarketWindow.secondsMax)) {
      // Such that sums of them stay within 64 bits.
      let step = Step(
        endNs: try reader.integer(in: 0...Int64.max), elapsedNs: try reader.integer(in: 0...Int64(1) << 50),
        squaredReturn: try reader.finite())
      guard step.squaredReturn >= 0 else { throw reader.failure("a negative square") }
      steps.append(step)
    }
    history = try reader.finiteDoubles(max: historyMax)
    guard history.allSatisfy({ $0 >= 0 }) else { throw reader.failure("a negative volatility") }
    oldestValue = Int(try reader.integer(in: 0...Int64(historyMax - 1)))
    guard oldestValue < max(1, history.count) else { throw reader.failure("a place beyond the history") }
    strideIndex = try reader.integer()
    switch try reader.integer(in: 0...2 as ClosedRange<UInt8>) {
    case 0: isHigh = false
    case 1: isHigh = true
    default: isHigh = nil
    }
    let hasValue = try reader.boolean()
    let value = try reader.finite()
    volatilityBps = hasValue ? value : nil
  }
}

extension CheckpointReader {
  fileprivate mutating func finite() throws(CheckpointError) -> Double {
    let value = try double()
    guard value.isFinite else { throw failure("a value that is not finite") }
    return value
  }

  fileprivate mutating func finiteDoubles(max countMax: Int) throws(CheckpointError) -> [Double] {
    var values: [Double] = []
    for _ in 0..<(try count(bytesEach: 8, max: countMax)) { values.append(try finite()) }
    return values
  }
}
