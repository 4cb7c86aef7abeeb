import Core

/// Turns a factor into a z value by its place in the history *before* it.
///
/// Order flow is heavy-tailed and autocorrelated: mean and standard deviation let a burst inflate its own
/// yardstick, a short history holds few independent values, and winsorising what enters the history makes
/// tails vanish by construction. So the history is long, sampled at a stride of its own, unclipped, and the
/// default is the normal score of the rank: z = Φ⁻¹((#below + ½·#equal + ½) / (n + 1)), which is bounded only
/// by the history's length (n = 900 gives ±3.26). `sd` and `mad` are the classical alternatives.
///
/// The history is kept twice: as a ring in order of time, and sorted. A query is a binary search; a sample is
/// one too, plus a move of at most 8·n bytes, once a stride (n = 900: under 100 ns; see
/// docs/decisions/0004 for why not a tree).
public struct Standardizer: ~Copyable {
  public let method: FlowConfiguration.Standardization
  public let capacity: Int
  public let warmupSamples: Int
  private let floorRatio: Double
  let ring: UnsafeMutablePointer<Double>
  let sorted: UnsafeMutablePointer<Double>
  public internal(set) var count = 0
  var next = 0
  // Running moments for `sd` and the scale's floor: Welford with replacement, made exact again by two passes
  // each time the ring has gone round.
  var mean = 0.0
  var squares = 0.0
  var magnitude = 0.0
  /// The rank z of a value above all `extremeCount` in the history.
  var extremeZ = 0.0
  var extremeCount = 0

  public init(method: FlowConfiguration.Standardization, samples: Int, warmupSamples: Int, floorRatio: Double)
  {
    self.method = method
    capacity = samples
    self.warmupSamples = max(2, warmupSamples)
    self.floorRatio = floorRatio
    ring = .allocate(capacity: samples)
    sorted = .allocate(capacity: samples)
  }

  deinit {
    ring.deallocate()
    sorted.deallocate()
  }

  public var isWarm: Bool { count >= warmupSamples }

  /// Index of the first sorted value that is not below `x`.
  @inline(__always)
  private func lowerBound(_ x: Double) -> Int {
    var base = 0
    var length = count
    while length > 0 {
      let half = length >> 1
      if sorted[base &+ half] < x {
        base = base &+ half &+ 1
        length = length &- half &- 1
      } else {
        length = half
      }
    }
    return base
  }

  /// Index of the first sorted value above `x`.
  @inline(__always)
  private func upperBound(_ x: Double) -> Int {
    var base = 0
    var length = count
    while length > 0 {
      let half = length >> 1
      if sorted[base &+ half] <= x {
        base = base &+ half &+ 1
        length = length &- half &- 1
      } else {
        length = half
      }
    }
    return base
  }

  /// Adds a value to the history, dropping the oldest when full.
  public mutating func push(_ x: Double) {
    precondition(x.isFinite, "a history holds finite values only")
    if count == capacity {
      let oldest = ring[next]
      let at = lowerBound(oldest)
      (sorted + at).update(from: sorted + at + 1, count: count - at - 1)
      count -= 1
      forget(oldest)
    }
    let at = upperBound(x)
    (sorted + at + 1).update(from: sorted + at, count: count - at)
    sorted[at] = x
    count += 1
    if count > extremeCount {
      extremeCount = count
      extremeZ = Statistics.normalQuantile((Double(count) + 0.5) / Double(count + 1))
    }
    ring[next] = x
    next += 1
    if next == capacity {
      next = 0
      learn(x)
      recompute()
    } else {
      learn(x)
    }
  }

  private mutating func learn(_ x: Double) {
    let delta = x - mean
    mean += delta / Double(count)
    squares += delta * (x - mean)
    magnitude += abs(x)
  }

  private mutating func forget(_ x: Double) {
    guard count > 0 else {
      mean = 0
      squares = 0
      magnitude = 0
      return
    }
    let delta = x - mean
    mean -= delta / Double(count)
    squares = max(0, squares - delta * (x - mean))
    magnitude = max(0, magnitude - abs(x))
  }

  private mutating func recompute() {
    var sum = 0.0
    magnitude = 0
    for index in 0..<count {
      sum += sorted[index]
      magnitude += abs(sorted[index])
    }
    mean = sum / Double(count)
    squares = 0
    for index in 0..<count { squares += (sorted[index] - mean) * (sorted[index] - mean) }
  }

  public mutating func removeAll() {
    count = 0
    next = 0
    mean = 0
    squares = 0
    magnitude = 0
  }

  /// The value's z against the history; nil during warm-up.
  ///
  /// - Complexity: O(log n); `mad` O(log n) too, by selection in the two sorted halves around the median.
  public func z(_ x: Double) -> Double? {
    guard isWarm else { return nil }
    switch method {
    case .rank:
      let below = lowerBound(x)
      let equal = upperBound(x) - below
      let p = (Double(below) + 0.5 * Double(equal) + 0.5) / Double(count + 1)
      return Statistics.normalQuantile(p)
    case .sd, .mad:
      let (center, scale) = location()
      return scale > 0 ? (x - center) / scale : 0
    }
  }

  /// The value whose z is about `z`, for a cheap test before a full evaluation; infinite when no value
  /// reaches it. By rank: the sorted value at that quantile.
  public func value(forZ z: Double) -> Double {
    guard isWarm else { return .infinity }
    switch method {
    case .rank:
      // Beyond the z of a new extreme no value can lead; most calls end here.
      if z > extremeZ { return .infinity }
      if z < -extremeZ { return -.infinity }
      let place = Statistics.normalCDF(z) * Double(count + 1) - 0.5
      if place > Double(count) { return .infinity }
      if place < 0 { return -.infinity }
      return sorted[min(count - 1, Int(place))]
    case .sd, .mad:
      let (center, scale) = location()
      return center + z * scale
    }
  }

  private func location() -> (center: Double, scale: Double) {
    let floor = floorRatio * magnitude / Double(count)
    if method == .sd {
      return (mean, max((squares / Double(count - 1)).squareRoot(), floor))
    }
    let median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2
    let low = deviation((count - 1) / 2, from: median)
    let high = count % 2 == 1 ? low : deviation(count / 2, from: median)
    return (median, max(1.4826 * (low + high) / 2, floor))
  }

  /// The k-th smallest (from 0) of |x − median|.
  ///
  /// The k + 1 values nearest the median are a run of the sorted history. Its start is found by bisection:
  /// moving the run right pays while the value it would gain is nearer than the one it would lose.
  private func deviation(_ k: Int, from median: Double) -> Double {
    var low = 0
    var high = count - 1 - k
    while low < high {
      let start = (low + high) / 2
      if median - sorted[start] > sorted[start + k + 1] - median { low = start + 1 } else { high = start }
    }
    return max(median - sorted[low], sorted[low + k] - median)
  }
}
