import Core
import Glibc

/// The time zone in which a report's days are cut (`REPORT_TZ`).
///
/// The only place that asks the system about time zones, at the shell's start; the report itself is handed a
/// function.
public enum ReportTimeZone {
  public struct UnknownZone: Error, Equatable, CustomStringConvertible {
    public var name: String

    public init(name: String) { self.name = name }

    public var description: String {
      "REPORT_TZ: unknown time zone '\(name)'; use UTC, an offset such as +08:00, or a name such as "
        + "Asia/Taipei"
    }
  }

  /// Seconds to add to UTC, as a function of the moment.
  ///
  /// A named zone sets the process's `TZ`, once, before other threads run; nothing else here uses local time.
  /// - Throws: ``UnknownZone``
  public static func utcOffsetSeconds(
    _ name: String, zoneFolder: String = "/usr/share/zoneinfo"
  ) throws(UnknownZone) -> @Sendable (UnixNanos) -> Int {
    if name.isEmpty || name == "UTC" || name == "Z" { return { _ in 0 } }
    if let fixed = fixedOffset(name) { return { _ in fixed } }
    let isPlain = name.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2D, 0x2F, 0x5F: true
      default: false
      }
    }
    let path = zoneFolder + "/" + name
    guard isPlain, name.first != "/", Files.exists(path), !Files.isFolder(path) else {
      throw UnknownZone(name: name)
    }
    setenv("TZ", ":" + path, 1)
    tzset()
    return { time in
      var seconds = time_t(floorDivide(time.rawValue, Nanoseconds.second))
      var local = tm()
      return localtime_r(&seconds, &local) == nil ? 0 : Int(local.tm_gmtoff)
    }
  }

  /// `+08:00`, `-03:30`, `+0530`, `+8`
  static func fixedOffset(_ text: String) -> Int? {
    guard let sign = text.first, sign == "+" || sign == "-" else { return nil }
    let digits = text.dropFirst().filter { $0 != ":" }
    let hasColonInPlace = !text.contains(":") || text.count == 6 && Array(text)[3] == ":"
    guard hasColonInPlace, digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
    let number: Int
    switch digits.count {
    case 1, 2: number = (Int(digits) ?? 99) * 60
    case 4: number = (Int(digits.prefix(2)) ?? 99) * 60 + (Int(digits.suffix(2)) ?? 99)
    default: return nil
    }
    guard number <= 14 * 60, digits.count < 3 || (Int(digits.suffix(2)) ?? 99) < 60 else { return nil }
    return (sign == "-" ? -60 : 60) * number
  }
}
