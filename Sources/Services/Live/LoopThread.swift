import Glibc
import Net
import Synchronization

/// An event loop on a thread of its own, for work that may block: `fdatasync`, slow queries.
public final class LoopThread: Sendable {
  private let handle: LoopHandle
  private let thread: pthread_t

  public init() throws(NetError) {
    let starting = Starting()
    let context = Unmanaged.passRetained(starting).toOpaque()
    var thread = pthread_t()
    // Signals belong to the loops that ask for them: a thread that doesn't block them would end the process.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    let code = pthread_create(
      &thread, nil,
      { context in
        let starting = Unmanaged<Starting>.fromOpaque(context!).takeRetainedValue()
        guard let loop = try? EventLoop() else {
          starting.answer(nil)
          return nil
        }
        starting.answer(loop.handle)
        loop.run()
        return nil
      }, context)
    pthread_sigmask(SIG_SETMASK, &before, nil)
    guard code == 0 else {
      Unmanaged<Starting>.fromOpaque(context).release()
      throw .system("start a thread", code)
    }
    guard let handle = starting.wait() else {
      pthread_join(thread, nil)
      throw .system("make an event loop", EMFILE)
    }
    self.handle = handle
    self.thread = thread
  }

  /// Ends the loop after the jobs posted so far, and waits for the thread.
  deinit {
    handle.post { $0.stop() }
    pthread_join(thread, nil)
  }

  @discardableResult
  public func post(_ job: @escaping @Sendable (EventLoop) -> Void) -> Bool { handle.post(job) }

  /// The new loop's handle on its way to the starter.
  private final class Starting: Sendable {
    private let handle = Mutex<LoopHandle?>(nil)
    private let isReady = Atomic<Bool>(false)

    func answer(_ handle: LoopHandle?) {
      self.handle.withLock { $0 = handle }
      isReady.store(true, ordering: .releasing)
    }

    func wait() -> LoopHandle? {
      while !isReady.load(ordering: .acquiring) { usleep(50) }
      return handle.withLock { $0 }
    }
  }
}
