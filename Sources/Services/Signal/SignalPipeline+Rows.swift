import Core
import Flow
import Strategy

extension SignalPipeline {
  /// Makes a symbol's row for a moment and appends it to ``rows``.
  @inline(never)
  mutating func makeRow(_ state: UnsafeMutablePointer<SymbolState>, timeNs: Int64, trigger: Signal.Trigger) {
    let timeMs = timeNs / 1_000_000
    // Windows are half-open: a grid row ends at its point, an event's row behind the event's millisecond.
    let endMs = trigger == .grid ? timeMs : timeMs + 1
    let ofi = (
      lagMs: Double(state.pointee.ofiLagNs) / 1e6,
      stalenessMs: connections.stalenessMs(state.pointee.ofiConnection, timeNs)
    )
    let cvd = (
      lagMs: Double(state.pointee.cvdLagNs) / 1e6,
      stalenessMs: connections.stalenessMs(state.pointee.cvdConnection, timeNs)
    )
    var row = state.pointee.flow.row(
      endMs: endMs, isGrid: trigger == .grid, ofiLag: ofi, cvdLag: cvd, thresholds: parameters.thresholds)
    // While snapshots stand in for the stream, they have the newest prices.
    if state.pointee.book.isPolled { row.quote = state.pointee.book.book.quote }
    let kind = state.pointee.classifier.step(
      score: row.fused.score, at: timeMs, parameters.thresholds, control.fusion)
    if trigger == .strong, !kind.isStrong { return }

    var lagMs = max(ofi.lagMs, cvd.lagMs)
    var stalenessMs = max(ofi.stalenessMs, cvd.stalenessMs)
    if row.fused.flags.contains(.degradedOFIOnly) { (lagMs, stalenessMs) = ofi }
    if row.fused.flags.contains(.degradedCVDOnly) { (lagMs, stalenessMs) = cvd }
    let bookIsOutOfSync = state.pointee.flow.hasBook && !state.pointee.book.isSynchronized
    state.pointee.messages.expire(before: timeMs / 1000 - 60)
    let scenario = Scenario(control.regime, volatilityIsHigh: state.pointee.volatilityIsHigh)
    let decision = state.pointee.gates.step(
      GateInput(
        timeMs: timeMs, isWarmingUp: !state.pointee.flow.isWarm, kind: kind, score: row.fused.score,
        consistency: row.fused.consistency,
        quote: row.quote, lagMs: lagMs, stalenessMs: stalenessMs, bookIsOutOfSync: bookIsOutOfSync,
        missingRatio: state.pointee.missingRatio(at: timeMs),
        timeSyncIsDegraded: timeSyncIsDegraded || control.timeSyncIsForced,
        onlyStrong: control.degradation.strongOnly, scenario: control.scenarios[scenario],
        resyncedAtMs: state.pointee.resyncedAtMs,
        reconnectedAtMs: state.pointee.reconnectedAtMs))

    var flags = row.fused.flags
    if bookIsOutOfSync { flags.insert(.depthGap) }
    if row.fused.score == nil { flags.insert(.warmup) }
    if state.pointee.trades.missing > 0, state.pointee.messages.sums[1] > 0 { flags.insert(.tradeGap) }
    if state.pointee.isSkewed { flags.insert(.clockSkew) }
    if stalenessMs > control.fusion.staleMs { flags.insert(.stale) }
    if row.quote == nil { flags.insert(.noQuote) }
    if control.degradation.conservativeCost { flags.insert(.conservativeCost) }

    let instrument = decoder.instruments[state.pointee.symbol]
    let quantityScale = instrument?.quantityScale ?? DecimalScale(0)
    let ofiUnit = row.ofiIsRelative ? 1 : Double(quantityScale.factor)
    let clip = configuration.flow.zClip
    rows.append(
      Signal(
        trigger: trigger, receiveTime: UnixNanos(timeNs), symbol: state.pointee.symbol,
        score: Micros(row.fused.score), zOFI: Micros(row.zOFI.map { min(clip, max(-clip, $0)) }),
        zCVD: Micros(row.zCVD.map { min(clip, max(-clip, $0)) }),
        ofi: Micros(row.ofi.map { $0 / ofiUnit }), cvd: row.cvd,
        quantityScale: quantityScale, consistency: Micros(row.fused.consistency),
        dispersion: Micros(row.fused.dispersion), doubledMid: row.quote?.doubledMid,
        priceScale: instrument?.priceScale ?? DecimalScale(0),
        spreadBps: Micros(row.quote.flatMap { Gates.spreadBps($0) }), lagMs: Micros(lagMs),
        stalenessMs: Micros(stalenessMs), regime: control.regime, kind: kind, confirmed: decision.confirmed,
        guardReason: decision.reason, qualityFlags: flags, tapeSequence: state.pointee.lastSequence,
        mode: control.mode, scenario: scenario, divergence: row.divergence, version: control.version))

    state.pointee.counts.signals += 1
    if decision.confirmed {
      state.pointee.counts.confirmed += 1
      if kind.isStrong { state.pointee.counts.strong += 1 }
    }
    state.pointee.counts.guardReasons[Int(decision.reason.rawValue)] += 1
    state.pointee.counts.scenarios[Int(scenario.rawValue)] += 1
    if state.pointee.shadow != nil { judgeShadow(state, row, ofi: ofi, cvd: cvd) }
  }

  /// Between two grid points: a row if the type has become strong.
  @inline(never)
  mutating func makeStrongRow(_ state: UnsafeMutablePointer<SymbolState>) {
    makeRow(state, timeNs: receiveNs, trigger: .strong)
  }
}
