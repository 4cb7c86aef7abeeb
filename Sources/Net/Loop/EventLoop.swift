import CSystem
import Core
import Glibc

/// What an ``EventLoop`` watches: anything with a file descriptor.
///
/// A source is owned by the loop from ``EventLoop/add(_:interest:)`` to ``EventLoop/remove(_:)``; only then may
/// its descriptor be closed.
open class EventSource {
  public internal(set) final var descriptor: Int32
  /// Place in the loop's table while it is watched.
  final var slot = -1
  final var interest = Interest()

  public init(descriptor: Int32) { self.descriptor = descriptor }

  public struct Interest: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let read = Interest(rawValue: UInt32(weir_epoll_in))
    public static let write = Interest(rawValue: UInt32(weir_epoll_out))
    /// Error or hang-up: always reported, never asked for.
    public static let failure = Interest(
      rawValue: UInt32(weir_epoll_error | weir_epoll_hangup))
  }

  /// The descriptor is ready. Runs on the loop's thread.
  open func ready(_ events: Interest) {}

  /// Called every ``EventLoop/sweepIntervalNs`` for deadlines that need no timer of their own.
  open func sweep(nowNs: Int64) {}

  /// The loop ends; whatever is open must be closed. The source has been removed already.
  open func loopEnded() {}
}

/// One thread's events: descriptors, timers, signals and jobs from other threads.
///
/// **Problem.** Every service waits for many things at once and must stay fast and simple to reason about:
/// a handler sees a consistent world, nothing runs behind its back.
///
/// **Why the obvious answer fails.** A task per connection costs a hop between threads per message (6 µs
/// measured, against a budget of 1 µs for a whole frame) and gives no order between connections. A loop that
/// puts object addresses into the kernel's event data hands out dangling pointers when one handler closes the
/// next handler's connection in the same batch of events.
///
/// **Algorithm.** One epoll set, one thread. A source sits in a slot table; the kernel carries slot and
/// generation, so an event for a source that is gone is ignored. Handlers run synchronously, one at a time.
/// Output is gathered during a turn and written at its end (``atTurnEnd(_:)``), so that a burst is one
/// system call. Timers are a heap under one timerfd. Other threads reach the loop only by a ``LoopHandle``.
///
/// A loop is not Sendable. When it is released, or ``run()`` returns, all sources are told and dropped:
/// nothing that belongs to a loop stays alive in the kernel longer than the loop.
public final class EventLoop {
  /// How often ``EventSource/sweep(nowNs:)`` is called.
  public static let sweepIntervalNs: Int64 = 100 * Nanoseconds.millisecond
  private static let eventsPerTurnMax = 256

  private let epoll: Int32
  private let wake: Int32
  private let alarm: Int32
  private var sources: [EventSource?] = []
  private var generations: [UInt32] = []
  private var freeSlots: [Int] = []
  private var timers = TimerHeap()
  private var armedFor: Int64 = .max
  private var turnEnds: [() -> Void] = []
  /// Connections with output that no event will announce.
  private var dirty: [Connection] = []
  private var again: [EventSource] = []
  private var signals: SignalSource?
  private let inbox = LoopInbox()
  /// Answers awaited from other threads.
  private var answers: [UInt64: Any] = [:]
  private var nextTicket: UInt64 = 0
  private var isRunning = false
  private var mustStop = false
  private var nextSweepNs: Int64 = 0
  /// Monotonic time, read once a turn.
  public private(set) var nowNs: Int64 = 0
  /// Turns so far.
  public private(set) var turns = 0

  private static let wakeMark = UInt64.max
  private static let alarmMark = UInt64.max - 1

  /// - Throws: ``NetError`` when the system has no descriptors left.
  public init() throws(NetError) {
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    wake = eventfd(0, Int32(weir_event_flags))
    alarm = timerfd_create(CLOCK_MONOTONIC, Int32(weir_timer_flags))
    guard epoll >= 0, wake >= 0, alarm >= 0 else { throw .system("make an event loop", errno) }
    // A peer that goes away must be an error of the write, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    for (descriptor, mark) in [(wake, EventLoop.wakeMark), (alarm, EventLoop.alarmMark)] {
      var event = epoll_event()
      event.events = UInt32(weir_epoll_in)
      event.data.u64 = mark
      guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
        throw .system("make an event loop", errno)
      }
    }
    inbox.open(wake)
    nowNs = EventLoop.monotonicNow()
  }

  deinit {
    end()
    inbox.close()
    for descriptor in [epoll, wake, alarm] where descriptor >= 0 { close(descriptor) }
  }

  /// For jobs from other threads. May be kept longer than the loop; posting is then refused.
  public var handle: LoopHandle { LoopHandle(inbox: inbox) }

  /// Sources that are watched.
  public var sourceCount: Int { sources.count - freeSlots.count }

  // MARK: Sources

  /// Watches a source and owns it from now on.
  public func add(_ source: EventSource, interest: EventSource.Interest) throws(NetError) {
    precondition(source.slot < 0, "a source is watched once")
    let slot: Int
    if let free = freeSlots.popLast() {
      slot = free
    } else {
      slot = sources.count
      sources.append(nil)
      generations.append(0)
    }
    generations[slot] &+= 1
    var event = self.event(slot, interest)
    guard epoll_ctl(epoll, EPOLL_CTL_ADD, source.descriptor, &event) == 0 else {
      freeSlots.append(slot)
      throw .system("watch a descriptor", errno)
    }
    sources[slot] = source
    source.slot = slot
    source.interest = interest
  }

  public func setInterest(_ source: EventSource, _ interest: EventSource.Interest) {
    guard source.slot >= 0, source.interest != interest else { return }
    source.interest = interest
    var event = self.event(source.slot, interest)
    _ = epoll_ctl(epoll, EPOLL_CTL_MOD, source.descriptor, &event)
  }

  /// Stops watching; the source may close its descriptor now.
  public func remove(_ source: EventSource) {
    guard source.slot >= 0 else { return }
    _ = epoll_ctl(epoll, EPOLL_CTL_DEL, source.descriptor, nil)
    sources[source.slot] = nil
    generations[source.slot] &+= 1
    freeSlots.append(source.slot)
    source.slot = -1
  }

  private func event(_ slot: Int, _ interest: EventSource.Interest) -> epoll_event {
    var event = epoll_event()
    event.events = interest.rawValue
    event.data.u64 = UInt64(generations[slot]) << 32 | UInt64(slot)
    return event
  }

  /// Calls the source again in the next turn, without waiting: it stopped early out of fairness, and what is
  /// left lies in a buffer that the kernel doesn't know of (TLS).
  func callAgain(_ source: EventSource) { again.append(source) }

  func writeAtTurnEnd(_ connection: Connection) { dirty.append(connection) }

  /// Writing may have a delegate write more: that goes out in the same pass, once more at most.
  private func writeDirty() {
    for _ in 0..<2 where !dirty.isEmpty {
      let waiting = dirty
      dirty.removeAll(keepingCapacity: true)
      for connection in waiting { connection.flush() }
    }
  }

  // MARK: Time

  /// Runs a job once, at a monotonic time.
  @discardableResult
  public func at(_ deadlineNs: Int64, _ job: @escaping () -> Void) -> TimerID {
    timers.add(deadlineNs, job)
  }

  @discardableResult
  public func after(_ delayNs: Int64, _ job: @escaping () -> Void) -> TimerID {
    timers.add(EventLoop.monotonicNow() + max(0, delayNs), job)
  }

  /// A timer that has run or was cancelled is ignored.
  public func cancel(_ timer: TimerID) { timers.cancel(timer) }

  /// Runs a job at the end of every turn, before waiting: the place to write what the turn gathered.
  public func atTurnEnd(_ job: @escaping () -> Void) { turnEnds.append(job) }

  /// Runs a job in the next turn.
  public func soon(_ job: @escaping () -> Void) { _ = timers.add(0, job) }

  /// Keeps what must not leave this thread until an answer from another one asks for it by its ticket.
  public func keep(_ answer: Any) -> UInt64 {
    nextTicket += 1
    answers[nextTicket] = answer
    return nextTicket
  }

  public func takeKept<Answer>(_ ticket: UInt64, as type: Answer.Type) -> Answer? {
    answers.removeValue(forKey: ticket) as? Answer
  }

  /// Signals are delivered as events of this loop, of the process, not of a thread.
  public func onSignals(_ numbers: [Int32], _ job: @escaping (Int32) -> Void) throws(NetError) {
    precondition(signals == nil, "signals are claimed once")
    let source = try SignalSource(numbers, job)
    try add(source, interest: .read)
    signals = source
  }

  public static func monotonicNow() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * Nanoseconds.second + Int64(time.tv_nsec)
  }

  public static func wallNow() -> UnixNanos {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return UnixNanos(Int64(time.tv_sec) * Nanoseconds.second + Int64(time.tv_nsec))
  }

  // MARK: Running

  /// Runs until ``stop()``; then every source is told that the loop has ended.
  public func run() {
    precondition(!isRunning, "a loop runs once at a time")
    isRunning = true
    mustStop = false
    while !mustStop { turn(waitNs: .max) }
    isRunning = false
    end()
  }

  /// Makes one turn, waiting at most so long: for tests, and for programs with a loop of their own.
  public func turn(waitNs: Int64) {
    for job in turnEnds { job() }
    writeDirty()
    var wait = waitNs
    if !again.isEmpty || !dirty.isEmpty || mustStop { wait = 0 }
    let sweepIn = max(0, nextSweepNs - EventLoop.monotonicNow())
    wait = min(wait, sweepIn)
    arm()
    withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: EventLoop.eventsPerTurnMax) { events in
      // Rounded up: waking before a deadline would only spin. Timers have the timerfd's resolution.
      let milliseconds = Int32(clamping: (wait + Nanoseconds.millisecond - 1) / Nanoseconds.millisecond)
      let count = epoll_wait(epoll, events.baseAddress!, Int32(EventLoop.eventsPerTurnMax), milliseconds)
      nowNs = EventLoop.monotonicNow()
      turns += 1
      let waiting = again
      again.removeAll(keepingCapacity: true)
      for index in 0..<max(0, Int(count)) { deliver(events[index]) }
      for source in waiting where source.slot >= 0 { source.ready(.read) }
    }
    let last = timers.lastSerial
    while let job = timers.takeDue(nowNs, setUntil: last) { job() }
    if nowNs >= nextSweepNs {
      nextSweepNs = nowNs + EventLoop.sweepIntervalNs
      for source in sources { source?.sweep(nowNs: nowNs) }
    }
  }

  /// Ends ``run()`` after this turn.
  public func stop() { mustStop = true }

  private func deliver(_ event: epoll_event) {
    let mark = event.data.u64
    if mark == EventLoop.wakeMark || mark == EventLoop.alarmMark {
      var count: UInt64 = 0
      _ = read(mark == EventLoop.wakeMark ? wake : alarm, &count, 8)
      if mark == EventLoop.alarmMark { armedFor = .max } else { for job in inbox.take() { job(self) } }
      return
    }
    let slot = Int(truncatingIfNeeded: mark & 0xFFFF_FFFF)
    guard generations[slot] == UInt32(truncatingIfNeeded: mark >> 32), let source = sources[slot] else {
      return
    }
    source.ready(EventSource.Interest(rawValue: event.events))
  }

  private func arm() {
    let deadline = timers.nextDeadlineNs
    guard deadline < armedFor else { return }
    armedFor = deadline
    // A zero time would disarm the timer.
    let at = max(1, deadline)
    var time = itimerspec(
      it_interval: timespec(),
      it_value: timespec(tv_sec: Int(at / Nanoseconds.second), tv_nsec: Int(at % Nanoseconds.second)))
    timerfd_settime(alarm, Int32(TFD_TIMER_ABSTIME), &time, nil)
  }

  private func end() {
    for source in sources.compactMap({ $0 }) {
      remove(source)
      source.loopEnded()
    }
    signals = nil
    timers = TimerHeap()
    turnEnds.removeAll()
    again.removeAll()
    dirty.removeAll()
    answers.removeAll()
  }
}
