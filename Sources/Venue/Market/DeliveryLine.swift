import Core

/// One connection's way from the exchange to the receiver: what is in flight, in order.
///
/// Each frame takes its own time (lognormal, median 8 ms, never above ``latencyMax``), but a stream of bytes
/// cannot overtake itself: a frame is received no earlier than the one before it. What is in flight is
/// bounded by that longest time; bytes are written once and read in place.
struct DeliveryLine: ~Copyable {
  struct Pending {
    /// Receive time by the exchange's clock, nanoseconds.
    var time: Int64
    var begin: Int
    var count: Int
    var symbol: Int32
    var stream: MarketStream
  }

  static let latencyMedian = 8 * Nanoseconds.millisecond
  static let latencyLogDeviation = 0.35
  static let latencyMax = 60 * Nanoseconds.millisecond
  /// Between two frames of one connection.
  private static let spacing: Int64 = 200
  private static let retainedMax = 1 << 20

  /// The frames in flight; the caller appends one frame's bytes here, then calls ``send``.
  var bytes = ByteWriter(capacity: 1 << 16)
  private var queue: UnsafeMutablePointer<Pending>
  private var capacity = 1024
  private var head = 0
  private var count = 0
  /// Where the next frame begins, counted from the first byte in `bytes`.
  private var begin = 0
  private var lastTime: Int64 = .min
  private var random: SeededRandom
  private let latency = QuantileTable.lognormal(
    median: Double(latencyMedian), logDeviation: latencyLogDeviation)

  init(random: SeededRandom) {
    self.random = random
    queue = .allocate(capacity: capacity)
  }

  deinit { queue.deallocate() }

  /// The frame that arrives next.
  @inline(__always)
  var first: Pending? { count > 0 ? queue[head & (capacity &- 1)] : nil }

  func payload(_ pending: Pending) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes.bytes[pending.begin..<pending.begin + pending.count])
  }

  /// Puts the bytes appended since the last call on their way, `copies` times.
  ///
  /// - Returns: when the last copy is received, by the exchange's clock.
  mutating func send(_ stream: MarketStream, symbol: Int, time: Int64, copies: Int = 1) -> Int64 {
    let length = bytes.count - begin
    for _ in 0..<copies {
      let took = min(DeliveryLine.latencyMax, Int64(latency.draw(&random)))
      lastTime = max(lastTime &+ DeliveryLine.spacing, time + took)
      push(Pending(time: lastTime, begin: begin, count: length, symbol: Int32(symbol), stream: stream))
    }
    begin = bytes.count
    return lastTime
  }

  /// Takes back the bytes appended since the last call of ``send``.
  mutating func withdraw() -> [UInt8] {
    let taken = Array(bytes.bytes[begin...])
    bytes.truncate(to: begin)
    return taken
  }

  /// Takes the first frame off; its bytes stay in place until ``reclaim()``.
  mutating func removeFirst() {
    head &+= 1
    count &-= 1
  }

  /// Makes room of what was received. Pointers into `bytes` end here.
  mutating func reclaim() {
    if count == 0 {
      bytes.removeAll()
      begin = 0
      return
    }
    let received = queue[head & (capacity - 1)].begin
    guard received > DeliveryLine.retainedMax, received > bytes.count / 2 else { return }
    bytes.removeFirst(received)
    begin -= received
    for index in head..<head + count { queue[index & (capacity - 1)].begin -= received }
  }

  private mutating func push(_ pending: Pending) {
    if count == capacity {
      let larger = UnsafeMutablePointer<Pending>.allocate(capacity: capacity * 2)
      for index in 0..<count {
        larger.advanced(by: index).initialize(to: queue[(head + index) & (capacity - 1)])
      }
      queue.deallocate()
      queue = larger
      capacity *= 2
      head = 0
    }
    queue.advanced(by: (head + count) & (capacity - 1)).initialize(to: pending)
    count += 1
  }
}
