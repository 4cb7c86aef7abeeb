/// A fixed power of ten: how many decimals an instrument's integers carry.
///
/// A price of `63943.90` at two decimals is the integer 6394390. Nothing is ever rounded: a text that needs
/// more decimals than the scale has is refused (`nil`), and so is one that leaves `Int64`.
@frozen
public struct DecimalScale: Hashable, Sendable {
  /// 0…18
  public let decimals: Int

  @inlinable public init(_ decimals: Int) {
    precondition(decimals >= 0 && decimals <= DecimalScale.decimalsMax, "a scale has 0 to 18 decimals")
    self.decimals = decimals
  }

  public static let decimalsMax = 18

  /// 10^decimals
  @inlinable public var factor: Int64 { powerOfTen(decimals) }

  /// The integer that stands for a decimal text such as `63943.90`, `-0.5`, `12`.
  ///
  /// - Returns: `nil` when the text is not a plain decimal, needs more decimals, or overflows.
  /// - Complexity: O(length)
  public func parse(_ text: UnsafeRawBufferPointer) -> Int64? {
    var index = 0
    let end = text.count
    var negative = false
    if index < end, text[index] == 0x2D {
      negative = true
      index += 1
    }
    var value: Int64 = 0
    var digits = 0
    var fraction = -1
    while index < end {
      let byte = text[index]
      index += 1
      if byte == 0x2E, fraction < 0 {
        fraction = 0
        continue
      }
      guard byte >= 0x30, byte <= 0x39 else { return nil }
      digits += 1
      if fraction >= 0 {
        fraction += 1
        if fraction > decimals {
          if byte != 0x30 { return nil }
          continue
        }
      }
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(Int64(byte &- 0x30))
      if overflow || carry { return nil }
      value = sum
    }
    if digits == 0 { return nil }
    let missing = decimals - max(0, min(fraction, decimals))
    let (scaled, overflow) = value.multipliedReportingOverflow(by: powerOfTen(missing))
    if overflow { return nil }
    return negative ? -scaled : scaled
  }

  /// See ``parse(_:)-swift.method``.
  public func parse(_ text: String) -> Int64? {
    var copy = text
    return copy.withUTF8 { parse(UnsafeRawBufferPointer($0)) }
  }

  /// `63943.90` for 6394390 at two decimals.
  public func text(_ units: Int64) -> String {
    var writer = ByteWriter(capacity: 32)
    writer.append(decimal: units, scale: self)
    return writer.string()
  }

  /// The nearest floating-point value.
  @inlinable public func double(_ units: Int64) -> Double { Double(units) / Double(factor) }
}

/// 10^exponent for 0…18.
@inlinable
public func powerOfTen(_ exponent: Int) -> Int64 {
  var result: Int64 = 1
  for _ in 0..<exponent { result &*= 10 }
  return result
}

/// A price in an instrument's price units (see ``DecimalScale``).
@frozen
public struct Price: RawRepresentable, Hashable, Comparable, Sendable {
  public var rawValue: Int64
  @inlinable public init(rawValue: Int64) { self.rawValue = rawValue }
  @inlinable public init(_ units: Int64) { rawValue = units }
  @inlinable public static func < (a: Price, b: Price) -> Bool { a.rawValue < b.rawValue }
}

/// A size in an instrument's quantity units (see ``DecimalScale``).
@frozen
public struct Quantity: RawRepresentable, Hashable, Comparable, Sendable {
  public var rawValue: Int64
  @inlinable public init(rawValue: Int64) { self.rawValue = rawValue }
  @inlinable public init(_ units: Int64) { rawValue = units }
  @inlinable public static func < (a: Quantity, b: Quantity) -> Bool { a.rawValue < b.rawValue }
  public static let zero = Quantity(0)
}

/// A real number kept as a whole count of millionths, or absent.
///
/// Every non-integer column of a signal row is quantised to this once, where it leaves floating point, so
/// that each sink holds the same value and no sink formats a `Double` on its own.
@frozen
public struct Micros: Hashable, Sendable {
  /// Millionths; `Int64.min` stands for an absent value.
  public var rawValue: Int64

  @inlinable public init(rawValue: Int64) { self.rawValue = rawValue }

  public static let absent = Micros(rawValue: .min)

  @inlinable public var isAbsent: Bool { rawValue == .min }

  /// Rounds to the nearest millionth, ties to even. A value that is not finite, or beyond ±9.2e12, is absent.
  @inlinable public init(_ value: Double) {
    let scaled = (value * 1e6).rounded(.toNearestOrEven)
    rawValue = scaled > -9.2e18 && scaled < 9.2e18 ? Int64(scaled) : .min
  }

  @inlinable public init(_ value: Double?) { self = value.map { Micros($0) } ?? .absent }

  /// The double nearest to the decimal text, equal bit for bit to what parsing that text gives
  /// (one correctly rounded division while |rawValue| < 2^53).
  @inlinable public var double: Double? { isAbsent ? nil : Double(rawValue) / 1e6 }
}
