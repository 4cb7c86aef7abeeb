import CCrypto
import CSQLite
import CSystem
import CYAML
import CZlib
import CZstd
import Core
import Glibc

extension SystemFacts {
  /// Measures this machine, writing and removing one small file in `folder`.
  public static func measure(folder: String = ".") -> SystemFacts {
    var facts = SystemFacts()
    facts.libraries = linkedLibraries()
    facts.kernel = kernelText()
    facts.processorCount = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    facts.folder = folder
    var volume = statvfs()
    if statvfs(folder, &volume) == 0 {
      let block = Int64(clamping: volume.f_frsize)
      facts.disk = Disk(
        totalBytes: Int64(clamping: volume.f_blocks).multipliedClamping(by: block),
        freeBytes: Int64(clamping: volume.f_bavail).multipliedClamping(by: block))
    } else {
      facts.diskProblem = String(cString: strerror(errno))
    }
    facts.writeProblem = writeProblem(in: folder)
    facts.memoryAvailableBytes = memoryAvailableBytes()
    facts.realTime = UnixNanos(now(CLOCK_REALTIME))
    facts.clockIsSynchronised = clockIsSynchronised()
    let first = now(CLOCK_MONOTONIC)
    facts.monotonicClockWorks = first > 0 && now(CLOCK_MONOTONIC) >= first
    facts.openFilesMax = limit(RLIMIT_NOFILE)
    facts.coreDumpBytesMax = limit(RLIMIT_CORE)
    facts.compiler = compilerText
    return facts
  }

  private static func linkedLibraries() -> [Library] {
    [
      Library(name: "zlib", linked: String(cString: zlibVersion()), builtWith: ZLIB_VERSION),
      Library(
        name: "zstd", linked: String(cString: ZSTD_versionString()),
        builtWith: "\(ZSTD_VERSION_MAJOR).\(ZSTD_VERSION_MINOR).\(ZSTD_VERSION_RELEASE)"),
      Library(name: "sqlite3", linked: String(cString: sqlite3_libversion()), builtWith: SQLITE_VERSION),
      Library(name: "libyaml", linked: String(cString: yaml_get_version_string())),
      Library(
        name: "libcrypto", linked: String(cString: OpenSSL_version(OPENSSL_VERSION_STRING)),
        builtWith: OPENSSL_VERSION_STR),
    ]
  }

  private static func kernelText() -> String {
    var name = utsname()
    guard uname(&name) == 0 else { return "unknown" }
    func text<Field>(_ field: Field) -> String {
      withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    return "\(text(name.sysname)) \(text(name.release)) \(text(name.machine))"
  }

  private static func writeProblem(in folder: String) -> String? {
    let path = "\(folder)/.weir-doctor-\(getpid())"
    do throws(FileError) {
      defer { unlink(path) }
      let file = try File(path, .create)
      let byte: [UInt8] = [0x0A]
      var failure: FileError?
      byte.withUnsafeBytes { bytes in
        do throws(FileError) { try file.write(bytes) } catch { failure = error }
      }
      if let failure { throw failure }
      try file.sync()
      return nil
    } catch {
      return error.description
    }
  }

  /// What the kernel deems available, or what the memory group leaves, whichever is less.
  private static func memoryAvailableBytes() -> Int64? {
    func number(_ path: String) -> Int64? {
      guard let bytes = try? Files.read(path, bytesMax: 4096) else { return nil }
      return Int64(String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace })
    }
    var available: Int64?
    if let bytes = try? Files.read("/proc/meminfo", bytesMax: 1 << 16) {
      for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n")
      where line.hasPrefix("MemAvailable:") {
        let words = line.split(separator: " ")
        if words.count > 1, let kibibytes = Int64(words[1]) { available = kibibytes * 1024 }
      }
    }
    // The memory group's limit is "max" when there is none, which is no number.
    if let limit = number("/sys/fs/cgroup/memory.max"), let used = number("/sys/fs/cgroup/memory.current") {
      available = min(available ?? .max, max(0, limit - used))
    }
    return available
  }

  private static func clockIsSynchronised() -> Bool? {
    var state = timex()
    let result = adjtimex(&state)
    if result < 0 { return nil }
    return result != TIME_ERROR && state.status & STA_UNSYNC == 0
  }

  private static func now(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    guard clock_gettime(clock, &time) == 0 else { return 0 }
    return Int64(time.tv_sec) * Nanoseconds.second + Int64(time.tv_nsec)
  }

  private static func limit(_ resource: __rlimit_resource) -> UInt64? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0 else { return nil }
    return limit.rlim_cur == .max ? nil : UInt64(limit.rlim_cur)
  }

  private static var compilerText: String {
    #if compiler(>=6.4)
      "Swift 6.4 or later"
    #elseif compiler(>=6.3)
      "Swift 6.3"
    #else
      "Swift before 6.3"
    #endif
  }
}

extension Int64 {
  fileprivate func multipliedClamping(by other: Int64) -> Int64 {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? .max : product
  }
}
