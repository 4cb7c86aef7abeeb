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
  /// The instrument whose decimals the frame at hand has taught; taken back if the frame turns out bad.
  var justLearnt: SymbolID?

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
      if !FrameDecoder.matches(base, cursor, hole, pool) { return -1 }
      cursor &+= Int(hole.pointee.length)
      switch hole.pointee.kind {
      case .unsigned:
        let number = FrameDecoder.scanCounter(base, cursor, hole)
        if number.end < 0 { return -1 }
        fields[Int(hole.pointee.field)] = number.value
        cursor = number.end
      case .quotedPrice:
        let number = FrameDecoder.scanPrice(base, cursor, template, hole)
        if number.end < 0 { return -1 }
        fields[Int(hole.pointee.field)] = number.value
        cursor = number.end
      case .quotedQuantity:
        let number = FrameDecoder.scanQuantity(base, cursor, template)
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
        cursor = FrameDecoder.scanLevels(base, cursor, template, frame.prices, frame.quantities, &levels)
        if cursor < 0 { return -1 }
        frame.bidCount = levels
      case .asks:
        cursor = FrameDecoder.scanLevels(base, cursor, template, frame.prices, frame.quantities, &levels)
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

  /// Whether the literal that leads to a hole stands at `cursor`.
  @inline(__always)
  private static func matches(
    _ base: UnsafeRawPointer, _ cursor: Int, _ hole: UnsafeMutablePointer<FrameTemplate.Hole>,
    _ pool: UnsafeMutablePointer<UInt64>
  ) -> Bool {
    if (load64(base, cursor) ^ hole.pointee.word) & hole.pointee.mask != 0 { return false }
    if hole.pointee.poolWords != 0 {
      let words = pool + Int(hole.pointee.poolStart)
      for index in 0..<Int(hole.pointee.poolWords) {
        let word = load64(base, cursor &+ 8 &+ 8 &* index)
        if (word ^ words[2 &* index]) & words[2 &* index &+ 1] != 0 { return false }
      }
    }
    return true
  }

  /// A quoted price, mostly as long as the one before and with the same leading characters; it ends at its
  /// closing quotation mark.
  @inline(__always)
  private static func scanPrice(
    _ base: UnsafeRawPointer, _ offset: Int, _ template: UnsafeMutablePointer<FrameTemplate>,
    _ hole: UnsafeMutablePointer<FrameTemplate.Hole>
  ) -> Scanned {
    let cursor = base + offset
    let form = hole.pointee.priceForm
    let closing = UInt64(load8(cursor, form.length) ^ 0x22)
    let prefix = (load64(cursor, 0) ^ form.prefixWord) & form.prefixMask
    let word = (load64(cursor, form.lowOffset) ^ asciiZeros) &<< form.lowShift
    let shape = template.pointee.price
    let digits = (word & shape.fraction) | ((word & shape.whole) &<< 8)
    let wrong = closing | prefix | nonDigits(digits) | ((word & shape.pointMask) ^ shape.pointValue)
    if wrong == 0, shape.scale.decimals <= 7 {
      return Scanned(Int64(truncatingIfNeeded: joinDigits(digits)) &+ form.prefixWorth, offset &+ form.length)
    }
    return FrameDecoder.scanUnusualPrice(base, offset, template, hole)
  }

  @inline(never)
  private static func scanUnusualPrice(
    _ base: UnsafeRawPointer, _ offset: Int, _ template: UnsafeMutablePointer<FrameTemplate>,
    _ hole: UnsafeMutablePointer<FrameTemplate.Hole>
  ) -> Scanned {
    let number = scanDecimalOfAnyLength(base, offset, &template.pointee.price)
    if number.end >= 0, let form = PriceForm(base, offset, number, template.pointee.price) {
      hole.pointee.priceForm = form
    }
    return number
  }

  /// A quoted quantity, mostly of at most seven characters; it ends at its closing quotation mark.
  @inline(__always)
  private static func scanQuantity(
    _ base: UnsafeRawPointer, _ offset: Int, _ template: UnsafeMutablePointer<FrameTemplate>
  ) -> Scanned {
    let text = load64(base, offset)
    let marks = quoteMarks(text)
    let bits = marks.trailingZeroBitCount & 0x38
    let word = (text ^ asciiZeros) &<< UInt64(truncatingIfNeeded: 64 &- bits)
    let shape = template.pointee.quantity
    let digits = (word & shape.fraction) | ((word & shape.whole) &<< 8)
    let wrong = nonDigits(digits) | ((word & shape.pointMask) ^ shape.pointValue)
    if wrong == 0, marks != 0, bits != 0, shape.scale.decimals <= 7 {
      return Scanned(Int64(truncatingIfNeeded: joinDigits(digits)), offset &+ bits >> 3)
    }
    return FrameDecoder.scanDecimalOfAnyLength(base, offset, &template.pointee.quantity)
  }

  /// A whole number that mostly begins like the one before it.
  @inline(__always)
  private static func scanCounter(
    _ base: UnsafeRawPointer, _ offset: Int, _ hole: UnsafeMutablePointer<FrameTemplate.Hole>
  ) -> Scanned {
    if load64(base, offset) == hole.pointee.prefixWord {
      let tail = load64(base, offset &+ 8) ^ asciiZeros
      let digits = nonDigits(tail).trailingZeroBitCount >> 3
      if digits == Int(hole.pointee.expectedLength) &- 8 {
        // A shift by 64, for no further digit, must give 0: it is made in two steps.
        let low = (tail &<< UInt64(truncatingIfNeeded: 56 &- 8 &* digits)) &<< 8
        return Scanned(
          hole.pointee.prefixWorth &+ Int64(truncatingIfNeeded: joinDigits(low)), offset &+ 8 &+ digits)
      }
    }
    let number = scanUnsigned(base, offset)
    let length = number.end &- offset
    if number.end >= 0, length >= 8, length < 16 {
      hole.pointee.prefixWord = load64(base, offset)
      hole.pointee.expectedLength = Int32(truncatingIfNeeded: length)
      let low = number.value % powerOfTen(length &- 8)
      hole.pointee.prefixWorth = number.value &- low
    }
    return number
  }

  /// One side of a depth frame from its opening bracket; the offset behind the closing one, or −1.
  ///
  /// Price and quantity of a level are converted together. Everything about a level is computed as if it had
  /// the usual form (a price as long as the one before with the same leading characters, a quantity of at most
  /// eight), and one test decides whether it had; if not, the level is scanned the long way.
  @inline(never)
  private static func scanLevels(
    _ base: UnsafeRawPointer, _ offset: Int, _ template: UnsafeMutablePointer<FrameTemplate>,
    _ prices: UnsafeMutablePointer<Int64>, _ quantities: UnsafeMutablePointer<Int64>, _ count: inout Int
  ) -> Int {
    let opening = load64(base, offset)
    if opening & 0xFFFF == 0x5D5B { return offset &+ 2 }  // []
    if opening & 0xFF_FFFF != 0x22_5B5B { return -1 }  // [["
    let price = template.pointee.price
    let quantity = template.pointee.quantity
    let isUsual = price.scale.decimals <= 7 && quantity.scale.decimals <= 7
    var form = template.pointee.priceForm
    var index = count
    var cursor = base + (offset &+ 3)
    while index < DecodedFrame.levelsMax {
      let separator = (load64(cursor, form.length) & 0xFF_FFFF) ^ 0x22_2C22  // ","
      let prefix = (load64(cursor, 0) ^ form.prefixWord) & form.prefixMask
      let priceWord = (load64(cursor, form.lowOffset) ^ asciiZeros) &<< form.lowShift
      let quantityText = load64(cursor, form.length &+ 3)
      // Without a mark the count of zeros is 64: eight characters, and the closing test finds out if there
      // are more.
      let bits = quoteMarks(quantityText).trailingZeroBitCount & 0x78
      let quantityWord = (quantityText ^ asciiZeros) &<< UInt64(truncatingIfNeeded: 64 &- bits)
      let priceDigits = (priceWord & price.fraction) | ((priceWord & price.whole) &<< 8)
      let quantityDigits = (quantityWord & quantity.fraction) | ((quantityWord & quantity.whole) &<< 8)
      let ranges =
        (priceDigits | (priceDigits &+ 0x7676_7676_7676_7676))
        | (quantityDigits | (quantityDigits &+ 0x7676_7676_7676_7676))
      let points =
        ((priceWord & price.pointMask) ^ price.pointValue)
        | ((quantityWord & quantity.pointMask) ^ quantity.pointValue)
      var end = cursor + (form.length &+ 3 &+ bits >> 3)
      var closing = load64(end, 0)
      if separator | prefix | points | (ranges & 0x8080_8080_8080_8080) == 0, closing & 0xFFFF == 0x5D22,
        isUsual
      {
        let values = joinDigits(SIMD2(priceDigits, quantityDigits))
        prices[index] = Int64(truncatingIfNeeded: values[0]) &+ form.prefixWorth
        quantities[index] = Int64(truncatingIfNeeded: values[1])
      } else {
        let scanned = scanUnusualLevel(base, cursor - base, template, prices + index, quantities + index)
        if scanned < 0 { return -1 }
        form = template.pointee.priceForm
        end = base + scanned
        closing = load64(end, 0)
      }
      index &+= 1
      if closing & 0xFF_FFFF_FFFF == 0x22_5B2C_5D22 {  // "],["
        cursor = end + 5
        continue
      }
      count = index
      return closing & 0xFF_FFFF == 0x5D_5D22 ? end - base &+ 3 : -1  // "]]
    }
    return -1
  }

  /// A level of another length or prefix than the one before; the offset of its last quotation mark, or −1.
  @inline(never)
  private static func scanUnusualLevel(
    _ base: UnsafeRawPointer, _ offset: Int, _ template: UnsafeMutablePointer<FrameTemplate>,
    _ priceSlot: UnsafeMutablePointer<Int64>, _ quantitySlot: UnsafeMutablePointer<Int64>
  ) -> Int {
    let price = FrameDecoder.scanDecimalOfAnyLength(base, offset, &template.pointee.price)
    if price.end < 0 || load64(base, price.end) & 0xFF_FFFF != 0x22_2C22 { return -1 }
    let quantity = FrameDecoder.scanDecimalOfAnyLength(base, price.end &+ 3, &template.pointee.quantity)
    if quantity.end < 0 { return -1 }
    priceSlot.pointee = price.value
    quantitySlot.pointee = quantity.value
    if let form = PriceForm(base, offset, price, template.pointee.price) { template.pointee.priceForm = form }
    return quantity.end
  }

  @inline(never)
  private static func scanDecimalOfAnyLength(
    _ base: UnsafeRawPointer, _ offset: Int, _ shape: UnsafePointer<DecimalShape>
  ) -> Scanned {
    let marks = (quoteMarks(load64(base, offset)), quoteMarks(load64(base, offset &+ 8)))
    var length = marks.0 != 0 ? marks.0.trailingZeroBitCount >> 3 : 8 &+ marks.1.trailingZeroBitCount >> 3
    if marks.0 | marks.1 == 0, load8(base, offset &+ 16) == 0x22 { length = 16 }
    if length >= 1, length <= 16, load8(base, offset &+ length) == 0x22, shape.pointee.isFast {
      let number = shape.pointee.convert(base, offset, length)
      if number.end >= 0 { return number }
    }
    return scanDecimalExactly(base, offset, shape.pointee.scale)
  }

  /// What must hold of every frame, whichever path parsed it.
  @inline(__always)
  func check() -> Bool {
    if frame.has(.eventTime), frame[.eventTime] > FrameDecoder.timeMsMax { return false }
    if frame.has(.transactionTime), frame[.transactionTime] > FrameDecoder.timeMsMax { return false }
    switch frame.kind {
    case .depthUpdate:
      let count = frame.bidCount &+ frame.askCount
      // One or over all levels: a value beyond the bound, a negative one, or a zero price (which turns
      // negative when reduced by one) shows in the high bits.
      var union: Int64 = 0
      for index in 0..<count {
        union |= frame.prices[index] | (frame.prices[index] &- 1) | frame.quantities[index]
      }
      return UInt64(bitPattern: union) < FrameDecoder.unitsMax
        && frame[.firstUpdateID] <= frame[.finalUpdateID]
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

/// How the prices of a run of levels are written: their length, and their characters before the last eight.
struct PriceForm {
  var length: Int
  /// Where the word of the last characters starts, and how far it must be shifted if it holds fewer than eight.
  var lowOffset: Int
  var lowShift: UInt64
  var prefixMask: UInt64 = 0
  var prefixWord: UInt64 = 0
  var prefixWorth: Int64 = 0

  init(length: Int) {
    self.length = length
    lowOffset = max(0, length - 8)
    lowShift = UInt64(8 * max(0, 8 - length))
  }

  /// The form of a price just scanned; nil when it is not one that the fast way reads.
  init?(_ base: UnsafeRawPointer, _ offset: Int, _ price: Scanned, _ shape: DecimalShape) {
    let length = price.end - offset
    guard length >= 1, length <= 16, shape.scale.decimals <= 7 else { return nil }
    self.init(length: length)
    if length > 8 {
      prefixMask = ~0 >> UInt64(8 * (16 - length))
      prefixWord = load64(base, offset)
      let lowWorth = powerOfTen(shape.scale.decimals == 0 ? 8 : 7)
      prefixWorth = price.value / lowWorth * lowWorth
    }
  }
}
