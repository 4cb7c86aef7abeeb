import Core
import Strategy

/// The regime over a day, from its rows: its changes, and the time spent in each.
///
/// The regime is one for all symbols, and rows of one moment come in another order from another reader. So a moment
/// is judged when a later one has begun: of the regimes its rows had, the one that is not the regime before it
/// is what it changed to. Time between two moments with rows counts for the regime of the first; a silence of more
/// than ``silenceNsMax`` counts for none. What changed between two days belongs to neither.
struct RegimeTrack: Sendable {
  struct Change: Equatable, Sendable {
    var time: UnixNanos
    var from: Signal.Regime
    var to: Signal.Regime
  }

  static let changesMax = 200
  static let silenceNsMax = Nanoseconds.minute
  static let regimes: [Signal.Regime] = [.normal, .active, .quiet]

  /// The first ones.
  private(set) var changes: [Change] = []
  private(set) var changesTotal = 0
  /// By ``Signal/Regime``'s raw value.
  private(set) var nsInRegime: [Int64] = [0, 0, 0]
  /// Before the moment that is open.
  private var regime: Signal.Regime?
  private var moment = UnixNanos(.min)
  /// Of the regimes seen in it, a bit each.
  private var seen: UInt8 = 0

  /// Takes a row; one of an earlier moment than the last is too late to count.
  mutating func add(_ signal: Signal) {
    if signal.receiveTime < moment { return }
    if signal.receiveTime > moment {
      let before = moment
      settle()
      let elapsedNs = seen == 0 ? 0 : signal.receiveTime.rawValue - before.rawValue
      if let regime, elapsedNs <= RegimeTrack.silenceNsMax { nsInRegime[Int(regime.rawValue)] += elapsedNs }
      moment = signal.receiveTime
      seen = 0
    }
    seen |= 1 << signal.regime.rawValue
  }

  /// With the newest moment judged.
  func settled() -> RegimeTrack {
    var copy = self
    copy.settle()
    return copy
  }

  private mutating func settle() {
    for next in RegimeTrack.regimes where seen & 1 << next.rawValue != 0 && next != regime {
      if let regime {
        changesTotal += 1
        if changes.count < RegimeTrack.changesMax {
          changes.append(Change(time: moment, from: regime, to: next))
        }
      }
      regime = next
    }
  }
}
