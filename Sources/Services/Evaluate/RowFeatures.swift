import Core
import Store
import Strategy

/// What a row claims to have known at its time: the columns that the leak audit compares.
struct RowFeatures: Equatable {
  var score: Micros
  var zOFI: Micros
  var zCVD: Micros
  /// Doubles nearest to the columns' decimals; NaN where absent.
  var cvd: Double
  var price: Double

  init(_ row: StoredRow) {
    score = Micros(row.real(.score))
    zOFI = Micros(row.real(.zOFI))
    zCVD = Micros(row.real(.zCVD))
    cvd = row.real(.cvd) ?? .nan
    price = row.real(.price) ?? .nan
  }

  /// The same of a row that was just made.
  init(_ row: Signal) {
    score = row.score
    zOFI = row.zOFI
    zCVD = row.zCVD
    cvd = RowFeatures.double(row.cvd, decimals: row.quantityScale.decimals)
    price = row.doubledMid.map { RowFeatures.half($0, decimals: row.priceScale.decimals) } ?? .nan
  }

  /// The double nearest to `units / 10^decimals`: one correctly rounded division of exact operands, or the text.
  private static func double(_ units: Int64, decimals: Int) -> Double {
    let scale = DecimalScale(decimals)
    return units.magnitude < 1 << 53 ? scale.double(units) : Double(scale.text(units)) ?? .nan
  }

  /// The double nearest to half of that.
  private static func half(_ units: Int64, decimals: Int) -> Double {
    if units.magnitude < 1 << 53 { return Double(units) / (2 * Double(powerOfTen(decimals))) }
    let (tenfold, overflows) = units.multipliedReportingOverflow(by: 5)
    guard !overflows, decimals < DecimalScale.decimalsMax else { return Double(units) / 2 }
    return double(tenfold, decimals: decimals + 1)
  }

  /// 63 bits that differ where the features do, but for one pair in 10^18; never 0, which stands for "none".
  var fingerprint: UInt64 {
    var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
    func mix(_ word: UInt64) {
      let product = (hash ^ word).multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
      hash = product.high ^ product.low &+ 0x9E37_79B9_7F4A_7C15
    }
    mix(UInt64(bitPattern: score.rawValue))
    mix(UInt64(bitPattern: zOFI.rawValue))
    mix(UInt64(bitPattern: zCVD.rawValue))
    // Zero has one sign here, and nothing one pattern.
    mix(cvd.isNaN ? 0x7FF8 << 48 : (cvd + 0).bitPattern)
    mix(price.isNaN ? 0x7FF8 << 48 : (price + 0).bitPattern)
    return hash | 1
  }
}
