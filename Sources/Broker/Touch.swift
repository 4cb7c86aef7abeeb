import Core

/// The best bid and ask behind a signal row.
///
/// **Problem.** A row holds the mid price exactly (its text may end in half a price unit) but the spread only
/// as basis points of the mid, rounded to a millionth of a basis point, and it names no price grid.
///
/// **Algorithm.** Let the instrument's prices have D decimals, B and A be bid and ask in units of 10^-D, M =
/// A + B and S = A − B. For d = 0, 1, … decimals for which M·10^(d−D) is whole, the spread in units of 10^-d
/// that lies nearest to what the basis points say is taken, if it agrees with them to within their rounding
/// and has M's parity (A and B are whole only then). The first d that has such a spread is the answer.
///
/// **Proof that it is exact.** The row's m (millionths of a basis point) obeys |m − S/M · 2·10^10| ≤ ½ +
/// m·2^-52: half a unit of rounding, and two roundings of a double on the way. So the true spread obeys |M·m
/// − S·2·10^10| ≤ M·(½ + 2^-16) as m ≤ 2·10^10, and at d = D it is found. A candidate taken at d < D obeys
/// the same bound and is a multiple of 10^-d, thus of 10^-D; so is the truth. Two multiples of 10^-D within
/// the same bound of one value differ by at most M·(1 + 2^-15)/(2·10^10) units of 10^-D, which is less than
/// one unit while M ≤ 1.9·10^10. So they are equal. The mid is exact, and with both the touch is.
///
/// **Bounds.** Prices of up to nine significant digits (M ≤ 1.9·10^10; BTC at 63943.90 has M of 10^7). Beyond
/// that no answer is given. D is not known from one row, so an instrument that really quotes ten digits
/// cannot be told from one that quotes nine; the exchange has none.
public struct Touch: Equatable, Sendable {
  public var bid: Pico
  public var ask: Pico
  /// Decimals that the two need: at most the instrument's.
  public var decimals: Int

  private static let doubledMidMax: Int128 = 19_000_000_000

  /// - Parameters:
  ///   - mid: `units` × 10^-`decimals`, without trailing zeros.
  ///   - spreadBps: (ask − bid) / mid, in basis points.
  /// - Returns: `nil` when no grid fits, or the quote is locked or not positive.
  public init?(mid: (units: Int64, decimals: Int), spreadBps: Micros) {
    let rate = Int128(spreadBps.rawValue)
    guard mid.units > 0, rate > 0, rate < 20_000_000_000, mid.decimals <= Pico.decimals + 1 else {
      return nil
    }
    // Twice the mid loses a last digit 5.
    var doubled = 2 * Int128(mid.units)
    var decimals = mid.decimals
    if decimals > 0, doubled % 10 == 0 {
      doubled /= 10
      decimals -= 1
    }
    while doubled <= Touch.doubledMidMax, decimals <= Pico.decimals {
      let scaled = doubled * rate
      let spread = (scaled + 10_000_000_000) / 20_000_000_000
      let error = scaled - spread * 20_000_000_000
      // At most M·(½ + 2^-16), without a rounding.
      let isNear = (error < 0 ? 0 - error : error) * 131_072 <= doubled * 65_538
      if isNear, spread > 0, (doubled - spread) % 2 == 0, spread < doubled,
        let bid = Pico((doubled - spread) / 2, decimals: decimals),
        let ask = Pico((doubled + spread) / 2, decimals: decimals)
      {
        self.bid = bid
        self.ask = ask
        self.decimals = decimals
        return
      }
      doubled *= 10
      decimals += 1
    }
    return nil
  }
}
