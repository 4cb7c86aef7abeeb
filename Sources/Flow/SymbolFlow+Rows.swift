import Core

extension SymbolFlow {
  /// Both histories are long enough to judge by.
  public var isWarm: Bool { speaking.pointee.isWarm }

  /// The best quotes: of the book ticker where there is one.
  public var quote: Quote? { hasTicker ? tickerQuote : bookQuote }

  /// What divergence has been looked for and found; empty where it is not looked for.
  public var divergenceCounts: DivergenceCounts { divergence?.counts ?? DivergenceCounts() }

  /// The row for the half-open windows that end at `endMs`; a grid row also does what ``sample(endMs:)`` does.
  public mutating func row(
    endMs: Int64, isGrid: Bool, ofiLag: (lagMs: Double, stalenessMs: Double),
    cvdLag: (lagMs: Double, stalenessMs: Double), thresholds: FusionConfiguration.Thresholds
  ) -> FlowRow {
    let values = values(of: speaking, at: endMs)
    let zOFI = values.ofi.flatMap { speaking.pointee.ofiHistory.z($0) }
    let zCVD = values.cvdDelta.flatMap { speaking.pointee.cvdHistory.z($0) }
    var divergence = DivergenceKind.none
    if isGrid {
      if isHistoryPoint(endMs) { remember(values, at: endMs) }
      if isDivergencePoint(endMs) { seekDivergence(zOFI, zCVD, at: endMs) }
      divergence = pendingDivergence
      pendingDivergence = .none
      arm(zOFI, zCVD, thresholds)
    } else {
      triggers = StrongTriggers()
    }
    let fused = FusedScore(
      ofi: Factor(z: zOFI, lagMs: ofiLag.lagMs, stalenessMs: ofiLag.stalenessMs),
      cvd: Factor(z: zCVD, lagMs: cvdLag.lagMs, stalenessMs: cvdLag.stalenessMs), configuration.fusion)
    return FlowRow(
      ofi: values.ofi, ofiIsRelative: configuration.ofiMethod == .integrated && hasBook, zOFI: zOFI,
      zCVD: zCVD,
      cvd: configuration.cvdReset == .window ? speaking.pointee.delta.sums[0] : cvd.sinceReset, quote: quote,
      fused: fused, divergence: divergence)
  }

  /// What a grid row at `endMs` would do to histories and divergence, where no row is made. The next grid row
  /// carries a divergence that is confirmed here; of two, the later.
  public mutating func sample(endMs: Int64) {
    let isDivergencePoint = isDivergencePoint(endMs)
    guard isDivergencePoint || isHistoryPoint(endMs) else { return }
    let values = values(of: speaking, at: endMs)
    // The history before the values judges them: it takes them afterwards.
    let zOFI = isDivergencePoint ? values.ofi.flatMap { speaking.pointee.ofiHistory.z($0) } : nil
    let zCVD = isDivergencePoint ? values.cvdDelta.flatMap { speaking.pointee.cvdHistory.z($0) } : nil
    if isHistoryPoint(endMs) { remember(values, at: endMs) }
    if isDivergencePoint { seekDivergence(zOFI, zCVD, at: endMs) }
  }

  @inline(__always)
  private func isHistoryPoint(_ endMs: Int64) -> Bool { endMs % Int64(configuration.historyStrideMs) == 0 }

  @inline(__always)
  private func isDivergencePoint(_ endMs: Int64) -> Bool {
    divergenceStrideMs > 0 && endMs % divergenceStrideMs == 0
  }

  @inline(__always)
  private mutating func values(of lane: UnsafeMutablePointer<FactorLane>, at endMs: Int64) -> FactorValues {
    cvd.roll(to: endMs)
    return lane.pointee.values(
      at: endMs, hasBook: hasBook, wholeSinceMs: (ofi: ofiWholeSinceMs, cvd: cvdWholeSinceMs))
  }

  /// All lanes take their values into their histories.
  private mutating func remember(_ values: FactorValues, at endMs: Int64) {
    speaking.pointee.remember(values, hasBook: hasBook)
    for index in 0..<laneCount where index != lane {
      let others = self.values(of: lanes + index, at: endMs)
      lanes[index].remember(others, hasBook: hasBook)
    }
  }

  /// The score compared here is always the weighted sum of both factors: a row's own leaves one out that is
  /// late, and is another quantity then.
  private mutating func seekDivergence(_ zOFI: Double?, _ zCVD: Double?, at endMs: Int64) {
    // What no longer compares with the samples before is no value.
    let zOFI = laneChanged ? nil : zOFI
    let zCVD = laneChanged ? nil : zCVD
    let fused = FusedScore(
      ofi: Factor(z: zOFI, lagMs: 0, stalenessMs: 0), cvd: Factor(z: zCVD, lagMs: 0, stalenessMs: 0),
      configuration.fusion)
    let sample = DivergenceSample(
      timeMs: endMs, doubledMid: quote?.doubledMid, zOFI: zOFI,
      cvd: tradesWereLost || cvdWholeSinceMs == nil ? nil : cvd.total, zCVD: zCVD,
      score: weightsChanged ? nil : fused.score, consistency: fused.consistency)
    if let event = divergence?.step(sample) { pendingDivergence = event.kind }
    tradesWereLost = false
    laneChanged = false
    weightsChanged = false
  }

  /// Whether the score might have become strong since the last row; answers `true` at most once per grid
  /// interval (the row that follows disarms it).
  public mutating func mayBeStrong() -> Bool {
    if !triggers.isArmed { return false }
    guard let ofi = speaking.pointee.ofi(hasBook: hasBook) else { return false }
    let cvd = Double(speaking.pointee.delta.sums[0])
    return ofi >= triggers.ofiHigh || ofi <= triggers.ofiLow || cvd >= triggers.cvdHigh
      || cvd <= triggers.cvdLow
  }

  /// Solves w₁·z_ofi + w₂·z_cvd = ±strong for each factor with the other as it is now, and turns the z into
  /// the factor's own unit, so that the test after each event is four comparisons.
  private mutating func arm(_ zOFI: Double?, _ zCVD: Double?, _ thresholds: FusionConfiguration.Thresholds) {
    triggers = StrongTriggers()
    guard let zOFI, let zCVD else { return }
    let total = configuration.fusion.weightOFI + configuration.fusion.weightCVD
    let w1 = configuration.fusion.weightOFI / total
    let w2 = configuration.fusion.weightCVD / total
    let score = w1 * zOFI + w2 * zCVD
    guard abs(score) < thresholds.strong else { return }
    triggers.isArmed = true
    if w1 > 0 {
      triggers.ofiHigh = speaking.pointee.ofiHistory.value(forZ: (thresholds.strong - w2 * zCVD) / w1)
      triggers.ofiLow = speaking.pointee.ofiHistory.value(forZ: (-thresholds.strong - w2 * zCVD) / w1)
    }
    if w2 > 0 {
      triggers.cvdHigh = speaking.pointee.cvdHistory.value(forZ: (thresholds.strong - w1 * zOFI) / w2)
      triggers.cvdLow = speaking.pointee.cvdHistory.value(forZ: (-thresholds.strong - w1 * zOFI) / w2)
    }
  }
}
