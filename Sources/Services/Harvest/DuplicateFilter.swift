import Core

/// Tells which frames a slot's second connection repeats while two overlap.
///
/// Per stream it keeps the keys of the last frames stored, each with the side it came from. A frame is a copy
/// only if the *other* side has delivered the same key: what one connection sends twice is kept, and so is
/// what the other one has lost, which a comparison with the highest id would drop. A frame that the new
/// connection delivers was sent to the old one after the overlap began, so the keys from before are not
/// needed.
///
/// Bound: ``keysMax`` keys a stream (``hashesMax`` where the key is a hash of the payload). A copy older than
/// that is stored twice, which readers know how to drop.
struct DuplicateFilter: Sendable {
  static let keysMax = 256
  static let hashesMax = 64

  private var keys: [UInt64]
  private var counts: [Int]
  private let room: [Int]

  /// - Parameter hasIDs: for each stream of the slot, whether its keys are ids.
  init(hasIDs: [Bool]) {
    keys = Array(repeating: 0, count: hasIDs.count * DuplicateFilter.keysMax)
    counts = Array(repeating: 0, count: hasIDs.count)
    room = hasIDs.map { $0 ? DuplicateFilter.keysMax : DuplicateFilter.hashesMax }
  }

  /// Whether the other side has delivered this; if not, it is noted as delivered by `side`.
  mutating func isCopy(stream: Int, key: UInt64, side: Int) -> Bool {
    let mark = UInt64(side & 1)
    let wanted = key << 1 | (mark ^ 1)
    let start = stream * DuplicateFilter.keysMax
    for index in start..<start + min(counts[stream], room[stream]) where keys[index] == wanted {
      return true
    }
    keys[start + counts[stream] % room[stream]] = key << 1 | mark
    counts[stream] += 1
    return false
  }
}

/// FNV-1a over whole words, for payloads without an id.
func payloadHash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
  var hash: UInt64 = 0xCBF2_9CE4_8422_2325
  var index = 0
  while index + 8 <= bytes.count {
    let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
    hash = (hash ^ word) &* 0x100_0000_01B3
    hash ^= hash >> 29
    index += 8
  }
  while index < bytes.count {
    hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01B3
    index += 1
  }
  return hash ^ hash >> 32
}
