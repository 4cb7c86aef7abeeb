import Glibc

/// The one clock of the tape: it paces syncing and bounds waiting. Nothing of it reaches a record, so
/// `scripts/tidy.sh` lets this file, and no other of the target, read it.
enum PaceClock {
  static func milliseconds() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
  }
}
