import CSystem
import Glibc

/// Signals as events. They are blocked for the thread (and those it starts later) while the source lives, so
/// make it before any thread is started.
final class SignalSource: EventSource {
  private var mask = sigset_t()
  private let job: (Int32) -> Void

  init(_ numbers: [Int32], _ job: @escaping (Int32) -> Void) throws(NetError) {
    self.job = job
    sigemptyset(&mask)
    for number in numbers { sigaddset(&mask, number) }
    pthread_sigmask(SIG_BLOCK, &mask, nil)
    let descriptor = signalfd(-1, &mask, Int32(weir_signal_flags))
    guard descriptor >= 0 else { throw .system("wait for signals", errno) }
    super.init(descriptor: descriptor)
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
    pthread_sigmask(SIG_UNBLOCK, &mask, nil)
  }

  override func ready(_ events: Interest) {
    var info = signalfd_siginfo()
    while read(descriptor, &info, MemoryLayout<signalfd_siginfo>.size) == MemoryLayout<signalfd_siginfo>.size
    {
      job(Int32(info.ssi_signo))
    }
  }
}
