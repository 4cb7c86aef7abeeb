import Core

/// The shape of one stream's frames, learnt from a frame that the generic path has parsed.
///
/// A stream sends the same text over and over with other numbers in it. The template keeps that text as a
/// sequence of holes, each preceded by the literal that leads to it; scanning a frame means comparing the
/// literals eight bytes at a time and converting the numbers in between. Because the shape is learnt and not
/// written down, a venue that adds a field, reorders keys or puts blanks after commas costs one frame on the
/// generic path and nothing after it.
struct FrameTemplate {
  enum HoleKind: UInt8 {
    case unsigned, quotedPrice, quotedQuantity, boolean, bids, asks
    /// The text behind the last number.
    case end
  }

  struct Hole {
    /// The literal's first eight bytes at most, and which of their bits count.
    var word: UInt64
    var mask: UInt64
    /// Length of the whole literal, and where its further words lie in the pool.
    var length: Int32
    var poolStart: Int32
    var poolWords: Int32
    var kind: HoleKind
    var field: UInt8
    /// Length of the last number seen here; consecutive ones mostly have the same.
    var expectedLength: Int32
  }

  /// The first 24 bytes after `"stream":"`.
  var key: (UInt64, UInt64, UInt64)
  var kind: FrameKind
  var symbol: SymbolID
  var present: UInt32
  var isExcludedTrade: Bool
  var price: DecimalShape
  var quantity: DecimalShape
  var holeStart: Int32
  var holeCount: Int32

  static let holesMax = 24
}

/// All templates of a decoder: a bounded open-addressing table over the first bytes of the stream's name.
struct TemplateTable: ~Copyable {
  static let templatesMax = 4096
  private static let slotCount = 16_384
  /// A stream whose frames keep changing shape is left to the generic path.
  private static let relearnMax = 8

  let templates: UnsafeMutablePointer<FrameTemplate>
  private(set) var count = 0
  private let slots: UnsafeMutablePointer<Int16>
  let holes: UnsafeMutablePointer<FrameTemplate.Hole>
  private var holeCount = 0
  /// Literal words and masks in pairs.
  let pool: UnsafeMutablePointer<UInt64>
  private var poolCount = 0
  private var learnt: [UInt8] = []

  private static let holeCapacity = templatesMax * FrameTemplate.holesMax
  private static let poolCapacity = 1 << 19

  init() {
    templates = .allocate(capacity: TemplateTable.templatesMax)
    slots = .allocate(capacity: TemplateTable.slotCount)
    slots.initialize(repeating: -1, count: TemplateTable.slotCount)
    holes = .allocate(capacity: TemplateTable.holeCapacity)
    pool = .allocate(capacity: TemplateTable.poolCapacity)
  }

  deinit {
    templates.deallocate()
    slots.deallocate()
    holes.deallocate()
    pool.deallocate()
  }

  @inline(__always)
  private func slot(_ a: UInt64, _ b: UInt64, _ c: UInt64) -> Int {
    // Multiplicative hashing with odd constants of high entropy (fractional parts of √2, √3, √5).
    let mixed =
      (a &* 0x6A09_E667_F3BC_C909) ^ (b &* 0xBB67_AE85_84CA_A73B) ^ (c &* 0x3C6E_F372_FE94_F82B)
    return Int(truncatingIfNeeded: mixed >> 50)
  }

  /// The template whose key stands at `offset`; nil when there is none.
  @inline(__always)
  func find(_ base: UnsafeRawPointer, _ offset: Int) -> UnsafeMutablePointer<FrameTemplate>? {
    let a = load64(base, offset)
    let b = load64(base, offset &+ 8)
    let c = load64(base, offset &+ 16)
    var at = slot(a, b, c)
    while true {
      let index = slots[at]
      if index < 0 { return nil }
      let template = templates + Int(index)
      if template.pointee.key.0 == a, template.pointee.key.1 == b, template.pointee.key.2 == c {
        return template
      }
      at = (at &+ 1) & (TemplateTable.slotCount &- 1)
    }
  }

  /// One number of a parsed frame, for learning.
  struct Part {
    var kind: FrameTemplate.HoleKind
    var field: UInt8
    /// First byte of the number (after an opening quote), or of the array's opening bracket.
    var start: Int
    /// First byte behind it (the closing quote), or behind the array's closing bracket.
    var end: Int
  }

  /// Makes or replaces the template of the frame at `base + start ..< end`; `parts` ordered by place.
  ///
  /// `false` when the frame has no template: full tables, too many shapes of one stream, a number written in
  /// a way that holes don't cover.
  mutating func learn(
    _ base: UnsafeRawPointer, start: Int, end: Int, kind: FrameKind, symbol: SymbolID, present: UInt32,
    isExcludedTrade: Bool, instrument: Instrument, parts: [Part]
  ) -> Bool {
    guard parts.count < FrameTemplate.holesMax, end - start >= 32 else { return false }
    let key = (load64(base, start), load64(base, start + 8), load64(base, start + 16))
    guard (parts.first?.start ?? end) >= start + 24 else { return false }
    var target = count
    if let known = find(base, start) {
      target = known - templates
      guard learnt[target] < TemplateTable.relearnMax else { return false }
    } else {
      guard count < TemplateTable.templatesMax else { return false }
    }
    let literalBytes = end - start
    guard holeCount + parts.count + 1 <= TemplateTable.holeCapacity,
      poolCount + 2 * (literalBytes / 8 + parts.count + 2) <= TemplateTable.poolCapacity
    else { return false }

    let first = holeCount
    var literalStart = start + 24
    for part in parts {
      addHole(base, literalStart, part.start, part.kind, part.field, part.end - part.start)
      literalStart = part.end
    }
    addHole(base, literalStart, end, .end, 0, 0)

    let template = FrameTemplate(
      key: key, kind: kind, symbol: symbol, present: present, isExcludedTrade: isExcludedTrade,
      price: DecimalShape(instrument.priceScale), quantity: DecimalShape(instrument.quantityScale),
      holeStart: Int32(first), holeCount: Int32(parts.count + 1))
    if target == count {
      templates.advanced(by: count).initialize(to: template)
      learnt.append(1)
      var at = slot(key.0, key.1, key.2)
      while slots[at] >= 0 { at = (at + 1) & (TemplateTable.slotCount - 1) }
      slots[at] = Int16(count)
      count += 1
    } else {
      templates[target] = template
      learnt[target] += 1
    }
    return true
  }

  private mutating func addHole(
    _ base: UnsafeRawPointer, _ start: Int, _ end: Int, _ kind: FrameTemplate.HoleKind, _ field: UInt8,
    _ expectedLength: Int
  ) {
    let poolStart = poolCount
    var head: (UInt64, UInt64) = (0, 0)
    var offset = start
    while offset < end {
      var word: UInt64 = 0
      var mask: UInt64 = 0
      for byte in 0..<min(8, end - offset) {
        word |= UInt64(load8(base, offset + byte)) << UInt64(8 * byte)
        mask |= 0xFF << UInt64(8 * byte)
      }
      if offset == start {
        head = (word, mask)
      } else {
        pool[poolCount] = word
        pool[poolCount + 1] = mask
        poolCount += 2
      }
      offset += 8
    }
    holes[holeCount] = FrameTemplate.Hole(
      word: head.0, mask: head.1, length: Int32(end - start), poolStart: Int32(poolStart),
      poolWords: Int32((poolCount - poolStart) / 2), kind: kind, field: field,
      expectedLength: Int32(expectedLength))
    holeCount += 1
  }
}
