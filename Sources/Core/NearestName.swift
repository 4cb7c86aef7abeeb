/// Finds what a mistyped name was meant to be, for "did you mean …?".
public enum NearestName {
  /// Texts longer than this are not compared.
  public static let bytesMax = 256

  /// The known name nearest to `text`, the first of equals; `nil` when none is near enough to be meant.
  ///
  /// Near enough is one edit for up to three bytes, two for up to seven, then a third of the length.
  /// - Complexity: O(names × length²)
  public static func find(_ text: String, among names: some Sequence<String>) -> String? {
    let length = text.utf8.count
    guard length > 0, length <= bytesMax else { return nil }
    var nearest: String?
    var distanceMax = length <= 3 ? 1 : max(2, length / 3)
    for name in names {
      guard let distance = distance(text, name, distanceMax: distanceMax) else { continue }
      if nearest == nil || distance < distanceMax {
        nearest = name
        distanceMax = distance
      }
    }
    return nearest
  }

  /// The number of single-byte insertions, removals, replacements and swaps of neighbours between two texts
  /// (optimal string alignment); `nil` beyond `distanceMax`. Letter case counts as no difference.
  public static func distance(_ first: String, _ second: String, distanceMax: Int) -> Int? {
    let a = first.utf8.map(lowered)
    let b = second.utf8.map(lowered)
    guard abs(a.count - b.count) <= distanceMax, max(a.count, b.count) <= bytesMax else { return nil }
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    var row = last
    for i in 0..<a.count {
      row[0] = i + 1
      for j in 0..<b.count {
        var best = last[j] + (a[i] == b[j] ? 0 : 1)
        best = min(best, last[j + 1] + 1, row[j] + 1)
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
        row[j + 1] = best
      }
      (beforeLast, last, row) = (last, row, beforeLast)
    }
    return last[b.count] <= distanceMax ? last[b.count] : nil
  }

  private static func lowered(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }
}
