import Glibc

/// Finds a planned stream by the bytes of its name, without making a `String`.
struct StreamNames: Sendable {
  private var slots: [Int32]
  private var bytes: [UInt8] = []
  private var starts: [Int] = [0]
  private let mask: Int

  init(_ names: [String]) {
    var capacity = 16
    while capacity < names.count * 2 { capacity *= 2 }
    mask = capacity - 1
    slots = Array(repeating: -1, count: capacity)
    for (index, name) in names.enumerated() {
      bytes += Array(name.utf8)
      starts.append(bytes.count)
      var slot = Array(name.utf8).withUnsafeBytes { StreamNames.hash($0) } & mask
      while slots[slot] >= 0 { slot = (slot + 1) & mask }
      slots[slot] = Int32(index)
    }
  }

  private static func hash(_ name: UnsafeRawBufferPointer) -> Int {
    Int(truncatingIfNeeded: payloadHash(name) & 0x7FFF_FFFF)
  }

  /// The name's place in the list; −1 when it is not in it.
  func find(_ name: UnsafeRawBufferPointer) -> Int {
    guard let start = name.baseAddress else { return -1 }
    var slot = StreamNames.hash(name) & mask
    while slots[slot] >= 0 {
      let index = Int(slots[slot])
      let length = starts[index + 1] - starts[index]
      if length == name.count,
        bytes.withUnsafeBytes({ memcmp($0.baseAddress! + starts[index], start, length) }) == 0
      {
        return index
      }
      slot = (slot + 1) & mask
    }
    return -1
  }
}
