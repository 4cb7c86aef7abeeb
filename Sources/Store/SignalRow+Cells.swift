import Core
import Strategy

/// The columns' values, each with its prefix, written at the cursor and noted in its cell.
extension SignalRow {
  @inline(__always)
  func setText(
    _ column: SignalColumn, _ start: UnsafeMutablePointer<UInt8>, _ end: UnsafeMutablePointer<UInt8>
  ) {
    cells[column.rawValue] = Cell(
      kind: .text, decimals: 0, offset: Int32(truncatingIfNeeded: start - base),
      length: Int32(truncatingIfNeeded: end - start), units: 0)
  }

  func appendPlain(
    _ column: SignalColumn, _ text: ForeignText, _ cursor: inout UnsafeMutablePointer<UInt8>
  ) {
    let start = cursor
    putText(text.raw, &cursor)
    setText(column, start, cursor)
  }

  @inline(__always)
  func quoted(
    _ column: SignalColumn, _ text: ForeignText, _ cursor: inout UnsafeMutablePointer<UInt8>
  ) {
    cursor[0] = 0x22
    let start = cursor + 1
    cursor = start
    putText(text.escaped, &cursor)
    setText(column, start, cursor)
    cursor[0] = 0x22
    cursor += 1
  }

  @inline(__always)
  func fixed(_ column: SignalColumn, _ slot: Int, _ cursor: inout UnsafeMutablePointer<UInt8>) {
    put(slot: column.rawValue, &cursor)
    let start = cursor + 1
    put(slot: slot, &cursor)
    setText(column, start, cursor - 1)
  }

  @inline(__always)
  func null(_ column: SignalColumn, _ cursor: inout UnsafeMutablePointer<UInt8>) {
    put(slot: column.rawValue, &cursor)
    putBytes("null", &cursor)
    cells[column.rawValue].kind = .null
  }

  @inline(__always)
  func boolean(
    _ column: SignalColumn, _ value: Bool, _ cursor: inout UnsafeMutablePointer<UInt8>
  ) {
    put(slot: column.rawValue, &cursor)
    if value { putBytes("true", &cursor) } else { putBytes("false", &cursor) }
    cells[column.rawValue].kind = .boolean
    cells[column.rawValue].units = value ? 1 : 0
  }

  @inline(__always)
  func integer(
    _ column: SignalColumn, _ value: Int64, _ cursor: inout UnsafeMutablePointer<UInt8>
  ) {
    put(slot: column.rawValue, &cursor)
    putInteger(value, &cursor)
    cells[column.rawValue].kind = .integer
    cells[column.rawValue].units = value
  }

  /// A whole number whose digits were made before.
  @inline(__always)
  func integer(
    _ column: SignalColumn, _ value: Int64, _ digits: UnsafeMutablePointer<UInt8>, _ digitCount: Int,
    _ cursor: inout UnsafeMutablePointer<UInt8>
  ) {
    put(slot: column.rawValue, &cursor)
    // At most 20 digits, and what follows them is overwritten.
    UnsafeMutableRawPointer(cursor).copyMemory(from: digits, byteCount: SignalRow.slotTextMax)
    cursor += digitCount
    cells[column.rawValue].kind = .integer
    cells[column.rawValue].units = value
  }

  @inline(__always)
  func setDecimal(
    _ column: SignalColumn, _ units: Int64, _ decimals: Int, _ start: UnsafeMutablePointer<UInt8>,
    _ end: UnsafeMutablePointer<UInt8>
  ) {
    cells[column.rawValue] = Cell(
      kind: .decimal, decimals: UInt8(truncatingIfNeeded: decimals),
      offset: Int32(truncatingIfNeeded: start - base), length: Int32(truncatingIfNeeded: end - start),
      units: units)
  }

  @inline(__always)
  func micros(_ column: SignalColumn, _ value: Micros, _ cursor: inout UnsafeMutablePointer<UInt8>) {
    if value.isAbsent { return null(column, &cursor) }
    put(slot: column.rawValue, &cursor)
    let start = cursor
    putMicros(value.rawValue, &cursor)
    setDecimal(column, value.rawValue, 6, start, cursor)
  }

  @inline(__always)
  func decimal(
    _ column: SignalColumn, _ units: Int64, _ decimals: Int, _ cursor: inout UnsafeMutablePointer<UInt8>
  ) {
    put(slot: column.rawValue, &cursor)
    let start = cursor
    putDecimal(units, decimals, trimmed: true, &cursor)
    setDecimal(column, units, decimals, start, cursor)
  }

  /// Half of `doubled`: an odd count of half units gains one decimal, the digit 5.
  @inline(__always)
  func price(_ doubled: Int64?, _ decimals: Int, _ cursor: inout UnsafeMutablePointer<UInt8>) {
    guard let doubled else { return null(.price, &cursor) }
    if doubled & 1 == 0 { return decimal(.price, doubled / 2, decimals, &cursor) }
    put(slot: SignalColumn.price.rawValue, &cursor)
    let start = cursor
    if doubled == -1 {
      cursor[0] = 0x2D
      cursor += 1
    }
    putDecimal(doubled / 2, decimals, trimmed: false, &cursor)
    if decimals == 0 {
      cursor[0] = 0x2E
      cursor += 1
    }
    cursor[0] = 0x35
    cursor += 1
    let (units, overflow) = doubled.multipliedReportingOverflow(by: 5)
    setDecimal(.price, overflow ? .max : units, decimals + 1, start, cursor)
  }

  @inline(__always)
  mutating func qualityFlags(_ set: QualityFlags, _ cursor: inout UnsafeMutablePointer<UInt8>) {
    if set != flags {
      flagsText.removeAll()
      set.append(to: &flagsText)
      flags = set
    }
    put(slot: SignalColumn.qualityFlags.rawValue, &cursor)
    cursor[0] = 0x22
    let start = cursor + 1
    cursor = start
    if flagsText.count > 0 {
      UnsafeMutableRawPointer(cursor).copyMemory(
        from: flagsText.bytes.baseAddress!, byteCount: flagsText.count)
      cursor += flagsText.count
    }
    setText(.qualityFlags, start, cursor)
    cursor[0] = 0x22
    cursor += 1
  }

  @inline(__always)
  func hexadecimal(
    _ column: SignalColumn, _ value: UInt64, digits: Int, _ cursor: inout UnsafeMutablePointer<UInt8>
  ) {
    cursor[0] = 0x22
    let start = cursor + 1
    for digit in 0..<digits {
      start[digit] = hexDigit(UInt8(truncatingIfNeeded: value >> UInt64(4 &* (digits &- 1 &- digit))) & 15)
    }
    cursor = start + digits
    setText(column, start, cursor)
    cursor[0] = 0x22
    cursor += 1
  }
}
