import Glibc

/// The machine's steady clock, for progress display only; nothing a command computes may depend on it.
public enum MonotonicClock {
  public static func nanoseconds() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
  }
}
