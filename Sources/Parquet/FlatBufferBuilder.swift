/// Builds a FlatBuffer from its end to its beginning, as the format wants it: what is referred to first.
///
/// Source: FlatBuffers' "Internals". Only what a schema message needs: tables, strings, vectors of tables.
struct FlatBufferBuilder {
  /// The last byte first.
  private var reversed: [UInt8] = []

  /// A finished part: its distance from the buffer's end.
  typealias Part = Int

  enum Value {
    case int8(UInt8)
    case int16(Int16)
    case int32(Int32)
    case int64(Int64)
    case part(Part)
  }

  mutating func string(_ text: String) -> Part {
    let bytes = Array(text.utf8)
    align(4, after: bytes.count + 1)
    reversed.append(0)
    reversed.append(contentsOf: bytes.reversed())
    push(UInt32(bytes.count))
    return reversed.count
  }

  mutating func vector(_ parts: [Part]) -> Part {
    align(4, after: 4 * parts.count)
    for part in parts.reversed() { push(reference(to: part)) }
    push(UInt32(parts.count))
    return reversed.count
  }

  /// - Parameter fields: by their slots, in any order; absent ones have their defaults.
  mutating func table(_ fields: KeyValuePairs<Int, Value>) -> Part {
    let end = reversed.count
    var places = [Int](repeating: 0, count: (fields.map(\.key).max() ?? -1) + 1)
    for (slot, value) in fields {
      switch value {
      case .int8(let value): reversed.append(value)
      case .int16(let value):
        align(2)
        push(value)
      case .int32(let value):
        align(4)
        push(value)
      case .int64(let value):
        align(8)
        push(value)
      case .part(let part):
        align(4)
        push(reference(to: part))
      }
      places[slot] = reversed.count
    }
    align(4)
    push(Int32(0))
    let table = reversed.count
    for place in places.reversed() { push(UInt16(place == 0 ? 0 : table - place)) }
    push(UInt16(table - end))
    push(UInt16(4 + 2 * places.count))
    // The table begins with its distance to the list of places.
    let distance = Int32(reversed.count - table)
    for byte in 0..<4 {
      reversed[table - 1 - byte] = UInt8(truncatingIfNeeded: distance >> Int32(8 * byte))
    }
    return table
  }

  /// The whole buffer, whose length is a multiple of 8.
  mutating func finish(_ root: Part) -> [UInt8] {
    align(8, after: 4)
    push(reference(to: root))
    return reversed.reversed()
  }

  /// The distance from the place of the reference, pushed next, to a part.
  private func reference(to part: Part) -> UInt32 { UInt32(reversed.count + 4 - part) }

  private mutating func align(_ size: Int, after bytes: Int = 0) {
    while (reversed.count + bytes) % size != 0 { reversed.append(0) }
  }

  private mutating func push<T: FixedWidthInteger>(_ value: T) {
    for byte in stride(from: T.bitWidth - 8, through: 0, by: -8) {
      reversed.append(UInt8(truncatingIfNeeded: value >> T(byte)))
    }
  }
}
