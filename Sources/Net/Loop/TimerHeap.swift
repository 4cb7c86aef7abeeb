/// Names a timer of an ``EventLoop``.
public struct TimerID: Hashable, Sendable {
  var serial: UInt64
}

/// Timers by deadline; equal deadlines run in the order they were set.
///
/// A cancelled timer gives up its job at once and its place in the heap when it comes up, or when such places
/// make up most of the heap.
struct TimerHeap {
  private struct Entry {
    var deadlineNs: Int64
    var serial: UInt64

    func precedes(_ other: Entry) -> Bool {
      deadlineNs != other.deadlineNs ? deadlineNs < other.deadlineNs : serial < other.serial
    }
  }

  private var heap: [Entry] = []
  private var jobs: [UInt64: () -> Void] = [:]
  private var nextSerial: UInt64 = 0

  var nextDeadlineNs: Int64 { heap.first?.deadlineNs ?? .max }

  mutating func add(_ deadlineNs: Int64, _ job: @escaping () -> Void) -> TimerID {
    nextSerial += 1
    jobs[nextSerial] = job
    heap.append(Entry(deadlineNs: deadlineNs, serial: nextSerial))
    siftUp(heap.count - 1)
    return TimerID(serial: nextSerial)
  }

  mutating func cancel(_ timer: TimerID) {
    jobs[timer.serial] = nil
    guard heap.count > 64, jobs.count < heap.count / 2 else { return }
    heap.removeAll { jobs[$0.serial] == nil }
    // A sorted array is a heap.
    heap.sort { $0.precedes($1) }
  }

  /// The timer set last.
  var lastSerial: UInt64 { nextSerial }

  /// Takes the next job that is due, of those set no later than `last`.
  ///
  /// Jobs are run by the caller, one after the other, because they may set and cancel timers. One that is set
  /// for now waits for the next round, so a timer that renews itself cannot hold the loop.
  mutating func takeDue(_ nowNs: Int64, setUntil last: UInt64) -> (() -> Void)? {
    while let first = heap.first, first.deadlineNs <= nowNs, first.serial <= last {
      removeFirst()
      if let job = jobs.removeValue(forKey: first.serial) { return job }
    }
    return nil
  }

  private mutating func removeFirst() {
    let tail = heap.removeLast()
    guard !heap.isEmpty else { return }
    heap[0] = tail
    var place = 0
    while true {
      var least = place
      for child in [2 * place + 1, 2 * place + 2]
      where child < heap.count && heap[child].precedes(heap[least]) { least = child }
      if least == place { return }
      heap.swapAt(place, least)
      place = least
    }
  }

  private mutating func siftUp(_ start: Int) {
    var place = start
    while place > 0, heap[place].precedes(heap[(place - 1) / 2]) {
      heap.swapAt(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }
}
