import Core

/// A process's own memory of values, before the server is asked: pure, with time as input.
///
/// **Who is kept.** The most active symbols, by how often they were asked for or written, not by the clock: when
/// the room is full a newcomer takes the place of the least active one only if it is more active. Counts are
/// halved every time they add up to 64 for each place, so that yesterday's favourite fades. Source: G. Einziger,
/// R. Friedman, B. Manes, "TinyLFU" (2017), with exact counts, since symbols are few.
///
/// **How long.** A value answers for `lifeMs` unless it is invalidated first. An old or invalidated value stays
/// for the case that the server cannot be asked; it then comes with its age.
///
/// **Bounds.** `symbolsMax` values; counts of eight times as many symbols, beyond which newcomers wait for the
/// next halving.
public struct LocalCache {
  public enum Answer: Equatable {
    case fresh([UInt8], ageNs: Int64)
    /// Too old, or replaced since.
    case old([UInt8], ageNs: Int64)
    case absent
  }

  private struct Entry {
    var value: [UInt8]
    var storedNs: Int64
    var isValid: Bool
  }

  public let symbolsMax: Int
  private let lifeNs: Int64
  private var entries: [String: Entry] = [:]
  private var activity: [String: Int] = [:]
  private var counted = 0

  public init(lifeMs: Int, symbolsMax: Int) {
    precondition(symbolsMax > 0)
    lifeNs = Int64(lifeMs) * Nanoseconds.millisecond
    self.symbolsMax = symbolsMax
    entries.reserveCapacity(symbolsMax)
  }

  public var count: Int { entries.count }

  /// - Complexity: O(1)
  public mutating func value(_ symbol: String, _ nowNs: Int64) -> Answer {
    noteActivity(symbol)
    guard let entry = entries[symbol] else { return .absent }
    let ageNs = max(0, nowNs - entry.storedNs)
    return entry.isValid && ageNs < lifeNs
      ? .fresh(entry.value, ageNs: ageNs) : .old(entry.value, ageNs: ageNs)
  }

  /// - Complexity: O(1) for a symbol that is kept; O(symbolsMax) for a newcomer.
  public mutating func store(_ symbol: String, _ value: [UInt8], _ nowNs: Int64) {
    if entries[symbol] == nil, entries.count >= symbolsMax {
      let least = entries.keys.min { (activity[$0] ?? 0, $0) < (activity[$1] ?? 0, $1) }!
      guard (activity[symbol] ?? 0) > (activity[least] ?? 0) else { return }
      entries[least] = nil
    }
    entries[symbol] = Entry(value: value, storedNs: nowNs, isValid: true)
  }

  /// The server has another value, or none.
  public mutating func invalidate(_ symbol: String) {
    noteActivity(symbol)
    entries[symbol]?.isValid = false
  }

  /// The server says nothing of its values any more.
  public mutating func invalidateAll() {
    for symbol in entries.keys { entries[symbol]!.isValid = false }
  }

  private mutating func noteActivity(_ symbol: String) {
    if let count = activity[symbol] {
      activity[symbol] = count + 1
    } else if activity.count < 8 * symbolsMax {
      activity[symbol] = 1
    }
    counted += 1
    guard counted >= 64 * symbolsMax else { return }
    counted = 0
    activity = activity.compactMapValues { $0 > 1 ? $0 / 2 : nil }
  }
}
