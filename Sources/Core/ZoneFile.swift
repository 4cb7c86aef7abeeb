/// A TZif file (RFC 9636) as the moments at which its offset changes; see ``TimeZoneRules``.
struct ZoneFile {
  struct Damage: Error {
    var problem: String
  }

  private(set) var moments: [Int64] = []
  /// One more than moments.
  private(set) var offsets: [Int32] = []

  /// Numbers of a header, in its order.
  private struct Counts {
    var utcMarks: Int
    var standardMarks: Int
    var leaps: Int
    var moments: Int
    var types: Int
    var letters: Int

    func bodyBytes(timeBytes: Int) -> Int {
      moments * (timeBytes + 1) + types * 6 + letters + leaps * (timeBytes + 4) + standardMarks + utcMarks
    }
  }

  private static let headerBytes = 44

  init(_ bytes: [UInt8]) throws(Damage) {
    let first = try ZoneFile.header(bytes, at: 0)
    guard first.version >= 0x32 else { throw Damage(problem: "it has 32-bit times alone") }
    let start = ZoneFile.headerBytes + first.counts.bodyBytes(timeBytes: 4)
    let counts = try ZoneFile.header(bytes, at: start).counts
    guard counts.leaps == 0 else { throw Damage(problem: "it counts leap seconds") }
    let body = start + ZoneFile.headerBytes
    let end = body + counts.bodyBytes(timeBytes: 8)
    guard end <= bytes.count else { throw Damage(problem: "it ends in its table") }
    guard counts.types > 0 else { throw Damage(problem: "it has no offset") }
    let typeBytes = body + counts.moments * 8
    let offsetBytes = typeBytes + counts.moments
    func offset(_ type: Int) throws(Damage) -> Int32 {
      guard type < counts.types else { throw Damage(problem: "type \(type) of \(counts.types) is used") }
      let value = Int32(truncatingIfNeeded: ZoneFile.integer(bytes, at: offsetBytes + 6 * type, bytes: 4))
      guard TimeZoneRules.offsetSecondsRange.contains(Int(value)) else {
        throw Damage(problem: "an offset of \(value) s")
      }
      return value
    }
    // Before the first moment the first type holds.
    offsets.append(try offset(0))
    for index in 0..<counts.moments {
      let moment = ZoneFile.integer(bytes, at: body + 8 * index, bytes: 8)
      guard moments.last.map({ $0 < moment }) ?? true else {
        throw Damage(problem: "its moments do not rise")
      }
      moments.append(moment)
      offsets.append(try offset(Int(bytes[typeBytes + index])))
    }
    try applyFooter(bytes[end...])
  }

  private static func header(_ bytes: [UInt8], at start: Int) throws(Damage) -> (
    version: UInt8, counts: Counts
  ) {
    guard bytes.count - start >= headerBytes, bytes[start..<start + 4].elementsEqual("TZif".utf8) else {
      throw Damage(problem: "it is no compiled zone")
    }
    // Each below the file's size, so that no product of them overflows.
    func count(_ index: Int) throws(Damage) -> Int {
      let value = integer(bytes, at: start + 20 + 4 * index, bytes: 4) & 0xFFFF_FFFF
      guard value <= Int64(bytes.count) else { throw Damage(problem: "it counts beyond its end") }
      return Int(value)
    }
    let counts = Counts(
      utcMarks: try count(0), standardMarks: try count(1), leaps: try count(2), moments: try count(3),
      types: try count(4), letters: try count(5))
    return (bytes[start + 4], counts)
  }

  /// Big-endian; sign-extended from its own width only for eight bytes.
  private static func integer(_ bytes: [UInt8], at start: Int, bytes count: Int) -> Int64 {
    Int64(bitPattern: bytes[start..<start + count].reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
  }

  // MARK: The rule behind the table

  /// From the last moment on, the footer's rule holds.
  private mutating func applyFooter(_ footer: ArraySlice<UInt8>) throws(Damage) {
    guard footer.first == 0x0A, footer.last == 0x0A, footer.count >= 2 else {
      throw Damage(problem: "it has no rule for later years")
    }
    let text = footer.dropFirst().dropLast()
    // Without a rule the last offset stays.
    if text.isEmpty { return }
    guard let rule = DaylightRule(Array(text)) else {
      throw Damage(problem: "its rule '\(String(decoding: text, as: UTF8.self))' for later years is none")
    }
    let last = moments.last ?? .min
    offsets[moments.count] = Int32(rule.standardOffset)
    for change in rule.changes(from: ZoneFile.year(of: last) - 1) {
      if change.moment > moments.last ?? .min {
        moments.append(change.moment)
        offsets.append(change.offset)
      } else {
        // Already in force at the table's end; or daylight time that begins where it ends, all year.
        offsets[moments.count] = change.offset
      }
    }
  }

  private static func year(of seconds: Int64) -> Int {
    let secondsMax: Int64 = 9_200_000_000
    return UTCDate(UnixNanos(max(-secondsMax, min(secondsMax, seconds)) * Nanoseconds.second)).year
  }
}

/// The rule of a POSIX `TZ` text: `CET-1CEST,M3.5.0,M10.5.0/3`.
struct DaylightRule {
  struct Change {
    /// Unix seconds.
    var moment: Int64
    /// Seconds to add to UTC from then on.
    var offset: Int32
  }

  /// A day of each year and a local time, which may lie outside of that day.
  private struct Day {
    enum Kind {
      /// 1 to 365; 29 February is not counted.
      case julian(Int)
      /// 0 to 365.
      case zeroBased(Int)
      case monthWeekWeekday(Int, Int, Int)
    }

    var kind: Kind
    var seconds: Int

    /// Local seconds since 1970, read as if they were UTC.
    func localSeconds(in year: Int) -> Int {
      let newYear = CalendarDay(year: year, month: 1, day: 1)!.daysSince1970
      let day: Int
      switch kind {
      case .julian(let number):
        day = newYear + number - 1 + (number >= 60 && CalendarDay.isLeap(year) ? 1 : 0)
      case .zeroBased(let number):
        day = newYear + number
      case .monthWeekWeekday(let month, let week, let weekday):
        let first = CalendarDay(year: year, month: month, day: 1)!
        var inMonth = (weekday - first.weekday + 7) % 7 + 7 * (week - 1)
        while inMonth >= CalendarDay.daysIn(month: month, of: year) { inMonth -= 7 }
        day = first.daysSince1970 + inMonth
      }
      return day * 86_400 + seconds
    }
  }

  /// The years of ``UnixNanos``, with one to spare on the near side.
  static let firstYear = 1676
  static let lastYear = 2262

  let standardOffset: Int
  private(set) var daylightOffset: Int?
  private var start = Day(kind: .zeroBased(0), seconds: 0)
  private var end = Day(kind: .zeroBased(0), seconds: 0)

  /// nil for a text that is no rule.
  init?(_ text: [UInt8]) {
    var parser = Parser(text: text)
    guard parser.name(), let west = parser.clock(hoursMax: 24) else { return nil }
    standardOffset = -west
    if parser.isAtEnd { return }
    guard parser.name() else { return nil }
    var offset = standardOffset + 3600
    if !parser.isAtEnd, parser.peek != 0x2C {
      guard let west = parser.clock(hoursMax: 24) else { return nil }
      offset = -west
    }
    guard let start = parser.day(), let end = parser.day(), parser.isAtEnd else { return nil }
    guard TimeZoneRules.offsetSecondsRange.contains(standardOffset),
      TimeZoneRules.offsetSecondsRange.contains(offset)
    else { return nil }
    daylightOffset = offset
    self.start = start
    self.end = end
  }

  /// All changes of the years from one on, rising; where two fall together, that to daylight time is the
  /// later.
  func changes(from year: Int) -> [Change] {
    guard let daylightOffset, year <= DaylightRule.lastYear else { return [] }
    let years = max(year, DaylightRule.firstYear)...DaylightRule.lastYear
    let ends = years.map {
      Change(moment: Int64(end.localSeconds(in: $0) - daylightOffset), offset: Int32(standardOffset))
    }
    let starts = years.map {
      Change(moment: Int64(start.localSeconds(in: $0) - standardOffset), offset: Int32(daylightOffset))
    }
    let all = (ends + starts).enumerated()
    return all.sorted { ($0.element.moment, $0.offset) < ($1.element.moment, $1.offset) }.map(\.element)
  }

  private struct Parser {
    let text: [UInt8]
    var place = 0

    var isAtEnd: Bool { place == text.count }
    var peek: UInt8? { place < text.count ? text[place] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
      guard peek == byte else { return false }
      place += 1
      return true
    }

    /// `CEST` or `<+0330>`.
    mutating func name() -> Bool {
      let start = place
      if take(0x3C) {
        while let byte = peek, byte != 0x3E { place += byte > 0x20 ? 1 : text.count }
        return place - start >= 4 && take(0x3E)
      }
      while let byte = peek, (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) { place += 1 }
      return place - start >= 3
    }

    private mutating func number(max: Int) -> Int? {
      let start = place
      var value = 0
      while let byte = peek, (0x30...0x39).contains(byte), place - start < 4 {
        value = value * 10 + Int(byte - 0x30)
        place += 1
      }
      return place > start && value <= max ? value : nil
    }

    /// `[+-]hh[:mm[:ss]]` in seconds.
    mutating func clock(hoursMax: Int) -> Int? {
      let isNegative = take(0x2D)
      if !isNegative { _ = take(0x2B) }
      guard let hours = number(max: hoursMax) else { return nil }
      var seconds = hours * 3600
      if take(0x3A) {
        guard let minutes = number(max: 59) else { return nil }
        seconds += minutes * 60
        if take(0x3A) {
          guard let rest = number(max: 59) else { return nil }
          seconds += rest
        }
      }
      return isNegative ? -seconds : seconds
    }

    /// `,M3.5.0/2`
    mutating func day() -> Day? {
      guard take(0x2C) else { return nil }
      let kind: Day.Kind
      if take(0x4D) {
        guard let month = number(max: 12), month >= 1, take(0x2E), let week = number(max: 5), week >= 1,
          take(0x2E), let weekday = number(max: 6)
        else { return nil }
        kind = .monthWeekWeekday(month, week, weekday)
      } else if take(0x4A) {
        guard let number = number(max: 365), number >= 1 else { return nil }
        kind = .julian(number)
      } else {
        guard let number = number(max: 365) else { return nil }
        kind = .zeroBased(number)
      }
      // RFC 9636 allows a week either way.
      guard take(0x2F) else { return Day(kind: kind, seconds: 7200) }
      return clock(hoursMax: 167).map { Day(kind: kind, seconds: $0) }
    }
  }
}
