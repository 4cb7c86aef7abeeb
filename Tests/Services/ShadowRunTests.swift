import Core
import Report
import Store
import Strategy
import Testing

@testable import Services

/// Whole runs: what lies where, and who reads it.
@Suite("Shadow runs")
struct ShadowRunTests {
  private func replay(_ folder: String, _ out: String, isEnabled: Bool, sink: SignalSinkSet.Choice = .dual)
    throws -> ReplayResult
  {
    var configuration = WeirConfiguration()
    configuration.signal = quickConfiguration
    configuration.signal.shadow.isEnabled = isEnabled
    return try Replay.run(
      ReplayOptions(
        tape: folder + "/tape", out: folder + "/" + out, sink: sink, configuration: configuration,
        configurationVersion: "000000000000"))
  }

  /// Every file below a folder, by its path in it.
  private func files(_ folder: String) throws -> [String: [UInt8]] {
    var found: [String: [UInt8]] = [:]
    for name in try Files.list(folder) {
      let path = folder + "/" + name
      if Files.isFolder(path) {
        for (inner, bytes) in try files(path) { found[name + "/" + inner] = bytes }
      } else {
        found[name] = try Files.read(path)
      }
    }
    return found
  }

  private func storedRows(_ run: String) throws -> [StoredRow] {
    var reader = try SQLiteReader(runFolder: run)
    var rows: [StoredRow] = []
    while let row = try reader.next() { rows.append(row) }
    return rows
  }

  /// With and without shadow signals a run is the same bytes, beside its summary and a folder of its own.
  @Test func onAndOffAreTheSameRun() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeMarket(folder + "/tape", seed: 8, minutes: 1.5, gaps: 2)
    let on = try replay(folder, "on", isEnabled: true)
    let off = try replay(folder, "off", isEnabled: false)
    #expect(on.signalsSHA256 == off.signalsSHA256)
    #expect(!Files.exists(folder + "/off/shadow") && off.shadow == nil)
    let mine = try files(folder + "/on").filter { !$0.key.hasPrefix("shadow/") }
    let theirs = try files(folder + "/off")
    #expect(Set(mine.keys) == Set(theirs.keys) && mine.count > 5)
    for (name, bytes) in mine where name != "summary.json" { #expect(bytes == theirs[name], "\(name)") }
    #expect(try storedRows(folder + "/on") == storedRows(folder + "/off"))

    let summary = on.summary.json
    #expect(off.summary.json["shadow"] == .null)
    #expect(summary["shadow"]?["sha256"]?.text == on.shadow?.sha256)
    for member in summary["symbols"]?.members ?? [] {
      #expect(member.value["shadow"]?["verdict"]?.text == "undecided")
      #expect(off.summary.json["symbols"]?[member.key]?["shadow"] == nil)
    }
    #expect(on.overview.contains { $0.hasPrefix("shadow BTCUSDT: cvd ") })
  }

  /// Readers of a run meet no shadow row; in the shadow's folder they meet nothing else.
  @Test func readersSeeTheirOwnRows() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeMarket(folder + "/tape", seed: 9, minutes: 1)
    let result = try replay(folder, "run", isEnabled: true)
    let counts = (main: result.sinks.rowsAppended, shadow: try #require(result.shadow).rows)
    #expect(counts.shadow > 50 && counts.main > 200)
    for (run, count) in [(folder + "/run", counts.main), (folder + "/run/shadow", counts.shadow)] {
      let isShadow = run.hasSuffix("shadow")
      let parity = try compareSinks(runFolder: run)
      #expect(parity.isExact && parity.jsonl.total == count && parity.rowsOutOfOrderJSONL == 0)
      for source in SignalFeed.Source.allCases {
        let feed = SignalFeed(runFolder: run, source: source, confirmedOnly: false)
        var rows: [StoredRow] = []
        reading: while true {
          switch try feed.step(isLast: true) {
          case .row(let row): rows.append(row)
          case .passed: continue
          case .idle: break reading
          }
        }
        #expect(rows.count == count, "\(run) \(source)")
        #expect(rows.allSatisfy { $0.trigger?.isShadow == isShadow })
        #expect(rows.allSatisfy { $0.text(.signalID)?.contains("-") == true })
        if isShadow { #expect(rows.allSatisfy { !$0.isConfirmed }) }
      }
      // The hash is that of the lines as they lie there.
      var hash = RowHash()
      for (_, bytes) in try files(run + "/signals/jsonl").sorted(by: { $0.key < $1.key }) {
        bytes.withUnsafeBytes { hash.append($0) }
      }
      #expect(hash.hexadecimal() == (isShadow ? result.shadow?.sha256 : result.signalsSHA256))
    }
    var last = JSONValue.null
    let service = try ReportService(
      ReportServiceOptions(
        runFolder: folder + "/run", sources: [.jsonl, .sqlite], follow: FollowOptions(isOnce: true),
        configuration: WeirConfiguration()))
    try service.run { last = $0 }
    #expect(last["rows"]?.integer == Int64(counts.main))
  }

  /// A replay that was interrupted between the two sets of files ends with the same ones.
  @Test(arguments: SignalSinkSet.Choice.allCases)
  func anInterruptedReplayDoublesNothing(sink: SignalSinkSet.Choice) throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeMarket(folder + "/tape", seed: 10, minutes: 0.7)
    let whole = try replay(folder, "run", isEnabled: true, sink: sink)
    #expect(Files.exists(folder + "/run/shadow/signals.sqlite") == sink.hasSQLite)
    #expect(Files.isFolder(folder + "/run/shadow/signals/jsonl") == sink.hasJSONL)
    let before = try files(folder + "/run/shadow")
    try Files.remove(folder + "/run/summary.json")
    if sink.hasJSONL {
      let lines = folder + "/run/shadow/signals/jsonl/"
      let name = try #require(Files.list(lines).last)
      try Files.rename(lines + name, lines + name + ".part")
      try File(lines + name + ".part", .append).truncate(to: 5000)
    }
    let again = try replay(folder, "run", isEnabled: true, sink: sink)
    #expect(again.shadow == whole.shadow && again.sinks.jsonlRowsWritten == 0)
    let after = try files(folder + "/run/shadow")
    #expect(before.filter { $0.key.hasSuffix("jsonl") } == after.filter { $0.key.hasSuffix("jsonl") })
  }
}
