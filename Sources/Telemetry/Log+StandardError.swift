import Core
import Glibc

extension Log {
  /// A log on standard error.
  ///
  /// - Parameter format: `nil` for lines for a person on a terminal, JSON otherwise.
  public static func standardError(
    service: String, run: String? = nil, format: Format? = nil, level: Level = .info,
    eventsPerWindowMax: Int = 20, now: @escaping () -> UnixNanos
  ) -> Log {
    Log(
      service: service, run: run, format: format ?? (isatty(STDERR_FILENO) == 1 ? .human : .json),
      level: level, eventsPerWindowMax: eventsPerWindowMax, now: now,
      write: { writeLine($0, to: STDERR_FILENO) })
  }

  /// Writes all of `line`; where the descriptor does not block, it waits for a full pipe no longer than 100 ms.
  /// Every error is ignored: nobody can be told that the log is gone, and the service's work does not depend
  /// on it.
  static func writeLine(_ line: UnsafeRawBufferPointer, to descriptor: Int32) {
    var rest = line
    while let start = rest.baseAddress, !rest.isEmpty {
      let written = Glibc.write(descriptor, start, rest.count)
      if written >= 0 {
        rest = UnsafeRawBufferPointer(rebasing: rest[written...])
      } else if errno == EAGAIN {
        var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        if poll(&ready, 1, 100) == 0 { return }
      } else if errno != EINTR {
        return
      }
    }
  }
}
