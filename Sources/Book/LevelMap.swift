/// Quantities by price key for the levels far from the touch: open addressing, linear probing,
/// backward-shift deletion (no tombstones, so that a map that lives for days does not degrade).
///
/// It doubles when half full, up to ``countMax``; beyond that `set` reports failure and changes nothing.
struct LevelMap: ~Copyable {
  /// Far more levels than any venue keeps; the bound stops a corrupt feed from eating the memory.
  static let countMax = 1 << 18

  private(set) var count = 0
  private var capacity: Int
  private var shift: UInt64
  private var keys: UnsafeMutablePointer<Int64>
  /// 0 marks a free slot: a level of quantity 0 does not exist.
  private var quantities: UnsafeMutablePointer<Int64>

  init() {
    capacity = 1024
    shift = 54
    keys = .allocate(capacity: capacity)
    quantities = .allocate(capacity: capacity)
    quantities.initialize(repeating: 0, count: capacity)
  }

  deinit {
    keys.deallocate()
    quantities.deallocate()
  }

  @inline(__always)
  private func home(_ key: Int64) -> Int {
    // Fibonacci hashing; neighbouring ticks spread over the table.
    Int(truncatingIfNeeded: (UInt64(bitPattern: key) &* 0x9E37_79B9_7F4A_7C15) >> shift)
  }

  /// Sets or, with quantity 0, removes a level. `false` when the map is full.
  mutating func set(_ key: Int64, _ quantity: Int64) -> Bool {
    var slot = home(key)
    while quantities[slot] != 0 {
      if keys[slot] == key {
        if quantity != 0 { quantities[slot] = quantity } else { remove(at: slot) }
        return true
      }
      slot = (slot + 1) & (capacity - 1)
    }
    if quantity == 0 { return true }
    if count * 2 >= capacity {
      guard count < LevelMap.countMax else { return false }
      grow()
      return set(key, quantity)
    }
    keys[slot] = key
    quantities[slot] = quantity
    count += 1
    return true
  }

  func quantity(_ key: Int64) -> Int64 {
    var slot = home(key)
    while quantities[slot] != 0 {
      if keys[slot] == key { return quantities[slot] }
      slot = (slot + 1) & (capacity - 1)
    }
    return 0
  }

  private mutating func remove(at start: Int) {
    var hole = start
    var slot = (start + 1) & (capacity - 1)
    while quantities[slot] != 0 {
      // An entry may move back into the hole unless its home lies between the hole and itself.
      let distance = (slot - home(keys[slot])) & (capacity - 1)
      if distance >= (slot - hole) & (capacity - 1) {
        keys[hole] = keys[slot]
        quantities[hole] = quantities[slot]
        hole = slot
      }
      slot = (slot + 1) & (capacity - 1)
    }
    quantities[hole] = 0
    count -= 1
  }

  private mutating func grow() {
    let oldKeys = keys
    let oldQuantities = quantities
    let oldCapacity = capacity
    capacity *= 2
    shift -= 1
    keys = .allocate(capacity: capacity)
    quantities = .allocate(capacity: capacity)
    quantities.initialize(repeating: 0, count: capacity)
    count = 0
    for slot in 0..<oldCapacity where oldQuantities[slot] != 0 { _ = set(oldKeys[slot], oldQuantities[slot]) }
    oldKeys.deallocate()
    oldQuantities.deallocate()
  }

  mutating func removeAll() {
    quantities.update(repeating: 0, count: capacity)
    count = 0
  }

  /// All levels in no particular order.
  func forEach(_ body: (_ key: Int64, _ quantity: Int64) -> Void) {
    for slot in 0..<capacity where quantities[slot] != 0 { body(keys[slot], quantities[slot]) }
  }
}
