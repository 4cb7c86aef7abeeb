import Core

/// When a service that has ended is started again, and when no more.
///
/// The wait doubles from `run.backoff_ms_min` to `run.backoff_ms_max`, each ±20 % by chance, so that services
/// that fell together don't come back together. A service that ran for `run.stable_s` starts from nothing
/// again; one that has been restarted `run.restarts_max` times without that is given up. It knows no clock:
/// same seed and same ends, same waits.
public struct RestartPolicy: Sendable {
  public enum Decision: Equatable, Sendable {
    case restart(afterNs: Int64)
    case giveUp
  }

  /// Beyond, the oldest waits are forgotten.
  public static let waitsMax = 1000

  /// Restarts so far, over the whole run.
  public private(set) var restarts = 0
  /// The waits chosen, milliseconds, newest last: `restart_backoff_pattern`.
  public private(set) var waitsMs: [Int] = []
  /// Restarts since the service was last stable.
  public private(set) var restartsInARow = 0

  private let backoff: Backoff
  private let restartsMax: Int
  private let stableNs: Int64
  private var random: SeededRandom

  public init(_ configuration: RunConfiguration, seed: UInt64) {
    backoff = Backoff(configuration)
    restartsMax = configuration.restartsMax
    stableNs = Int64(configuration.stableSeconds) * Nanoseconds.second
    random = SeededRandom(seed: seed)
  }

  /// The service has ended without having been asked to.
  ///
  /// - Parameter startedNs: when this process of it was started, by the same clock.
  public mutating func ended(atNs: Int64, startedNs: Int64) -> Decision {
    if atNs - startedNs >= stableNs { restartsInARow = 0 }
    guard restartsInARow < restartsMax else { return .giveUp }
    let waitNs = backoff.delayNs(restartsInARow, &random)
    restartsInARow += 1
    restarts += 1
    if waitsMs.count == RestartPolicy.waitsMax { waitsMs.removeFirst() }
    waitsMs.append(Int(waitNs / Nanoseconds.millisecond))
    return .restart(afterNs: waitNs)
  }

  /// An operator vouches for the service: its restarts count from nothing again.
  public mutating func forgive() { restartsInARow = 0 }
}

extension Backoff {
  init(_ configuration: RunConfiguration) {
    minNs = Int64(configuration.backoffMsMin) * Nanoseconds.millisecond
    maxNs = Int64(configuration.backoffMsMax) * Nanoseconds.millisecond
  }
}
