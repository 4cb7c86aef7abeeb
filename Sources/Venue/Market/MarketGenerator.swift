import Core

/// A seeded market that arrives as the exchange's own frames, with planted truth.
///
/// **Problem.** To know that a capture system is right one must know the truth behind what it captured: the
/// book it should hold, the flow it should sum, the relation it should find, the loss it should notice. A
/// recording has no such answers, and one made of independent random numbers has none of the traits that
/// break such systems: bursts, heavy tails, levels beyond the snapshot's end, an update between two published
/// ids.
///
/// **Why the obvious answer fails.** Drawing frames that look right (random levels, a random walk for the
/// mid) gives best quotes that disagree with the depth, a flow that moves no price, and a "signal" that is a
/// property of the formatter. Frames have to be projections of one market.
///
/// **Algorithm.** Four parts that know nothing of each other:
/// - *market* (``SymbolMarket``): a book of integer ticks, changed by self-exciting orders (``FlowClock``)
///   whose direction follows a hidden pressure (``HiddenPressure``);
/// - *protocol* (``FrameEncoder``): what the exchange says of it;
/// - *delivery* (``DeliveryLine``, ``DefectScript``): latency by connection, and losses, copies and swaps at
///   places decided beforehand (``DefectPlan``);
/// - *truth* (``ReferenceFlow``, ``ReaderBook``, ``SymbolAccount``): what a perfect reader must end with.
///
/// One step advances the symbol whose next event is earliest. A frame is handed out once the market's clock
/// has reached its receive time: whatever the market does next is received later, so one comparison of the
/// two connections and the snapshots under way merges them in order, and only what is in flight is in memory.
///
/// Planted relation, sources and measured figures: docs/decisions/0005.
public struct MarketGenerator: ~Copyable {
  public let options: MarketOptions
  let lanes: UnsafeMutablePointer<SymbolLane>
  let laneCount: Int
  let nextTimes: UnsafeMutablePointer<Int64>
  let lines: UnsafeMutablePointer<DeliveryLine>
  var snapshots: [SnapshotDelivery] = []
  private var snapshotBytes = ByteWriter(capacity: 1 << 16)
  /// Frames received at or before this moment cannot be overtaken by any still to be made.
  private var horizon: Int64
  private let end: Int64
  private(set) var isOver = false
  private let skewNanos: Int64

  static let publicLine = 0
  static let marketLine = 1

  public init(_ options: MarketOptions) {
    self.options = options
    let source = SeededRandom(seed: options.seed)
    let plan = DefectPlan(options: options, random: source.stream(1))
    let start = options.start
    laneCount = options.symbols.count
    let perSymbol = options.framesPerSecond.map { $0 / Double(options.symbols.count) }
    let scale = perSymbol.map { MarketRates.flowScale(symbolFramesPerSecond: $0) } ?? 1
    lanes = .allocate(capacity: laneCount)
    nextTimes = .allocate(capacity: laneCount)
    for (index, symbol) in options.symbols.enumerated() {
      lanes.advanced(by: index).initialize(
        to: SymbolLane(
          instrument: Instrument(symbol: symbol), random: source.stream(Instrument.hash(symbol)),
          defects: plan.defects[index], start: start, flowScale: scale))
      nextTimes.advanced(by: index).initialize(to: lanes[index].market.nextTime)
    }
    lines = .allocate(capacity: 2)
    lines.initialize(to: DeliveryLine(random: source.stream(2)))
    lines.advanced(by: 1).initialize(to: DeliveryLine(random: source.stream(3)))
    horizon = start.rawValue
    end = start.rawValue + Int64(options.minutes * Double(Nanoseconds.minute))
    skewNanos = options.skewMs * Nanoseconds.millisecond
  }

  deinit {
    lanes.deinitialize(count: laneCount)
    lanes.deallocate()
    nextTimes.deallocate()
    lines.deinitialize(count: 2)
    lines.deallocate()
  }

  /// The next thing received, in order of receive time; `nil` once all is received.
  ///
  /// The payload lies in a reused buffer and is valid until the next call.
  /// - Complexity: amortised O(levels changed + symbols)
  public mutating func next() -> MarketFrame? {
    lines[MarketGenerator.publicLine].reclaim()
    lines[MarketGenerator.marketLine].reclaim()
    while true {
      if let frame = takeReceived() { return frame }
      if isOver { return nil }
      advance()
    }
  }

  private mutating func takeReceived() -> MarketFrame? {
    let publicTime = lines[MarketGenerator.publicLine].first?.time ?? .max
    let marketTime = lines[MarketGenerator.marketLine].first?.time ?? .max
    var snapshotTime = Int64.max
    var snapshotIndex = 0
    for index in snapshots.indices where snapshots[index].time < snapshotTime {
      snapshotTime = snapshots[index].time
      snapshotIndex = index
    }
    let earliest = min(publicTime, marketTime, snapshotTime)
    guard earliest <= horizon, earliest != .max else { return nil }
    if earliest == publicTime { return take(MarketGenerator.publicLine, MarketFrame.publicConnection) }
    if earliest == marketTime { return take(MarketGenerator.marketLine, MarketFrame.marketConnection) }
    let snapshot = snapshots.remove(at: snapshotIndex)
    snapshotBytes.removeAll()
    snapshot.bytes.withUnsafeBytes { snapshotBytes.append(bytes: $0) }
    return MarketFrame(
      kind: .snapshot, payload: snapshotBytes.bytes, stream: .snapshot, symbolIndex: snapshot.symbol,
      receiveTime: UnixNanos(snapshot.time + skewNanos), connection: MarketFrame.restConnection)
  }

  private mutating func take(_ line: Int, _ connection: Int32) -> MarketFrame? {
    guard let pending = lines[line].first else { return nil }
    lines[line].removeFirst()
    return MarketFrame(
      kind: .frame, payload: lines[line].payload(pending), stream: pending.stream,
      symbolIndex: Int(pending.symbol), receiveTime: UnixNanos(pending.time + skewNanos),
      connection: connection)
  }

  private mutating func advance() {
    var index = 0
    for other in 1..<max(1, laneCount) where nextTimes[other] < nextTimes[index] { index = other }
    let time = nextTimes[index]
    guard time < end else {
      isOver = true
      horizon = .max - 1
      for lane in 0..<laneCount {
        lanes[lane].reference.reach(
          end, doubledMid: lanes[lane].market.doubledMid, pressure: lanes[lane].market.pressure.value)
      }
      return
    }
    horizon = time
    lanes[index].reference.reach(
      time, doubledMid: lanes[index].market.doubledMid, pressure: lanes[index].market.pressure.value)
    let step = lanes[index].market.step()
    nextTimes[index] = lanes[index].market.nextTime
    publish(step, index)
    // A snapshot is taken only inside a window that has changed the book, see ``fetchSnapshots(_:)``.
    if time >= min(lanes[index].fetchTime, lanes[index].staleFetchTime), !step.contains(.window),
      lanes[index].market.bookTime == time
    {
      fetchSnapshots(index)
    }
  }

  func receiveTime(_ time: Int64) -> Int64 { time + skewNanos }
}
