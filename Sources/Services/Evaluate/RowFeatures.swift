import Core
import Evaluation
import Store
import Strategy

/// What a row claims to have known at its time: the columns that the leak audit compares.
struct RowFeatures: Equatable {
  var score: Micros
  var zOFI: Micros
  var zCVD: Micros
  /// Of cvd and price, as they are stored.
  var levels: UInt32

  init(_ row: StoredRow) {
    score = Micros(row.real(.score))
    zOFI = Micros(row.real(.zOFI))
    zCVD = Micros(row.real(.zCVD))
    levels = RowFeatures.hash(cvd: row.real(.cvd), price: row.real(.price))
  }

  /// The same of a row that was just made.
  init(_ row: Signal) {
    score = row.score
    zOFI = row.zOFI
    zCVD = row.zCVD
    levels = RowFeatures.hash(
      cvd: RowFeatures.double(row.cvd, decimals: row.quantityScale.decimals),
      price: row.doubledMid.flatMap { RowFeatures.half($0, decimals: row.priceScale.decimals) })
  }

  /// Of a stored row, its levels kept apart.
  init(_ row: EvaluationSeries.Row, levels: UInt32) {
    score = Micros(row.score)
    zOFI = Micros(row.zOFI)
    zCVD = Micros(row.zCVD)
    self.levels = levels
  }

  /// The double nearest to `units / 10^decimals`: one correctly rounded division of exact operands, or the
  /// text.
  private static func double(_ units: Int64, decimals: Int) -> Double? {
    let scale = DecimalScale(decimals)
    return units.magnitude < 1 << 53 ? scale.double(units) : Double(scale.text(units))
  }

  /// The double nearest to half of that.
  private static func half(_ units: Int64, decimals: Int) -> Double? {
    if units.magnitude < 1 << 53 { return Double(units) / (2 * Double(powerOfTen(decimals))) }
    let (fivefold, overflows) = units.multipliedReportingOverflow(by: 5)
    return overflows || decimals == DecimalScale.decimalsMax ? nil : double(fivefold, decimals: decimals + 1)
  }

  /// Different values have different hashes, but for one pair in four thousand million.
  private static func hash(cvd: Double?, price: Double?) -> UInt32 {
    var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
    for value in [cvd, price] {
      // Zero has one sign here.
      let word = value.map { ($0 + 0).bitPattern } ?? .max
      let product = (hash ^ word).multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
      hash = (product.high ^ product.low) &+ 0x9E37_79B9_7F4A_7C15
    }
    return UInt32(truncatingIfNeeded: hash >> 32)
  }
}
