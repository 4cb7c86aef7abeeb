import Configuration
import Testing

@Suite("Configuration loader")
struct ConfigLoaderTests {
  @Test func strongerSourcesWin() throws {
    let file = """
      flow:
        ofi_window_ms: 1000
        weights: [1, 0.5]
        decay_per_level: 0.25
      run: {sink: dual, shadow: true}
      """
    try withFile(file) { path in
      let loaded = try SampleConfig.loader.load(
        file: path,
        environment: [
          "WEIR__flow__ofi_window_ms": "2000", "WEIR__FLOW__WEIGHTS": "3, 2,1", "HOME": "x", "WEIR_DATA": "y",
        ],
        overrides: [("flow.ofi_window_ms", "3000"), ("flow.ofi_window_ms", "4000")])
      #expect(loaded.value.flow.ofiWindowMs == 4000)
      #expect(loaded.value.flow.weights == [3, 2, 1])
      #expect(loaded.value.flow.decayPerLevel == 0.25)
      #expect(loaded.value.sink == .dual)
      #expect(loaded.value.isShadow)
      #expect(loaded.value.level == "info")
      #expect(loaded.origin(of: "flow.ofi_window_ms") == .commandLine)
      #expect(loaded.origin(of: "flow.weights") == .environment(variable: "WEIR__FLOW__WEIGHTS"))
      #expect(loaded.origin(of: "run.sink").description == path + ":5")
      #expect(loaded.origin(of: "run.level") == .builtIn)
    }
    #expect(try SampleConfig.loader.load().value == SampleConfig())
  }

  @Test(arguments: [
    (
      "flow:\n  ofi_windw_ms: 1",
      "x.yaml:2:3: unknown key \"flow.ofi_windw_ms\"; did you mean \"flow.ofi_window_ms\"?"
    ),
    ("ofi_window_ms: 1", "x.yaml:1:1: unknown key \"ofi_window_ms\"; did you mean \"flow.ofi_window_ms\"?"),
    ("flwo:\n  ofi_window_ms: 1", "x.yaml:1:1: unknown section \"flwo\"; did you mean \"flow\"?"),
    ("zzzzzzz: 1", "x.yaml:1:1: unknown key \"zzzzzzz\"; `weir config` prints the known ones"),
    (
      "flow.ofi_window_ms: 1",
      "x.yaml:1:1: the key \"flow.ofi_window_ms\" is written with a dot; nest it, as in flow: { ofi_window_ms: … }"
    ),
    ("flow:", "x.yaml:1:6: flow: is empty; it is a section, give it keys or remove it"),
    ("flow: 5", "x.yaml:1:7: flow: found \"5\"; it is a section, give it keys or remove it"),
    ("- a", "x.yaml:1:1: found a list; expected keys and values, such as flow:"),
    (
      "flow:\n  ofi_window_ms: 99",
      "x.yaml:2:18: flow.ofi_window_ms: 99 is out of range; expected whole number, 100 to 600000, such as 5000"
    ),
    (
      "flow:\n  ofi_window_ms:",
      "x.yaml:2:17: flow.ofi_window_ms: has no value; give it one, such as 5000, or remove the key"
    ),
    (
      "flow:\n  ofi_window_ms: {a: 1}",
      "x.yaml:2:18: flow.ofi_window_ms: found a group of keys; expected whole number, 100 to 600000, such as 5000"
    ),
    (
      "run: {label: \"\"}",
      "x.yaml:1:14: run.label: has no value; give it one, such as some text, or remove the key"
    ),
    (
      "run: {sink: dul}",
      "x.yaml:1:13: run.sink: found \"dul\"; expected one of jsonl, sqlite, dual, such as \"jsonl\""
    ),
    (
      "run: {sink: Dual}",
      "x.yaml:1:13: run.sink: found \"Dual\"; expected one of jsonl, sqlite, dual, such as \"jsonl\""
    ),
    ("run: {symbols: []}", "x.yaml:1:16: run.symbols: a list of 0; expected list of 1 to 50 texts"),
    (
      "run: {symbols: BTCUSDT}",
      "x.yaml:1:16: run.symbols: found \"BTCUSDT\"; expected list of 1 to 50 texts, such as [\"BTCUSDT\"]"
    ),
    (
      "flow: {weights: [1, 11, x]}",
      "x.yaml:1:21: flow.weights: 11 is out of range; expected number, 0.0 to 10.0, such as 0.5"
    ),
    (
      "flow: {decay_per_level: 0}",
      "x.yaml:1:8: flow.decay_per_level: must be above 0 with more than one weight"
    ),
    (
      "instruments: {btcusdt: {price_decimals: 1}}",
      "x.yaml:1:15: instruments.btcusdt: the name must be a symbol in capitals such as BTCUSDT; write BTCUSDT"
    ),
    (
      "instruments: {BTCUSDT: {price_decimal: 1}}",
      "x.yaml:1:25: unknown key \"instruments.BTCUSDT.price_decimal\"; did you mean "
        + "\"instruments.BTCUSDT.price_decimals\"?"
    ),
    (
      "instruments: {BTCUSDT: 2}",
      "x.yaml:1:24: instruments.BTCUSDT: found \"2\"; it is a section, give it keys or remove it"
    ),
    (
      "run:\n  shadow: true\nrun:\n  level: debug",
      "x.yaml:3:1: the key \"run\" is written twice, on lines 1 and 3; remove one"
    ),
    (
      "secrets: {api_key: <redacted>}",
      "x.yaml:1:20: secrets.api_key: is the mark that stands for a hidden secret; give the secret itself"
    ),
  ])
  func fileIssues(_ content: String, _ issue: String) throws {
    #expect(try issues(content).first == issue)
  }

  @Test(arguments: [
    ("0x10", "write it in decimal"), ("0o17", "write it in decimal"), ("010", "octal"), ("-01", "octal"),
    ("1_000", "without separators"), ("+500", "plus sign"), ("500.0", "whole"), ("5e2", "whole"),
    ("9223372036854775808", "beyond 64 bits"), (".nan", "finite"), ("5s", "only the number"),
    ("12:30", "whole number"),
    ("\"500\"", "in quotes"), ("true", "whole number"), ("null", "no value"), ("~", "no value"),
    ("٥٠٠", "whole number"),
    ("[500]", "a list"), ("--5", "whole number"),
  ])
  func integersThatAreNone(_ text: String, _ words: String) throws {
    let issue = try #require(try issues("flow:\n  ofi_window_ms: \(text)\n").first)
    #expect(issue.hasPrefix("x.yaml:2:18: flow.ofi_window_ms: "))
    #expect(issue.contains(words), "\(issue)")
  }

  @Test(arguments: [
    (".inf", "finite"), ("-.INF", "finite"), ("NaN", "finite"), ("1e999", "double"), ("1e-999", "double"),
    (".5", "both sides"), ("1.", "both sides"), ("0x1p3", "decimal"), ("00.5", "octal"),
    ("0,5", "separators"),
    ("50%", "only the number"), ("1e", "number"), ("half", "number"),
  ])
  func numbersThatAreNone(_ text: String, _ words: String) throws {
    let issue = try #require(try issues("flow:\n  decay_per_level: \(text)\n").first)
    #expect(issue.contains(words), "\(issue)")
  }

  @Test(arguments: ["1", "0", "yes", "no", "on", "True", "FALSE", "\"true\"", "y", "t"])
  func onlyTrueAndFalseAreTruthValues(_ text: String) throws {
    #expect(try issues("run:\n  shadow: \(text)\n").first?.contains("expected true or false") == true)
    #expect(try issues("", environment: ["WEIR__run__shadow": text]).count == 1)
  }

  @Test(arguments: [
    (
      "WEIR__flow__ofi_windw_ms", "1",
      "unknown key \"flow.ofi_windw_ms\"; did you mean \"flow.ofi_window_ms\"?"
    ),
    ("WEIR__ofi_window_ms", "1", "unknown key \"ofi_window_ms\"; did you mean \"flow.ofi_window_ms\"?"),
    ("WEIR__flow", "1", "flow: is a section; set one of its keys"),
    ("WEIR__", "1", "unknown key \"\"; `weir config` prints the known ones"),
    (
      "WEIR__flow__ofi_window_ms", "",
      "flow.ofi_window_ms: has no value; give it one, such as 5000, or remove the key"
    ),
    (
      "WEIR__flow__ofi_window_ms", "1 000",
      "flow.ofi_window_ms: found \"1 000\"; expected whole number, 100 to 600000, such as 5000"
    ),
    (
      "WEIR__flow__weights", "1,,2",
      "flow.weights: has no value; give it one, such as 0.5, or remove the key"
    ),
    ("WEIR__flow__weights", "[1, 2", "flow.weights: \"[1, 2\" is not a list; write a,b or [a, b]"),
    (
      "WEIR__instruments__BTC.USDT__note", "x",
      "unknown key \"instruments.BTC.USDT.note\"; did you mean \"instruments.BTC.note\"?"
    ),
    ("WEIR__run__label", "a\u{7}b", "run.label: holds a control character"),
  ])
  func environmentIssues(_ variable: String, _ value: String, _ issue: String) throws {
    #expect(try issues("", environment: [variable: value]) == ["\(variable): \(issue)"])
  }

  @Test func twoVariablesForOneKey() throws {
    let found = try issues("", environment: ["WEIR__run__label": "a", "WEIR__RUN__LABEL": "b"])
    #expect(found == ["WEIR__run__label: run.label: also set by WEIR__RUN__LABEL; unset one"])
  }

  @Test func commandLineIssues() throws {
    #expect(
      try issues("", overrides: [("flow.ofi_window_ms", "9"), ("run.lable", "x")]) == [
        "command line: flow.ofi_window_ms: 9 is out of range; expected whole number, 100 to 600000, such as 5000",
        "command line: unknown key \"run.lable\"; did you mean \"run.label\"?",
      ])
    #expect(throws: ConfigError.self) { try ConfigLoader<SampleConfig>.parseOverride("=5") }
    #expect(throws: ConfigError.self) { try ConfigLoader<SampleConfig>.parseOverride("flow") }
    #expect(try ConfigLoader<SampleConfig>.parseOverride("a.b=c=d") == (key: "a.b", value: "c=d"))
  }

  @Test func everythingIsReportedAtOnce() throws {
    let found = try issues(
      "run: {shadow: 1}\nflow:\n  ofi_window_ms: 1\n  x: 2\n  x: 3\n",
      environment: ["WEIR__run__level": "loud"],
      overrides: [("run.sink", "tape")])
    #expect(found.count == 6)
    #expect(found.prefix(4).map { $0.prefix(9) } == ["x.yaml:1:", "x.yaml:3:", "x.yaml:4:", "x.yaml:5:"])
    #expect(found[4].hasPrefix("WEIR__run__level: "))
    #expect(found[5].hasPrefix("command line: "))
  }

  @Test func aLosingSourceIsCheckedAllTheSame() throws {
    #expect(try issues("run: {shadow: 1}", overrides: [("run.shadow", "true")]).count == 1)
  }

  @Test func mapsTakeFreeNames() throws {
    let loaded = try withFile("instruments:\n  BTCUSDT: {price_decimals: 1}\n  币安USDT: {}\n") {
      try SampleConfig.loader.load(
        file: $0, environment: ["WEIR__instruments__ethusdt__price_decimals": "3"],
        overrides: [("instruments.BTCUSDT.note", "null")])
    }
    #expect(
      loaded.value.instruments == [
        "BTCUSDT": SampleConfig.Instrument(priceDecimals: 1, note: "null"),
        "币安USDT": SampleConfig.Instrument(), "ETHUSDT": SampleConfig.Instrument(priceDecimals: 3),
      ])
  }

  @Test func unreadableFiles() throws {
    func message(_ path: String) -> String {
      do {
        _ = try SampleConfig.loader.load(file: path)
        return ""
      } catch { return "\(error)" }
    }
    #expect(message("/tmp/weir-no-such/x.yaml").contains("/tmp/weir-no-such/x.yaml: cannot open"))
    #expect(message("/tmp").contains("name a file, not a folder"))
    #expect(message("/dev/zero").contains("larger than 1 MiB"))
  }
}
