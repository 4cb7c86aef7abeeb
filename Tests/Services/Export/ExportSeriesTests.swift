import Core
import Glibc
import Services
import Testing

@Suite("Export series")
struct ExportSeriesTests {
  private let series = ExportSeries(run: "r1", instance: "h")

  private func values(_ counters: RunCounters) -> [String: ExportValue] {
    var result: [String: ExportValue] = [:]
    for point in series.points(counters, timeNs: 9) {
      #expect(point.timeNs == 9)
      #expect(point.tags.prefix(2) == [.init("run", "r1"), .init("instance", "h")])
      let label = point.tags.dropFirst(2).map { "{\($0.name)=\($0.value)}" }.joined()
      for field in point.fields {
        #expect(result.updateValue(field.value, forKey: "\(point.measurement)_\(field.name)\(label)") == nil)
      }
    }
    return result
  }

  @Test func everyCounterIsASeries() {
    var counters = RunCounters()
    counters.rows = 100
    counters.confirmed = 8
    counters.strong = 2
    counters.gatedByReason = ["weak": 80, "low_consistency": 12]
    counters.rowsLastMinute = 40
    counters.latency = .init(p50Ms: 1.5, p95Ms: 3, p99Ms: 9)
    counters.gaps = 1
    counters.resyncs = 2
    counters.queueDropped = 3
    counters.lost = 4
    counters.reconnects = 5
    var bitcoin = RunCounters.SymbolCounters()
    bitcoin.rows = 60
    bitcoin.confirmed = 4
    bitcoin.strong = 1
    bitcoin.gaps = 1
    counters.bySymbol = ["BTCUSDT": bitcoin]
    #expect(
      values(counters) == [
        "weir_signal_rows_total": .integer(100), "weir_signal_confirmed_total": .integer(8),
        "weir_signal_strong_total": .integer(2), "weir_signal_strong_ratio": .double(0.25),
        "weir_signal_rows_per_minute": .integer(40), "weir_signal_gated_total{reason=weak}": .integer(80),
        "weir_signal_gated_total{reason=low_consistency}": .integer(12),
        "weir_harvest_latency_ms{quantile=0.5}": .double(1.5),
        "weir_harvest_latency_ms{quantile=0.95}": .double(3),
        "weir_harvest_latency_ms{quantile=0.99}": .double(9), "weir_harvest_gaps_total": .integer(1),
        "weir_harvest_resyncs_total": .integer(2), "weir_harvest_queue_dropped_total": .integer(3),
        "weir_harvest_lost_total": .integer(4), "weir_harvest_reconnects_total": .integer(5),
        "weir_signal_symbol_rows_total{symbol=BTCUSDT}": .integer(60),
        "weir_signal_symbol_confirmed_total{symbol=BTCUSDT}": .integer(4),
        "weir_signal_symbol_strong_total{symbol=BTCUSDT}": .integer(1),
        "weir_signal_symbol_strong_ratio{symbol=BTCUSDT}": .double(0.25),
        "weir_harvest_symbol_gaps_total{symbol=BTCUSDT}": .integer(1),
        "weir_harvest_symbol_resyncs_total{symbol=BTCUSDT}": .integer(0),
        "weir_harvest_symbol_lost_total{symbol=BTCUSDT}": .integer(0),
      ])
  }

  @Test func whatDoesNotExistYetIsLeftOut() {
    let names = values(RunCounters()).keys
    #expect(!names.contains { $0.contains("ratio") || $0.contains("latency") })
    #expect(names.contains("weir_signal_rows_total"))
  }
}

@Suite("Export credentials")
struct ExportCredentialsTests {
  private func withFile<Result>(_ content: String, mode: mode_t, _ use: (String) throws -> Result) throws
    -> Result
  {
    var template = Array("/tmp/weir-token-XXXXXX".utf8CString)
    let descriptor = mkstemp(&template)
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { unlink(path) }
    _ = content.withCString { write(descriptor, $0, strlen($0)) }
    fchmod(descriptor, mode)
    close(descriptor)
    return try use(path)
  }

  private func load(_ environment: [String: String], _ path: String = "") throws -> ExportCredentials {
    try ExportCredentials.load(environment: environment, tokenFile: path)
  }

  private func refusal(_ environment: [String: String] = [:], _ path: String = "") -> String {
    do {
      _ = try load(environment, path)
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test func environmentStandsAboveTheFile() throws {
    let user = ["TIMESERIES_USER": "u", "TIMESERIES_PASSWORD": "p"]
    try withFile("file-token\nsecond line\n", mode: 0o600) { path in
      let all = [
        try load([:], path), try load(user, path),
        try load(user.merging(["TIMESERIES_TOKEN": "t"]) { $1 }, path),
      ]
      #expect(all.map(\.description) == ["token", "user and password", "token"])
    }
    #expect(try load(["TIMESERIES_TOKEN": ""]).description == "none")
  }

  @Test(arguments: [0o640, 0o604, 0o601, 0o666] as [mode_t])
  func aFileForOthersIsRefused(_ mode: mode_t) throws {
    try withFile("hush-token", mode: mode) { path in
      let text = refusal([:], path)
      #expect(text.contains("chmod 600 \(path)"))
      #expect(!text.contains("hush"))
    }
  }

  @Test func filesThatCannotBeUsed() throws {
    #expect(refusal([:], "/nowhere/token").contains("cannot open /nowhere/token"))
    #expect(refusal([:], "/tmp").contains("no regular file"))
    try withFile("\n \n", mode: 0o600) { #expect(refusal([:], $0).contains("is empty")) }
    try withFile("hush\u{7}", mode: 0o600) { #expect(refusal([:], $0).contains("printable ASCII")) }
    let pipe = "/tmp/weir-token-pipe-\(getpid())"
    mkfifo(pipe, 0o600)
    defer { unlink(pipe) }
    #expect(refusal([:], pipe).contains("no regular file"))
  }

  @Test func nothingShowsASecret() throws {
    let all = [
      try ExportCredentials.token("hush"), try ExportCredentials.user("me", password: "hush"),
    ]
    for credentials in all {
      var dumped = ""
      dump(credentials, to: &dumped)
      #expect(!"\(credentials) \(String(reflecting: credentials)) \(dumped)".contains("hush"))
    }
    #expect(
      refusal(["TIMESERIES_TOKEN": "hush\r\nX: y"])
        == "the token must be at most 4096 printable ASCII characters")
    #expect(refusal(["TIMESERIES_USER": "a:b"]).contains("colon"))
  }
}
