import Core
import Flow
import Strategy

/// Where a run keeps its shadow signals: a run folder in the run's folder, with the same files.
///
/// Who reads signals reads `RUN/signals…` and so never meets a shadow row; who wants them gives `RUN/shadow`.
enum ShadowFiles {
  static func folder(_ runFolder: String) -> String { runFolder + "/shadow" }
}

extension SignalPipeline {
  /// Hands the main row that was just made to the symbol's shadow channels, and appends their rows to
  /// ``shadowRows``.
  @inline(never)
  mutating func judgeShadow(
    _ state: UnsafeMutablePointer<SymbolState>, _ row: FlowRow, ofi: (lagMs: Double, stalenessMs: Double),
    cvd: (lagMs: Double, stalenessMs: Double)
  ) {
    let main = rows[rows.count - 1]
    var parameters = control.fusion
    parameters.weightOFI = configuration.shadow.weightOFI
    parameters.weightCVD = configuration.shadow.weightCVD
    let fused = FusedScore(
      ofi: Factor(z: row.zOFI, lagMs: ofi.lagMs, stalenessMs: ofi.stalenessMs),
      cvd: Factor(z: row.zCVD, lagMs: cvd.lagMs, stalenessMs: cvd.stalenessMs), parameters)
    let reason: Signal.GuardReason =
      !state.pointee.flow.isWarm ? .warmup : main.qualityFlags.contains(.depthGap) ? .depthGap : .none
    let onsets = state.pointee.shadow!.step(
      ShadowInput(
        timeNs: main.receiveTime.rawValue, isGrid: main.trigger == .grid, zCVD: row.zCVD,
        score: row.fused.score, fusion: fused.score, divergence: row.divergence, guardReason: reason,
        confirmedDirection: main.confirmed ? main.kind.direction : 0, activity: state.pointee.activity,
        thresholds: self.parameters.thresholds, parameters: parameters, isPaused: control.shadowIsPaused))
    if onsets == ShadowOnsets() { return }

    var signal = main
    signal.confirmed = false
    signal.guardReason = reason
    signal.divergence = .none
    if let kind = onsets.cvd {
      signal.trigger = .shadowCVD
      signal.kind = kind
      signal.score = Micros(row.zCVD)
      signal.consistency = .absent
      signal.dispersion = .absent
      shadowRows.append(signal)
    }
    signal.consistency = Micros(fused.consistency)
    signal.dispersion = Micros(fused.dispersion)
    if let kind = onsets.divergence {
      signal.trigger = .shadowDivergence
      signal.kind = kind
      signal.score = Micros(Double(row.divergence.direction))
      signal.divergence = row.divergence
      shadowRows.append(signal)
      signal.divergence = .none
    }
    if let kind = onsets.fusion {
      signal.trigger = .shadowFusion
      signal.kind = kind
      signal.score = Micros(fused.score)
      shadowRows.append(signal)
    }
  }

  /// What the shadow channels of each symbol have shown, by symbol id; nil while they are switched off.
  func shadowFindings(_ index: Int) -> ShadowFindings? {
    states[index].pointee.shadow.map {
      ShadowFindings(statistics: $0.statistics, plan: ShadowPlan(configuration))
    }
  }
}

extension SymbolState {
  /// Events received so far.
  var activity: ShadowActivity {
    ShadowActivity(
      trades: counts.trades, quotes: counts.bookTickerEvents, depthEvents: counts.depthEvents)
  }
}
