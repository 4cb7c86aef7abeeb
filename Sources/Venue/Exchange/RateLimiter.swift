import Core

/// Request weight and order counts in a minute of the UTC clock, 429 answers, and bans for ignoring them.
///
/// All clients count together: the machine knows no addresses.
struct RateLimiter {
  private let weightMax: Int
  private let ignoredMax: Int
  private let firstBanNs: Int64
  /// Bans grow up to three days, the exchange's longest.
  private static let banNsMax = 3 * Nanoseconds.day

  private var minute: Int64 = .min
  private(set) var weight = 0
  private(set) var orders = 0
  /// 429 answers since the last request that was served.
  private var ignored = 0
  private var bans = 0
  private(set) var bannedUntil: Int64 = .min

  init(_ options: ExchangeOptions) {
    weightMax = options.weightPerMinuteMax
    ignoredMax = options.ignoredLimitsMax
    firstBanNs = options.banNs
  }

  enum Verdict { case served, limited(retryAfterS: Int64), banned }

  mutating func admit(weight cost: Int, isOrder: Bool, now: Int64) -> Verdict {
    if now < bannedUntil { return .banned }
    let index = now / Nanoseconds.minute
    if index != minute {
      minute = index
      weight = 0
      orders = 0
    }
    if weight + cost > weightMax {
      ignored += 1
      if ignored > ignoredMax {
        var length = firstBanNs
        for _ in 0..<min(bans, 40) { length = min(RateLimiter.banNsMax, length * 2) }
        bannedUntil = now + min(RateLimiter.banNsMax, length)
        bans += 1
        ignored = 0
        return .banned
      }
      let left = (index + 1) * Nanoseconds.minute - now
      return .limited(retryAfterS: (left + Nanoseconds.second - 1) / Nanoseconds.second)
    }
    weight += cost
    if isOrder { orders += 1 }
    ignored = 0
    return .served
  }
}
