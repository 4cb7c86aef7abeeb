import Broker
import CommandLineKit
import Core
import Services
import Store

enum BrokerCommand {
  static let command = Command(
    name: "broker", summary: "a run's confirmed signals → paper orders",
    details: """
      Follows a run's signals while they are written and makes a paper order at the touch for every \
      confirmed row, in RUN/orders/orders.jsonl. Killed at any moment and started again it goes on: no \
      order is lost or made twice. SIGINT or SIGTERM ends it after what is there, with \
      RUN/orders/summary.json.
      """,
    options: [
      .text("run", "RUN", "the run's folder").required(),
      .oneOf(
        "sink", SignalSinkSet.Choice.allCases.map(\.rawValue),
        "where its signals are read; default: the lines where there are any"),
    ] + Following.options + Configuring.options,
    examples: [
      "weir broker --run out/run --sink jsonl --idle-s 30 --json",
      "weir broker --run out/run --metrics-port 9103",
    ]
  ) { arguments in
    let loaded = try Configuring.load(arguments)
    let run = arguments.text("run")!
    let console = arguments.console
    let service = try BrokerService(
      BrokerOptions(
        runFolder: run, source: Following.sources(arguments, run).first ?? .jsonl,
        follow: Following.follow(arguments, run), configuration: loaded.value.brokerConfiguration))
    try service.run { line in
      try? console.print(json: line)
      try? console.flush()
    }
    return .ok
  }
}
