/// A set of ids as ranges, for ids that come nearly in order.
///
/// Bound: ``rangesMax`` ranges; beyond it the lowest two are joined, i.e. the oldest hole is forgotten.
struct IDRanges: Equatable, Sendable {
  static let rangesMax = 256

  /// Rising, not touching.
  private(set) var ranges: [ClosedRange<Int64>] = []

  mutating func insert(_ id: Int64) { insert(id...id) }

  /// - Complexity: O(1) for ids at the end, O(ranges) otherwise
  mutating func insert(_ new: ClosedRange<Int64>) {
    if let last = ranges.last, new.lowerBound <= last.upperBound + 1, new.lowerBound >= last.lowerBound {
      if new.upperBound > last.upperBound { ranges[ranges.count - 1] = last.lowerBound...new.upperBound }
      return
    }
    let start = ranges.firstIndex { $0.upperBound + 1 >= new.lowerBound } ?? ranges.count
    let end = ranges.firstIndex { $0.lowerBound - 1 > new.upperBound } ?? ranges.count
    var joined = new
    if start < end {
      joined =
        min(new.lowerBound, ranges[start].lowerBound)...max(new.upperBound, ranges[end - 1].upperBound)
    }
    ranges.replaceSubrange(start..<max(start, end), with: [joined])
    if ranges.count > IDRanges.rangesMax {
      ranges[0] = ranges[0].lowerBound...ranges[1].upperBound
      ranges.remove(at: 1)
    }
  }

  /// What lies between the ranges.
  var holes: [ClosedRange<Int64>] {
    zip(ranges, ranges.dropFirst()).map { $0.upperBound + 1...$1.lowerBound - 1 }
  }
}
