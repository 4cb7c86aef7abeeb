/// Events by virtual time; those of one time in the order they were put in.
struct EventQueue<Event> {
  private struct Entry {
    var time: Int64
    var serial: Int
    var event: Event

    func precedes(_ other: Entry) -> Bool { time != other.time ? time < other.time : serial < other.serial }
  }

  private var heap: [Entry] = []
  private var serial = 0

  var count: Int { heap.count }
  var nextTime: Int64 { heap.first?.time ?? .max }

  mutating func add(at time: Int64, _ event: Event) {
    serial += 1
    heap.append(Entry(time: time, serial: serial, event: event))
    var place = heap.count - 1
    while place > 0, heap[place].precedes(heap[(place - 1) / 2]) {
      heap.swapAt(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  mutating func next() -> (time: Int64, event: Event)? {
    guard let first = heap.first else { return nil }
    let tail = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = tail
      var place = 0
      while true {
        var least = place
        for child in [2 * place + 1, 2 * place + 2]
        where child < heap.count && heap[child].precedes(heap[least]) { least = child }
        if least == place { break }
        heap.swapAt(place, least)
        place = least
      }
    }
    return (first.time, first.event)
  }
}
