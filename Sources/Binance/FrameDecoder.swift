import Core

/// Turns the exchange's frames into numbers: a template scanner with a generic path behind it.
///
/// Decoding is the ingest cost: of a depth frame's 800 bytes nearly all are digits and punctuation that never
/// change. A JSON parser looks at every byte to find out what it already knows. The scanner instead keeps,
/// for each stream, the text between the numbers (``FrameTemplate``), compares it in words, and converts the
/// numbers eight digits at a time. Whatever does not match to the byte goes to the generic path
/// (``decodeGenerically``), which accepts any key order, blanks and unknown fields, and teaches
/// the template table the new shape. Both paths give the same numbers (property-tested), parse the whole
/// frame into ``DecodedFrame`` and check it before anyone applies any of it.
///
/// Buffers handed in must have ``paddingBytes`` readable bytes behind their end.
public struct FrameDecoder: ~Copyable {
  public static let paddingBytes = 128
  /// 2100-01-01: a later stamp is junk, and would move the clocks of everything behind it.
  public static let timeMsMax: Int64 = 4_102_444_800_000
  /// Prices and quantities stay below 2^50 units, so that sums of thousands of them cannot leave `Int64`.
  public static let unitsMax: UInt64 = 1 << 50

  public var instruments: InstrumentTable
  public var frame = DecodedFrame()
  /// Frames that the generic path decoded.
  public internal(set) var genericFrames: Int64 = 0
  var table = TemplateTable()
  var spans = FrameSpans()

  public init(instruments: InstrumentTable = InstrumentTable()) { self.instruments = instruments }

  /// Scans the combined frame whose stream name starts at `offset` (just behind `"stream":"`).
  ///
  /// - Returns: the offset behind the frame's last byte, or a negative number when the frame is not of a
  ///   known shape; `frame` is then undefined and the generic path decides.
  @inline(__always)
  public mutating func scan(_ base: UnsafeRawPointer, _ offset: Int) -> Int {
    guard let template = table.find(base, offset) else { return -1 }
    let end = scan(base, offset, template)
    if end >= 0 || template.pointee.alternative < 0 { return end }
    return scanAlternative(base, offset, template.pointee.alternative)
  }

  @inline(never)
  private mutating func scanAlternative(_ base: UnsafeRawPointer, _ offset: Int, _ index: Int32) -> Int {
    scan(base, offset, table.templates + Int(index))
  }

  @inline(__always)
  private mutating func scan(
    _ base: UnsafeRawPointer, _ offset: Int, _ template: UnsafeMutablePointer<FrameTemplate>
  ) -> Int {
    let pool = table.pool(of: template)
    let fields = frame.fields
    var cursor = offset &+ 24
    var levels = 0
    var hole = table.holes(of: template)
    while true {
      // The literal that leads to the hole.
      if (load64(base, cursor) ^ hole.pointee.word) & hole.pointee.mask != 0 { return -1 }
      if hole.pointee.poolWords != 0 {
        let words = pool + Int(hole.pointee.poolStart)
        for index in 0..<Int(hole.pointee.poolWords) {
          let word = load64(base, cursor &+ 8 &+ 8 &* index)
          if (word ^ words[2 &* index]) & words[2 &* index &+ 1] != 0 { return -1 }
        }
      }
      cursor &+= Int(hole.pointee.length)
      switch hole.pointee.kind {
      case .unsigned:
        let number = scanUnsigned(base, cursor)
        if number.end < 0 { return -1 }
        fields[Int(hole.pointee.field)] = number.value
        cursor = number.end
      case .quotedPrice:
        let number = scanDecimal(base, cursor, &template.pointee.price, &hole.pointee.expectedLength)
        if number.end < 0 { return -1 }
        fields[Int(hole.pointee.field)] = number.value
        cursor = number.end
      case .quotedQuantity:
        let number = scanDecimal(base, cursor, &template.pointee.quantity, &hole.pointee.expectedLength)
        if number.end < 0 { return -1 }
        fields[Int(hole.pointee.field)] = number.value
        cursor = number.end
      case .boolean:
        let isTrue = load8(base, cursor) == 0x74
        let word = load64(base, cursor)
        if isTrue {
          if word & 0xFFFF_FFFF != 0x6575_7274 { return -1 }
          cursor &+= 4
        } else {
          if word & 0xFF_FFFF_FFFF != 0x65_736C_6166 { return -1 }
          cursor &+= 5
        }
        fields[Int(hole.pointee.field)] = isTrue ? 1 : 0
      case .bids:
        cursor = scanLevels(base, cursor, template, &levels)
        if cursor < 0 { return -1 }
        frame.bidCount = levels
      case .asks:
        cursor = scanLevels(base, cursor, template, &levels)
        if cursor < 0 { return -1 }
        frame.askCount = levels &- frame.bidCount
      case .end:
        frame.kind = template.pointee.kind
        frame.symbol = template.pointee.symbol
        frame.present = template.pointee.present
        frame.isExcludedTrade = template.pointee.isExcludedTrade
        template.pointee.hits &+= 1
        return check() ? cursor : -1
      }
      hole += 1
    }
  }

  /// A quoted decimal from its first character; the closing quote is at the end of the result.
  @inline(__always)
  private func scanDecimal(
    _ base: UnsafeRawPointer, _ offset: Int, _ shape: UnsafeMutablePointer<DecimalShape>,
    _ expectedLength: UnsafeMutablePointer<Int32>
  ) -> Scanned {
    let length = Int(expectedLength.pointee)
    if load8(base, offset &+ length) == 0x22, length >= 1, length <= 16, shape.pointee.isFast {
      let number = shape.pointee.convert(base, offset, length)
      if number.end >= 0 { return number }
    }
    let marks = quoteMarks(load64(base, offset))
    var found = marks.trailingZeroBitCount >> 3
    if marks == 0 {
      let next = quoteMarks(load64(base, offset &+ 8))
      if next == 0 { return scanDecimalExactly(base, offset, shape.pointee.scale) }
      found = 8 &+ next.trailingZeroBitCount >> 3
    }
    if found >= 1, shape.pointee.isFast {
      let number = shape.pointee.convert(base, offset, found)
      if number.end >= 0 {
        expectedLength.pointee = Int32(truncatingIfNeeded: found)
        return number
      }
    }
    return scanDecimalExactly(base, offset, shape.pointee.scale)
  }

  /// One side of a depth frame from its opening bracket; the offset behind the closing one, or −1.
  @inline(__always)
  private func scanLevels(
    _ base: UnsafeRawPointer, _ offset: Int, _ template: UnsafeMutablePointer<FrameTemplate>,
    _ count: inout Int
  ) -> Int {
    let opening = load64(base, offset)
    if opening & 0xFFFF == 0x5D5B { return offset &+ 2 }  // []
    if opening & 0xFF_FFFF != 0x22_5B5B { return -1 }  // [["
    let prices = frame.prices
    let quantities = frame.quantities
    let price = template.pointee.price
    let quantity = template.pointee.quantity
    guard price.isFast, quantity.isFast else { return -1 }
    var index = count
    var cursor = offset &+ 3
    var length = 8
    let limit = DecodedFrame.levelsMax
    while true {
      // Price: the length of the one before, nearly always.
      var number = Scanned.mismatch
      if load64(base, cursor &+ length) & 0xFF_FFFF == 0x22_2C22 {  // ","
        number = price.convert(base, cursor, length)
      }
      if number.end < 0 {
        number = scanDecimalOfAnyLength(base, cursor, price)
        if number.end < 0 || load64(base, number.end) & 0xFF_FFFF != 0x22_2C22 { return -1 }
        length = number.end &- cursor
        if length < 1 || length > 16 { length = 8 }
      }
      cursor = number.end &+ 3
      // Quantity: any length; mostly the closing quote is in the first word.
      let word = load64(base, cursor)
      let marks = quoteMarks(word)
      var size = Scanned.mismatch
      if marks != 0, !quantity.pointBeforeWord {
        let digits = marks.trailingZeroBitCount >> 3
        if digits == 0 { return -1 }
        let low = (word ^ asciiZeros) &<< UInt64(truncatingIfNeeded: 64 &- 8 &* digits)
        let joined = (low & quantity.fraction) | ((low & quantity.whole) << 8)
        if nonDigits(joined) | ((low & quantity.pointMask) ^ quantity.pointValue) == 0 {
          size = Scanned(Int64(truncatingIfNeeded: joinDigits(joined)), cursor &+ digits)
        }
      }
      if size.end < 0 {
        size = scanDecimalOfAnyLength(base, cursor, quantity)
        if size.end < 0 { return -1 }
      }
      if index >= limit { return -1 }
      prices[index] = number.value
      quantities[index] = size.value
      index &+= 1
      let closing = load64(base, size.end)
      if closing & 0xFF_FFFF_FFFF == 0x22_5B2C_5D22 {  // "],["
        cursor = size.end &+ 5
        continue
      }
      count = index
      return closing & 0xFF_FFFF == 0x5D_5D22 ? size.end &+ 3 : -1  // "]]
    }
  }

  @inline(never)
  private func scanDecimalOfAnyLength(_ base: UnsafeRawPointer, _ offset: Int, _ shape: DecimalShape) -> Scanned {
    var length = 1
    while length <= 16, load8(base, offset &+ length) != 0x22 { length &+= 1 }
    if length <= 16 {
      let number = shape.convert(base, offset, length)
      if number.end >= 0 { return number }
    }
    return scanDecimalExactly(base, offset, shape.scale)
  }

  /// What must hold of every frame, whichever path parsed it.
  @inline(__always)
  func check() -> Bool {
    if frame.has(.eventTime), frame[.eventTime] > FrameDecoder.timeMsMax { return false }
    if frame.has(.transactionTime), frame[.transactionTime] > FrameDecoder.timeMsMax { return false }
    switch frame.kind {
    case .depthUpdate:
      let count = frame.bidCount &+ frame.askCount
      // A sign bit anywhere shows in the union; a zero price in the flag.
      var union: Int64 = 0
      var zeroPrice = false
      for index in 0..<count {
        zeroPrice = zeroPrice || frame.prices[index] == 0
        union |= frame.prices[index] | frame.quantities[index]
      }
      return UInt64(bitPattern: union) < FrameDecoder.unitsMax && !zeroPrice && frame[.firstUpdateID] <= frame[.finalUpdateID]
    case .aggregateTrade, .trade:
      let union = frame[.price] | frame[.quantity]
      return frame[.price] > 0 && UInt64(bitPattern: union) < FrameDecoder.unitsMax
    case .bookTicker:
      let union = frame[.bidPrice] | frame[.bidQuantity] | frame[.askPrice] | frame[.askQuantity]
      return UInt64(bitPattern: union) < FrameDecoder.unitsMax
    default:
      return true
    }
  }
}
