/// One side of the book as a ring of ticks, with the list of levels that changed since it was last published.
///
/// A live tick and its slot are one to one while all live ticks lie within ``slotCount`` of one another,
/// which ``SymbolMarket`` guarantees by its window. Reads and writes are one array access.
struct Ladder: ~Copyable {
  static let slotCount = 8192
  private static let mask = slotCount - 1

  private let quantities: UnsafeMutablePointer<Int64>
  private let stamps: UnsafeMutablePointer<UInt32>
  private let changes: UnsafeMutablePointer<Int>
  private var changeCount = 0
  private var window: UInt32 = 1

  init() {
    quantities = .allocate(capacity: Ladder.slotCount)
    quantities.initialize(repeating: 0, count: Ladder.slotCount)
    stamps = .allocate(capacity: Ladder.slotCount)
    stamps.initialize(repeating: 0, count: Ladder.slotCount)
    changes = .allocate(capacity: Ladder.slotCount)
    changes.initialize(repeating: 0, count: Ladder.slotCount)
  }

  deinit {
    quantities.deallocate()
    stamps.deallocate()
    changes.deallocate()
  }

  @inline(__always)
  subscript(tick: Int) -> Int64 { quantities[tick & Ladder.mask] }

  /// Sets a level's quantity and notes that it changed.
  @inline(__always)
  mutating func set(_ tick: Int, _ quantity: Int64) {
    assert(quantity >= 0)
    let slot = tick & Ladder.mask
    quantities[slot] = quantity
    if stamps[slot] != window {
      stamps[slot] = window
      changes[changeCount] = tick
      changeCount &+= 1
    }
  }

  /// The ticks that changed since ``publish()``, each once, in no order until ``sortChanges()``.
  var changed: UnsafeBufferPointer<Int> { UnsafeBufferPointer(start: changes, count: changeCount) }

  /// Puts the changed ticks in rising order, as the exchange lists them.
  mutating func sortChanges() {
    if changeCount > 64 {
      var buffer = UnsafeMutableBufferPointer(start: changes, count: changeCount)
      buffer.sort()
      return
    }
    var index = 1
    while index < changeCount {
      let tick = changes[index]
      var hole = index
      while hole > 0, changes[hole &- 1] > tick {
        changes[hole] = changes[hole &- 1]
        hole &-= 1
      }
      changes[hole] = tick
      index &+= 1
    }
  }

  /// Forgets the changes: the next window begins.
  mutating func publish() {
    changeCount = 0
    window &+= 1
    if window == 0 {
      stamps.update(repeating: 0, count: Ladder.slotCount)
      window = 1
    }
  }
}
