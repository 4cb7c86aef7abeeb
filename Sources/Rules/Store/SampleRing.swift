/// The newest samples of one series in order of time.
///
/// It grows by doubling up to its bound; then the oldest sample makes room for the newest.
struct SampleRing: Sendable {
  struct Point: Equatable, Sendable {
    var ms: Int64
    var value: Double
  }

  /// Prometheus' mark that a series ended here: a NaN that no measurement has (`value.StaleNaN`).
  static let staleMark = Double(bitPattern: 0x7FF0_0000_0000_0002)

  static func isStale(_ value: Double) -> Bool { value.bitPattern == 0x7FF0_0000_0000_0002 }

  private var points: [Point] = []
  private var first = 0
  private(set) var count = 0

  subscript(index: Int) -> Point {
    let at = first + index
    return points[at < points.count ? at : at - points.count]
  }

  var newest: Point? { count == 0 ? nil : self[count - 1] }

  /// - Returns: whether a sample was pushed out.
  mutating func append(_ point: Point, countMax: Int) -> Bool {
    if count == points.count {
      if count >= countMax {
        points[first] = point
        first = first + 1 == count ? 0 : first + 1
        return true
      }
      let ordered = (0..<count).map { self[$0] }
      let capacity = min(countMax, max(8, 2 * count))
      points = ordered + repeatElement(point, count: capacity - count)
      first = 0
    }
    let at = first + count
    points[at < points.count ? at : at - points.count] = point
    count += 1
    return false
  }

  mutating func removeAll(before ms: Int64) {
    while count > 0, self[0].ms < ms {
      first = first + 1 == points.count ? 0 : first + 1
      count -= 1
    }
  }

  /// Index of the first sample at or after `ms`.
  ///
  /// - Complexity: O(log count)
  func lowerBound(_ ms: Int64) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if self[middle].ms < ms { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
