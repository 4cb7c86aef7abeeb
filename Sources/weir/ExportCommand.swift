import CommandLineKit
import Core
import Services

enum ExportCommand {
  static let command = Command(
    name: "export", summary: "one symbol's market in another tool's format",
    details: """
      Tells a tape's book and trades to tools that trust what they read: the book as the signal stage keeps it (whole \
      after each gap, silent while it is lost), each trade once. hftbacktest gets one .npz of events in both time \
      orders; where the receive clock ran behind the exchange's, its times are moved as hftbacktest's own converters \
      do, and the result says by how much. nautilus gets a NautilusTrader data catalog of Parquet files with the \
      times as they are.
      """,
    arguments: [CommandArgument("tape", "the tape's folder")],
    options: [
      .oneOf("format", MarketExportOptions.Format.allCases.map(\.rawValue), "whose format").required(),
      .text("symbol", "S", "the instrument").required(),
      .text("out", "PATH", "a new .npz file, or the catalog's folder").required(),
      .text("from", "TIME", "first receive time (UTC): 2024-07-18, 2024-07-18T23 or 2024-07-18T23:57:00"),
      .text("to", "TIME", "end of the receive times, in the same forms"),
      .double(
        "base-latency-us", 0...1_000_000, default: 0, "hftbacktest: least latency after times were moved"),
    ] + Configuring.options,
    examples: [
      "weir export out/tape --format hftbacktest --symbol BTCUSDT --out out/btcusdt.npz",
      "weir export out/tape --format nautilus --symbol BTCUSDT --out out/catalog --json",
    ]
  ) { arguments in
    let loaded = try Configuring.load(arguments)
    let from = try time(arguments, "from") ?? 0
    let to = try time(arguments, "to") ?? .max
    guard from < to else { throw UsageError("--to must be later than --from") }
    let progress = Progress("export", unit: "records", for: arguments)
    let report = try MarketExport.run(
      MarketExportOptions(
        tape: arguments.argument("tape"),
        format: arguments.choice("format", as: MarketExportOptions.Format.self)!,
        symbol: arguments.text("symbol")!.uppercased(), out: arguments.text("out")!, range: from..<to,
        baseLatencyNs: Int64(arguments.double("base-latency-us")! * 1000), configuration: loaded.value)
    ) { progress.update($0) }
    progress.finish()
    try arguments.console.print(json: report, pretty: !arguments.isJSON)
    return report["damaged_segments"]?.elements?.isEmpty ?? true ? .ok : .failedCheck
  }

  private static func time(_ arguments: ParsedArguments, _ option: String) throws(UsageError) -> Int64? {
    guard let text = arguments.text(option) else { return nil }
    guard let moment = moment(text) else {
      throw UsageError(
        "--\(option) must be a time of 1970 to 2261 such as 2024-07-18, 2024-07-18T23 or 2024-07-18T23:57:00; "
          + "found \"\(text)\"")
    }
    return moment
  }

  /// Nanoseconds of a UTC day, hour, minute or second.
  private static func moment(_ text: String) -> Int64? {
    let parts = text.split(separator: "T", omittingEmptySubsequences: false)
    guard parts.count <= 2, let day = CalendarDay(String(parts[0])), (0..<106_000).contains(day.daysSince1970)
    else { return nil }
    var seconds: Int64 = 0
    if parts.count == 2 {
      let fields = parts[1].split(separator: ":", omittingEmptySubsequences: false)
      guard fields.count <= 3 else { return nil }
      for (field, unit) in zip(fields, [(3600 as Int64, 24), (60, 60), (1, 60)]) {
        guard field.utf8.count == 2, let value = Int64(field), (0..<Int64(unit.1)).contains(value) else {
          return nil
        }
        seconds += value * unit.0
      }
    }
    return Int64(day.daysSince1970) * Nanoseconds.day + seconds * Nanoseconds.second
  }
}
