import Core

/// A price in USDT or a quantity in the base asset, as a whole count of 10^-12.
///
/// Every instrument's grid fits: the exchange gives at most eight decimals, the configuration allows twelve.
public struct Pico: RawRepresentable, Hashable, Comparable, Sendable {
  public var rawValue: Int128

  public init(rawValue: Int128) { self.rawValue = rawValue }

  public static let decimals = 12
  public static let zero = Pico(rawValue: 0)

  /// `units` × 10^-`decimals`; `nil` when that is no whole count or leaves the range.
  public init?(_ units: Int128, decimals: Int) {
    guard decimals >= 0, decimals <= Pico.decimals else { return nil }
    let (value, overflow) = units.multipliedReportingOverflow(
      by: Int128(powerOfTen(Pico.decimals - decimals)))
    if overflow { return nil }
    rawValue = value
  }

  public static func < (a: Pico, b: Pico) -> Bool { a.rawValue < b.rawValue }

  /// Reads what ``text(decimals:)`` wrote.
  public init?(_ text: String) {
    guard let value = parseExact(text, decimals: Pico.decimals) else { return nil }
    rawValue = value
  }

  /// Without trailing zeros, but with at least so many decimals.
  public func text(decimals: Int = 0) -> String {
    exactText(rawValue, decimals: Pico.decimals, shownMin: decimals)
  }
}

/// USDT as a whole count of 10^-24: the product of a price and a quantity, exactly.
///
/// Range ±1.7 × 10^14 USDT.
public struct Amount: RawRepresentable, Hashable, Comparable, Sendable {
  public var rawValue: Int128

  public init(rawValue: Int128) { self.rawValue = rawValue }

  public static let decimals = 24
  public static let zero = Amount(rawValue: 0)

  /// - Returns: `nil` beyond the range.
  public init?(_ price: Pico, times quantity: Pico) {
    let (value, overflow) = price.rawValue.multipliedReportingOverflow(by: quantity.rawValue)
    if overflow { return nil }
    rawValue = value
  }

  public init(_ micros: Micros) { rawValue = Int128(micros.rawValue) * 1_000_000_000_000_000_000 }

  /// Reads what ``text`` wrote.
  public init?(_ text: String) {
    guard let value = parseExact(text, decimals: Amount.decimals) else { return nil }
    rawValue = value
  }

  public static func < (a: Amount, b: Amount) -> Bool { a.rawValue < b.rawValue }

  public var magnitude: Amount { Amount(rawValue: rawValue < 0 ? 0 - rawValue : rawValue) }

  /// - Returns: `nil` beyond the range.
  public func adding(_ other: Amount) -> Amount? {
    let (sum, overflow) = rawValue.addingReportingOverflow(other.rawValue)
    return overflow ? nil : Amount(rawValue: sum)
  }

  /// Without trailing zeros.
  public var text: String { exactText(rawValue, decimals: Amount.decimals, shownMin: 0) }
}

/// The integer read as `units / 10^decimals`, trailing zeros dropped beyond `shownMin` decimals.
private func exactText(_ units: Int128, decimals: Int, shownMin: Int) -> String {
  var digits = Array(String(units.magnitude).utf8)
  if digits.count <= decimals {
    digits.insert(contentsOf: repeatElement(0x30, count: decimals + 1 - digits.count), at: 0)
  }
  let whole = digits.count - decimals
  var end = digits.count
  while end > whole + shownMin, digits[end - 1] == 0x30 { end -= 1 }
  var text = String(decoding: digits[..<whole], as: UTF8.self)
  if end > whole { text += "." + String(decoding: digits[whole..<end], as: UTF8.self) }
  return units < 0 ? "-" + text : text
}

/// A plain decimal text as a whole count of 10^-`decimals`; `nil` when it is none or does not fit.
private func parseExact(_ text: String, decimals: Int) -> Int128? {
  var value: Int128 = 0
  var fraction = -1
  var hasDigits = false
  let isNegative = text.utf8.first == 0x2D
  for byte in text.utf8.dropFirst(isNegative ? 1 : 0) {
    if byte == 0x2E, fraction < 0 {
      fraction = 0
      continue
    }
    guard byte >= 0x30, byte <= 0x39, fraction < decimals else { return nil }
    let (product, overflow) = value.multipliedReportingOverflow(by: 10)
    let (sum, carry) = product.addingReportingOverflow(Int128(byte - 0x30))
    if overflow || carry { return nil }
    value = sum
    hasDigits = true
    if fraction >= 0 { fraction += 1 }
  }
  guard hasDigits else { return nil }
  for _ in 0..<(decimals - max(0, fraction)) {
    let (product, overflow) = value.multipliedReportingOverflow(by: 10)
    if overflow { return nil }
    value = product
  }
  return isNegative ? 0 - value : value
}
