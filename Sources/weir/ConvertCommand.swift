import CommandLineKit
import Core
import Services
import Tape

enum ConvertCommand {
  static let command = Command(
    name: "convert", summary: "tape → Parquet files",
    details: """
      Writes DIR/kind=K/date=D/symbol=S/hour=HH.parquet, a set of files for each segment of the tape. Killed at \
      any moment and started again it goes on; what was converted is passed. A segment that is being written is \
      left for later. Exit code 1 when part of the tape is damaged: the rest is converted.
      """,
    arguments: [CommandArgument("tape", "the tape's folder, or a run's with a tape in it")],
    options: [
      .text("out", "DIR", "folder of the Parquet files").required(),
      .integer("level", 1...19, "zstd level, in place of storage.parquet_level"),
      .flag("trust-seals", "do not recompute the segments' hashes; 'weir validate' still does"),
      .flag("follow", "convert each segment once it is closed, until told to stop"),
      .integer(
        "metrics-port", 0...65_535, "serve /metrics, /healthz, /readyz on loopback; 0 for a free port"),
      .flag("supervised", "standard input and output belong to a supervisor"),
    ] + Configuring.options,
    examples: [
      "weir convert out/tape --out out/parquet --json",
      "weir convert out/run --out out/parquet --follow --metrics-port 9105",
    ]
  ) { arguments in
    let loaded = try Configuring.load(arguments)
    var options = loaded.value.convertOptions(
      tape: tapeFolder(arguments.argument("tape")), output: arguments.text("out")!)
    if let level = arguments.integer("level") { options.level = level }
    options.verifiesSeals = !arguments.has("trust-seals")
    let console = arguments.console
    if arguments.has("follow") {
      let service = try ConvertService(
        options, metricsPort: arguments.integer("metrics-port").map(UInt16.init),
        isSupervised: arguments.has("supervised"), note: operatorNote(arguments, "convert"))
      let isWhole = service.run { line in
        try? console.print(json: line)
        try? console.flush()
      }
      return isWhole ? .ok : .failedCheck
    }
    let progress = Progress("convert", unit: "records", for: arguments)
    let (result, json) = try convertTape(options) { progress.update($0) }
    progress.finish()
    if arguments.isJSON {
      try console.print(json: json)
    } else {
      try console.write(text(result, json))
    }
    return result.isDamaged ? .failedCheck : .ok
  }

  /// A run's folder stands for the tape in it.
  private static func tapeFolder(_ path: String) -> String {
    !Tape.holdsRecords(path) && Files.isFolder(path + "/tape") ? path + "/tape" : path
  }

  private static func text(_ result: ConvertResult, _ json: JSONValue) -> String {
    var lines = result.rows.sorted { $0.key.rawValue < $1.key.rawValue }.map { kind, rows in
      "\(kind.name): \(rows) rows"
    }
    lines.append(
      "\(result.records) messages, \(result.segments) segments converted, \(result.skippedSegments) were before")
    lines.append("\(result.bytesIn) bytes of tape, \(result.bytesOut) of Parquet")
    if let rate = json["messages_per_cpu_s"]?.double {
      lines.append("\(Int64(rate)) messages a CPU-second, \(json["max_rss_mb"]?.double ?? 0) MiB at most")
    }
    return (lines + result.warnings.map { "warning: \($0)" }).joined(separator: "\n") + "\n"
  }
}
