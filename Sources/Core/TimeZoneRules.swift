/// How far a time zone's wall clocks are from UTC, at any moment.
///
/// **Problem.** Schedules and the days of reports are cut by local time, which jumps twice a year by rules
/// that legislators change.
///
/// **Why the obvious answer fails.** The C library knows one zone a process, named by a variable of the
/// environment that no second thread may read while it is set. An offset taken once is wrong after the next
/// jump.
///
/// **Algorithm.** The compiled zone file (TZif, RFC 9636) is read into a value: the moments of change with
/// the offset that begins at each. Beyond its table a file gives the rule of all later years, in POSIX `TZ`
/// notation; the rule is written out, two changes a year, to the end of what ``UnixNanos`` can hold. So a
/// lookup is one binary search in at most a few thousand moments, and the value can be copied to any thread.
///
/// **Bounds.** A file of at most ``bytesMax``; counts are checked against its size, types against their
/// number, moments against each other, and the rule is parsed whole. What is not exactly such a file is
/// refused: nothing traps. Files that count leap seconds (`right/…`) and those with 32-bit times alone are
/// refused, too.
///
/// The zone database is an input of a run that neither tape nor configuration holds: a schedule in a zone
/// whose rules changed gives other regimes after an update of the system.
public struct TimeZoneRules: Equatable, Sendable {
  /// Unix seconds, rising.
  private let moments: [Int64]
  /// Seconds to add to UTC: before the first moment, then from each on; one more than moments.
  private let offsets: [Int32]

  public static let bytesMax = 1 << 20
  /// No place is, or was, further from UTC (RFC 9636 allows these).
  public static let offsetSecondsRange = -89_999...93_599

  /// - Precondition: within ``offsetSecondsRange``.
  public init(fixedOffsetSeconds: Int) {
    precondition(TimeZoneRules.offsetSecondsRange.contains(fixedOffsetSeconds), "no zone is so far from UTC")
    moments = []
    offsets = [Int32(fixedOffsetSeconds)]
  }

  /// `UTC`, an offset such as `+08:00`, `-03:30`, `+0530`, `+8`, or the name of a zone such as
  /// `Europe/Berlin`.
  ///
  /// - Throws: ``TimeZoneError``
  public init(_ name: String, zoneFolder: String = "/usr/share/zoneinfo") throws(TimeZoneError) {
    if name.isEmpty || name == "UTC" || name == "Z" {
      self.init(fixedOffsetSeconds: 0)
      return
    }
    if let seconds = TimeZoneRules.fixedOffset(name) {
      self.init(fixedOffsetSeconds: seconds)
      return
    }
    let isPlain = name.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2D, 0x2F, 0x5F: true
      default: false
      }
    }
    let path = zoneFolder + "/" + name
    guard isPlain, name.first != "/", Files.exists(path), !Files.isFolder(path) else {
      throw .unknown(name)
    }
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try Files.read(path, bytesMax: TimeZoneRules.bytesMax)
    } catch {
      throw .damaged(name, "\(error)")
    }
    try self.init(zoneFile: bytes, name: name)
  }

  /// A compiled zone file's content.
  ///
  /// - Throws: ``TimeZoneError/damaged(_:_:)``
  public init(zoneFile bytes: [UInt8], name: String) throws(TimeZoneError) {
    do throws(ZoneFile.Damage) {
      let file = try ZoneFile(bytes)
      moments = file.moments
      offsets = file.offsets
    } catch {
      throw .damaged(name, error.problem)
    }
  }

  /// Seconds to add to UTC.
  ///
  /// - Complexity: O(log of the zone's changes).
  public func offsetSeconds(at time: UnixNanos) -> Int {
    var seconds = time.rawValue / Nanoseconds.second
    if time.rawValue % Nanoseconds.second < 0 { seconds -= 1 }
    var low = 0
    var high = moments.count
    while low < high {
      let middle = (low + high) / 2
      if moments[middle] <= seconds { low = middle + 1 } else { high = middle }
    }
    return Int(offsets[low])
  }

  /// `+08:00`, `-03:30`, `+0530`, `+8`; nil for anything else.
  private static func fixedOffset(_ text: String) -> Int? {
    guard let sign = text.first, sign == "+" || sign == "-" else { return nil }
    let digits = text.dropFirst().filter { $0 != ":" }
    let hasColonInPlace = !text.contains(":") || text.count == 6 && Array(text)[3] == ":"
    guard hasColonInPlace, digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
    let minutes: Int
    switch digits.count {
    case 1, 2: minutes = (Int(digits) ?? 99) * 60
    case 4: minutes = (Int(digits.prefix(2)) ?? 99) * 60 + (Int(digits.suffix(2)) ?? 99)
    default: return nil
    }
    guard minutes <= 14 * 60, digits.count < 3 || (Int(digits.suffix(2)) ?? 99) < 60 else { return nil }
    return (sign == "-" ? -60 : 60) * minutes
  }
}

/// Why there is no such time zone.
public enum TimeZoneError: Error, Equatable, CustomStringConvertible {
  case unknown(String)
  case damaged(String, _ problem: String)

  public var description: String {
    switch self {
    case .unknown(let name):
      "unknown time zone '\(name)'; use UTC, an offset such as +08:00, or a name such as Asia/Taipei"
    case .damaged(let name, let problem):
      "the system's file of time zone '\(name)' cannot be used: \(problem); reinstall the package tzdata"
    }
  }
}
