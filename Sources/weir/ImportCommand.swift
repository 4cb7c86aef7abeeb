import CommandLineKit
import Core
import Services

enum ImportCommand {
  static let command = Command(
    name: "import", summary: "foreign recordings → tape",
    details: """
      Reads recordings (plain or gzip) and merges them by receive time into one tape. Formats: recv-lines \
      "<recv_ns|us|ms> {frame}" with REST snapshots inlined; epoch-lines "<seconds>: {frame}" with REST captures \
      beside; frames, one a line, whose receive time is their event time. What cannot be used is skipped, counted \
      and reported with its reason.
      """,
    arguments: [.list("file", "recordings, in order")],
    options: [
      .oneOf("from", ImportFormat.allCases.map(\.rawValue), default: "auto", "format of the files"),
      .text("symbol", "S", "symbol of snapshots whose file does not tell"),
      .text("snapshot", "SYM=FILE", "a REST depth snapshot, or a capture file that holds one").repeatable(),
      .text("out", "TAPE", "folder of the new tape").required(),
    ] + Configuring.options,
    examples: [
      "weir import --out out/tape btcusdt_20240718.gz btcusdt_20240719.gz",
      "weir import --from epoch-lines --snapshot SUSHIUSDT=capture.http.0.0 --out out/tape capture.ws.1.0",
    ]
  ) { arguments in
    let loaded = try Configuring.load(arguments)
    let snapshots = try arguments.texts("snapshot").map { text throws(UsageError) in
      guard let mark = text.firstIndex(of: "="), mark != text.startIndex else {
        throw UsageError("--snapshot must be SYMBOL=FILE; found \"\(text)\"")
      }
      return ImportOptions.Snapshot(
        symbol: text[..<mark].uppercased(), file: String(text[text.index(after: mark)...]))
    }
    let progress = Progress("import", unit: "records", for: arguments)
    let report = try importRecordings(
      ImportOptions(
        format: arguments.choice("from", as: ImportFormat.self)!, symbol: arguments.text("symbol"),
        snapshots: snapshots, output: arguments.text("out")!, files: arguments.arguments("file"),
        tape: loaded.value.tapeOptions)
    ) { progress.update(Int64($0.records)) }
    progress.finish()
    if arguments.isJSON {
      try arguments.console.print(json: report.json)
    } else {
      try arguments.console.write(text(report))
    }
    return .ok
  }

  private static func text(_ report: ImportReport) -> String {
    var lines: [String] = []
    for file in report.files {
      var line = "\(Files.name(file.path)): \(file.format), \(file.lines) lines, \(file.frames) frames"
      if file.snapshots > 0 { line += ", \(file.snapshots) snapshots" }
      if file.isBeside { line += " (found beside)" }
      lines.append(line)
      for skip in file.skipped {
        lines.append("  skipped \(skip.count) \(skip.reason), first at line \(skip.firstLine)")
      }
      if let truncation = file.truncation { lines.append("  truncated: \(truncation)") }
    }
    for symbol in report.symbols {
      let events = symbol.events.map { "\($0.event) \($0.frames)" }.joined(separator: ", ")
      lines.append("\(symbol.symbol): \(events)")
    }
    let span =
      UTCDate(report.firstReceiveTime).isoText + " … " + UTCDate(report.lastReceiveTime).isoText
    lines.append("\(report.records) records, \(span)")
    lines.append("tape: \(report.output)")
    return lines.joined(separator: "\n") + "\n"
  }
}
