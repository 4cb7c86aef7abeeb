/// The distinct values of a column in the order in which they came, and each row's place among them.
///
/// Open addressing by Fibonacci hashing (D. Knuth, "The Art of Computer Programming" 3, 6.4): prices and
/// quantities are multiples of a step, which the multiplication spreads evenly. At most ``entriesMax``
/// values.
final class ValueDictionary {
  static let entriesMax = 1 << 16
  private static let slotsMin = 1 << 12

  private(set) var count = 0
  let entries = UnsafeMutablePointer<Int64>.allocate(capacity: ValueDictionary.entriesMax)
  private(set) var indices: UnsafeMutablePointer<UInt32>
  private var indexCapacity = 1 << 12
  /// Place among the entries + 1; 0 where there is none. Never more than half full.
  private let slots = UnsafeMutablePointer<UInt32>.allocate(capacity: 2 * ValueDictionary.entriesMax)
  private var slotCount = ValueDictionary.slotsMin

  init() { indices = .allocate(capacity: indexCapacity) }

  deinit {
    entries.deallocate()
    indices.deallocate()
    slots.deallocate()
  }

  /// Fills ``indices``.
  ///
  /// - Returns: false when there are more distinct values than `entriesMax`.
  func encode(_ values: UnsafePointer<Int64>, _ rows: Int, entriesMax: Int) -> Bool {
    reserveIndices(rows)
    let limit = min(entriesMax, ValueDictionary.entriesMax)
    count = 0
    slotCount = ValueDictionary.slotsMin
    slots.update(repeating: 0, count: slotCount)
    let indices = indices
    let entries = entries
    let slots = slots
    var mask = slotCount &- 1
    var shift = UInt64(slotCount.leadingZeroBitCount &+ 1)
    for row in 0..<rows {
      let value = values[row]
      var slot = ValueDictionary.slot(of: value, shift)
      while true {
        let place = slots[slot]
        if place == 0 {
          if count == limit { return false }
          entries[count] = value
          count &+= 1
          slots[slot] = UInt32(truncatingIfNeeded: count)
          indices[row] = UInt32(truncatingIfNeeded: count &- 1)
          if count &* 2 > slotCount {
            grow()
            mask = slotCount &- 1
            shift = UInt64(slotCount.leadingZeroBitCount &+ 1)
          }
          break
        }
        if entries[Int(place &- 1)] == value {
          indices[row] = place &- 1
          break
        }
        slot = (slot &+ 1) & mask
      }
    }
    return true
  }

  /// Room for so many indices, for a caller who knows the codes already.
  func reserveIndices(_ rows: Int) {
    guard rows > indexCapacity else { return }
    while indexCapacity < rows { indexCapacity *= 2 }
    indices.deallocate()
    indices = .allocate(capacity: indexCapacity)
  }

  @inline(__always)
  private static func slot(of value: Int64, _ shift: UInt64) -> Int {
    Int(truncatingIfNeeded: (UInt64(bitPattern: value) &* 0x9E37_79B9_7F4A_7C15) &>> shift)
  }

  private func grow() {
    slotCount *= 2
    precondition(slotCount <= 2 * ValueDictionary.entriesMax)
    slots.update(repeating: 0, count: slotCount)
    let shift = UInt64(slotCount.leadingZeroBitCount + 1)
    for index in 0..<count {
      var slot = ValueDictionary.slot(of: entries[index], shift)
      while slots[slot] != 0 { slot = (slot + 1) & (slotCount - 1) }
      slots[slot] = UInt32(index + 1)
    }
  }
}
