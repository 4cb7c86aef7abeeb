import Glibc
import Synchronization

/// The way into a loop from other threads.
public struct LoopHandle: Sendable {
  let inbox: LoopInbox

  /// Runs a job on the loop's thread, after those posted before.
  ///
  /// - Returns: false when the loop has ended, or when ``LoopInbox/jobsMax`` jobs wait: the job will not run.
  @discardableResult
  public func post(_ job: @escaping @Sendable (EventLoop) -> Void) -> Bool { inbox.post(job) }
}

/// Jobs on their way to a loop. The descriptor is written only under the lock that also ends it, so a handle
/// that outlives its loop cannot write to a descriptor that has become somebody else's.
final class LoopInbox: Sendable {
  static let jobsMax = 65_536

  private struct State {
    var jobs: [@Sendable (EventLoop) -> Void] = []
    var descriptor: Int32 = -1
  }

  private let state = Mutex(State())

  func open(_ descriptor: Int32) { state.withLock { $0.descriptor = descriptor } }

  func close() {
    state.withLock {
      $0.descriptor = -1
      $0.jobs = []
    }
  }

  func post(_ job: @escaping @Sendable (EventLoop) -> Void) -> Bool {
    state.withLock {
      guard $0.descriptor >= 0, $0.jobs.count < LoopInbox.jobsMax else { return false }
      $0.jobs.append(job)
      if $0.jobs.count == 1 {
        var one: UInt64 = 1
        _ = write($0.descriptor, &one, 8)
      }
      return true
    }
  }

  func take() -> [@Sendable (EventLoop) -> Void] {
    state.withLock {
      let jobs = $0.jobs
      $0.jobs = []
      return jobs
    }
  }
}
