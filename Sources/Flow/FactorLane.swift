import Core

/// What the factors of a lane are taken over.
public struct FactorParameters: Equatable, Sendable {
  public var ofiWindowMs: Int
  public var cvdWindowMs: Int
  /// Book levels that enter the OFI.
  public var levels: Int

  public init(ofiWindowMs: Int, cvdWindowMs: Int, levels: Int) {
    self.ofiWindowMs = ofiWindowMs
    self.cvdWindowMs = cvdWindowMs
    self.levels = levels
  }
}

extension FlowConfiguration {
  /// A lane's parameters: those given, and the configuration's own for each that is 0.
  public func parameters(levels: Int = 0, ofiWindowMs: Int = 0, cvdWindowMs: Int = 0) -> FactorParameters {
    FactorParameters(
      ofiWindowMs: ofiWindowMs == 0 ? self.ofiWindowMs : ofiWindowMs,
      cvdWindowMs: cvdWindowMs == 0 ? self.cvdWindowMs : cvdWindowMs,
      // The best quotes are one level, however many are asked for.
      levels: ofiMethod == .best ? 1 : levels == 0 ? self.levels : levels)
  }
}

/// Both factors for one set of parameters, each with the history that it is judged by.
///
/// **Problem.** A mode may have windows and levels of its own. A value over one window means nothing against
/// a history of another, and a history that is refilled at each switch would blind the strategy for minutes.
///
/// **Algorithm.** Every distinct parameter set has a lane, all lanes are fed with every event, and a mode
/// only chooses which of them speaks. Usually the sets are one, and nothing is paid.
///
/// **Bounds.** A lane holds two histories of 16 bytes a sample each (29 KB for 900), and windows of 16 bytes an
/// entry for the best level and for trades, 8 + 8·(levels − 1) for the deeper levels. A window has at most an
/// entry a millisecond and room for 256 at the least. With the default windows and five levels that is 47 KB a
/// symbol where nothing happens, 136 KB at 700 quotes and 140 trades a second, and never more than 750 KB. The
/// integrated method adds 2.6 KB for the covariance of five levels and 6 KB for the depths.
struct FactorLane: ~Copyable {
  // What every event reads stands first.
  let isIntegrated: Bool
  private let deepCount: Int
  /// One a level, best first; their sum is 1.
  private let weights: UnsafeMutablePointer<Double>
  var levelOne: SlidingSum
  var deep: SlidingSum
  var delta: SlidingSum
  var ofiHistory: Standardizer
  var cvdHistory: Standardizer
  /// nil for fixed weights.
  var integrated: IntegratedImbalance?
  let parameters: FactorParameters

  init(_ configuration: FlowConfiguration, _ parameters: FactorParameters) {
    let samples = configuration.historyMs / configuration.historyStrideMs
    func history() -> Standardizer {
      Standardizer(
        method: configuration.standardization, samples: samples,
        warmupSamples: configuration.warmupMs / configuration.historyStrideMs,
        floorRatio: configuration.scaleFloorRatio)
    }
    self.parameters = parameters
    levelOne = SlidingSum(windowMs: parameters.ofiWindowMs)
    deep = SlidingSum(windowMs: parameters.ofiWindowMs, width: max(1, parameters.levels - 1))
    delta = SlidingSum(windowMs: parameters.cvdWindowMs)
    ofiHistory = history()
    cvdHistory = history()
    isIntegrated = configuration.ofiMethod == .integrated
    integrated =
      isIntegrated
      ? IntegratedImbalance(
        levels: parameters.levels, windowMs: parameters.ofiWindowMs, historySamples: samples) : nil
    deepCount = parameters.levels - 1
    weights = .allocate(capacity: parameters.levels)
    let given = configuration.weights.prefix(parameters.levels)
    let total = given.reduce(0, +)
    for level in 0..<parameters.levels { weights[level] = configuration.weights[level] / total }
  }

  deinit { weights.deallocate() }

  var isWarm: Bool { ofiHistory.isWarm && cvdHistory.isWarm }

  /// From now on there is a book. What stands in lots is no history for what is in depths.
  mutating func expectBook() {
    if isIntegrated { ofiHistory.removeAll() }
  }

  /// The synchronised book has taken an event.
  @inline(__always)
  mutating func take(book levels: borrowing MultiLevelImbalance, at receiveMs: Int64) {
    if deepCount > 0 { deep.add(levels.contributions + 1, at: receiveMs) }
    if isIntegrated { integrated?.take(levels, at: receiveMs) }
  }

  mutating func bookLost() {
    deep.removeAll()
    integrated?.bookLost()
  }

  /// The sum over the levels as the windows stand; nil before a first principal component is known. Without
  /// a book it is the best quotes' alone.
  @inline(__always)
  func ofi(hasBook: Bool) -> Double? {
    guard hasBook else { return Double(levelOne.sums[0]) }
    if isIntegrated { return integratedOFI() }
    var value = weights[0] * Double(levelOne.sums[0])
    for level in 0..<deepCount { value += weights[level + 1] * Double(deep.sums[level]) }
    return value
  }

  @inline(never)
  private func integratedOFI() -> Double? { integrated?.value(levelOne.sums[0], deep.sums) }

  /// Both factors over the windows that end at `endMs`; nil where a window has a hole.
  ///
  /// - Parameter wholeSinceMs: since when there has been none; nil while there is one.
  @inline(__always)
  mutating func values(
    at endMs: Int64, hasBook: Bool, wholeSinceMs: (ofi: Int64?, cvd: Int64?)
  ) -> FactorValues {
    levelOne.expire(before: endMs - levelOne.windowMs)
    deep.expire(before: endMs - deep.windowMs)
    delta.expire(before: endMs - delta.windowMs)
    var values = FactorValues()
    if let since = wholeSinceMs.ofi, endMs - since >= levelOne.windowMs {
      values.ofiIsWhole = true
      if isIntegrated { integrated?.expire(at: endMs) }
      values.ofi = ofi(hasBook: hasBook)
    }
    if let since = wholeSinceMs.cvd, endMs - since >= delta.windowMs {
      values.cvdDelta = Double(delta.sums[0])
    }
    return values
  }

  /// Takes values into the histories.
  mutating func remember(_ values: FactorValues, hasBook: Bool) {
    if let ofi = values.ofi { ofiHistory.push(ofi) }
    if let delta = values.cvdDelta { cvdHistory.push(delta) }
    if isIntegrated, hasBook, values.ofiIsWhole { integrated?.learn(levelOne.sums[0], deep.sums) }
  }
}

/// Both factors at one moment.
struct FactorValues {
  var ofi: Double?
  var cvdDelta: Double?
  /// Also where there is no ``ofi`` yet.
  var ofiIsWhole = false
}
