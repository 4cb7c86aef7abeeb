import Core
import Flow
import Strategy

/// Where the stage stands in the seconds and windows of the strategy.
struct WindowWatch: Equatable {
  /// The grid point at which the last second ended; the minimum before the first.
  var secondNs: Int64 = .min
  var nextSecondNs: Int64 = .min
  /// The window under way: its number since 1970, and the grid point at which it began.
  var windowIndex: Int64 = .min
  var windowStartNs: Int64 = .min
  /// It has been seen from its begin, without a silence in which grid points were left out.
  var isWhole = false
  /// Of the tape, at its begin.
  var framesBefore: Int64 = 0
}

extension SignalPipeline {
  /// What is due at a grid point before its rows: every second the samples of all symbols; at a window's end
  /// its verdict, and the regime that follows from it.
  ///
  /// - Precondition: `timeNs` is at or behind ``WindowWatch/nextSecondNs``.
  @inline(never)
  mutating func watchMarket(at timeNs: Int64) {
    // Ordinary seconds end at the first grid point at or behind them.
    let longestNs = Nanoseconds.second + gridNs
    let isFirst = watch.secondNs == .min
    let elapsedNs = isFirst || timeNs - watch.secondNs > longestNs ? nil : timeNs - watch.secondNs
    for state in states { state.pointee.sampleSecond(elapsedNs: elapsedNs, at: timeNs) }
    watch.secondNs = timeNs
    watch.nextSecondNs = (timeNs / Nanoseconds.second + 1) * Nanoseconds.second
    if elapsedNs == nil { watch.isWhole = false }
    let windowNs = Int64(configuration.strategy.windowSeconds) * Nanoseconds.second
    let index = timeNs / windowNs
    guard index != watch.windowIndex else { return }
    if !isFirst { endWindow(at: timeNs) }
    watch.windowIndex = index
    watch.windowStartNs = timeNs
    watch.isWhole = timeNs - index * windowNs < gridNs
    watch.framesBefore = totals.frames
    if isFirst { for state in states { state.pointee.market.begin(frames: state.pointee.counts.frames) } }
  }

  private mutating func endWindow(at timeNs: Int64) {
    let windowNs = Int64(configuration.strategy.windowSeconds) * Nanoseconds.second
    var figures: [MarketFigures] = []
    for state in states {
      let instrument = decoder.instruments[state.pointee.symbol]
      let unit =
        Double(instrument?.priceScale.factor ?? 1) * Double(instrument?.quantityScale.factor ?? 1)
      let seen = state.pointee.market.end(
        elapsedNs: timeNs - watch.windowStartNs, frames: state.pointee.counts.frames, volumeUnit: 1 / unit,
        winsorizedShare: configuration.strategy.market.winsorizedShare)
      if let seen { figures.append(seen) }
    }
    if watch.isWhole, totals.frames > watch.framesBefore {
      let hasChanged = mode.step(
        startNs: watch.windowIndex * windowNs, endNs: timeNs,
        MarketVerdict(figures, configuration.strategy.market))
      if hasChanged, control.mode == .auto { control.regimeReason = mode.reason.name }
    } else {
      mode.skipWindow()
    }
    // Also what was refused at the window before is tried again.
    followRegime(at: timeNs)
  }

  /// The operator's regime, or that of the windows.
  private var wantedRegime: Signal.Regime {
    switch control.mode {
    case .auto: configuration.strategy.isDynamic ? mode.regime : .normal
    case .quiet: .quiet
    case .active: .active
    }
  }

  /// Switches everything to the regime that is wanted, or leaves everything as it is and counts who refused.
  mutating func followRegime(at timeNs: Int64) {
    let wanted = wantedRegime
    guard wanted != control.regime else { return }
    var next = control
    next.enter(wanted, at: timeNs, mode.newest)
    do throws(ParameterRefusal) {
      try obeyControl(next)
    } catch {
      control.state.refused(error.module)
    }
  }
}

extension SymbolState {
  /// - Parameter elapsedNs: since the second before; nil behind a silence, of which nothing is known.
  mutating func sampleSecond(elapsedNs: Int64?, at timeNs: Int64) {
    let quote = book.isPolled ? book.book.quote : flow.quote
    let squared = market.sample(
      tickers: flow.hasTicker ? counts.bookTickerEvents &- counts.tickersRepeated : nil,
      depths: counts.depthEvents, quote: quote, elapsedNs: elapsedNs)
    volatility.sample(squaredReturn: squared, elapsedNs: elapsedNs ?? 0, at: timeNs)
  }
}

extension WindowWatch: Checkpointed {
  func save(to writer: inout CheckpointWriter) {
    writer.append([secondNs, nextSecondNs, windowIndex, windowStartNs, framesBefore])
    writer.append(isWhole)
  }

  mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    let values = try reader.words(max: 5)
    // Such that no difference of two leaves 64 bits.
    guard values.count == 5, values.allSatisfy({ $0 == .min || $0 >= 0 }) else {
      throw reader.failure("a window that cannot be")
    }
    (secondNs, nextSecondNs, windowIndex) = (values[0], values[1], values[2])
    (windowStartNs, framesBefore) = (values[3], values[4])
    let isBegun = secondNs != .min
    guard [nextSecondNs, windowIndex, windowStartNs].allSatisfy({ ($0 != .min) == isBegun }),
      framesBefore >= 0
    else { throw reader.failure("a window that has begun in part") }
    isWhole = try reader.boolean()
  }
}
