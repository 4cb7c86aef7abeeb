import Core

/// Times as HTTP writes them (RFC 9110, 5.6.7).
enum HTTPDate {
  private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// `Sun, 06 Nov 1994 08:49:37 GMT`; times before 1970 are not written.
  static func text(_ time: UnixNanos) -> String {
    precondition(time.rawValue >= 0)
    let date = UTCDate(time)
    let weekday = weekdays[Int(time.rawValue / Nanoseconds.day % 7)]
    let day = date.day < 10 ? "0\(date.day)" : "\(date.day)"
    return "\(weekday), \(day) \(months[date.month - 1]) \(date.year) \(date.timeText) GMT"
  }
}
