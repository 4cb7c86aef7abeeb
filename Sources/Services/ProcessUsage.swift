import Glibc

/// Wall time, processor time and peak memory of this process.
struct ProcessUsage {
  var wallSeconds: Double
  var cpuSeconds: Double
  var maxRSSMiB: Double

  static func monotonicNs() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  static func now() -> ProcessUsage {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return ProcessUsage(
      wallSeconds: Double(monotonicNs()) / 1e9, cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
      maxRSSMiB: Double(usage.ru_maxrss) / 1024)
  }

  /// Times since another reading; the peak is the process's own.
  static func - (end: ProcessUsage, start: ProcessUsage) -> ProcessUsage {
    ProcessUsage(
      wallSeconds: end.wallSeconds - start.wallSeconds, cpuSeconds: end.cpuSeconds - start.cpuSeconds,
      maxRSSMiB: end.maxRSSMiB)
  }
}
