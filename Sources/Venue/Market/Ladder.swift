/// One side of the book as a ring of ticks, with the list of levels that changed since it was last published.
///
/// A live tick and its slot are one to one while all live ticks lie within ``slotCount`` of one another,
/// which ``SymbolMarket`` guarantees by its window. Reads and writes are one array access.
struct Ladder: ~Copyable {
  /// Of the generated market, whose reach is ``DepthProfile/reachDefault``.
  static let slotCount = 8192
  private let slotCount: Int
  private let mask: Int

  private let quantities: UnsafeMutablePointer<Int64>
  private let stamps: UnsafeMutablePointer<UInt32>
  private let changes: UnsafeMutablePointer<Int>
  /// What the changed levels held when the window opened, in the order in which they first changed.
  private let origins: UnsafeMutablePointer<Origin>
  private var changeCount = 0
  private var window: UInt32 = 1

  struct Origin {
    var tick: Int
    var quantity: Int64
  }

  /// - Parameter slotCount: a power of two; more than the ticks that may be alive or have been within a window.
  init(slotCount: Int = Ladder.slotCount) {
    precondition(slotCount > 0 && slotCount & (slotCount - 1) == 0)
    self.slotCount = slotCount
    mask = slotCount - 1
    quantities = .allocate(capacity: slotCount)
    quantities.initialize(repeating: 0, count: slotCount)
    stamps = .allocate(capacity: slotCount)
    stamps.initialize(repeating: 0, count: slotCount)
    changes = .allocate(capacity: slotCount)
    origins = .allocate(capacity: slotCount)
  }

  deinit {
    quantities.deallocate()
    stamps.deallocate()
    changes.deallocate()
    origins.deallocate()
  }

  @inline(__always)
  subscript(tick: Int) -> Int64 { quantities[tick & mask] }

  /// Sets a level's quantity and notes that it changed.
  @inline(__always)
  mutating func set(_ tick: Int, _ quantity: Int64) {
    assert(quantity >= 0)
    let slot = tick & mask
    if stamps[slot] != window {
      stamps[slot] = window
      changes.advanced(by: changeCount).initialize(to: tick)
      origins.advanced(by: changeCount).initialize(to: Origin(tick: tick, quantity: quantities[slot]))
      changeCount &+= 1
    }
    quantities[slot] = quantity
  }

  /// The ticks that changed since ``publish()``, each once, in no order until ``sortChanges()``.
  var changed: UnsafeBufferPointer<Int> { UnsafeBufferPointer(start: changes, count: changeCount) }

  /// The changed levels as they were when the window opened.
  var changedFrom: UnsafeBufferPointer<Origin> { UnsafeBufferPointer(start: origins, count: changeCount) }

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
      stamps.update(repeating: 0, count: slotCount)
      window = 1
    }
  }
}
