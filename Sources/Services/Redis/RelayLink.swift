import Core
import Net
import Redis

/// A service's connection to the stream: there, or waited for with a backoff, and counted.
final class RelayLink {
  private let connector: RedisConnector
  private let name: String
  private var backoff: RedisBackoff
  private let note: (String) -> Void
  private(set) var stream: RecordStream?
  private(set) var connections = 0
  private(set) var failures = 0
  private static let waitNs = 20 * Nanoseconds.millisecond

  init(_ settings: RedisSettings, _ connector: RedisConnector, name: String, note: @escaping (String) -> Void)
  {
    self.connector = connector
    self.name = name
    self.note = note
    backoff = settings.backoff(seed: HarvestService.seedFromClock())
  }

  /// Runs a job with the stream. A passing failure closes the connection, is counted, and has the next call wait.
  ///
  /// - Parameters:
  ///   - opened: called with each new connection before the job.
  /// - Returns: what the job returns, else how long to wait.
  /// - Throws: what will not pass.
  func use(
    opened: (RecordStream) throws -> Void, _ job: (RecordStream) throws -> Int64?
  ) throws -> Int64? {
    if stream == nil, !backoff.isDue(EventLoop.monotonicNow()) { return RelayLink.waitNs }
    do {
      if stream == nil {
        let new = RecordStream(name, on: try connector.connect())
        try opened(new)
        stream = new
        connections += 1
      }
      let result = try job(stream!)
      if backoff.failures > 0 { note("works again after \(backoff.failures) failures") }
      backoff.succeeded()
      return result
    } catch let error as RedisError where error.isPassing {
      if backoff.failures == 0 { note("\(error); the tape waits on this disk, and it is tried again") }
      stream = nil
      failures += 1
      backoff.failed(EventLoop.monotonicNow())
      return RelayLink.waitNs
    }
  }
}
