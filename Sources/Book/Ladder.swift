/// One side of a book.
///
/// Nearly all updates fall within a few hundred ticks of the touch, a few hit prices tens of thousands of
/// ticks away, and the best quote must be known after every event. A sorted array pays a search and a move of
/// memory per update; a tree pays cache misses. Here the neighbourhood of the touch is an array indexed by
/// tick (a *window*), so an update is one division by the tick (a multiplication by its reciprocal) and one
/// store; the far levels live in a hash map; and the best level is followed incrementally: an addition can
/// only raise it, a removal of the best makes the end of the event walk down to the next level.
///
/// Levels are addressed by *key*: the price in ticks for bids, its negative for asks, so that a larger key is
/// a better price on both sides. The tick need not be known: it is the greatest common divisor of the prices
/// seen, and a price off that grid re-grids the side (rare, exact).
public struct Ladder: ~Copyable {
  /// Slots of the window; at a 0.1 tick 409.6 price units around the touch.
  public static let windowSlots = 4096

  @usableFromInline let slots: UnsafeMutablePointer<Int64>
  /// Key of slot 0.
  @usableFromInline var origin: Int64 = 0
  /// Slot of the best level; −1 when the window holds none.
  @usableFromInline var bestSlot = -1
  /// Highest slot that may hold a level.
  var topSlot = -1
  var far = LevelMap()
  @usableFromInline let sign: Int64
  @usableFromInline var tick: Int64 = 1
  private var reciprocal: UInt64 = 1 << 63 + 1
  /// Levels in the window.
  var isEmptyLadder = true
  /// The far map was full and a level could not be kept: the side is no longer the venue's.
  public internal(set) var isOverflowing = false

  public init(isBid: Bool) {
    sign = isBid ? 1 : -1
    slots = .allocate(capacity: Ladder.windowSlots)
    slots.initialize(repeating: 0, count: Ladder.windowSlots)
    setTick(1)
  }

  deinit { slots.deallocate() }

  mutating func setTick(_ newTick: Int64) {
    tick = newTick
    // ⌊2p·m / 2^64⌋ with m = ⌊2^63/t⌋ + 1 equals ⌊p/t⌋ while p·t < 2^63: the error term is below p/2^63.
    // Where that fails the product check in `apply` sends the price to the slow path.
    reciprocal = (1 << 63) / UInt64(newTick) + 1
  }

  /// Applies an event's levels to the side: absolute quantities, 0 removes. Afterwards the best level is known.
  ///
  /// - Complexity: O(count); O(levels) when a price is off the grid or leads far above the window.
  @inline(__always)
  mutating func apply(prices: UnsafePointer<Int64>, quantities: UnsafePointer<Int64>, count: Int) {
    var index = applyNear(prices, quantities, from: 0, count: count)
    while index < count {
      setFar(prices[index], quantities[index])
      index = applyNear(prices, quantities, from: index &+ 1, count: count)
    }
    settle()
  }

  /// Sets levels while they fall in the window; the index of the first that doesn't.
  @inline(__always)
  private mutating func applyNear(
    _ prices: UnsafePointer<Int64>, _ quantities: UnsafePointer<Int64>, from start: Int, count: Int
  ) -> Int {
    if isEmptyLadder { return start }
    // Fields are read once: the compiler cannot know that a store to a slot leaves them alone.
    let (slots, sign, tick, reciprocal, origin) = (slots, sign, tick, reciprocal, origin)
    var top = topSlot
    var index = start
    while index < count {
      let price = prices[index]
      let quantity = quantities[index]
      let ticks = Int64(bitPattern: (UInt64(bitPattern: price) << 1).multipliedFullWidth(by: reciprocal).high)
      let slot = Int(truncatingIfNeeded: ticks &* sign &- origin)
      guard UInt(bitPattern: slot) < UInt(Ladder.windowSlots), ticks &* tick == price else { break }
      slots[slot] = quantity
      let candidate = quantity != 0 ? slot : -1
      top = candidate > top ? candidate : top
      index &+= 1
    }
    topSlot = top
    return index
  }

  @inline(never)
  private mutating func setFar(_ price: Int64, _ quantity: Int64) {
    if price % tick != 0 {
      // A removal off the grid names a level that cannot exist.
      if quantity == 0 { return }
      regrid(greatestCommonDivisor(tick, price))
    }
    let key = price / tick * sign
    if isEmptyLadder {
      if quantity == 0 { return }
      isEmptyLadder = false
      origin = key - Int64(Ladder.windowSlots / 4 * 3)
    }
    let slot = key - origin
    if slot >= 0, slot < Int64(Ladder.windowSlots) {
      slots[Int(slot)] = quantity
      if quantity != 0 { topSlot = max(topSlot, Int(slot)) }
      return
    }
    if slot >= Int64(Ladder.windowSlots), quantity != 0 {
      recentre(on: key)
      slots[Int(key - origin)] = quantity
      topSlot = max(topSlot, Int(key - origin))
      return
    }
    if !far.set(key, quantity) { isOverflowing = true }
  }

  /// Finds the best level after an event's updates.
  @inline(__always)
  private mutating func settle() {
    var slot = topSlot
    while slot >= 0, slots[slot] == 0 { slot &-= 1 }
    bestSlot = slot
    topSlot = slot
    if slot < Ladder.windowSlots / 4 || slot > Ladder.windowSlots - 64 { settleAtEdge() }
  }

  /// The touch nears the window's edge: move the window, so that it has room on both sides.
  @inline(never)
  private mutating func settleAtEdge() {
    if isEmptyLadder { return }
    if bestSlot >= 0 {
      recentre(on: origin + Int64(bestSlot))
    } else if far.count > 0 {
      var best = Int64.min
      far.forEach { key, _ in best = max(best, key) }
      recentre(on: best)
    }
  }

  private mutating func recentre(on key: Int64) {
    let count = Int64(Ladder.windowSlots)
    let newOrigin = key - count / 4 * 3
    guard newOrigin != origin else { return }
    let shift = newOrigin - origin
    for slot in 0..<Ladder.windowSlots where slots[slot] != 0 {
      let target = Int64(slot) - shift
      if target < 0 || target >= count, !far.set(origin + Int64(slot), slots[slot]) { isOverflowing = true }
    }
    if shift.magnitude >= UInt64(count) {
      slots.update(repeating: 0, count: Ladder.windowSlots)
    } else if shift > 0 {
      slots.update(from: slots + Int(shift), count: Int(count - shift))
      (slots + Int(count - shift)).update(repeating: 0, count: Int(shift))
    } else {
      (slots + Int(-shift)).update(from: slots, count: Int(count + shift))
      slots.update(repeating: 0, count: Int(-shift))
    }
    origin = newOrigin
    if far.count > 0 {
      var returning: [(Int64, Int64)] = []
      far.forEach { key, quantity in
        if key >= newOrigin, key < newOrigin + count { returning.append((key, quantity)) }
      }
      for (key, quantity) in returning {
        slots[Int(key - newOrigin)] = quantity
        _ = far.set(key, 0)
      }
    }
    topSlot = Ladder.windowSlots - 1
    while topSlot >= 0, slots[topSlot] == 0 { topSlot -= 1 }
    bestSlot = topSlot
  }

  /// Rebuilds the side on a finer tick.
  private mutating func regrid(_ newTick: Int64) {
    var levels: [(price: Int64, quantity: Int64)] = []
    forEachUnordered { levels.append(($0, $1)) }
    removeAll()
    setTick(newTick)
    for level in levels { setFar(level.price, level.quantity) }
    settle()
  }

  /// Empties the side; the tick stays.
  public mutating func removeAll() {
    slots.update(repeating: 0, count: Ladder.windowSlots)
    far.removeAll()
    bestSlot = -1
    topSlot = -1
    isEmptyLadder = true
    isOverflowing = false
  }

  /// Empties the side and fits its tick and window to the levels about to be set, best first.
  public mutating func prepare(prices: UnsafePointer<Int64>, count: Int) {
    removeAll()
    var divisor: Int64 = 0
    for index in 0..<count { divisor = greatestCommonDivisor(divisor, prices[index]) }
    if divisor > 0 { setTick(divisor) }
  }

  // MARK: Reading

  /// Whether the side has a level.
  @inlinable @inline(__always)
  public var isEmpty: Bool { bestSlot < 0 }

  /// Price of the best level; 0 when empty.
  @inlinable @inline(__always)
  public var bestPrice: Int64 { bestSlot < 0 ? 0 : (origin &+ Int64(bestSlot)) &* sign &* tick }

  @inlinable @inline(__always)
  public var bestQuantity: Int64 { bestSlot < 0 ? 0 : slots[bestSlot] }

  /// Copies the best `depth` levels, best first; the number copied.
  ///
  /// - Complexity: O(ticks between the first and the last of them); O(far levels) when the window has fewer.
  @inline(__always)
  public func copyTop(
    _ depth: Int, prices: UnsafeMutablePointer<Int64>, quantities: UnsafeMutablePointer<Int64>
  ) -> Int {
    var found = 0
    var slot = bestSlot
    while slot >= 0 {
      let quantity = slots[slot]
      if quantity != 0 {
        prices[found] = (origin &+ Int64(slot)) &* sign &* tick
        quantities[found] = quantity
        found &+= 1
        if found == depth { return found }
      }
      slot &-= 1
    }
    return far.count == 0 ? found : copyFarTop(depth, found, prices, quantities)
  }

  @inline(never)
  private func copyFarTop(
    _ depth: Int, _ found: Int, _ prices: UnsafeMutablePointer<Int64>,
    _ quantities: UnsafeMutablePointer<Int64>
  ) -> Int {
    // Insertion into the few places left; all far levels are worse than the window's.
    var filled = found
    far.forEach { key, quantity in
      let price = key * sign * tick
      var place = filled
      while place > found, prices[place - 1] * sign < price * sign { place -= 1 }
      guard place < depth else { return }
      if filled < depth { filled += 1 }
      var index = filled - 1
      while index > place {
        prices[index] = prices[index - 1]
        quantities[index] = quantities[index - 1]
        index -= 1
      }
      prices[place] = price
      quantities[place] = quantity
    }
    return filled
  }

  private func forEachUnordered(_ body: (_ price: Int64, _ quantity: Int64) -> Void) {
    for slot in 0..<Ladder.windowSlots where slots[slot] != 0 {
      body((origin + Int64(slot)) * sign * tick, slots[slot])
    }
    far.forEach { key, quantity in body(key * sign * tick, quantity) }
  }

  /// All levels, best first.
  ///
  /// - Complexity: O(n log n)
  public func levels() -> [(price: Int64, quantity: Int64)] {
    var result: [(price: Int64, quantity: Int64)] = []
    forEachUnordered { result.append(($0, $1)) }
    let sign = sign
    return result.sorted { $0.price * sign > $1.price * sign }
  }

  /// The quantity at a price; 0 when there is no level.
  public func quantity(at price: Int64) -> Int64 {
    guard price % tick == 0, !isEmptyLadder else { return 0 }
    let key = price / tick * sign
    let slot = key - origin
    return slot >= 0 && slot < Int64(Ladder.windowSlots) ? slots[Int(slot)] : far.quantity(key)
  }
}

func greatestCommonDivisor(_ a: Int64, _ b: Int64) -> Int64 {
  var (a, b) = (a, b)
  while b != 0 { (a, b) = (b, a % b) }
  return abs(a)
}
