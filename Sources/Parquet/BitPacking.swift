// Parquet's integer encodings as leaf loops. Source: Apache Parquet, "Encodings".

/// Bits that the largest of some values needs.
@inline(__always)
func bitWidth(_ largest: UInt64) -> Int { UInt64.bitWidth - largest.leadingZeroBitCount }

/// Packs values of `width` bits one behind the other, the first in the lowest bits.
///
/// - Parameter target: with room for `(count * width + 63) / 64` words.
@inline(__always)
func pack<T: FixedWidthInteger & UnsignedInteger>(
  _ values: UnsafePointer<T>, _ count: Int, width: Int, to target: UnsafeMutableRawPointer
) {
  var word: UInt64 = 0
  var filled = 0
  var output = target
  for index in 0..<count {
    let value = UInt64(truncatingIfNeeded: values[index])
    word |= value &<< UInt64(truncatingIfNeeded: filled)
    filled &+= width
    if filled >= 64 {
      output.storeBytes(of: word.littleEndian, as: UInt64.self)
      output += 8
      filled &-= 64
      // What of the value did not fit. A shift by its whole width is none for `&>>`.
      word = filled == 0 ? 0 : value &>> UInt64(truncatingIfNeeded: width &- filled)
    }
  }
  if filled > 0 { output.storeBytes(of: word.littleEndian, as: UInt64.self) }
}

extension PageBuffer {
  /// A run of one value in the hybrid of runs and packed bits.
  mutating func append(run count: Int, of value: UInt32, width: Int) {
    append(varint: UInt64(count) << 1)
    room(4).storeBytes(of: value.littleEndian, as: UInt32.self)
    advance((width + 7) / 8)
  }

  /// All indices as packed bits in that hybrid, behind the byte that says their width.
  mutating func append(indices: UnsafePointer<UInt32>, _ count: Int, width: Int) {
    append(byte: UInt8(width))
    let groups = (count + 7) / 8
    append(varint: UInt64(groups) << 1 | 1)
    let bytes = groups * width
    let target = room(bytes + 8)
    // The last group is filled up with zeros.
    (target + count * width / 8).initializeMemory(
      as: UInt8.self, repeating: 0, count: bytes + 8 - count * width / 8)
    pack(indices, count, width: width, to: target)
    advance(bytes)
  }

  /// `DELTA_BINARY_PACKED`: blocks of 128 differences in four miniblocks.
  ///
  /// - Precondition: differences of any two values fit in 63 bits.
  mutating func append(deltas values: UnsafePointer<Int64>, _ count: Int) {
    append(varint: 128)
    append(varint: 4)
    append(varint: UInt64(count))
    append(varint: zigzag(count > 0 ? values[0] : 0))
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 128) { differences in
      let block = UnsafeMutablePointer(differences.baseAddress!)
      var start = 1
      while start < count {
        let length = min(128, count - start)
        var smallest = Int64.max
        for index in 0..<length {
          let difference = values[start &+ index] &- values[start &+ index &- 1]
          block[index] = UInt64(bitPattern: difference)
          smallest = min(smallest, difference)
        }
        for index in 0..<length { block[index] = block[index] &- UInt64(bitPattern: smallest) }
        for index in length..<128 { block[index] = 0 }
        append(varint: zigzag(smallest))
        append(block)
        start += length
      }
    }
  }

  private mutating func append(_ block: UnsafePointer<UInt64>) {
    let target = room(4 + 128 * 8 + 8)
    var bytes = 4
    for miniblock in 0..<4 {
      let values = block + 32 * miniblock
      var union: UInt64 = 0
      for index in 0..<32 { union |= values[index] }
      let width = bitWidth(union)
      target.storeBytes(of: UInt8(width), toByteOffset: miniblock, as: UInt8.self)
      if width > 0 { pack(values, 32, width: width, to: target + bytes) }
      bytes += 4 * width
    }
    advance(bytes)
  }
}
