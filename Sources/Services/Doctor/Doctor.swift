import Core

/// Judges whether a machine is fit to run Weir, and says what to do where it is not.
///
/// Measuring (``SystemFacts``) and judging are apart: the rules below are a function of the facts, so each of
/// them is tested on machines that are not at hand.
public enum Doctor {
  public static let diskShareMin = 0.20
  public static let diskBytesMin: Int64 = 5_000_000_000
  /// Less than this and the next hour of a tape may not fit.
  public static let diskBytesNeeded: Int64 = 100_000_000
  /// What all services together may use.
  public static let memoryBytesMin: Int64 = 600_000_000
  public static let openFilesMin: UInt64 = 1024
  public static let yearMin = 2024

  public static func examine(_ facts: SystemFacts) -> DoctorReport {
    var checks = facts.libraries.map(library)
    checks.append(DoctorCheck("kernel", .ok, facts.kernel))
    checks.append(DoctorCheck("processors", .ok, "\(facts.processorCount) usable"))
    checks += [
      disk(facts), writing(facts), memory(facts), clock(facts), synchronisation(facts), monotonic(facts),
    ]
    checks += [openFiles(facts), coreDumps(facts), DoctorCheck("compiler", .ok, facts.compiler)]
    return DoctorReport(checks: checks)
  }

  private static func library(_ library: SystemFacts.Library) -> DoctorCheck {
    let name = "library \(library.name)"
    guard let built = library.builtWith, isOlder(library.linked, than: built) else {
      return DoctorCheck(name, .ok, library.linked)
    }
    return DoctorCheck(
      name, .warn, "\(library.linked), older than \(built), which this program was built with",
      advice: "run make setup and build again")
  }

  /// Compares versions such as `1.2.13` number by number.
  static func isOlder(_ first: String, than second: String) -> Bool {
    func numbers(_ text: String) -> [Int] {
      text.split { !$0.isASCII || !$0.isNumber }.map { Int($0) ?? 0 }
    }
    return numbers(first).lexicographicallyPrecedes(numbers(second))
  }

  private static func disk(_ facts: SystemFacts) -> DoctorCheck {
    guard let disk = facts.disk, disk.totalBytes > 0 else {
      return DoctorCheck(
        "disk", .fail, "cannot examine \(facts.folder): \(facts.diskProblem ?? "unknown reason")",
        advice: "name a folder that exists")
    }
    let share = Double(disk.freeBytes) / Double(disk.totalBytes)
    let percent = JSONValue.rounded(share * 100, 1).text ?? "0"
    let detail =
      "\(bytesText(disk.freeBytes)) free of \(bytesText(disk.totalBytes)) (\(percent) %) at \(facts.folder)"
    if disk.freeBytes < diskBytesNeeded {
      return DoctorCheck("disk", .fail, detail, advice: "free some space or choose another disk")
    }
    if share < diskShareMin || disk.freeBytes < diskBytesMin {
      return DoctorCheck(
        "disk", .warn, detail, advice: "keep 20 % and \(bytesText(diskBytesMin)) free, or choose another disk"
      )
    }
    return DoctorCheck("disk", .ok, detail)
  }

  private static func writing(_ facts: SystemFacts) -> DoctorCheck {
    guard let problem = facts.writeProblem else {
      return DoctorCheck("write permission", .ok, "a file can be written and synced in \(facts.folder)")
    }
    return DoctorCheck(
      "write permission", .fail, problem,
      advice: "choose a folder you may write to, or change its permissions")
  }

  private static func memory(_ facts: SystemFacts) -> DoctorCheck {
    guard let bytes = facts.memoryAvailableBytes else {
      return DoctorCheck("memory", .ok, "unknown: /proc/meminfo cannot be read")
    }
    let detail = "\(bytesText(bytes)) available"
    if bytes < memoryBytesMin {
      return DoctorCheck(
        "memory", .warn, detail,
        advice: "\(bytesText(memoryBytesMin)) are needed for all services; stop something else"
      )
    }
    return DoctorCheck("memory", .ok, detail)
  }

  private static func clock(_ facts: SystemFacts) -> DoctorCheck {
    let date = UTCDate(facts.realTime)
    let detail = "\(date.dayText) \(date.timeText) UTC"
    if date.year < yearMin {
      return DoctorCheck("clock", .fail, detail, advice: "set the date, for instance with timedatectl")
    }
    return DoctorCheck("clock", .ok, detail)
  }

  private static func synchronisation(_ facts: SystemFacts) -> DoctorCheck {
    let name = "clock synchronisation"
    switch facts.clockIsSynchronised {
    case true: return DoctorCheck(name, .ok, "synchronised")
    case false:
      return DoctorCheck(
        name, .warn, "the kernel's clock is not synchronised",
        advice: "run a time service such as systemd-timesyncd or chrony; latencies are measured by this clock"
      )
    case nil: return DoctorCheck(name, .ok, "unknown: the kernel does not tell")
    }
  }

  private static func monotonic(_ facts: SystemFacts) -> DoctorCheck {
    facts.monotonicClockWorks
      ? DoctorCheck("monotonic clock", .ok, "runs forward")
      : DoctorCheck("monotonic clock", .fail, "does not run forward", advice: "report this machine's kernel")
  }

  private static func openFiles(_ facts: SystemFacts) -> DoctorCheck {
    guard let limit = facts.openFilesMax else { return DoctorCheck("open files", .ok, "no limit") }
    if limit < openFilesMin {
      return DoctorCheck(
        "open files", .warn, "at most \(limit)", advice: "run ulimit -n \(openFilesMin) or more")
    }
    return DoctorCheck("open files", .ok, "at most \(limit)")
  }

  private static func coreDumps(_ facts: SystemFacts) -> DoctorCheck {
    switch facts.coreDumpBytesMax {
    case nil: DoctorCheck("core dumps", .ok, "written whole")
    case 0: DoctorCheck("core dumps", .ok, "off; ulimit -c unlimited turns them on")
    case let limit?: DoctorCheck("core dumps", .ok, "cut at \(limit) bytes")
    }
  }
}

/// `512 MB`, `24.7 GB`, in powers of a thousand.
private func bytesText(_ bytes: Int64) -> String {
  let gigabytes = Double(bytes) / 1e9
  if gigabytes >= 1 { return (JSONValue.rounded(gigabytes, 1).text ?? "0") + " GB" }
  return (JSONValue.rounded(Double(bytes) / 1e6, 0).text ?? "0") + " MB"
}
