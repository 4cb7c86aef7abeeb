import Core

/// Receive times as recordings write them, read as integers. All functions return nil for anything else and
/// for times beyond `Int64` nanoseconds.
enum RecordingTime {
  /// A time by its number of digits: 19 ns, 16 µs, 13 ms.
  static func byDigits(_ digits: UnsafeRawBufferPointer) -> Int64? {
    let factor: Int64
    switch digits.count {
    case 19: factor = 1
    case 16: factor = 1000
    case 13: factor = 1_000_000
    default: return nil
    }
    var value: Int64 = 0
    for byte in digits {
      guard let next = appending(byte, to: value) else { return nil }
      value = next
    }
    let (time, overflow) = value.multipliedReportingOverflow(by: factor)
    return overflow ? nil : time
  }

  /// Decimal seconds, such as `1626992741.06217`. Digits beyond the ninth decimal are dropped.
  static func seconds(_ text: UnsafeRawBufferPointer) -> Int64? {
    var value: Int64 = 0
    var decimals = -1
    for byte in text {
      if byte == 0x2E, decimals < 0, !text.isEmpty {
        decimals = 0
        continue
      }
      guard byte >= 0x30, byte <= 0x39 else { return nil }
      if decimals == 9 { continue }
      guard let next = appending(byte, to: value) else { return nil }
      value = next
      if decimals >= 0 { decimals += 1 }
    }
    guard text.count > 0, text[0] != 0x2E else { return nil }
    let (time, overflow) = value.multipliedReportingOverflow(by: powerOfTen(9 - max(0, decimals)))
    return overflow ? nil : time
  }

  private static func appending(_ byte: UInt8, to value: Int64) -> Int64? {
    guard byte >= 0x30, byte <= 0x39 else { return nil }
    let (product, overflow) = value.multipliedReportingOverflow(by: 10)
    let (sum, carry) = product.addingReportingOverflow(Int64(byte - 0x30))
    return overflow || carry ? nil : sum
  }

  /// The event time `E` of a frame's data; of its first element where the data is an array. Milliseconds, or
  /// microseconds by the number of digits.
  static func event(_ data: UnsafeRawBufferPointer) -> Int64? {
    var cursor = JSONCursor(data)
    if cursor.peek() == 0x5B { _ = cursor.consume(0x5B) }
    guard cursor.consume(0x7B) else { return nil }
    while let key = cursor.key() {
      if key.count == 1, key[0] == 0x45 {
        guard let time = cursor.integer(), time > 0 else { return nil }
        let factor: Int64 = time < 100_000_000_000_000 ? 1_000_000 : time < 100_000_000_000_000_000 ? 1000 : 1
        let (nanoseconds, overflow) = time.multipliedReportingOverflow(by: factor)
        return overflow ? nil : nanoseconds
      }
      guard cursor.skipValue(), cursor.continues(until: 0x7D) == true else { return nil }
    }
    return nil
  }
}
