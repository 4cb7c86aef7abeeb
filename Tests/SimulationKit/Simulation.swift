import Core
import Services

/// The whole of live capture in one thread, under one seed and a virtual clock: the real ``Harvester``, the real
/// ``Exchange``, and a network between them that does what networks do.
///
/// **Problem.** What breaks a harvester is a coincidence: a snapshot that arrives while the connection is being
/// rotated, a hole in the trades during a rate limit, a kill between two writes. Tests by hand find the ones
/// somebody thought of; a soak finds one a week and cannot repeat it.
///
/// **Algorithm.** Everything that could differ from run to run (time, order, latency, faults) is drawn from the
/// seed, and every event sits in one queue ordered by virtual time. An hour of coincidences costs
/// milliseconds, thousands of seeds run in a minute, and a seed that fails fails again, event for event. A
/// perfect client (``Observer``) with no faults and no latency holds the truth to compare with. Source of the
/// method: FoundationDB's and TigerBeetle's deterministic simulation testing.
///
/// **Invariants**, each checked independently of the code under test:
/// 1. the tape's frames are the frames delivered, in order, less the counted duplicates of rotations;
/// 2. every hole in the tape's chains has a record that names its range;
/// 3. whenever a book says that it is in sync it equals the truth at its update id;
/// 4. no signal is confirmed while its book is out of sync;
/// 5. nothing grows without bound: sockets, requests, and what the machine holds;
/// 6. once faults stop, everything is in sync again within ``SimulationOptions/recoverySecondsMax``, and the
///    trades on tape are all that were made, except recorded holes that the venue could not fill;
/// 7. every intervention on the tape is obeyed, and the rows are the same however the tape is cut into blocks.
///
/// Commands of an operator (restart, fallback, rebuild, interventions) come among the faults, as they do in life.
public struct SimulationOptions: Sendable {
  public var seed: UInt64
  public var symbols = ["BTCUSDT", "DOGEUSDT"]
  /// With faults.
  public var faultSeconds = 12
  /// Without, until all must be well.
  public var recoverySecondsMax = 20
  /// A mistake made on purpose, to see whether it is found.
  public var defect: Defect?
  /// Frames a second of all symbols; nil for 20 a symbol.
  public var framesPerSecond: Double?
  /// What the harvester is told, and how long the venue lets a session live; drawn from the seed where nil.
  public var harvest: HarvestConfiguration?
  public var sessionSeconds: Int?
  /// Called with a line for each event; for looking at one seed.
  public var trace: (@Sendable (String) -> Void)?

  public init(seed: UInt64) { self.seed = seed }

  /// Mistakes at the harvester's seams, which a simulation worth its name finds.
  public enum Defect: String, CaseIterable, Sendable {
    /// The tape swallows one record in a thousand.
    case tapeLosesRecords
    /// Records of holes are not written.
    case holesAreNotRecorded
    /// A depth frame is altered between the socket and the harvester.
    case framesAreAltered
    /// After an acknowledged write a kill takes the last records with it.
    case killsLoseAcknowledged
    /// Replies to requests for trades claim to be empty.
    case tradesAreNotBackfilled
  }
}

/// What came of one seed.
public struct SimulationOutcome: Sendable, Equatable {
  public var seed: UInt64
  /// What broke, in words; empty when all held.
  public var violations: [String] = []
  public var events = 0
  public var framesDelivered = 0
  public var framesOnTape = 0
  public var faults = 0
  public var kills = 0
  public var gaps = 0
  public var resyncs = 0
  public var reconnects = 0
  public var rotations = 0
  public var deduplicated = 0
  public var backfilled = 0
  public var tradesUnfilled = 0
  public var bookChecks = 0
  public var restarts = 0
  /// Books, and answers of trades, that came by REST while their streams were down.
  public var polled = 0
  /// Interventions on the tape.
  public var controls = 0
  public var signals = 0
  public var confirmed = 0
  /// Virtual time from the end of the faults until all was in sync, ms.
  public var recoveryMs: Int64 = -1
  /// Over everything on the tape: the same seed must give the same.
  public var tapeHash: UInt64 = 0

  static let violationsMax = 8

  mutating func violate(_ text: String) {
    if violations.count < SimulationOutcome.violationsMax { violations.append(text) }
  }
}

/// Runs one seed.
public func simulate(_ options: SimulationOptions) -> SimulationOutcome {
  let world = World(options)
  world.run()
  return world.outcome
}
