import Core

/// Where a run folder keeps its signals.
public enum SignalFiles {
  public static let finishedSuffix = ".jsonl"
  public static let openSuffix = ".jsonl.part"

  public static func jsonlFolder(_ runFolder: String) -> String { runFolder + "/signals/jsonl" }

  public static func database(_ runFolder: String) -> String { runFolder + "/signals.sqlite" }

  /// `signals-2024-07-18T23`: the UTC hour of a row's tape time.
  public static func hourName(_ time: UnixNanos) -> String {
    let date = UTCDate(time)
    return "signals-\(date.dayText)T\(date.timeText.prefix(2))"
  }

  /// Paths of a folder's signal files from the oldest hour to the newest, finished ones and the open part.
  ///
  /// - Throws: ``SignalStoreError/doubledFile(path:)`` when an hour is there twice.
  public static func list(jsonlFolder folder: String) throws(SignalStoreError) -> [String] {
    if !Files.isFolder(folder) { return [] }
    let names = try storing { () throws(FileError) in try Files.list(folder) }.filter {
      $0.hasPrefix("signals-") && ($0.hasSuffix(finishedSuffix) || $0.hasSuffix(openSuffix))
    }
    for name in names where name.hasSuffix(openSuffix) && names.contains(String(name.dropLast(5))) {
      throw .doubledFile(path: folder + "/" + name.dropLast(5))
    }
    return names.map { folder + "/" + $0 }
  }

  /// The start of a moment's UTC hour.
  static func hourStart(_ time: Int64) -> Int64 {
    let rest = time % Nanoseconds.hour
    return time - (rest < 0 ? rest + Nanoseconds.hour : rest)
  }
}
