import Core

/// Tells which frames a slot's second connection repeats while two overlap.
///
/// Per stream it keeps the keys of the last frames stored, each with the side it came from. A frame is a copy
/// only if the *other* side has delivered the same key: what one connection sends twice is kept, and so is what
/// the other one has lost, which a comparison with the highest id would drop. A frame that the new connection
/// delivers was sent to the old one after the overlap began, so the keys from before are not needed.
///
/// Both connections deliver a stream in the same order, so the next copy is looked for where the last one was
/// found; only where that fails are all keys searched.
///
/// Bound: ``keysMax`` keys a stream (``hashesMax`` where the key is a hash of the payload), 16 KiB of them. A copy
/// older than that is stored twice, which readers know how to drop.
struct DuplicateFilter: Sendable {
  static let keysMax = 2048
  static let hashesMax = 64

  private var keys: [UInt64]
  private var counts: [Int]
  private let room: [Int]
  /// By stream and side: where that side's next copy is expected.
  private var expected: [Int]

  /// - Parameter hasIDs: for each stream of the slot, whether its keys are ids.
  init(hasIDs: [Bool]) {
    keys = Array(repeating: 0, count: hasIDs.count * DuplicateFilter.keysMax)
    counts = Array(repeating: 0, count: hasIDs.count)
    room = hasIDs.map { $0 ? DuplicateFilter.keysMax : DuplicateFilter.hashesMax }
    expected = Array(repeating: 0, count: 2 * hasIDs.count)
  }

  /// Whether the other side has delivered this; if not, it is noted as delivered by `side`.
  mutating func isCopy(stream: Int, key: UInt64, side: Int) -> Bool {
    let mark = side & 1
    let wanted = key << 1 | UInt64(mark ^ 1)
    let start = stream * DuplicateFilter.keysMax
    let held = min(counts[stream], room[stream])
    let guess = expected[2 * stream + mark]
    if guess < held, keys[start + guess] == wanted {
      expected[2 * stream + mark] = (guess + 1) % room[stream]
      return true
    }
    for index in 0..<held where keys[start + index] == wanted {
      expected[2 * stream + mark] = (index + 1) % room[stream]
      return true
    }
    keys[start + counts[stream] % room[stream]] = key << 1 | UInt64(mark)
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
