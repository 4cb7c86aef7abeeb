import Configuration
import Core
import Testing

@Suite("Loaded configuration")
struct LoadedConfigTests {
  private func load(_ overrides: [(key: String, value: String)]) throws -> LoadedConfig<SampleConfig> {
    try SampleConfig.loader.load(overrides: overrides)
  }

  @Test func renderNamesOriginsAndHidesSecrets() throws {
    let text = try withFile("run:\n  shadow: true\n") { path in
      let loaded = try SampleConfig.loader.load(
        file: path, environment: ["WEIR__secrets__api_key": "hush"],
        overrides: [("instruments.BTCUSDT.price_decimals", "1"), ("flow.weights", "1,2")])
      #expect(!loaded.json.text().contains("hush"))
      #expect(!loaded.canonicalText.contains("hush"))
      return loaded.render().replacing(path, with: "x.yaml").replacing(loaded.version, with: "VERSION")
    }
    #expect(
      text == """
        # version VERSION; what has no comment is the default
        flow:
          ofi_window_ms: 5000
          weights: [1.0, 2.0]  # command line
          decay_per_level: 0.5
        run:
          symbols: ["BTCUSDT"]
          shadow: true  # x.yaml:2
          sink: "jsonl"
          level: "info"
          # label: not set
          epoch_ns: 0
        secrets:
          api_key: "<redacted>"  # WEIR__secrets__api_key
        instruments:
          BTCUSDT:
            price_decimals: 1  # command line
            # note: not set

        """)
  }

  @Test func versionFollowsValuesAndNothingElse() throws {
    let standard = try load([])
    let version = standard.version
    #expect(version.utf8.count == 12 && version.utf8.allSatisfy { hexValue($0) != nil })
    #expect(try load([("flow.ofi_window_ms", "5000")]).version == version)
    #expect(try load([("secrets.api_key", "hush")]).version == version)
    let others = try [
      ("flow.ofi_window_ms", "5001"), ("flow.weights", "1,0.5"), ("run.shadow", "true"), ("run.label", "x"),
      ("flow.decay_per_level", "0.5000000000000001"), ("instruments.BTCUSDT.price_decimals", "2"),
    ].map { try load([$0]).version }
    #expect(Set(others + [version]).count == others.count + 1)
  }

  /// Reference: `sha256sum` of GNU coreutils on the same text.
  @Test func versionIsTheSHA256OfTheCanonicalText() throws {
    let loaded = try load([])
    #expect(
      loaded.canonicalText == """
        flow.decay_per_level: 0.5
        flow.ofi_window_ms: 5000
        flow.weights: [1.0, 0.5, 0.25]
        run.epoch_ns: 0
        run.label: ""
        run.level: "info"
        run.shadow: false
        run.sink: "jsonl"
        run.symbols: ["BTCUSDT"]

        """)
    #expect(loaded.version == "61aefda5a4b4")
  }

  @Test func jsonNestsValuesAndListsOrigins() throws {
    let json = try load([("run.shadow", "true"), ("secrets.api_key", "hush")]).json
    #expect(json["values"]?["flow"]?["ofi_window_ms"] == .number("5000"))
    #expect(json["values"]?["run"]?["shadow"] == .bool(true))
    #expect(json["values"]?["secrets"]?["api_key"] == .string("<redacted>"))
    #expect(json["origins"]?.members?.map(\.key) == ["run.shadow", "secrets.api_key"])
    #expect(try JSONValue(parsing: json.text()) == json)
  }

  /// Whatever texts and numbers a configuration holds, its rendering loads to the same values.
  @Test(arguments: 0..<50)
  func renderingLoadsAgain(seed: Int) throws {
    var random = SeededRandom(seed: UInt64(seed))
    let letters = [
      "a", "\"", "'", "\\", ":", "#", " ", "\n", "\t", "\u{A0}", "\u{2028}", "\u{FEFF}", "ä", "💧", "-", "{",
      "]",
      "%", "&", "null", "~", ",", "0", "\u{301}", "\u{D7FF}", "\u{FFFD}",
    ]
    func text(_ random: inout SeededRandom) -> String {
      (0...random.below(8)).map { _ in letters[random.below(letters.count)] }.joined()
    }
    var overrides: [(key: String, value: String)] = []
    overrides.append(("run.label", text(&random)))
    overrides.append(("instruments.BTCUSDT.note", text(&random)))
    overrides.append(("run.epoch_ns", String(Int64(bitPattern: random.next()))))
    overrides.append(("flow.decay_per_level", (random.uniform() * 0.99 + 1e-9).description))
    overrides.append(
      ("flow.weights", (0..<3).map { _ in "\(random.uniform() * 1e-7)" }.joined(separator: ",")))
    overrides.append(("instruments.#\(seed),[X.price_decimals", "4"))
    let first = try load(overrides)
    let second = try withFile(first.render()) { try SampleConfig.loader.load(file: $0) }
    #expect(first.value == second.value, "seed \(seed)")
    #expect(first.version == second.version, "seed \(seed)")
  }

  @Test func defaultsTextLoadsToTheDefaults() throws {
    let text = SampleConfig.schema.defaultsText()
    #expect(
      text.contains("# OFI window, milliseconds (whole number, 100 to 600000)\n  ofi_window_ms: 5000\n"))
    #expect(text.contains("# secrets:"))
    let loaded = try withFile(text) { try SampleConfig.loader.load(file: $0) }
    #expect(loaded.value == SampleConfig())
  }

  @Test func referenceNamesEveryKey() {
    let text = SampleConfig.schema.referenceText()
    for key in SampleConfig.schema.keys { #expect(text.contains("| `\(key.path)` |")) }
    #expect(
      text.contains(
        "| `instruments.NAME.price_decimals` | `2` | whole number, 0 to 12 | Decimals of a price |"))
  }
}
