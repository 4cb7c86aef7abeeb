/// A binary heap of moments with what is due at them; equal moments in order of `tie`.
struct TimeHeap {
  struct Entry {
    var time: Int64
    var tie: Int64
    var value: Int

    @inline(__always)
    func isBefore(_ other: Entry) -> Bool { time != other.time ? time < other.time : tie < other.tie }
  }

  private var entries: [Entry] = []

  var count: Int { entries.count }
  @inline(__always)
  var first: Entry? { entries.first }

  mutating func insert(_ entry: Entry) {
    entries.append(entry)
    var child = entries.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      if !entries[child].isBefore(entries[parent]) { break }
      entries.swapAt(child, parent)
      child = parent
    }
  }

  /// Moves the first entry to a later time.
  @inline(__always)
  mutating func postponeFirst(to time: Int64) {
    entries[0].time = time
    sink()
  }

  mutating func removeFirst() -> Entry {
    let first = entries[0]
    let last = entries.removeLast()
    if !entries.isEmpty {
      entries[0] = last
      sink()
    }
    return first
  }

  private mutating func sink() {
    entries.withUnsafeMutableBufferPointer { entries in
      let count = entries.count
      let moving = entries[0]
      var parent = 0
      while true {
        var child = 2 &* parent &+ 1
        if child >= count { break }
        if child &+ 1 < count, entries[child &+ 1].isBefore(entries[child]) { child &+= 1 }
        if !entries[child].isBefore(moving) { break }
        entries[parent] = entries[child]
        parent = child
      }
      entries[parent] = moving
    }
  }
}
