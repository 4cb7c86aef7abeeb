// Decimal text to integers, eight characters at a time.
//
// A byte loop spends about a nanosecond a character, and a depth frame is mostly digits. Eight ASCII digits
// in one 64-bit word convert with three multiplications (each step joins neighbours: 8 digits → 4 pairs → 2
// quads → 1 value; the construction is described by D. Lemire and W. Muła, "Number parsing at a gigabyte per
// second"). An instrument's texts have a fixed number of decimals, so the point's place counted from the
// end is known, and the whole part is moved over it with one shift. A text of another shape is not an error:
// the caller falls back to `DecimalScale.parse`.

@inlinable @inline(__always)
public func load64(_ base: UnsafeRawPointer, _ offset: Int) -> UInt64 {
  base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
}

@inlinable @inline(__always)
public func load8(_ base: UnsafeRawPointer, _ offset: Int) -> UInt8 {
  base.load(fromByteOffset: offset, as: UInt8.self)
}

@inlinable @inline(__always) public var asciiZeros: UInt64 { 0x3030_3030_3030_3030 }

/// The value of eight digit bytes 0…9, the first digit in the lowest byte.
@inlinable @inline(__always)
public func joinDigits(_ bytes: UInt64) -> UInt64 {
  let pairs = (bytes &* (1 &+ 10 << 8)) >> 8 & 0x00FF_00FF_00FF_00FF
  let quads = (pairs &* (1 &+ 100 << 16)) >> 16 & 0x0000_FFFF_0000_FFFF
  return (quads &* (1 &+ 10_000 << 32)) >> 32
}

/// ``joinDigits(_:)`` on two words at once, with multiplications that every x86-64 has as vector instructions.
@inlinable @inline(__always)
public func joinDigits(_ words: SIMD2<UInt64>) -> SIMD2<UInt64> {
  let digits = unsafeBitCast(words, to: SIMD8<UInt16>.self)
  let pairs = (digits & 0x0F) &* 10 &+ (digits &>> 8)
  let halves = unsafeBitCast(pairs, to: SIMD4<UInt32>.self)
  let quads = (halves & 0x7F) &* 100 &+ (halves &>> 16)
  let whole = unsafeBitCast(quads, to: SIMD2<UInt64>.self)
  return (whole & 0xFFFF_FFFF) &* 10_000 &+ (whole &>> 32)
}

/// High bits set in the bytes that are not 0…9.
@inlinable @inline(__always)
public func nonDigits(_ bytes: UInt64) -> UInt64 {
  (bytes | (bytes &+ 0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080
}

/// High bits set from the first byte that equals a quotation mark.
@inlinable @inline(__always)
public func quoteMarks(_ word: UInt64) -> UInt64 {
  let difference = word ^ 0x2222_2222_2222_2222
  return (difference &- 0x0101_0101_0101_0101) & ~difference & 0x8080_8080_8080_8080
}

/// Where a number ended; a negative end means "not of the expected shape".
@frozen
public struct Scanned {
  public var value: Int64
  public var end: Int

  @inlinable @inline(__always) public init(_ value: Int64, _ end: Int) {
    self.value = value
    self.end = end
  }

  @inlinable @inline(__always) public static var mismatch: Scanned { Scanned(0, -1) }
}

/// A nanosecond stamp: exactly 19 digits, not above `Int64.max`; nil for anything else.
@inlinable @inline(__always)
public func scanNanoseconds(_ base: UnsafeRawPointer, _ offset: Int) -> Int64? {
  let first = load64(base, offset) ^ asciiZeros
  let second = load64(base, offset &+ 8) ^ asciiZeros
  let third = (load64(base, offset &+ 16) ^ asciiZeros) << 40
  let behind = load8(base, offset &+ 19) &- 0x30
  // The first digit of a stamp below Int64.max = 9.22e18 is at most 8 for every date before 2255.
  if nonDigits(first) | nonDigits(second) | nonDigits(third) != 0 || behind <= 9 || first & 0xFF > 8 {
    return nil
  }
  let joined = joinDigits(SIMD2(first, second))
  return Int64(
    truncatingIfNeeded: joined[0] &* 100_000_000_000 &+ joined[1] &* 1000 &+ joinDigits(third))
}

/// An unsigned integer of 1 to 19 digits, up to the first byte that is not a digit.
@inlinable @inline(__always)
public func scanUnsigned(_ base: UnsafeRawPointer, _ offset: Int) -> Scanned {
  let first = load64(base, offset) ^ asciiZeros
  // JSON allows no leading zero.
  if first & 0xFF == 0, load8(base, offset &+ 1) &- 0x30 <= 9 { return .mismatch }
  let firstStop = nonDigits(first)
  if firstStop != 0 {
    let digits = firstStop.trailingZeroBitCount >> 3
    if digits == 0 { return .mismatch }
    let value = joinDigits(first << UInt64(truncatingIfNeeded: 64 &- 8 &* digits))
    return Scanned(Int64(truncatingIfNeeded: value), offset &+ digits)
  }
  let second = load64(base, offset &+ 8) ^ asciiZeros
  let secondStop = nonDigits(second)
  let high = joinDigits(first)
  if secondStop != 0 {
    let digits = secondStop.trailingZeroBitCount >> 3
    if digits == 0 { return Scanned(Int64(truncatingIfNeeded: high), offset &+ 8) }
    let low = joinDigits(second << UInt64(truncatingIfNeeded: 64 &- 8 &* digits))
    return Scanned(
      Int64(truncatingIfNeeded: high &* smallPower(digits) &+ low), offset &+ 8 &+ digits)
  }
  // 16 digits so far; nanosecond stamps have 19. A twentieth digit may overflow and is refused.
  var value = high &* 100_000_000 &+ joinDigits(second)
  var cursor = offset &+ 16
  while cursor < offset &+ 20 {
    let digit = load8(base, cursor) &- 0x30
    if digit > 9 { break }
    value = value &* 10 &+ UInt64(digit)
    cursor &+= 1
  }
  if cursor == offset &+ 20 || value > UInt64(Int64.max) { return .mismatch }
  return Scanned(Int64(truncatingIfNeeded: value), cursor)
}

/// 10^digits for 1…7. A switch: a global table would be read through a lazy-initialisation check.
@inlinable @inline(__always)
public func smallPower(_ digits: Int) -> UInt64 {
  switch digits {
  case 5: 100_000
  case 4: 10_000
  case 6: 1_000_000
  case 3: 1000
  case 7: 10_000_000
  case 2: 100
  default: 10
  }
}

/// The masks that read a decimal with a fixed number of decimals from the word that ends at its last digit.
@frozen
public struct DecimalShape {
  /// The digits after the point, in the word of the last eight characters.
  public let fraction: UInt64
  /// The digits before the point in that word.
  public let whole: UInt64
  public let pointMask: UInt64
  public let pointValue: UInt64
  /// What the characters before the last eight are worth.
  public let highWorth: UInt64
  public let scale: DecimalScale
  /// Spot writes eight decimals: the point then stands before the last word.
  public let pointBeforeWord: Bool
  /// More than eight decimals go to the general parser.
  public let isFast: Bool

  public init(_ scale: DecimalScale) {
    self.scale = scale
    let decimals = scale.decimals
    isFast = decimals <= 8
    pointBeforeWord = decimals == 8
    if decimals == 0 {
      fraction = ~0
      whole = 0
      pointMask = 0
      pointValue = 0
      highWorth = 100_000_000
    } else if decimals <= 7 {
      let pointShift = UInt64(56 - 8 * decimals)
      fraction = ~0 << (pointShift + 8)
      whole = (1 << pointShift) - 1
      pointMask = 0xFF << pointShift
      pointValue = (0x2E ^ 0x30) << pointShift
      highWorth = 10_000_000
    } else {
      fraction = ~0
      whole = 0
      pointMask = 0
      pointValue = 0
      highWorth = 100_000_000
    }
  }

  /// The decimal of `length` characters (1…16) that ends just before `end`.
  @inlinable @inline(__always)
  public func convert(_ base: UnsafeRawPointer, _ offset: Int, _ length: Int) -> Scanned {
    let end = offset &+ length
    if pointBeforeWord { return convertEightDecimals(base, offset, length) }
    let low: UInt64
    var high: UInt64 = 0
    if length >= 8 {
      low = load64(base, end &- 8) ^ asciiZeros
      if length > 8 {
        high = (load64(base, offset) ^ asciiZeros) &<< UInt64(truncatingIfNeeded: 128 &- 8 &* length)
      }
    } else {
      low = (load64(base, offset) ^ asciiZeros) &<< UInt64(truncatingIfNeeded: 64 &- 8 &* length)
    }
    let digits = (low & fraction) | ((low & whole) << 8)
    let wrong = nonDigits(digits) | nonDigits(high) | ((low & pointMask) ^ pointValue)
    if wrong != 0 { return .mismatch }
    return Scanned(
      Int64(truncatingIfNeeded: joinDigits(digits) &+ joinDigits(high) &* highWorth), end)
  }

  /// `1.21400000`: 10 to 16 characters.
  @inlinable @inline(__always)
  func convertEightDecimals(_ base: UnsafeRawPointer, _ offset: Int, _ length: Int) -> Scanned {
    if length < 10 { return .mismatch }
    let end = offset &+ length
    let low = load64(base, end &- 8) ^ asciiZeros
    let high = (load64(base, offset) ^ asciiZeros) &<< UInt64(truncatingIfNeeded: 136 &- 8 &* length)
    if nonDigits(low) | nonDigits(high) != 0 || load8(base, end &- 9) != 0x2E { return .mismatch }
    return Scanned(Int64(truncatingIfNeeded: joinDigits(low) &+ joinDigits(high) &* highWorth), end)
  }
}

/// A quoted decimal from its first character to its closing quote, by the exact general parser.
@inline(never)
public func scanDecimalExactly(_ base: UnsafeRawPointer, _ offset: Int, _ scale: DecimalScale) -> Scanned {
  var end = offset
  while end < offset &+ 40, load8(base, end) != 0x22 { end &+= 1 }
  let text = UnsafeRawBufferPointer(start: base + offset, count: end &- offset)
  guard end < offset &+ 40, let value = scale.parse(text) else { return .mismatch }
  return Scanned(value, end)
}
