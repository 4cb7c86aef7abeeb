/// 10^0 … 10^22: the powers of ten that a double holds exactly (5^22 < 2^53).
private let exactPowersOfTen: [Double] = [
  1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
  1e19,
  1e20, 1e21, 1e22,
]

/// The double nearest to `units / 10^decimals`, or `nil` where one division does not prove it.
///
/// Proof: for `|units| < 2^53` and `decimals ≤ 22` both operands are doubles without rounding, and IEEE 754
/// division returns the double nearest to the quotient of its operands, ties to even. That quotient is the
/// value of the decimal text, so the result is bit for bit what a correct parser makes of the text. Beyond
/// the bound the text itself has to be parsed. Source: W. D. Clinger, "How to Read Floating Point Numbers
/// Accurately" (1990), the fast path.
@inline(__always)
func nearestDouble(units: Int64, decimals: Int) -> Double? {
  guard units.magnitude < 1 << 53, decimals <= 22 else { return nil }
  return exactPowersOfTen.withUnsafeBufferPointer { Double(units) / $0[decimals] }
}

/// The double nearest to a JSON number's text; `nil` when it is not a number or overflows.
func nearestDouble(text: UnsafeRawBufferPointer) -> Double? {
  var index = 0
  let negative = text.first == 0x2D
  if negative { index = 1 }
  var units: Int64 = 0
  var digits = 0
  var decimals = 0
  var inFraction = false
  while index < text.count, digits < 18 {
    let byte = text[index]
    if byte == 0x2E, !inFraction {
      inFraction = true
    } else if byte >= 0x30, byte <= 0x39 {
      units = units &* 10 &+ Int64(byte &- 0x30)
      digits += 1
      if inFraction { decimals += 1 }
    } else {
      break
    }
    index += 1
  }
  if index == text.count, digits > 0, let magnitude = nearestDouble(units: units, decimals: decimals) {
    return negative ? -magnitude : magnitude
  }
  guard let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite else { return nil }
  return value
}
