import Core
import Glibc

/// What a process uses, read from `/proc`.
///
/// Memory is the resident set of `statm`: the kernel keeps it as counters, so reading it costs microseconds
/// however large the process is. `smaps_rollup` walks every page table under the process's own memory lock,
/// which holds up the child that is measured (milliseconds at a few hundred MB); its proportional share would
/// be fairer for pages that services have in common, such as the binary's text, but a limit may err towards
/// caution, and operators compare with `ps` and `top`, which show this number. Kernels before 6.17 may be off
/// by some 64 pages a processor.
public struct ProcessSample: Equatable, Sendable {
  public var rssBytes: Int64
  public var openFiles: Int
  /// User and system time since its start.
  public var cpuSeconds: Double
  public var threads: Int
  /// Start of the process in clock ticks since boot; with the pid it names one process for ever.
  public var startTicks: Int64

  private static let pageBytes = Int64(sysconf(Int32(_SC_PAGESIZE)))
  private static let ticksPerSecond = Double(sysconf(Int32(_SC_CLK_TCK)))

  /// Nil when there is no such process, or it has ended and waits to be reaped, or it is another user's.
  public init?(pid: Int32) {
    let opened = open("/proc/\(pid)", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else { return nil }
    // The descriptor belongs to this process, not to its number: all readings are of the same one.
    let folder = Descriptor(opened)
    var usage: (cpuTicks: Int64, threads: Int64, startTicks: Int64)?
    let isRead = ProcFile.read("stat", in: folder.number) { usage = ProcessSample.usage(stat: $0) }
    var pages: Int64?
    _ = ProcFile.read("statm", in: folder.number) { text in
      var fields = ProcFields(text)
      fields.skip(1)
      pages = fields.number()
    }
    guard isRead, let usage, let pages, let openFiles = ProcessSample.openFiles(in: folder.number) else {
      return nil
    }
    rssBytes = pages * ProcessSample.pageBytes
    cpuSeconds = Double(usage.cpuTicks) / ProcessSample.ticksPerSecond
    threads = Int(usage.threads)
    startTicks = usage.startTicks
    self.openFiles = openFiles
  }

  /// See proc_pid_stat(5): fields 3 (state), 14 and 15 (time), 20 (threads), 22 (start).
  static func usage(
    stat text: UnsafeRawBufferPointer
  ) -> (cpuTicks: Int64, threads: Int64, startTicks: Int64)? {
    // The second field is the program's name in parentheses, which may hold anything, parentheses too.
    guard let name = text.lastIndex(of: 0x29) else { return nil }
    var fields = ProcFields(UnsafeRawBufferPointer(rebasing: text[(name + 1)...]))
    guard let state = fields.next()?.first, state != UInt8(ascii: "Z"), state != UInt8(ascii: "X") else {
      return nil
    }
    fields.skip(10)
    guard let user = fields.number(), let system = fields.number() else { return nil }
    fields.skip(4)
    guard let threads = fields.number() else { return nil }
    fields.skip(1)
    guard let start = fields.number() else { return nil }
    return (user + system, threads, start)
  }

  private static func openFiles(in folder: Int32) -> Int? {
    // Since Linux 6.2 the folder's size is the number of its entries.
    var status = stat()
    guard fstatat(folder, "fd", &status, 0) == 0 else { return nil }
    if status.st_size > 0 { return Int(status.st_size) }
    let opened = openat(folder, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0, let stream = fdopendir(opened) else {
      if opened >= 0 { close(opened) }
      return nil
    }
    defer { closedir(stream) }
    var entries = 0
    while readdir(stream) != nil { entries += 1 }
    // `.` and `..`
    return max(0, entries - 2)
  }
}

/// What the machine has left.
public enum HostResources {
  /// The share of memory that cannot be had any more, 0…1: 1 − MemAvailable / MemTotal of the whole machine.
  public static func memoryUsedRatio() -> Double? {
    var total: Int64?
    var available: Int64?
    _ = ProcFile.read("/proc/meminfo", in: AT_FDCWD) { text in
      total = ProcFields.value(of: "MemTotal:", in: text)
      available = ProcFields.value(of: "MemAvailable:", in: text)
    }
    guard let total, let available, total > 0 else { return nil }
    return 1 - Double(available) / Double(total)
  }

  /// The share of a folder's filesystem that this user may still write, 0…1, as `df` counts it.
  public static func diskFreeRatio(of folder: String) -> Double? {
    var volume = statvfs()
    guard statvfs(folder, &volume) == 0 else { return nil }
    let used = Double(volume.f_blocks) - Double(volume.f_bfree)
    let free = Double(volume.f_bavail)
    return used + free > 0 ? free / (used + free) : nil
  }

  /// How many descriptors this process, and a child of it, may have.
  public static func openFilesLimit() -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
    return Int(clamping: limit.rlim_cur)
  }
}

/// A small file of `/proc`, read at once onto the stack.
private enum ProcFile {
  private static let bytesMax = 4096

  /// - Returns: false when it cannot be read.
  static func read(_ name: String, in folder: Int32, _ body: (UnsafeRawBufferPointer) -> Void) -> Bool {
    let opened = openat(folder, name, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { return false }
    defer { close(opened) }
    return withUnsafeTemporaryAllocation(byteCount: bytesMax, alignment: 16) { buffer in
      let count = Glibc.read(opened, buffer.baseAddress, buffer.count)
      guard count > 0 else { return false }
      body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      return true
    }
  }
}

/// Fields between white space.
private struct ProcFields {
  private var rest: Slice<UnsafeRawBufferPointer>

  init(_ text: UnsafeRawBufferPointer) { rest = text[...] }

  mutating func next() -> Slice<UnsafeRawBufferPointer>? {
    rest = rest.drop { $0 <= 0x20 }
    let field = rest.prefix { $0 > 0x20 }
    rest = rest[field.endIndex...]
    return field.isEmpty ? nil : field
  }

  mutating func skip(_ count: Int) {
    for _ in 0..<count { _ = next() }
  }

  mutating func number() -> Int64? {
    guard let field = next() else { return nil }
    var value: Int64 = 0
    for byte in field {
      guard byte &- 0x30 <= 9 else { return nil }
      value = value &* 10 &+ Int64(byte &- 0x30)
    }
    return value
  }

  static func value(of name: StaticString, in text: UnsafeRawBufferPointer) -> Int64? {
    var fields = ProcFields(text)
    while let field = fields.next() {
      let isNamed = name.withUTF8Buffer { $0.elementsEqual(field) }
      if isNamed { return fields.number() }
    }
    return nil
  }
}
