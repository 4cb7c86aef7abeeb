import Core

/// When and whom: the kills of one round, drawn from a seed.
struct ChaosPlan {
  struct Strike {
    enum Manner: String, CaseIterable {
      /// One service, once.
      case single
      /// The same service again while it starts.
      case twice
      /// Two services at once.
      case pair
    }

    var manner: Manner
    var victims: [String]
    /// Since everything was ready again.
    var quietMs: Int
    /// For `twice`: from the new process being there to its end.
    var againMs: Int

    var kills: Int { manner == .single ? 1 : 2 }
  }

  /// Moments after the supervisor was started, each for the newest service there is then.
  var startUpMs: [Int] = []
  var strikes: [Strike] = []
  /// Moments after the supervisor was told to stop, each for one service that still lives.
  var shutdownMs: [Int] = []

  var kills: Int { startUpMs.count + shutdownMs.count + strikes.reduce(0) { $0 + $1.kills } }

  /// - Parameter quietMsMean: mean pause between recovery and the next kill; pauses are exponential, so that
  ///   kills meet every phase of a service's work.
  init(kills: Int, services: [String], quietMsMean: Int, random: inout SeededRandom) {
    let edge = max(1, kills / 12)
    if kills >= 3 {
      startUpMs = (0..<edge).map { _ in 5 + random.below(1200) }.sorted()
      shutdownMs = (0..<edge).map { _ in random.below(400) }.sorted()
    }
    var left = kills - startUpMs.count - shutdownMs.count
    while left > 0 {
      let draw = random.uniform()
      var manner: Strike.Manner = draw < 0.6 ? .single : draw < 0.85 ? .twice : .pair
      if left == 1 || (manner == .pair && services.count < 2) { manner = .single }
      var pool = services
      var victims = [pool.remove(at: random.below(pool.count))]
      if manner == .pair { victims.append(pool[random.below(pool.count)]) }
      let quiet = min(10 * quietMsMean, Int(random.exponential(mean: Double(quietMsMean))))
      strikes.append(
        Strike(manner: manner, victims: victims, quietMs: quiet, againMs: random.below(120)))
      left -= strikes[strikes.count - 1].kills
    }
  }
}
