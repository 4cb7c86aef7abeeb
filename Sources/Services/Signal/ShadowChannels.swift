import Core
import Flow
import Glibc
import Strategy

/// One ingredient that is judged as if it were the signal.
enum ShadowChannel: Int, CaseIterable, Sendable {
  /// z_cvd alone.
  case cvd
  /// Both factors with the weights of ``ShadowConfiguration``.
  case fusion
  /// Confirmed divergences.
  case divergence

  var name: StaticString {
    switch self {
    case .cvd: "cvd"
    case .fusion: "fusion"
    case .divergence: "divergence"
    }
  }

  var trigger: Signal.Trigger {
    switch self {
    case .cvd: .shadowCVD
    case .fusion: .shadowFusion
    case .divergence: .shadowDivergence
    }
  }
}

/// A symbol's shadow signals: what single ingredients of the score would have said.
///
/// **Problem.** A new weight, or CVD without OFI, is to be judged on live data before it may act; and the numbers
/// that a release asks for (is z_cvd centred, are its tails as they should be, does the score follow activity,
/// how often do divergences come) have to be there when they are asked for, not after a study.
///
/// **Why the obvious answer fails.** A second run with other parameters doubles the cost and sees other gates and
/// other moments. Writing candidates among the signals changes what everybody reads. Judging them later from the
/// stored rows lacks what the rows do not hold: the thresholds in force, latencies, activity.
///
/// **Algorithm.** At every row of the main chain, with the row's own factors, two classifiers judge z_cvd and the
/// candidate fusion by the thresholds in force, with the main chain's hysteresis and no gates. An *onset* is a
/// change of a channel's type to another that is not neutral; it gives a row, and so does every divergence of the
/// main row. Rows lie in a folder of their own (``ShadowFiles``), never confirmed. The main chain does not see any
/// of it. While the channel rows are paused by the operator the classifiers go on, so that resuming
/// brings no onset that was none, and the statistics stand still.
///
/// **Bounds.** Fixed size a symbol: some 7 KB. Per row two comparisons of thresholds, once a second the statistics.
struct ShadowChannels: Sendable {
  var cvd = SignalClassifier()
  var fusion = SignalClassifier()
  /// The types of both, as of the row before.
  var cvdKind = SignalKind.neutral
  var fusionKind = SignalKind.neutral
  /// Of the newest divergence that has one.
  var divergenceDirection = 0
  var divergenceAtNs: Int64 = 0
  /// Time and counts of the row that was last sampled.
  var sampledAtNs: Int64?
  var counted = ShadowActivity()
  var statistics = ShadowStatistics()
  private let plan: ShadowPlan

  init(_ plan: ShadowPlan) { self.plan = plan }

  /// Takes a row of the main chain.
  ///
  /// - Returns: what is to be written.
  mutating func step(_ input: ShadowInput) -> ShadowOnsets {
    let cvdKind = cvd.step(
      score: input.zCVD, at: input.timeNs / 1_000_000, input.thresholds, input.parameters)
    let fusionKind = fusion.step(
      score: input.fusion, at: input.timeNs / 1_000_000, input.thresholds, input.parameters)
    var onsets = ShadowOnsets()
    if cvdKind != self.cvdKind, cvdKind != .neutral { onsets.cvd = cvdKind }
    if fusionKind != self.fusionKind, fusionKind != .neutral { onsets.fusion = fusionKind }
    self.cvdKind = cvdKind
    self.fusionKind = fusionKind
    if input.divergence != .none {
      onsets.divergence = ShadowChannels.kind(input.divergence)
      divergenceDirection = input.divergence.direction
      divergenceAtNs = input.timeNs
    }
    if input.isGrid { sample(input) }
    if input.isPaused { return ShadowOnsets() }
    statistics.count(onsets, input)
    if input.confirmedDirection != 0 { compare(input) }
    return onsets
  }

  /// A divergence has a direction and no strength; a conflict has neither.
  static func kind(_ divergence: DivergenceKind) -> SignalKind {
    switch divergence.direction {
    case 1: .buy
    case -1: .sell
    default: .neutral
    }
  }

  /// The first row of each second is a sample; neighbours within a second share nearly all of their windows.
  private mutating func sample(_ input: ShadowInput) {
    let before = sampledAtNs
    if let before, input.timeNs / plan.strideNs == before / plan.strideNs { return }
    let elapsedNs = before.map { input.timeNs - $0 } ?? .max
    let events = max(0, input.activity.events(since: counted))
    sampledAtNs = input.timeNs
    counted = input.activity
    if input.isPaused { return }
    statistics.add(zCVD: input.zCVD, score: input.score, fusion: input.fusion)
    // Behind a silence nothing is known of the time in between.
    guard let before, elapsedNs > 0, elapsedNs <= plan.gapNsMax else { return }
    let seconds = Double(elapsedNs) / 1e9
    statistics.add(
      activity: ShadowActivity.level(eventsPerSecond: Double(events) / seconds), score: input.score,
      fusion: input.fusion)
    guard input.guardReason != .warmup else { return }
    statistics.observedNs += elapsedNs
    if plan.judgesDivergences {
      statistics.divergenceSamples +=
        input.timeNs / plan.divergenceStrideNs - before / plan.divergenceStrideNs
    }
  }

  private mutating func compare(_ input: ShadowInput) {
    statistics.confirmed += 1
    for channel in ShadowChannel.allCases {
      let own = direction(of: channel, at: input.timeNs) * input.confirmedDirection
      if own > 0 { statistics.channels[channel.rawValue].same += 1 }
      if own < 0 { statistics.channels[channel.rawValue].opposite += 1 }
    }
  }

  private func direction(of channel: ShadowChannel, at timeNs: Int64) -> Int {
    switch channel {
    case .cvd: cvdKind.direction
    case .fusion: fusionKind.direction
    case .divergence: timeNs - divergenceAtNs <= ShadowPlan.divergenceMemoryNs ? divergenceDirection : 0
    }
  }
}

/// A row of the main chain as the shadow channels see it. Times are tape time.
struct ShadowInput {
  var timeNs: Int64
  var isGrid: Bool
  /// Unclipped.
  var zCVD: Double?
  /// Of the main chain, and of the candidate.
  var score: Double?
  var fusion: Double?
  var divergence: DivergenceKind
  /// Of the symbol's state: `warmup`, `depthGap` or `none`.
  var guardReason: Signal.GuardReason
  /// +1 or −1 when the main row is confirmed, else 0.
  var confirmedDirection: Int
  /// Totals since the beginning of the tape.
  var activity: ShadowActivity
  var thresholds: FusionConfiguration.Thresholds
  var parameters: FusionConfiguration
  var isPaused: Bool
}

/// New types of the channels; nil where there is nothing to write.
struct ShadowOnsets: Equatable {
  var cvd: SignalKind?
  var fusion: SignalKind?
  var divergence: SignalKind?

  subscript(channel: ShadowChannel) -> SignalKind? {
    switch channel {
    case .cvd: cvd
    case .fusion: fusion
    case .divergence: divergence
    }
  }
}

/// How much a symbol's market has done, in events received.
struct ShadowActivity: Equatable, Sendable {
  var trades: Int64 = 0
  /// From the best quotes' stream.
  var quotes: Int64 = 0
  var depthEvents: Int64 = 0

  /// Trades and quote updates; of a symbol without a stream of best quotes its depth events stand for them.
  func events(since before: ShadowActivity) -> Int64 {
    let quoted = quotes - before.quotes
    return trades - before.trades + (quotes > 0 ? quoted : depthEvents - before.depthEvents)
  }

  /// ln(1 + events a second)
  static func level(eventsPerSecond: Double) -> Double { log1p(eventsPerSecond) }
}

/// What the configuration says of the shadow channels.
struct ShadowPlan: Equatable, Sendable {
  let strideNs: Int64
  /// Samples further apart have a silence between them.
  let gapNsMax: Int64
  let judgesDivergences: Bool
  let divergenceStrideNs: Int64
  /// Windows that one value spans, of z_cvd and of a score.
  let cvdWindowMs: Int
  let scoreWindowMs: Int
  /// Samples between two divergences of a kind, at least.
  let separationSamples: Int

  /// A confirmed row is compared with the divergence before it for so long.
  static let divergenceMemoryNs = 60 * Nanoseconds.second

  init(_ configuration: SignalConfiguration) {
    let flow = configuration.flow
    let intervalNs = Int64(flow.rowIntervalMs) * Nanoseconds.millisecond
    strideNs = max(Nanoseconds.second, intervalNs)
    gapNsMax = max(5 * Nanoseconds.second, 2 * intervalNs)
    judgesDivergences = configuration.divergence.isEnabled
    divergenceStrideNs = Int64(configuration.divergence.strideMs) * Nanoseconds.millisecond
    cvdWindowMs = flow.cvdWindowMs
    scoreWindowMs = max(flow.ofiWindowMs, flow.cvdWindowMs)
    separationSamples = configuration.divergence.separationSamples
  }

  /// How many of a number of samples are independent of each other.
  func independent(_ samples: Int64, windowMs: Int) -> Int {
    let strideMs = strideNs / Nanoseconds.millisecond
    return Int(samples * min(strideMs, Int64(windowMs)) / Int64(max(1, windowMs)))
  }
}
