import Core
import Glibc

/// How much rests where: the quantity each level tends to, by its distance from the touch and by its own
/// tick.
///
/// Depth rises over the first cells away from the touch and then decays, the average shape of a limit order
/// book (Bouchaud, Mézard, Potters 2002). Near the touch one tick in a cell is in use, far away most are.
/// Which ones, and how heavy each is, is a fixed property of the tick, so that a level seen twice is the same
/// level.
struct DepthProfile: ~Copyable {
  /// Of the generated market.
  static let reachDefault = 2000
  /// Ticks from the window's centre to its edge.
  let reach: Int

  private let cellShift: Int
  private let salt: UInt64
  private let lots: UnsafeMutablePointer<Double>
  private let occupancy: UnsafeMutablePointer<UInt16>
  let touchLots: Double

  init(instrument: Instrument, touchLots: Double, reach: Int = DepthProfile.reachDefault) {
    self.reach = reach
    cellShift = instrument.cellShift
    salt = Instrument.hash(instrument.symbol)
    self.touchLots = touchLots
    lots = .allocate(capacity: reach + 1)
    occupancy = .allocate(capacity: reach + 1)
    for distance in 0...reach {
      let cells = Double(distance) / Double(1 << instrument.cellShift)
      let hump = cells / 12 * exp(1 - cells / 12)
      let shape = cells < 12 ? 1 + 0.8 * hump : 0.5 + 1.3 * hump
      (lots + distance).initialize(to: touchLots * shape)
      let share = 0.85 * (1 - exp(-max(0, cells - 6) / 5))
      (occupancy + distance).initialize(to: UInt16(share * 65_535))
    }
  }

  deinit {
    lots.deallocate()
    occupancy.deallocate()
  }

  @inline(__always)
  private func hash(_ value: Int) -> UInt64 {
    var z = UInt64(bitPattern: Int64(value)) &* 0x9E37_79B9_7F4A_7C15 ^ salt
    z = (z ^ (z >> 32)) &* 0xD6E8_FEB8_6659_FD93
    return z ^ (z >> 29)
  }

  /// The tick of a cell that is always in use.
  @inline(__always)
  func principalTick(cell: Int) -> Int {
    cell << cellShift | Int(truncatingIfNeeded: hash(~cell)) & (1 << cellShift &- 1)
  }

  /// The quantity a level tends to; 0 where no level belongs.
  @inline(__always)
  func target(tick: Int, distance: Int) -> Int64 {
    let place = min(distance, reach)
    let bits = hash(tick)
    let isInUse = UInt16(truncatingIfNeeded: bits) < occupancy[place]
    guard isInUse || tick == principalTick(cell: tick >> cellShift) else { return 0 }
    // One level in 32 is a wall.
    let weight = 0.5 + Double((bits >> 16) & 1023) / 1023
    let wall = (bits >> 32) & 31 == 0 ? 3.0 : 1.0
    return max(1, Int64(lots[place] * weight * wall))
  }
}
