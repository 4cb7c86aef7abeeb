/// Counts of observations by size, from which readers estimate quantiles.
public final class Histogram {
  /// Ascending; an observation equal to a bound belongs to that bound's bucket.
  public let upperBounds: [Double]
  /// One count for each bound and a last one for what lies above all of them; not cumulative.
  public private(set) var counts: [Int]
  public private(set) var sum: Double = 0
  public private(set) var count = 0

  init(upperBounds: [Double]) {
    self.upperBounds = upperBounds
    counts = Array(repeating: 0, count: upperBounds.count + 1)
  }

  /// For each bound, and last for +∞, the number of observations not above it.
  public var cumulativeBuckets: [(upperBound: Double, count: Int)] {
    var below = 0
    return counts.indices.map { index in
      below += counts[index]
      return (index < upperBounds.count ? upperBounds[index] : .infinity, below)
    }
  }

  /// Counts `value` as seen `count` times. NaN means that nothing was measured, and is not counted: it would
  /// turn the sum into NaN for good.
  ///
  /// - Complexity: O(log buckets)
  public func observe(_ value: Double, count: Int = 1) {
    precondition(count >= 0, "observations cannot be taken back")
    guard !value.isNaN, count > 0 else { return }
    var low = 0
    var high = upperBounds.count
    while low < high {
      let middle = (low + high) / 2
      if upperBounds[middle] < value { low = middle + 1 } else { high = middle }
    }
    counts[low] += count
    sum += value * Double(count)
    self.count += count
  }

  /// Takes over a distribution kept elsewhere.
  ///
  /// - Parameter countAtMost: the number of observations not above a bound; never falls from bound to bound.
  public func set(sum: Double, count: Int, countAtMost: (_ upperBound: Double) -> Int) {
    var below = 0
    for index in upperBounds.indices {
      let cumulative = countAtMost(upperBounds[index])
      precondition(cumulative >= below && cumulative <= count, "cumulative counts never fall")
      counts[index] = cumulative - below
      below = cumulative
    }
    counts[upperBounds.count] = count - below
    self.sum = sum
    self.count = count
  }
}
