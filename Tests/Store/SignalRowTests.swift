import Core
import Store
import Strategy
import Testing

@Suite("Signal row")
struct SignalRowTests {
  func line(_ signal: Signal, _ context: SignalContext = SignalSamples.context()) -> String {
    var row = SignalRow(context)
    row.encode(signal)
    return String(decoding: row.line, as: UTF8.self)
  }

  @Test func goldenLine() {
    let expected = """
      {"signal_id":"BTCUSDT-1721347021250000000-g","ts_ms":1721347021250,"recv_ns":1721347021250000000,\
      "symbol":"BTCUSDT","score":1.5,"z_ofi":2.25,"z_cvd":-0.000001,"ofi":-12.5,"cvd":-1234.5,\
      "consistency":0.25,"dispersion":null,"price":63943.905,"spread_bps":0.0156,"lag_ms":3,\
      "staleness_ms":12.75,"regime":"normal","mode":"auto","scenario":null,"div_type":null,\
      "signal_type":"strong_buy","confirm":true,"gating":false,"guard_reason":null,"quality_flags":"",\
      "shadow":false,"config_version":"0123456789ab","trace_id":"00000000000000ff"}

      """
    #expect(line(SignalSamples.plain()) == expected)
  }

  @Test func columnsAreTheSignals() {
    #expect(SignalColumn.allCases.map { "\($0.name)" } == Signal.columns.map { "\($0)" })
    let keys = try? JSONValue(parsing: line(SignalSamples.plain())).members?.map(\.key)
    #expect(keys == Signal.columns.map { "\($0)" })
  }

  @Test func gatedRow() {
    var signal = SignalSamples.plain(symbol: 1, trigger: .strong)
    signal.guardReason = .lowConsistency
    signal.confirmed = false
    signal.qualityFlags = [.clockSkew, .stale]
    signal.doubledMid = nil
    let text = line(signal)
    #expect(text.hasPrefix("{\"signal_id\":\"ETHUSDT-1721347021250000000-s\""))
    #expect(text.contains("\"confirm\":false,\"gating\":true,\"guard_reason\":\"low_consistency\""))
    #expect(text.contains("\"quality_flags\":\"clock_skew,stale\""))
    #expect(text.contains("\"price\":null"))
  }

  @Test(
    arguments: [
      (3, 0, "1.5"), (1, 0, "0.5"), (-1, 0, "-0.5"), (-1, 2, "-0.005"), (-3, 1, "-0.15"), (4, 1, "0.2"),
      (0, 2, "0"), (200, 2, "1"), (.max, 0, "4611686018427387903.5"), (.min, 0, "-4611686018427387904"),
      (.max, 18, "4.6116860184273879035"),
    ] as [(Int64, Int, String)])
  func halfTicks(_ doubled: Int64, _ decimals: Int, _ expected: String) {
    var signal = SignalSamples.plain()
    signal.doubledMid = doubled
    signal.priceScale = DecimalScale(decimals)
    #expect(line(signal).contains("\"price\":\(expected),"))
  }

  @Test(arguments: [0, 1, 999_999, 1_000_000, -1, -1_000_001, .max, .min] as [Int64])
  func times(_ time: Int64) throws {
    let value = try JSONValue(parsing: line(SignalSamples.plain(time: time)))
    #expect(value["recv_ns"]?.integer == time)
    #expect(value["ts_ms"]?.integer == UnixNanos(time).milliseconds)
  }

  /// Every number against the formatter of Core, and the ids against the signal's own.
  @Test func numbersAgreeWithCore() throws {
    let seed: UInt64 = 11
    var random = SeededRandom(seed: seed)
    let context = SignalSamples.context()
    var row = SignalRow(context)
    for round in 0..<3000 {
      let signal = SignalSamples.one(&random, time: SignalSamples.start + Int64(round), symbol: round % 2)
      row.encode(signal)
      let value = try JSONValue(parsing: row.line)
      func written(_ body: (inout ByteWriter) -> Void) -> String {
        var writer = ByteWriter()
        body(&writer)
        return writer.string()
      }
      let name = context.symbols[signal.symbol]
      let pairs: [(String, String)] = [
        ("signal_id", written { signal.appendID(symbolName: name, to: &$0) }),
        ("mode", "\(signal.mode.name)"),
        (
          "config_version",
          signal.version == .configured
            ? context.configVersion : written { $0.append(hex: signal.version.rawValue, digits: 12) }
        ),
        ("trace_id", written { signal.appendTraceID(to: &$0) }),
        ("quality_flags", written { signal.qualityFlags.append(to: &$0) }),
        (
          "cvd",
          written { $0.append(decimal: signal.cvd, decimals: signal.quantityScale.decimals, trimmed: true) }
        ),
      ]
      for (key, expected) in pairs { #expect(value[key]?.text == expected, "seed \(seed), round \(round)") }
      for (key, micros) in [("score", signal.score), ("ofi", signal.ofi), ("lag_ms", signal.lagMs)] {
        let expected = written { $0.append(micros: micros) }
        #expect((value[key]?.text ?? "null") == expected, "seed \(seed), round \(round), \(key)")
      }
    }
  }

  @Test func foreignTextIsEscaped() throws {
    let names = ["A\"B\\C\n", "çöin\u{1F600}", ""]
    let context = SignalContext(
      symbols: SignalSamples.symbols(names), configVersion: "v\"1\"")
    var row = SignalRow(context)
    for (index, name) in names.enumerated() {
      row.encode(SignalSamples.plain(symbol: index))
      let value = try JSONValue(parsing: row.line)
      #expect(value["symbol"]?.text == name)
      #expect(value["signal_id"]?.text == name + "-1721347021250000000-g")
      #expect(value["config_version"]?.text == "v\"1\"")
    }
  }

  @Test func aGrowingTableKeepsItsIds() {
    var table = SignalSamples.symbols(["A"])
    var row = SignalRow(SignalContext(symbols: table, configVersion: "c"))
    row.encode(SignalSamples.plain())
    _ = table.intern(String(repeating: "LONG", count: 500))
    row.register(table)
    row.encode(SignalSamples.plain(symbol: 1))
    #expect(row.line.count > 4000)
    row.encode(SignalSamples.plain())
    #expect(String(decoding: row.line, as: UTF8.self).contains("\"symbol\":\"A\""))
  }
}
