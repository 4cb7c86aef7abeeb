/// A share of the points of an endless grid, spread as evenly as whole points allow.
///
/// Point k is taken if ⌊(k+1)·r⌋ > ⌊k·r⌋, in integers: so of any n points in a row ⌊n·r⌋ or ⌈n·r⌉ are taken,
/// and which ones depends on k alone, not on when counting began.
public struct RowRatio: Equatable, Sendable {
  public static let all = RowRatio(millionths: 1_000_000)

  public let millionths: Int64

  init(millionths: Int64) { self.millionths = millionths }

  /// - Precondition: above 0 and at most 1.
  public init(_ ratio: Double) {
    precondition(ratio > 0 && ratio <= 1, "a share of the points")
    millionths = max(1, Int64((ratio * 1e6).rounded()))
  }

  /// - Precondition: `index` is at least 0 and below 9·10^12, which a grid of 10 ms reaches in the year 4800.
  public func takes(_ index: Int64) -> Bool {
    (index + 1) * millionths / 1_000_000 > index * millionths / 1_000_000
  }
}
