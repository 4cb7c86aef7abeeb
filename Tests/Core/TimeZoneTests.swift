import Core
import Glibc
import Testing

private let hasZones = access("/usr/share/zoneinfo/Europe/Berlin", F_OK) == 0

@Suite("Time zones")
struct TimeZoneTests {
  /// Moments of change with the offset before and from then on, of 2024, 2031 and 2040; a zone without
  /// changes has one moment a year. Source: Python's zoneinfo on the IANA database.
  private static let changes: [(zone: String, moment: Int64, before: Int, after: Int)] = [
    ("America/New_York", 1710054000, -18000, -14400),
    ("America/New_York", 1730613600, -14400, -18000),
    ("America/New_York", 1930806000, -18000, -14400),
    ("America/New_York", 1951365600, -14400, -18000),
    ("America/New_York", 2215062000, -18000, -14400),
    ("America/New_York", 2235621600, -14400, -18000),
    ("Europe/Berlin", 1711846800, 3600, 7200),
    ("Europe/Berlin", 1729990800, 7200, 3600),
    ("Europe/Berlin", 1932598800, 3600, 7200),
    ("Europe/Berlin", 1950742800, 7200, 3600),
    ("Europe/Berlin", 2216250000, 3600, 7200),
    ("Europe/Berlin", 2234998800, 7200, 3600),
    ("Australia/Lord_Howe", 1712415600, 39600, 37800),
    ("Australia/Lord_Howe", 1728142200, 37800, 39600),
    ("Australia/Lord_Howe", 1933167600, 39600, 37800),
    ("Australia/Lord_Howe", 1948894200, 37800, 39600),
    ("Australia/Lord_Howe", 2216818800, 39600, 37800),
    ("Australia/Lord_Howe", 2233150200, 37800, 39600),
    ("Asia/Kathmandu", 1719792000, 20700, 20700),
    ("Asia/Kathmandu", 1940630400, 20700, 20700),
    ("Asia/Kathmandu", 2224713600, 20700, 20700),
    ("Australia/Sydney", 1712419200, 39600, 36000),
    ("Australia/Sydney", 1728144000, 36000, 39600),
    ("Australia/Sydney", 1933171200, 39600, 36000),
    ("Australia/Sydney", 1948896000, 36000, 39600),
    ("Australia/Sydney", 2216822400, 39600, 36000),
    ("Australia/Sydney", 2233152000, 36000, 39600),
    ("America/Santiago", 1712458800, -10800, -14400),
    ("America/Santiago", 1725768000, -14400, -10800),
    ("America/Santiago", 1933210800, -10800, -14400),
    ("America/Santiago", 1946520000, -14400, -10800),
    ("America/Santiago", 2217466800, -10800, -14400),
    ("America/Santiago", 2230171200, -14400, -10800),
    ("Pacific/Chatham", 1712412000, 49500, 45900),
    ("Pacific/Chatham", 1727532000, 45900, 49500),
    ("Pacific/Chatham", 1933164000, 49500, 45900),
    ("Pacific/Chatham", 1948284000, 45900, 49500),
    ("Pacific/Chatham", 2216815200, 49500, 45900),
    ("Pacific/Chatham", 2232540000, 45900, 49500),
    ("Europe/Dublin", 1711846800, 0, 3600),
    ("Europe/Dublin", 1729990800, 3600, 0),
    ("Europe/Dublin", 1932598800, 0, 3600),
    ("Europe/Dublin", 1950742800, 3600, 0),
    ("Europe/Dublin", 2216250000, 0, 3600),
    ("Europe/Dublin", 2234998800, 3600, 0),
    ("America/St_Johns", 1710048600, -12600, -9000),
    ("America/St_Johns", 1730608200, -9000, -12600),
    ("America/St_Johns", 1930800600, -12600, -9000),
    ("America/St_Johns", 1951360200, -9000, -12600),
    ("America/St_Johns", 2215056600, -12600, -9000),
    ("America/St_Johns", 2235616200, -9000, -12600),
    ("Africa/Casablanca", 1710036000, 3600, 0),
    ("Africa/Casablanca", 1713060000, 0, 3600),
    ("Africa/Casablanca", 1927159200, 0, 3600),
    ("Africa/Casablanca", 1954980000, 3600, 0),
    ("Africa/Casablanca", 2230164000, 3600, 0),
    ("Africa/Casablanca", 2233792800, 0, 3600),
  ]

  @Test(.enabled(if: hasZones, "the system has no time zones"), arguments: changes.indices)
  func changesAreWhereTheyShouldBe(index: Int) throws {
    let (zone, moment, before, after) = TimeZoneTests.changes[index]
    let rules = try TimeZoneRules(zone)
    let time = UnixNanos(moment * Nanoseconds.second)
    #expect(rules.offsetSeconds(at: UnixNanos(time.rawValue - 1)) == before, "\(zone)")
    #expect(rules.offsetSeconds(at: time) == after, "\(zone)")
  }

  @Test(.enabled(if: hasZones, "the system has no time zones"))
  func theEndsOfTimeHaveAnOffset() throws {
    let rules = try TimeZoneRules("America/New_York")
    // Local mean time before 1883.
    #expect(rules.offsetSeconds(at: UnixNanos(.min)) == -17_762)
    #expect(rules.offsetSeconds(at: UnixNanos(.max)) == -14_400)
  }

  // MARK: Rules behind the table

  /// A zone file of its own: moments and offsets, then a rule.
  private func file(
    _ moments: [Int64] = [], types: [UInt8] = [], offsets: [Int32] = [0], rule: String, version: UInt8 = 0x32
  ) -> [UInt8] {
    func big<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
      withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }
    func header(_ counts: [Int]) -> [UInt8] {
      Array("TZif".utf8) + [version] + [UInt8](repeating: 0, count: 15) + counts.flatMap { big(UInt32($0)) }
    }
    var bytes = header([0, 0, 0, 0, 1, 1]) + [0, 0, 0, 0, 0, 0, 0]
    bytes += header([0, 0, 0, moments.count, offsets.count, 1])
    bytes += moments.flatMap { big($0) } + types
    for offset in offsets { bytes += big(offset) + [0, 0] }
    return bytes + [0] + Array("\n\(rule)\n".utf8)
  }

  private func offset(_ rule: String, _ year: Int, _ month: Int, _ day: Int, _ hour: Int = 12) throws -> Int {
    let seconds = Int64(CalendarDay(year: year, month: month, day: day)!.daysSince1970 * 86_400 + hour * 3600)
    return try TimeZoneRules(zoneFile: file(rule: rule), name: "test").offsetSeconds(
      at: UnixNanos(seconds * Nanoseconds.second))
  }

  @Test func rulesOfEachForm() throws {
    #expect(try offset("<+0330>-3:30", 2100, 6, 1) == 12_600)
    // Winter is the exception in Ireland, by the letter of its law.
    #expect(try offset("IST-1GMT0,M10.5.0,M3.5.0/1", 2030, 1, 15) == 0)
    #expect(try offset("IST-1GMT0,M10.5.0,M3.5.0/1", 2030, 7, 15) == 3600)
    // Daylight time all year (RFC 9636, 3.3.1).
    for month in 1...12 { #expect(try offset("XXX3EDT4,0/0,J365/23", 2032, month, 1, 3) == -14_400) }
    // Day 60 by Julian count is 1 March in every year; counted from zero it is 29 February or 1 March.
    for (year, from) in [(2031, 1), (2032, 1)] {
      #expect(try offset("AAA0BBB,J60/0,J300", year, 2, 28) == 0)
      #expect(try offset("AAA0BBB,J60/0,J300", year, 3, from) == 3600)
    }
    #expect(try offset("AAA0BBB,59/0,300", 2032, 2, 29) == 3600)
    #expect(try offset("AAA0BBB,59/0,300", 2031, 2, 28) == 0)
    // The fifth Sunday is the last one.
    #expect(try offset("AAA0BBB,M2.5.0/0,M10.1.0", 2032, 2, 28) == 0)
    #expect(try offset("AAA0BBB,M2.5.0/0,M10.1.0", 2032, 2, 29) == 3600)
    // Two days late, as Greenland had it: by hours beyond a day.
    #expect(try offset("AAA0BBB,M3.1.0/49,M10.1.0", 2032, 3, 9, 0) == 0)
    #expect(try offset("AAA0BBB,M3.1.0/49,M10.1.0", 2032, 3, 9, 2) == 3600)
  }

  @Test func theTableHoldsBeforeTheRule() throws {
    let bytes = file([0, 86_400], types: [1, 0], offsets: [100, 200], rule: "AAA-1")
    let rules = try TimeZoneRules(zoneFile: bytes, name: "test")
    let found = [-1, 0, 86_399, 86_400].map { rules.offsetSeconds(at: UnixNanos($0 * Nanoseconds.second)) }
    #expect(found == [100, 200, 200, 3600])
  }

  @Test(arguments: [
    "A0", "AAA", "AAA25", "AAA0BBB", "AAA0BBB,M13.1.0,M3.1.0", "AAA0BBB,M3.0.0,M4.1.0",
    "AAA0BBB,M3.1.7,M4.1.0", "AAA0BBB,J0,J1", "AAA0BBB,366,1", "AAA0BBB,1,2,3", "AAA0BBB,1/168,2", "<AAA0",
    "AAA0:60", "AAA0 ", "AAA99999999999999999999",
  ])
  func rulesThatAreNone(_ rule: String) {
    #expect(throws: TimeZoneError.self) { try TimeZoneRules(zoneFile: file(rule: rule), name: "test") }
  }

  // MARK: Files that are none

  @Test func malformedFilesAreRefused() throws {
    let good = file([0, 86_400], types: [1, 0], offsets: [100, 200], rule: "AAA-1BBB,M3.1.0,M10.1.0")
    for count in 0..<good.count {
      #expect(throws: TimeZoneError.self) {
        try TimeZoneRules(zoneFile: Array(good[..<count]), name: "cut at \(count)")
      }
    }
    let bad = [
      file([5, 5], types: [0, 0], rule: "AAA0"), file([5, 4], types: [0, 0], rule: "AAA0"),
      file([5], types: [1], rule: "AAA0"), file(offsets: [93_600], rule: "AAA0"),
      file(offsets: [-90_000], rule: "AAA0"), file(rule: "AAA0", version: 0),
    ]
    for bytes in bad {
      #expect(throws: TimeZoneError.self) { try TimeZoneRules(zoneFile: bytes, name: "bad") }
    }
  }

  /// Whatever a byte is changed to: an offset that can be, or an error.
  @Test(arguments: 1...8 as ClosedRange<UInt64>)
  func alteredFilesNeverTrap(seed: UInt64) throws {
    let good = file(
      [0, 86_400, 9_000_000], types: [1, 0, 1], offsets: [100, 200], rule: "AAA-1BBB,M3.1.0,M10.1.0/3")
    var random = SeededRandom(seed: seed)
    for _ in 0..<150 {
      var bytes = good
      for _ in 0..<(1 + random.below(3)) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
      guard let rules = try? TimeZoneRules(zoneFile: bytes, name: "seed \(seed)") else { continue }
      for _ in 0..<20 {
        let offset = rules.offsetSeconds(at: UnixNanos(Int64(bitPattern: random.next())))
        #expect(TimeZoneRules.offsetSecondsRange.contains(offset), "seed \(seed)")
      }
    }
  }

  @Test(arguments: [
    ("", 0), ("UTC", 0), ("Z", 0), ("+08:00", 28_800), ("-03:30", -12_600), ("+0530", 19_800), ("+8", 28_800),
  ])
  func fixedOffsets(_ name: String, _ seconds: Int) throws {
    #expect(try TimeZoneRules(name) == TimeZoneRules(fixedOffsetSeconds: seconds))
  }

  @Test(arguments: ["Mars/Olympus", "../../etc/passwd", "/etc/localtime", "+25:00", "+08:75", "+", "Asia"])
  func unknownNames(_ name: String) {
    #expect(throws: TimeZoneError.unknown(name)) { try TimeZoneRules(name) }
  }
}

@Suite("Calendar days")
struct CalendarDayTests {
  /// Against the calendar reading of moments, which goes the other way.
  @Test func daysAgreeWithDates() {
    for days in stride(from: -106_000, to: 106_000, by: 17) {
      let date = UTCDate(UnixNanos(Int64(days) * Nanoseconds.day))
      #expect(CalendarDay(year: date.year, month: date.month, day: date.day)?.daysSince1970 == days)
      #expect(CalendarDay(date.dayText)?.daysSince1970 == days)
    }
  }

  @Test func weekdays() {
    #expect(CalendarDay("1970-01-01")?.weekday == 4)
    #expect(CalendarDay("2024-02-29")?.weekday == 4)
    #expect(CalendarDay("1969-12-28")?.weekday == 0)
  }

  @Test(arguments: [
    "2023-02-29", "2100-02-29", "2024-13-01", "2024-00-10", "2024-04-31", "2024-4-1", "2024-04-00",
    "20240401",
    "2024/04/01", "２024-04-01", "",
  ])
  func datesThatAreNone(_ text: String) { #expect(CalendarDay(text) == nil) }
}
