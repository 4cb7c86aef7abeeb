import CommandLineKit
import Core

/// What all rounds together showed.
struct ChaosReport {
  let seed: UInt64
  var seconds = 0.0
  private(set) var holds = true
  private var rounds: [JSONValue] = []
  private var recoveries: [ChaosRound.Recovery] = []
  private var kills: [String: Int] = [:]
  private var killsByPhase: [String: Int] = [:]
  private var checks: [(round: Int, check: ChaosVerification.Check)] = []

  init(seed: UInt64) { self.seed = seed }

  mutating func add(_ round: ChaosRound, _ verification: ChaosVerification) {
    var verification = verification
    verification.add(
      "recovered and ended", round.problems.isEmpty,
      round.problems.isEmpty ? "exit code \(round.exitCode)" : round.problems.joined(separator: "; "))
    verification.add(
      "nothing left behind", round.leftovers.isEmpty, round.leftovers.joined(separator: "; "))
    let number = rounds.count + 1
    for check in verification.checks { checks.append((number, check)) }
    holds = holds && verification.checks.allSatisfy(\.holds)
    recoveries += round.recoveries
    kills.merge(round.kills) { $0 + $1 }
    killsByPhase.merge(round.killsByPhase) { $0 + $1 }
    rounds.append(
      .object([
        "kills": .integer(round.killCount), "exit_code": .integer(round.exitCode),
        "stop_s": .rounded(round.stopSeconds, 2),
        "conditions": .array(round.conditions),
        "checks": .array(verification.checks.map(\.json)),
      ]))
  }

  private func quantiles(_ values: [Double]) -> JSONValue {
    let sorted = values.sorted()
    func quantile(_ share: Double) -> JSONValue {
      sorted.isEmpty ? .null : .rounded(sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))], 1)
    }
    return .object([
      "count": .integer(sorted.count), "p50": quantile(0.5), "p99": quantile(0.99), "max": quantile(1),
    ])
  }

  private func counts(_ values: [String: Int]) -> JSONValue {
    .object(values.sorted { $0.key < $1.key }.map { .init($0.key, .integer($0.value)) })
  }

  var json: JSONValue {
    .object([
      "holds": .bool(holds), "seed": .integer(seed), "seconds": .rounded(seconds, 1),
      "kills": .integer(kills.values.reduce(0, +)), "kills_by_service": counts(kills),
      "kills_by_phase": counts(killsByPhase),
      "respawn_ms": quantiles(recoveries.map(\.respawnMs)), "ready_ms": quantiles(recoveries.map(\.readyMs)),
      "ready_ms_by_service": .object(
        Set(recoveries.map(\.service)).sorted().map { name in
          .init(name, quantiles(recoveries.filter { $0.service == name }.map(\.readyMs)))
        }),
      "rounds": .array(rounds),
    ])
  }

  func text(_ style: TerminalStyle) -> String {
    var times = TextTable(["service", "kills", "recoveries", "ready ms p50", "p99", "max"])
    func row(_ name: String, _ killed: Int, _ found: [ChaosRound.Recovery]) {
      let value = quantiles(found.map(\.readyMs))
      times.add(
        [name, "\(killed)", "\(found.count)"]
          + ["p50", "p99", "max"].map { value[$0]?.text ?? "–" })
    }
    for name in kills.keys.sorted() { row(name, kills[name] ?? 0, recoveries.filter { $0.service == name }) }
    row("all", kills.values.reduce(0, +), recoveries)
    var results = TextTable(["round", "check", "result", "detail"])
    for (round, check) in checks {
      results.add(["\(round)", check.name, check.holds ? "ok" : "FAILED", check.detail])
    }
    return times.text(style) + "\n" + results.text(style) + "\n"
  }
}
