import Core
import Report
import Store

/// One sink's daily reports, from its rows as they come.
final class SinkReport {
  let source: SignalFeed.Source
  let folder: String
  private(set) var progress: ReportProgress
  /// Rows that are none of ours, or older than a finished day.
  private(set) var rowsRefused = 0

  private let runFolder: String
  private let isFirst: Bool
  private let options: ReportOptions
  private let market: MarketSection?
  private let feed: SignalFeed
  private var accumulator: ReportAccumulator
  private var newest: UnixNanos?
  private var configVersion: String?

  /// - Parameters:
  ///   - isFirst: its reports are also the run's own, beside the manifests.
  ///   - resumes: days finished by an earlier process are not read again.
  ///   - market: a further section, where there are tables for it.
  init(
    runFolder: String, source: SignalFeed.Source, isFirst: Bool, options: ReportOptions, resumes: Bool,
    market: MarketSection? = nil
  ) {
    self.runFolder = runFolder
    self.source = source
    self.isFirst = isFirst
    self.options = options
    self.market = market
    folder = runFolder + "/reports/" + source.rawValue
    progress = (resumes ? ReportProgress(folder: folder) : nil) ?? ReportProgress()
    feed = SignalFeed(
      runFolder: runFolder, source: source, confirmedOnly: false, from: progress.position)
    accumulator = ReportAccumulator(options: options)
  }

  var rowsRead: Int64 { feed.rowsRead }
  var newestTime: UnixNanos? { feed.newestTime }
  var bytesBehind: Int { feed.bytesBehind }
  var linesUnreadable: Int { feed.linesUnreadable }

  /// - Returns: steps made; fewer than asked for when there are no more now.
  func consume(stepsMax: Int, isLast: Bool) throws -> Int {
    for taken in 0..<stepsMax {
      let before = feed.position
      switch try feed.step(isLast: isLast) {
      case .idle: return taken
      case .passed: continue
      case .row(let row): try add(row, before)
      }
    }
    return stepsMax
  }

  private func add(_ row: StoredRow, _ before: SignalPosition) throws {
    let time = row.receiveTime
    if let through = progress.through, time <= through {
      rowsRefused += 1
      return
    }
    guard accumulator.add(row) else {
      rowsRefused += 1
      return
    }
    if progress.first == nil { progress.first = time }
    newest = max(newest ?? time, time)
    configVersion = row.text(.configVersion)
    // Rows come in the order of time: the first of a day ends the day before.
    let finished = accumulator.takeFinishedDays()
    if finished.isEmpty { return }
    for day in finished {
      try write(day)
      progress.finishedDays.append(day.dayText)
      progress.through = max(progress.through ?? day.lastTime, day.lastTime)
    }
    progress.position = before
    try progress.write(folder: folder)
  }

  /// Writes the days that are not finished.
  ///
  /// - Returns: how many reports were written.
  func write() throws -> Int {
    for day in accumulator.days { try write(day) }
    return accumulator.days.count
  }

  private func write(_ day: ReportDay) throws {
    let first = progress.first ?? day.firstTime
    let seconds = Double((newest ?? day.lastTime).rawValue - first.rawValue) / 1e9
    let report = DailyReport(
      day: day, symbols: accumulator.symbols, options: options,
      facts: .object(["config_version": configVersion.map { .string($0) } ?? .null]),
      sections: market.map { [$0.member(day)] } ?? [],
      run: runSection(status: SinkReport.status(runFolder), seconds: seconds))
    try report.write(folder: folder)
    if isFirst { try report.writeTexts(folder: runFolder, chartFolder: "reports/\(source.rawValue)/charts") }
  }

  /// What the supervisor last said; unreadable is the same as absent.
  private static func status(_ runFolder: String) -> JSONValue? {
    guard let bytes = try? Files.read(runFolder + "/run_status.json", bytesMax: 64 << 20) else { return nil }
    return bytes.withUnsafeBytes { try? JSONValue(parsing: $0) }
  }

  var summary: JSONValue {
    .object([
      "rows": .integer(feed.rowsRead), "rows_refused": .integer(rowsRefused),
      "lines_unreadable": .integer(feed.linesUnreadable),
      "first_unreadable_line": feed.firstBadLine.map { .string("\($0)") } ?? .null,
      "days": .array((progress.finishedDays + accumulator.days.map(\.dayText)).map { .string($0) }),
      "folder": .string(folder),
    ])
  }
}
