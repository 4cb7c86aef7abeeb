import Core
import Glibc
import Testing

@testable import Strategy

private let hasZones = access("/usr/share/zoneinfo/Europe/Berlin", F_OK) == 0

@Suite("Schedule")
struct ScheduleTests {
  private func schedule(_ change: (inout ScheduleConfiguration) -> Void) throws(ScheduleError) -> Schedule {
    var configuration = ScheduleConfiguration()
    configuration.isEnabled = true
    change(&configuration)
    return try Schedule(configuration)
  }

  private func moment(_ day: String, _ hour: Int = 0, _ minute: Int = 0) -> Int64 {
    let seconds = CalendarDay(day)!.daysSince1970 * 86_400 + hour * 3600 + minute * 60
    return Int64(seconds) * Nanoseconds.second
  }

  /// Minutes of a UTC span at which it asks.
  private func minutes(_ schedule: Schedule, from start: Int64, hours: Int) -> Int {
    (0..<hours * 60).count { schedule.asksForActive(at: start + Int64($0) * Nanoseconds.minute) }
  }

  @Test func emptyMeansAlways() throws {
    let always = try schedule { _ in }
    #expect(minutes(always, from: moment("2026-01-01"), hours: 24) == 1440)
    #expect(always.asksForActive(at: .min) && always.asksForActive(at: .max))
  }

  @Test func windowsAreHalfOpen() throws {
    let schedule = try schedule { $0.windows = ["09:30-16:00"] }
    let day = "2026-03-04"
    #expect(!schedule.asksForActive(at: moment(day, 9, 30) - 1))
    #expect(schedule.asksForActive(at: moment(day, 9, 30)))
    #expect(schedule.asksForActive(at: moment(day, 16, 0) - 1))
    #expect(!schedule.asksForActive(at: moment(day, 16, 0)))
  }

  @Test func aWindowOverMidnightBelongsToItsFirstDay() throws {
    // 2026-03-06 is a Friday; the Saturday behind it is a holiday and no weekday that is listed.
    let friday = try schedule {
      $0.weekdays = ["fri"]
      $0.windows = ["22:00-02:00"]
      $0.holidays = ["2026-03-07"]
    }
    #expect(minutes(friday, from: moment("2026-03-06"), hours: 48) == 240)
    #expect(friday.asksForActive(at: moment("2026-03-07", 1, 59)))
    #expect(!friday.asksForActive(at: moment("2026-03-06", 1, 59)))
    let holiday = try schedule {
      $0.windows = ["22:00-02:00"]
      $0.holidays = ["2026-03-06"]
    }
    // Thursday's window ends on the holiday; the holiday's own does not begin.
    #expect(holiday.asksForActive(at: moment("2026-03-06", 1)))
    #expect(!holiday.asksForActive(at: moment("2026-03-06", 23)))
    #expect(!holiday.asksForActive(at: moment("2026-03-07", 1)))
    #expect(holiday.asksForActive(at: moment("2026-03-07", 22)))
  }

  @Test func wholeDaysAndMidnights() throws {
    #expect(
      try minutes(schedule { $0.windows = ["00:00-24:00"] }, from: moment("2026-03-04"), hours: 24) == 1440)
    #expect(
      try minutes(schedule { $0.windows = ["22:00-24:00"] }, from: moment("2026-03-04"), hours: 24) == 120)
    #expect(
      try minutes(schedule { $0.windows = ["22:00-00:00"] }, from: moment("2026-03-04"), hours: 24) == 120)
  }

  /// Clocks go from 02:00 to 03:00 on 2026-03-08 and from 02:00 back to 01:00 on 2026-11-01.
  @Test(.enabled(if: hasZones, "the system has no time zones"))
  func clocksThatChange() throws {
    func newYork(_ window: String) throws -> Schedule {
      try schedule {
        $0.timeZone = "America/New_York"
        $0.windows = [window]
      }
    }
    func day(_ window: String, _ day: String) throws -> Int {
      // From local noon to local noon, over the night of the change.
      try minutes(newYork(window), from: moment(day, 0) - 7 * Nanoseconds.hour, hours: 24)
    }
    // The hour that is missing.
    #expect(try day("02:15-02:45", "2026-03-08") == 0 && day("02:15-02:45", "2026-03-10") == 30)
    #expect(try day("01:30-03:30", "2026-03-08") == 60)
    // The hour that comes twice.
    #expect(try day("01:15-01:45", "2026-11-01") == 60 && day("01:15-01:45", "2026-11-03") == 30)
    #expect(try day("00:00-03:00", "2026-11-01") == 240)
    #expect(try day("22:00-04:00", "2026-03-08") == 300 && day("22:00-04:00", "2026-11-01") == 420)
    // Half an hour on Lord Howe: 02:00 to 02:30 on 2026-10-04.
    let island = try schedule {
      $0.timeZone = "Australia/Lord_Howe"
      $0.windows = ["01:30-03:00"]
    }
    #expect(minutes(island, from: moment("2026-10-03", 12), hours: 12) == 60)
    #expect(minutes(island, from: moment("2026-10-05", 12), hours: 12) == 90)
  }

  @Test(arguments: [
    ("time_zone", ScheduleConfiguration(timeZone: "Mars/Olympus")),
    ("weekdays", ScheduleConfiguration(weekdays: ["mon", "Fri"])),
    ("windows", ScheduleConfiguration(windows: ["09:30-09:30"])),
    ("windows", ScheduleConfiguration(windows: ["9:30-16:00"])),
    ("windows", ScheduleConfiguration(windows: ["09:30-24:01"])),
    ("windows", ScheduleConfiguration(windows: ["24:00-02:00"])),
    ("windows", ScheduleConfiguration(windows: ["09:30–16:00"])),
    ("windows", ScheduleConfiguration(windows: ["09:60-16:00"])),
    ("holidays", ScheduleConfiguration(holidays: ["2026-02-29"])),
    ("holidays", ScheduleConfiguration(holidays: ["25.12.2026"])),
  ])
  func valuesThatAreNoneNameTheirKey(_ key: String, _ configuration: ScheduleConfiguration) throws {
    let error = #expect(throws: ScheduleError.self) { try Schedule(configuration) }
    #expect(error?.key == key)
    #expect(Schedule.problems(in: configuration).map(\.key) == [key])
  }

  // MARK: Random schedules

  /// Slow and plain: all windows of the days around a moment, as spans of wall-clock seconds.
  private func model(_ configuration: ScheduleConfiguration, _ rules: TimeZoneRules, _ timeNs: Int64) -> Bool
  {
    let wall = timeNs / Nanoseconds.second + Int64(rules.offsetSeconds(at: UnixNanos(timeNs)))
    let names = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"]
    for shift in [-1, 0, 1] as [Int64] {
      let day = wall / 86_400 + shift
      let date = UTCDate(UnixNanos(day * Nanoseconds.day)).dayText
      let isListed = configuration.weekdays.isEmpty || configuration.weekdays.contains(names[Int(day % 7)])
      if !isListed || configuration.holidays.contains(date) { continue }
      for window in configuration.windows.isEmpty ? ["00:00-24:00"] : configuration.windows {
        let parts = window.split(separator: "-").map { part in
          part.split(separator: ":").map { Int64($0)! }
        }
        let start = parts[0][0] * 3600 + parts[0][1] * 60
        var end = parts[1][0] * 3600 + parts[1][1] * 60
        if end < start { end += 86_400 }
        if (day * 86_400 + start..<day * 86_400 + end).contains(wall) { return true }
      }
    }
    return false
  }

  @Test(.enabled(if: hasZones, "the system has no time zones"), arguments: 1...60 as ClosedRange<UInt64>)
  func randomSchedulesAreThoseOfTheModel(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let zones = [
      "UTC", "+05:45", "-09:30", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu",
      "America/Santiago", "Pacific/Chatham", "Europe/Dublin", "Pacific/Apia",
    ]
    func clock(_ minute: Int) -> String {
      let (hour, rest) = minute.quotientAndRemainder(dividingBy: 60)
      return "\(hour < 10 ? "0" : "")\(hour):\(rest < 10 ? "0" : "")\(rest)"
    }
    var configuration = ScheduleConfiguration()
    configuration.timeZone = zones[random.below(zones.count)]
    configuration.weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].filter { _ in
      random.bernoulli(0.5)
    }
    for _ in 0..<random.below(4) {
      let start = random.below(1440)
      let end = random.below(1441)
      if start != end { configuration.windows.append("\(clock(start))-\(clock(end))") }
    }
    let begin = Int64(1_704_067_200 + random.below(16 * 365) * 86_400)
    for _ in 0..<random.below(6) {
      let day = begin + Int64(random.below(12) - 1) * 86_400
      configuration.holidays.append(UTCDate(UnixNanos(day * Nanoseconds.second)).dayText)
    }
    let schedule = try Schedule(configuration)
    let rules = try TimeZoneRules(configuration.timeZone)
    var asked = 0
    for _ in 0..<1000 {
      let time = (begin + Int64(random.below(10 * 86_400))) * Nanoseconds.second
      let isActive = schedule.asksForActive(at: time)
      asked += isActive ? 1 : 0
      guard isActive == model(configuration, rules, time) else {
        Issue.record("seed \(seed): \(configuration) at \(time)")
        return
      }
    }
    if configuration.weekdays.isEmpty, configuration.windows.isEmpty { #expect(asked > 0, "seed \(seed)") }
  }
}

extension ScheduleConfiguration {
  fileprivate init(
    timeZone: String = "UTC", weekdays: [String] = [], windows: [String] = [], holidays: [String] = []
  ) {
    self.init()
    self.timeZone = timeZone
    self.weekdays = weekdays
    self.windows = windows
    self.holidays = holidays
  }
}
