import Core

/// Running co-moments of paired samples, one pass and stable (Welford; Bennett et al. 2009).
struct PairMoments {
  private(set) var count = 0
  private var meanX = 0.0
  private var meanY = 0.0
  private var xx = 0.0
  private var yy = 0.0
  private var xy = 0.0

  mutating func add(_ x: Double, _ y: Double) {
    count += 1
    let n = Double(count)
    let dx = x - meanX
    let dy = y - meanY
    meanX += dx / n
    meanY += dy / n
    xx += dx * (x - meanX)
    yy += dy * (y - meanY)
    xy += dx * (y - meanY)
  }

  /// Pearson's; `nil` for fewer than three pairs or a constant side.
  var correlation: Double? {
    count >= 3 && xx > 0 && yy > 0 ? xy / (xx * yy).squareRoot() : nil
  }

  /// Least squares slope of y on x.
  var slope: Double? { count >= 3 && xx > 0 ? xy / xx : nil }

  var deviationY: Double? { count >= 2 ? (yy / Double(count - 1)).squareRoot() : nil }
}

/// What a perfect observer measures of one market: OFI at the touch, trade flow, and how both go with the
/// mid.
///
/// It reads the market's own state, never the frames. OFI is Cont, Kukanov and Stoikov's (2014) over the
/// successive best quotes, one event per published change. Buckets are 10 s of the exchange's clock.
struct ReferenceFlow {
  static let bucketNanos: Int64 = 10 * Nanoseconds.second

  private var previous: Touch?
  /// Σ over all published changes, in lots; the first sets the state.
  private(set) var ofiLots: Int64 = 0
  private(set) var cvdLots: Int64 = 0
  private(set) var tradeCount: Int64 = 0

  private var bucketEnd: Int64
  private var bucketOFI: Int64 = 0
  private var bucketCVD: Int64 = 0
  private var openingDoubledMid: Int
  private var previousOFI: Double?
  private var previousCVD = 0.0
  private var previousPressure = 0.0

  private(set) var moveOnOFI = PairMoments()
  private(set) var moveOnCVD = PairMoments()
  private(set) var nextMoveOnOFI = PairMoments()
  private(set) var nextMoveOnCVD = PairMoments()
  private(set) var nextOFIOnOFI = PairMoments()
  private(set) var planted = PlantedRelation()

  init(start: Int64, doubledMid: Int) {
    bucketEnd = start + ReferenceFlow.bucketNanos
    openingDoubledMid = doubledMid
  }

  /// To be called before the market changes: closes the buckets that end at or before `time`.
  mutating func reach(_ time: Int64, doubledMid: Int, pressure: Double = 0) {
    while time >= bucketEnd {
      let move = Double(doubledMid - openingDoubledMid) / 2
      let ofi = Double(bucketOFI)
      let cvd = Double(bucketCVD)
      moveOnOFI.add(ofi, move)
      moveOnCVD.add(cvd, move)
      if let before = previousOFI {
        nextMoveOnOFI.add(before, move)
        nextMoveOnCVD.add(previousCVD, move)
        nextOFIOnOFI.add(before, ofi)
        planted.add(
          PlantedRelation.Pair(
            ofi: Float(before), cvd: Float(previousCVD), pressure: Float(previousPressure),
            nextMove: Float(move)
          ))
      }
      previousOFI = ofi
      previousCVD = cvd
      previousPressure = pressure
      bucketOFI = 0
      bucketCVD = 0
      openingDoubledMid = doubledMid
      bucketEnd += ReferenceFlow.bucketNanos
    }
  }

  mutating func quote(_ touch: Touch) {
    defer { previous = touch }
    guard let old = previous else { return }
    var flow: Int64 = 0
    if touch.bidTick >= old.bidTick { flow += touch.bidLots }
    if touch.bidTick <= old.bidTick { flow -= old.bidLots }
    if touch.askTick <= old.askTick { flow -= touch.askLots }
    if touch.askTick >= old.askTick { flow += old.askLots }
    ofiLots += flow
    bucketOFI += flow
  }

  mutating func trade(_ lots: Int64, _ aggressor: Aggressor) {
    let signed = aggressor == .buyer ? lots : -lots
    cvdLots += signed
    bucketCVD += signed
    tradeCount += 1
  }
}
