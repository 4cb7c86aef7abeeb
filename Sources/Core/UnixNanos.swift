/// A moment as nanoseconds since 1970-01-01T00:00:00Z, the unit of every receive time.
///
/// Range: years 1678 to 2262. Leap seconds are not counted (POSIX time).
@frozen
public struct UnixNanos: RawRepresentable, Hashable, Comparable, Sendable {
  public var rawValue: Int64

  @inlinable public init(rawValue: Int64) { self.rawValue = rawValue }
  @inlinable public init(_ nanoseconds: Int64) { rawValue = nanoseconds }
  /// The exchange stamps its frames in milliseconds.
  @inlinable public init(milliseconds: Int64) { rawValue = milliseconds &* 1_000_000 }

  /// Whole milliseconds, rounded toward the past.
  @inlinable public var milliseconds: Int64 {
    let quotient = rawValue / 1_000_000
    return rawValue % 1_000_000 < 0 ? quotient - 1 : quotient
  }

  @inlinable public static func < (a: UnixNanos, b: UnixNanos) -> Bool { a.rawValue < b.rawValue }
}

/// Lengths of time in nanoseconds.
public enum Nanoseconds {
  public static let millisecond: Int64 = 1_000_000
  public static let second: Int64 = 1_000_000_000
  public static let minute: Int64 = 60 * second
  public static let hour: Int64 = 60 * minute
  public static let day: Int64 = 24 * hour
}

/// A UTC calendar reading of a moment, by the proleptic Gregorian calendar.
///
/// Source of the day arithmetic: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
public struct UTCDate: Equatable, Sendable {
  public var year: Int
  public var month: Int
  public var day: Int
  public var hour: Int
  public var minute: Int
  public var second: Int
  public var nanosecond: Int

  public init(_ time: UnixNanos) {
    var days = time.rawValue / Nanoseconds.day
    var rest = time.rawValue % Nanoseconds.day
    if rest < 0 {
      rest += Nanoseconds.day
      days -= 1
    }
    let shifted = Int(days) + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    hour = Int(rest / Nanoseconds.hour)
    minute = Int(rest / Nanoseconds.minute) % 60
    second = Int(rest / Nanoseconds.second) % 60
    nanosecond = Int(rest % Nanoseconds.second)
  }

  /// `2024-07-18`
  public var dayText: String { "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))" }
  /// `23:57:01`
  public var timeText: String { "\(padded(hour, 2)):\(padded(minute, 2)):\(padded(second, 2))" }
  /// `2024-07-18T23:57:01.080Z`
  public var isoText: String { "\(dayText)T\(timeText).\(padded(nanosecond / 1_000_000, 3))Z" }

  private func padded(_ value: Int, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }
}
