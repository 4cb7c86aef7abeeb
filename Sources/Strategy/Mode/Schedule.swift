import Core

/// The hours of a week, in local time, that ask for the active regime.
///
/// **Algorithm.** A moment is turned into its wall clock by the zone's offset at that moment
/// (``TimeZoneRules``), and the wall clock is looked up: a weekday that is listed, a date that is no holiday,
/// a time within a window. A window over midnight belongs whole to the day on which it begins: `22:00-02:00`
/// on `fri` ends on Saturday at two, and it does so when Saturday is a holiday. Windows are half-open.
///
/// **When clocks change.** Nothing is corrected: when they are set forward the missing hour has no moments,
/// so a window within it never holds that day; when they are set back an hour comes twice, and a window
/// within it holds twice. Both is what a person with a clock on the wall would do.
///
/// **Bounds.** O(windows + log holidays) a question, with nothing remembered between two.
public struct Schedule: Equatable, Sendable {
  struct Window: Equatable, Sendable {
    var startMinute: Int
    /// At most `startMinute` for a window over midnight.
    var endMinute: Int

    var wraps: Bool { endMinute < startMinute }
  }

  static let weekdayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

  let rules: TimeZoneRules
  /// By weekday, 0 for Sunday.
  let weekdays: [Bool]
  /// Empty for the whole day.
  let windows: [Window]
  /// Rising.
  let holidays: [CalendarDay]

  /// - Throws: ``ScheduleError`` for the first value that is none.
  public init(_ configuration: ScheduleConfiguration) throws(ScheduleError) {
    rules = try Schedule.rules(configuration)
    weekdays = try Schedule.weekdays(configuration)
    windows = try Schedule.windows(configuration)
    holidays = try Schedule.holidays(configuration)
  }

  /// Everything that is wrong with a configuration, one value of a key at a time.
  public static func problems(in configuration: ScheduleConfiguration) -> [ScheduleError] {
    var problems: [ScheduleError] = []
    do throws(ScheduleError) { _ = try rules(configuration) } catch { problems.append(error) }
    do throws(ScheduleError) { _ = try weekdays(configuration) } catch { problems.append(error) }
    do throws(ScheduleError) { _ = try windows(configuration) } catch { problems.append(error) }
    do throws(ScheduleError) { _ = try holidays(configuration) } catch { problems.append(error) }
    return problems
  }

  /// Whether the active regime is asked for at a moment, Unix time in ns.
  public func asksForActive(at timeNs: Int64) -> Bool {
    let time = UnixNanos(timeNs)
    var seconds = timeNs / Nanoseconds.second
    if timeNs % Nanoseconds.second < 0 { seconds -= 1 }
    let local = Int(seconds) + rules.offsetSeconds(at: time)
    var day = local / 86_400
    if local % 86_400 < 0 { day -= 1 }
    let minute = (local - day * 86_400) / 60
    let today = CalendarDay(daysSince1970: day)
    let isToday = isWorking(today)
    if windows.isEmpty { return isToday }
    let isYesterday = isWorking(CalendarDay(daysSince1970: day - 1))
    return windows.contains { window in
      if !window.wraps { return isToday && minute >= window.startMinute && minute < window.endMinute }
      return isToday && minute >= window.startMinute || isYesterday && minute < window.endMinute
    }
  }

  private func isWorking(_ day: CalendarDay) -> Bool {
    guard weekdays[day.weekday] else { return false }
    var low = 0
    var high = holidays.count
    while low < high {
      let middle = (low + high) / 2
      if holidays[middle] < day { low = middle + 1 } else { high = middle }
    }
    return low == holidays.count || holidays[low] != day
  }

  // MARK: Reading

  private static func rules(_ configuration: ScheduleConfiguration) throws(ScheduleError) -> TimeZoneRules {
    do throws(TimeZoneError) {
      return try TimeZoneRules(configuration.timeZone)
    } catch {
      throw ScheduleError("time_zone", "\(error)")
    }
  }

  private static func weekdays(_ configuration: ScheduleConfiguration) throws(ScheduleError) -> [Bool] {
    if configuration.weekdays.isEmpty { return [Bool](repeating: true, count: 7) }
    var allowed = [Bool](repeating: false, count: 7)
    for name in configuration.weekdays {
      guard let day = weekdayNames.firstIndex(of: name) else {
        throw ScheduleError("weekdays", "\"\(name)\" is no weekday; use mon, tue, wed, thu, fri, sat, sun")
      }
      allowed[day] = true
    }
    return allowed
  }

  private static func windows(_ configuration: ScheduleConfiguration) throws(ScheduleError) -> [Window] {
    var windows: [Window] = []
    for text in configuration.windows {
      let bytes = Array(text.utf8)
      guard bytes.count == 11, bytes[5] == 0x2D, let start = minute(bytes[0..<5]),
        let end = minute(bytes[6..<11]), start < 1440
      else {
        throw ScheduleError(
          "windows", "\"\(text)\" is no window; write one as 09:30-16:00, or 22:00-02:00 over midnight")
      }
      guard start != end else {
        throw ScheduleError(
          "windows", "\"\(text)\" begins where it ends; for the whole day write 00:00-24:00 or no window")
      }
      windows.append(Window(startMinute: start, endMinute: end))
    }
    return windows
  }

  /// `09:30`, up to `24:00`.
  private static func minute(_ text: ArraySlice<UInt8>) -> Int? {
    let digits = Array(text)
    guard digits[2] == 0x3A else { return nil }
    for index in [0, 1, 3, 4] where !(0x30...0x39).contains(digits[index]) { return nil }
    let hour = Int(digits[0] - 0x30) * 10 + Int(digits[1] - 0x30)
    let minute = Int(digits[3] - 0x30) * 10 + Int(digits[4] - 0x30)
    guard minute < 60, hour < 24 || hour == 24 && minute == 0 else { return nil }
    return hour * 60 + minute
  }

  private static func holidays(
    _ configuration: ScheduleConfiguration
  ) throws(ScheduleError) -> [CalendarDay] {
    var days: [CalendarDay] = []
    for text in configuration.holidays {
      guard let day = CalendarDay(text) else {
        throw ScheduleError("holidays", "\"\(text)\" is no date; write one as 2026-12-25")
      }
      days.append(day)
    }
    return days.sorted()
  }
}

/// What of a schedule's configuration cannot be used.
public struct ScheduleError: Error, Equatable, CustomStringConvertible {
  /// Below the section of the schedule: `time_zone`, `weekdays`, `windows`, `holidays`.
  public var key: String
  public var message: String

  init(_ key: String, _ message: String) {
    self.key = key
    self.message = message
  }

  public var description: String { "\(key): \(message)" }
}
