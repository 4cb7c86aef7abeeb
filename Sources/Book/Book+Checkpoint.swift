import Core

// A stored property added to one of these types belongs in here; see `CheckpointLayoutTests`.

extension Book: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    writer.append("BIDS", bids)
    writer.append("ASKS", asks)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    try reader.restore("BIDS", &bids)
    try reader.restore("ASKS", &asks)
  }
}

extension Ladder: Checkpointed {
  /// The side (`sign`) is given, the tick's reciprocal and the best and top slot follow from the rest; the
  /// layout of the far levels' map is nothing that shows.
  public func save(to writer: inout CheckpointWriter) {
    writer.append(tick)
    // The first level of an empty side places the window.
    writer.append(isEmptyLadder ? 0 : origin)
    writer.append(isEmptyLadder)
    writer.append(isOverflowing)
    var levels = 0
    for slot in 0..<(topSlot + 1) where slots[slot] != 0 { levels += 1 }
    writer.append(UInt32(levels))
    for slot in 0..<(topSlot + 1) where slots[slot] != 0 {
      writer.append(UInt16(slot))
      writer.append(slots[slot])
    }
    writer.append(UInt32(far.count))
    far.forEach { key, quantity in
      writer.append(key)
      writer.append(quantity)
    }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    removeAll()
    let tick: Int64 = try reader.integer()
    origin = try reader.integer()
    isEmptyLadder = try reader.boolean()
    isOverflowing = try reader.boolean()
    // Prices are below 2^50 units; with a bit to spare no key times its tick leaves 64 bits.
    let keyMax = (1 << 51) / max(1, tick.magnitude) + 2 * UInt64(Ladder.windowSlots)
    guard tick >= 1, tick < 1 << 51, origin.magnitude <= keyMax else {
      throw reader.failure("a ladder of tick \(tick) from \(origin)")
    }
    setTick(tick)
    for _ in 0..<(try reader.count(bytesEach: 10, max: Ladder.windowSlots)) {
      let slot = Int(try reader.integer(in: 0...UInt16(Ladder.windowSlots - 1)))
      slots[slot] = try reader.integer()
      topSlot = max(topSlot, slot)
    }
    for _ in 0..<(try reader.count(bytesEach: 16, max: LevelMap.countMax)) {
      let key: Int64 = try reader.integer()
      let quantity: Int64 = try reader.integer()
      guard key.magnitude <= keyMax, quantity != 0, far.set(key, quantity) else {
        throw reader.failure("a level of \(quantity) at \(key)")
      }
    }
    while topSlot >= 0, slots[topSlot] == 0 { topSlot -= 1 }
    bestSlot = topSlot
    guard isEmptyLadder == false || topSlot < 0 && far.count == 0 else {
      throw reader.failure("an empty ladder that has levels")
    }
  }
}
