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
    /// Length of the whole literal, and where its further words lie in the template's pool.
    var length: Int32
    var poolStart: Int32
    var poolWords: Int32
    var kind: HoleKind
    var field: UInt8
    /// Length of the last number seen here; consecutive ones mostly have the same.
    var expectedLength: Int32
    /// Of the last whole number seen here: its first eight characters, and what they are worth. Stamps and ids
    /// keep them for thousands of frames.
    var prefixWord: UInt64 = 0
    var prefixWorth: Int64 = 0
    /// How the last price seen here was written.
    var priceForm = PriceForm(length: 8)
  }

  /// The first 24 bytes after `"stream":"`.
  var key: (UInt64, UInt64, UInt64)
  var kind: FrameKind
  var symbol: SymbolID
  var present: UInt32
  var isExcludedTrade: Bool
  var price: DecimalShape
  var quantity: DecimalShape
  /// How the last level's price was written.
  var priceForm = PriceForm(length: 8)
  /// Frames scanned with it.
  var hits: UInt32
  /// The other shape of the same stream; −1 when there is none.
  var alternative: Int32

  static let holesMax = 24
  /// Literal words beyond each hole's first: 512 bytes of text.
  static let poolWordsMax = 64
}

/// All templates of a decoder: a bounded open-addressing table over the first bytes of the stream's name.
///
/// A stream has up to two shapes. A third replaces the one that has served less; a stream whose frames keep
/// changing shape earns its learning by the frames it then scans, so that chaos costs the generic path's time
/// and no more. Every template owns fixed room for its holes and literals, which is reused.
struct TemplateTable: ~Copyable {
  static let templatesMax = 4096
  private static let slotCount = 16_384
  private static let freeLessons = 8
  private static let hitsPerLesson = 64

  let templates: UnsafeMutablePointer<FrameTemplate>
  var count = 0
  private let slots: UnsafeMutablePointer<Int16>
  private let holes: UnsafeMutablePointer<FrameTemplate.Hole>
  /// Literal words and masks in pairs.
  private let pool: UnsafeMutablePointer<UInt64>
  /// Shapes learnt for a stream, kept at its first template.
  var lessons: [Int] = []

  init() {
    templates = .allocate(capacity: TemplateTable.templatesMax)
    slots = .allocate(capacity: TemplateTable.slotCount)
    slots.initialize(repeating: -1, count: TemplateTable.slotCount)
    holes = .allocate(capacity: TemplateTable.templatesMax * FrameTemplate.holesMax)
    pool = .allocate(capacity: TemplateTable.templatesMax * FrameTemplate.poolWordsMax * 2)
  }

  deinit {
    templates.deallocate()
    slots.deallocate()
    holes.deallocate()
    pool.deallocate()
  }

  @inline(__always)
  func holes(of template: UnsafeMutablePointer<FrameTemplate>) -> UnsafeMutablePointer<FrameTemplate.Hole> {
    holes + (template - templates) &* FrameTemplate.holesMax
  }

  @inline(__always)
  func pool(of template: UnsafeMutablePointer<FrameTemplate>) -> UnsafeMutablePointer<UInt64> {
    pool + (template - templates) &* (FrameTemplate.poolWordsMax &* 2)
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

  /// Makes or replaces a template of the frame at `base + start ..< end`; `parts` ordered by place.
  ///
  /// Does nothing when the frame can have no template: full table, no lesson left for the stream, more
  /// numbers or text than a template holds.
  mutating func learn(
    _ base: UnsafeRawPointer, start: Int, end: Int, kind: FrameKind, symbol: SymbolID, present: UInt32,
    isExcludedTrade: Bool, instrument: Instrument, parts: [Part]
  ) {
    let literalsLength = parts.reduce(end - start) { $0 - ($1.end - $1.start) }
    guard parts.count < FrameTemplate.holesMax, end - start >= 32, parts[0].start >= start + 24,
      literalsLength <= FrameTemplate.poolWordsMax * 8
    else { return }
    var template = FrameTemplate(
      key: (load64(base, start), load64(base, start + 8), load64(base, start + 16)), kind: kind,
      symbol: symbol,
      present: present, isExcludedTrade: isExcludedTrade, price: DecimalShape(instrument.priceScale),
      quantity: DecimalShape(instrument.quantityScale), hits: 0, alternative: -1)
    var target = count
    if let first = find(base, start) {
      let second = first.pointee.alternative >= 0 ? templates + Int(first.pointee.alternative) : nil
      let hits = Int(first.pointee.hits) + Int(second?.pointee.hits ?? 0)
      let firstIndex = first - templates
      guard lessons[firstIndex] < TemplateTable.freeLessons + hits / TemplateTable.hitsPerLesson else {
        return
      }
      lessons[firstIndex] += 1
      if let second {
        target = (first.pointee.hits < second.pointee.hits ? first : second) - templates
        template.alternative = templates[target].alternative
      } else {
        guard count < TemplateTable.templatesMax else { return }
        first.pointee.alternative = Int32(count)
      }
    } else {
      guard count < TemplateTable.templatesMax else { return }
      insert(template.key)
    }
    (templates + target).initialize(to: template)
    if target == count {
      lessons.append(1)
      count += 1
    }
    var writer = HoleWriter(holes: holes(of: templates + target), pool: pool(of: templates + target))
    var literalStart = start + 24
    for part in parts {
      writer.add(base, literalStart, part.start, part.kind, part.field, part.end - part.start)
      literalStart = part.end
    }
    writer.add(base, literalStart, end, .end, 0, 0)
  }

  func insert(_ key: (UInt64, UInt64, UInt64)) {
    var at = slot(key.0, key.1, key.2)
    while slots[at] >= 0 { at = (at + 1) & (TemplateTable.slotCount - 1) }
    slots[at] = Int16(count)
  }
}

/// Writes a template's holes and literals into its own room.
private struct HoleWriter {
  let holes: UnsafeMutablePointer<FrameTemplate.Hole>
  let pool: UnsafeMutablePointer<UInt64>
  var holeCount = 0
  var poolCount = 0

  mutating func add(
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
    (holes + holeCount).initialize(
      to: FrameTemplate.Hole(
        word: head.0, mask: head.1, length: Int32(end - start), poolStart: Int32(poolStart),
        poolWords: Int32((poolCount - poolStart) / 2), kind: kind, field: field,
        expectedLength: Int32(expectedLength)))
    holeCount += 1
  }
}
