import Core

/// The time zone in which a report's days are cut (`REPORT_TZ`).
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
  /// - Throws: ``UnknownZone``
  public static func utcOffsetSeconds(
    _ name: String, zoneFolder: String = "/usr/share/zoneinfo"
  ) throws(UnknownZone) -> @Sendable (UnixNanos) -> Int {
    do throws(TimeZoneError) {
      let rules = try TimeZoneRules(name, zoneFolder: zoneFolder)
      return { rules.offsetSeconds(at: $0) }
    } catch {
      throw UnknownZone(name: name)
    }
  }
}
