import CommandLineKit
import Core
import Glibc
import SimulationKit
import Synchronization

/// Runs many seeds of the simulation on all processors, or looks at one.
@main
enum SimulationCommand {
  static func main() { tool.main() }

  private static let tool = CommandLineTool(
    name: "simulation", summary: "live capture under seeded faults and a virtual clock", version: "1",
    commands: [run, defects])

  private static let run = Command(
    name: "run", summary: "many seeds; exit code 1 when one breaks an invariant",
    options: [
      .integer("seeds", 1...10_000_000, default: 1000, "how many"),
      .integer("from", 0...Int.max, default: 1, "the first seed"),
      .integer("threads", 1...64, default: 2, "how many at once"),
      .flag("trace", "print the events of the first seed"),
    ], examples: ["simulation run --seeds 10000", "simulation run --from 4711 --seeds 1 --trace"]
  ) { arguments in
    let first = UInt64(arguments.integer("from")!)
    if arguments.has("trace") {
      var options = SimulationOptions(seed: first)
      options.trace = { print($0) }
      print(simulate(options))
      return .ok
    }
    let report = runSeeds(first, arguments.integer("seeds")!, threads: arguments.integer("threads")!) {
      SimulationOptions(seed: $0)
    }
    try arguments.console.print(json: report.json)
    for failure in report.failures {
      arguments.console.note("seed \(failure.seed): \(failure.violations.joined(separator: "; "))")
    }
    return report.failures.isEmpty ? .ok : .failedCheck
  }

  private static let defects = Command(
    name: "defects", summary: "mistakes made on purpose; exit code 1 when one is not found",
    options: [
      .integer("seeds", 1...100_000, default: 40, "how many for each"),
      .integer("threads", 1...64, default: 2, "how many at once"),
    ], examples: ["simulation defects --seeds 40"]
  ) { arguments in
    var all = true
    for defect in SimulationOptions.Defect.allCases {
      let report = runSeeds(1, arguments.integer("seeds")!, threads: arguments.integer("threads")!) {
        var options = SimulationOptions(seed: $0)
        options.defect = defect
        return options
      }
      let found = report.failures.count
      all = all && found > 0
      try arguments.console.print(
        json: .object([
          "defect": .string(defect.rawValue), "seeds": .integer(report.seeds), "found_in": .integer(found),
          "first": .string(report.failures.first?.violations.first ?? ""),
        ]))
    }
    return all ? .ok : .failedCheck
  }

  private static func runSeeds(
    _ first: UInt64, _ count: Int, threads: Int, _ options: @escaping @Sendable (UInt64) -> SimulationOptions
  ) -> Report {
    let work = Work(first: first, count: count, options: options)
    var ids: [pthread_t] = []
    for _ in 0..<threads {
      var id = pthread_t()
      let context = Unmanaged.passRetained(work).toOpaque()
      var attributes = pthread_attr_t()
      pthread_attr_init(&attributes)
      pthread_attr_setstacksize(&attributes, 8 << 20)
      pthread_create(
        &id, &attributes,
        { context in
          Unmanaged<Work>.fromOpaque(context!).takeRetainedValue().run()
          return nil
        }, context)
      ids.append(id)
    }
    for id in ids { pthread_join(id, nil) }
    return work.report.withLock { $0 }
  }
}

/// Seeds to be run, taken one by one by several threads.
private final class Work: Sendable {
  let first: UInt64
  let count: Int
  let options: @Sendable (UInt64) -> SimulationOptions
  let next = Atomic<Int>(0)
  let report = Mutex(Report())

  init(first: UInt64, count: Int, options: @escaping @Sendable (UInt64) -> SimulationOptions) {
    self.first = first
    self.count = count
    self.options = options
  }

  func run() {
    while true {
      let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
      if index >= count { return }
      let outcome = simulate(options(first + UInt64(index)))
      report.withLock { $0.add(outcome) }
    }
  }
}

private struct Report: Sendable {
  var seeds = 0
  var failures: [SimulationOutcome] = []
  var sums: [Int] = Array(repeating: 0, count: Report.names.count)
  var recoveries: [Int64] = []

  static let names = [
    "events", "frames_delivered", "frames_on_tape", "faults", "kills", "gaps", "resyncs", "reconnects",
    "rotations", "deduplicated", "backfilled", "restarts", "polled", "controls", "trades_unfilled",
    "book_checks", "signals", "confirmed",
  ]

  mutating func add(_ outcome: SimulationOutcome) {
    seeds += 1
    let values = [
      outcome.events, outcome.framesDelivered, outcome.framesOnTape, outcome.faults, outcome.kills,
      outcome.gaps, outcome.resyncs, outcome.reconnects, outcome.rotations, outcome.deduplicated,
      outcome.backfilled, outcome.restarts, outcome.polled, outcome.controls, outcome.tradesUnfilled,
      outcome.bookChecks, outcome.signals, outcome.confirmed,
    ]
    for (index, value) in values.enumerated() { sums[index] += value }
    recoveries.append(outcome.recoveryMs)
    if !outcome.violations.isEmpty, failures.count < 100 { failures.append(outcome) }
  }

  var json: JSONValue {
    let sorted = recoveries.sorted()
    func quantile(_ share: Double) -> JSONValue {
      sorted.isEmpty ? .null : .integer(sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))])
    }
    var members: [JSONValue.Member] = [.init("seeds", .integer(seeds))]
    for (name, sum) in zip(Report.names, sums) { members.append(.init(name, .integer(sum))) }
    members.append(
      .init("recovery_ms", .object(["p50": quantile(0.5), "p99": quantile(0.99), "max": quantile(1)])))
    members.append(.init("failed", .integer(failures.count)))
    members.append(.init("failed_seeds", .array(failures.prefix(20).map { .integer($0.seed) })))
    return .object(members)
  }
}
