// Leaf loops of the row encoder. The caller vouches for the room: 20 digits, a sign, a point, 19 decimals.

/// "00" to "99".
private let digitPairs: StaticString =
  """
  0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
  5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899
  """

/// A foreign text; the common short one costs three moves and no call.
@inline(__always)
func putText(_ text: UnsafeMutableRawBufferPointer, _ cursor: inout UnsafeMutablePointer<UInt8>) {
  if text.count <= SignalRow.slotTextMax {
    UnsafeMutableRawPointer(cursor).copyMemory(from: text.baseAddress!, byteCount: SignalRow.slotTextMax)
  } else {
    UnsafeMutableRawPointer(cursor).copyMemory(from: text.baseAddress!, byteCount: text.count)
  }
  cursor += text.count
}

@inline(__always)
func putBytes(_ text: StaticString, _ cursor: inout UnsafeMutablePointer<UInt8>) {
  let count = text.utf8CodeUnitCount
  UnsafeMutableRawPointer(cursor).copyMemory(from: text.utf8Start, byteCount: count)
  cursor += count
}

@inline(__always)
func putInteger(_ value: Int64, _ cursor: inout UnsafeMutablePointer<UInt8>) {
  if value < 0 {
    cursor[0] = 0x2D
    cursor += 1
  }
  putUnsigned(value.magnitude, &cursor)
}

@inline(__always)
func putUnsigned(_ value: UInt64, _ cursor: inout UnsafeMutablePointer<UInt8>) {
  if value < 10 {
    cursor[0] = 0x30 &+ UInt8(truncatingIfNeeded: value)
    cursor += 1
    return
  }
  var digits = 1
  var rest = value
  while rest >= 10_000 {
    rest /= 10_000
    digits &+= 4
  }
  digits &+= rest >= 1000 ? 3 : rest >= 100 ? 2 : rest >= 10 ? 1 : 0
  putPadded(value, digits, cursor)
  cursor += digits
}

/// Exactly `digits` digits, with leading zeros, ending at `start + digits`.
@inline(__always)
private func putPadded(_ value: UInt64, _ digits: Int, _ start: UnsafeMutablePointer<UInt8>) {
  var rest = value
  var position = digits
  let pairs = digitPairs.utf8Start
  while position >= 2 {
    let (quotient, pair) = rest.quotientAndRemainder(dividingBy: 100)
    rest = quotient
    position &-= 2
    start[position] = pairs[Int(pair) &* 2]
    start[position &+ 1] = pairs[Int(pair) &* 2 &+ 1]
  }
  if position == 1 { start[0] = 0x30 &+ UInt8(truncatingIfNeeded: rest) }
}

/// `units / 10^6` without trailing zeros; the constant divisor spares a division.
@inline(__always)
func putMicros(_ units: Int64, _ cursor: inout UnsafeMutablePointer<UInt8>) {
  let (whole, fraction) = units.magnitude.quotientAndRemainder(dividingBy: 1_000_000)
  putParts(negative: units < 0, whole, fraction, 6, trimmed: true, &cursor)
}

/// `units / 10^decimals`, `decimals` in 0…19.
@inline(__always)
func putDecimal(
  _ units: Int64, _ decimals: Int, trimmed: Bool, _ cursor: inout UnsafeMutablePointer<UInt8>
) {
  var factor: UInt64 = 1
  for _ in 0..<decimals { factor &*= 10 }
  let (whole, fraction) = units.magnitude.quotientAndRemainder(dividingBy: factor)
  putParts(negative: units < 0, whole, fraction, decimals, trimmed: trimmed, &cursor)
}

@inline(__always)
private func putParts(
  negative: Bool, _ whole: UInt64, _ fraction: UInt64, _ decimals: Int, trimmed: Bool,
  _ cursor: inout UnsafeMutablePointer<UInt8>
) {
  if negative {
    cursor[0] = 0x2D
    cursor += 1
  }
  putUnsigned(whole, &cursor)
  if decimals == 0 || trimmed && fraction == 0 { return }
  cursor[0] = 0x2E
  putPadded(fraction, decimals, cursor + 1)
  cursor += decimals &+ 1
  if trimmed { while cursor[-1] == 0x30 { cursor -= 1 } }
}
