import Flow

/// Everything that follows the regime, in one value.
public struct RegimeParameters: Equatable, Sendable {
  public var regime: Signal.Regime
  /// The regime's, scaled by a degradation.
  public var thresholds: FusionConfiguration.Thresholds
  public var fusion: FusionConfiguration
  public var gates: GateConfiguration
  /// Of the regime's two scenarios; nil in the normal regime.
  public var highVolatility: ScenarioParameters?
  public var lowVolatility: ScenarioParameters?
  public var mode: ModeParameters
  public var rows: RowRatio
  /// Which of the flow's parameter sets speaks.
  public var lane: Int

  /// - Parameter thresholdScale: of a degradation.
  public init(
    _ regime: Signal.Regime, _ configuration: StrategyConfiguration, fusion: FusionConfiguration,
    gates: GateConfiguration, scenarios: ScenarioTable, thresholdScale: Double = 1, lane: Int = 0
  ) {
    self.regime = regime
    self.lane = lane
    self.fusion = fusion
    self.gates = gates
    thresholds =
      switch regime {
      case .normal: fusion.base
      case .active: fusion.active
      case .quiet: fusion.quiet
      }
    thresholds.signal *= thresholdScale
    thresholds.strong *= thresholdScale
    highVolatility = scenarios[Scenario(regime, volatilityIsHigh: true)]
    lowVolatility = scenarios[Scenario(regime, volatilityIsHigh: false)]
    mode = configuration.parameters(of: regime)
    rows =
      regime == .quiet && configuration.throttlesInQuiet ? RowRatio(configuration.quietRowRatio) : .all
  }
}

extension StrategyConfiguration {
  /// What a mode changes; the normal regime changes nothing.
  public func parameters(of regime: Signal.Regime) -> ModeParameters {
    switch regime {
    case .normal: .normal
    case .active: active
    case .quiet: quiet
    }
  }
}

extension ModeParameters {
  /// Of the normal regime.
  public static let normal = ModeParameters(positionNotionalUSDTMax: 0, flushMs: 0, logSeconds: 60)
}

// MARK: What modules ask before they follow

extension RegimeParameters {
  /// Thresholds that classify nothing, or weights of which no score can be made.
  public var fusionRefusal: String? {
    guard thresholds.signal.isFinite, thresholds.strong.isFinite, thresholds.signal >= 0,
      thresholds.strong >= thresholds.signal
    else { return "a strong threshold of \(thresholds.strong) is below the signal's \(thresholds.signal)" }
    let weights = fusion.weightOFI + fusion.weightCVD
    return weights > 0 && weights.isFinite ? nil : "the weights add up to \(weights)"
  }

  public var gatesRefusal: String? {
    let limits = [
      gates.missingRatioMax, gates.lagMsMax, gates.stalenessMsMax, gates.spreadBpsMax, gates.consistencyMin,
      gates.scoreMin,
    ]
    return limits.allSatisfy { $0.isFinite && $0 >= 0 } ? nil : "a limit is negative or no number"
  }

  /// Windows that the stage has no levels, weights or history for.
  public func flowRefusal(_ flow: FlowConfiguration) -> String? {
    guard mode.levels >= 0, mode.levels <= flow.weights.count else {
      return "\(mode.levels) levels and \(flow.weights.count) weights"
    }
    let longestMs = max(mode.ofiWindowMs, mode.cvdWindowMs)
    guard min(mode.ofiWindowMs, mode.cvdWindowMs) >= 0, flow.historyMs >= 60 * longestMs else {
      return "a window of \(longestMs) ms and a history of \(flow.historyMs) ms"
    }
    return nil
  }

  public var scenarioRefusal: String? {
    for scenario in [highVolatility, lowVolatility].compactMap({ $0 }) {
      let positive = [scenario.takeProfitBps, scenario.stopLossBps, scenario.discount]
      let others = [scenario.entryBuy, scenario.entrySell, scenario.exit]
      guard positive.allSatisfy({ $0.isFinite && $0 > 0 }), others.allSatisfy({ $0.isFinite && $0 >= 0 }),
        scenario.holdSecondsMax > 0
      else { return "a scenario's parameter is negative or no number" }
    }
    return nil
  }

  /// Of the shell around the stage.
  public var shellRefusal: String? {
    mode.flushMs >= 0 && mode.logSeconds > 0
      ? nil : "a flush every \(mode.flushMs) ms, a line every \(mode.logSeconds) s"
  }
}
