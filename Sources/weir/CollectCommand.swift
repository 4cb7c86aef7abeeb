import CommandLineKit
import Core
import Services

enum CollectCommand {
  static let command = Command(
    name: "gc", summary: "remove and merge old data by policy",
    details: """
      Looks at tapes, converted Parquet and runs. Removes what is older than storage.retention_days.* of its kind, and \
      the oldest when a disk is fuller than storage.disk_high_pct; merges the hours of days that are over into one file. \
      A segment stays while it is not sealed, the last, not converted, or held: by the ClickHouse loader's position, a \
      running signal stage, or any TAPE/.hold-NAME.json {"seq":N}. Nothing is removed unless the configuration says so.

      Exit code 1 when something could not be merged.
      """,
    arguments: [.list("data", "folders: a run, a tape, converted Parquet")],
    options: [
      .flag("dry-run", "print what would be done, and do nothing"),
      .text("position", "FILE", "a loader's position.json that is not beside the tape").repeatable(),
    ] + Configuring.options,
    examples: [
      "weir gc out/tape out/parquet --dry-run",
      "weir gc out/run --set storage.retention_days.tape=7 --json",
    ]
  ) { arguments in
    let loaded = try Configuring.load(arguments)
    let progress = Progress("gc", unit: "actions", for: arguments)
    let collection = try GarbageCollection.run(
      GarbageCollectionOptions(
        folders: arguments.arguments("data"), positions: arguments.texts("position"),
        policy: loaded.value.retentionPolicy, isDryRun: arguments.has("dry-run"))
    ) { progress.update($0) }
    progress.finish()
    if arguments.isJSON {
      try arguments.console.print(json: collection.json)
    } else {
      try arguments.console.write(text(collection))
    }
    return collection.isComplete ? .ok : .failedCheck
  }

  private static func text(_ collection: GarbageCollection) -> String {
    var lines = collection.plan.actions.map { action in
      let size = action.items.isEmpty ? "" : " (\(compactCount(Double(action.bytes)))B)"
      return "\(action.verb.rawValue) \(action.path)\(size): \(action.reason)"
    }
    if let result = collection.result {
      lines.append(
        "removed \(result.filesRemoved) files, \(compactCount(Double(result.bytesRemoved)))B; "
          + "merged \(result.filesCompacted) files into \(result.daysCompacted)")
      lines += result.compactionsFailed.map { "not merged: \($0)" }
    } else {
      lines.append(
        "dry run: \(collection.plan.removals.count) would go, "
          + "\(collection.plan.actions.count { $0.verb == .compact }) days would be merged, "
          + "\(collection.keptCount) are due and stay")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
