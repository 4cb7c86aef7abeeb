import Configuration
import Core
import Foundation
import Strategy
import Testing

@testable import Services

@Suite("Parameter file")
struct ScenarioFileTests {
  private static let source = "strategy.parameters"

  /// A file in a folder of its own, with the folder.
  private func file(_ text: String, _ name: String = "params.yaml") throws -> (
    path: String, folder: RunFolder
  ) {
    let folder = try RunFolder("parameters")
    try Files.writeAtomically(folder.file(name), text)
    return (folder.file(name), folder)
  }

  private func load(_ path: String, _ overrides: [(String, String)] = []) throws -> LoadedConfig<
    WeirConfiguration
  > {
    try WeirConfiguration.load(
      overrides: [(key: ScenarioFileTests.source, value: path)] + overrides.map { (key: $0.0, value: $0.1) })
  }

  @Test func theShippedFileHoldsTheDefaults() throws {
    let loaded = try load("config/scenarios.yaml")
    #expect(loaded.value.signal.strategy.scenarios == ScenarioTable())
    #expect(loaded.version == (try WeirConfiguration.load()).version)
    let facts = try #require(loaded.value.parameters)
    #expect(facts.version == "defaults-1" && facts.fallback.isEmpty && facts.hash.utf8.count == 12)
    #expect(loaded.origin(of: "strategy.scenarios.q_l.exit").description == "config/scenarios.yaml:12")
  }

  /// It stands above the configuration's file and below environment and command line.
  @Test func itIsALayer() throws {
    let (path, folder) = try file(
      "version: v1\nscenarios:\n  A_H: {entry_buy: 3, entry_sell: 3.5, exit: 1, discount: 0.5}\n")
    let main = folder.file("weir.yaml")
    // A relative name in a file is one in the file's folder.
    try Files.writeAtomically(
      main,
      "strategy:\n  parameters: params.yaml\n  scenarios:\n    a_h: {entry_buy: 4, hold_s_max: 77}\n    q_l: {exit: 0.25}\n"
    )
    let loaded = try WeirConfiguration.load(
      file: main, environment: ["WEIR__strategy__scenarios__a_h__entry_sell": "4.5"],
      overrides: [(key: "strategy.scenarios.a_h.exit", value: "0.1")])
    let cell = loaded.value.signal.strategy.scenarios.activeHigh
    #expect(cell.entryBuy == 3 && cell.entrySell == 4.5 && cell.exit == 0.1 && cell.discount == 0.5)
    #expect(cell.holdSecondsMax == 77 && loaded.value.signal.strategy.scenarios.quietLow.exit == 0.25)
    #expect(loaded.origin(of: "strategy.scenarios.a_h.entry_buy").description == path + ":3")
    #expect(
      loaded.value.parameters?.fallback == [
        "A_H.take_profit_bps", "A_H.stop_loss_bps", "A_H.hold_s_max", "A_L", "Q_H", "Q_L",
      ])
  }

  /// What a run leaves behind is whole without the file, and so are a configuration's version and its JSON.
  @Test func theMergedConfigurationStandsAlone() throws {
    let (path, folder) = try file("version: v1\nscenarios:\n  Q_H: {entry_buy: 3.25}\n")
    let loaded = try load(path)
    let rendered = folder.file("config.yaml")
    try Files.writeAtomically(rendered, loaded.render(omitsSecrets: true))
    try Files.remove(path)
    let again = try WeirConfiguration.load(file: rendered)
    #expect(again.version == loaded.version && again.value.parameters == nil)
    #expect(again.value.signal.strategy.scenarios.quietHigh.entryBuy == 3.25)
    #expect(again.version != (try WeirConfiguration.load()).version)
    let (other, otherFolder) = try file(
      "scenarios: {Q_H: {entry_buy: 3.250}}\nversion: v2\n# a remark\n", "x.yaml")
    let same = try load(other)
    #expect(same.version == loaded.version, "where the values come from is no difference")
    #expect(same.value.parameters?.hash == loaded.value.parameters?.hash)
    #expect(same.value.parameters?.version != loaded.value.parameters?.version)
    withExtendedLifetime(otherFolder) {}
  }

  @Test func theHashIsOfTheFilesOwnValues() throws {
    let (path, folder) = try file("version: v1\nscenarios:\n  Q_H: {exit: 0.5}\n")
    let hash = try load(path).value.parameters?.hash
    #expect(try load(path, [("strategy.scenarios.q_h.exit", "0.1")]).value.parameters?.hash == hash)
    try Files.writeAtomically(path, "version: v1\nscenarios:\n  Q_H: {exit: 0.51}\n")
    #expect(try load(path).value.parameters?.hash != hash)
    // The default of another key, given, is another file.
    try Files.writeAtomically(path, "version: v1\nscenarios:\n  Q_H: {exit: 0.5, discount: 0.9}\n")
    #expect(try load(path).value.parameters?.hash != hash)
    withExtendedLifetime(folder) {}
  }

  @Test(arguments: [
    ("scenarios: {A_H: {exit: 1}}\n", ":1:1: version is missing"),
    ("version: v1\n", ":1:1: scenarios is missing"),
    ("", "the keys version and scenarios"), ("just a text\n", "the keys version and scenarios"),
    ("version: a b\nscenarios: {}\n", ":1:10: version must be 1 to 64 letters"),
    ("version: [1]\nscenarios: {}\n", ":1:10: version must be"),
    ("version: v1\nscenario: {}\nscenarios: {}\n", "2:1: unknown key \"scenario\"; did you mean scenarios?"),
    ("version: v1\nscenarios: 3\n", ":2:12: scenarios holds"),
    ("version: v1\nscenarios:\n  a_h: {exit: 1}\n", ":3:3: unknown scenario \"a_h\"; did you mean A_H?"),
    (
      "version: v1\nscenarios:\n  loud: {exit: 1}\n",
      "unknown scenario \"loud\"; there are A_H, A_L, Q_H, Q_L"
    ),
    ("version: v1\nscenarios:\n  A_H: 3\n", ":3:8: A_H holds keys and values"),
    (
      "version: v1\nscenarios:\n  A_H:\n    exit: 1\n    entry_by: 1\n",
      ":5:5: unknown key of A_H \"entry_by\"; did you mean entry_buy?"
    ),
    (
      "version: v1\nscenarios:\n  A_H: {exit: 99}\n",
      ":3:15: strategy.scenarios.a_h.exit: 99 is out of range; expected number, 0.0 to 10.0"
    ),
    ("version: v1\nscenarios:\n  A_H: {hold_s_max: 1.5}\n", "it must be whole"),
    ("version: v1\nscenarios:\n  A_H: {exit: high}\n", "found \"high\""),
    ("version: v1\nscenarios:\n  A_H: {exit: 1}\n  A_H: {exit: 2}\n", "written twice"),
    ("version: v1\nscenarios: {A_H: {exit: 1}\n", ":3:1: "),
  ])
  func mistakesAreNamed(_ text: String, _ words: String) throws {
    let (path, folder) = try file(text)
    do {
      _ = try load(path)
      Issue.record("it was taken: \(text)")
    } catch let error as ConfigError {
      #expect(error.description.contains(words), "\(error)")
      #expect(error.issues.allSatisfy { "\($0)".hasPrefix(path) }, "\(error)")
    }
    withExtendedLifetime(folder) {}
  }

  @Test func allMistakesAreNamedAtOnce() throws {
    let (path, folder) = try file("version: ä\nscenarios:\n  A_X: {exit: 1}\n  A_L: {ext: 1}\n")
    let error = #expect(throws: ConfigError.self) { try load(path) }
    #expect(error?.issues.count == 3)
    withExtendedLifetime(folder) {}
  }

  @Test func aFileThatIsNotThereIsNamed() throws {
    let error = #expect(throws: ConfigError.self) { try load("/nowhere/params.yaml") }
    let text = error?.description ?? ""
    #expect(text.contains("/nowhere/params.yaml") && text.contains("No such file"), "\(text)")
    #expect(throws: ConfigError.self) { try load("/proc") }
  }

  /// Whatever is written reads back as it was.
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func writtenFilesReadBack(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    func cell() -> ScenarioParameters {
      ScenarioParameters(
        entryBuy: 10 * random.uniform(), entrySell: Double(random.below(1000)) / 100, exit: random.uniform(),
        takeProfitBps: 0.1 + 9999 * random.uniform(), stopLossBps: Double(1 + random.below(50)),
        holdSecondsMax: 1 + random.below(86_400), discount: 0.1 + 0.9 * random.uniform())
    }
    var table = ScenarioTable()
    (table.activeHigh, table.activeLow, table.quietHigh) = (cell(), cell(), cell())
    table.quietLow = cell()
    let folder = try RunFolder("parameters")
    let path = folder.file("p.yaml")
    let facts = try ScenarioFile.write(
      table, to: path, name: "tuned-20240718-20240719", header: ["of a test\nwith a break"],
      notes: [.activeLow: "kept"])
    #expect(facts.version == "tuned-20240718-20240719-" + facts.hash, "seed \(seed)")
    let loaded = try load(path)
    #expect(loaded.value.signal.strategy.scenarios == table, "seed \(seed)")
    #expect(loaded.value.parameters == facts && facts.fallback.isEmpty, "seed \(seed)")
    #expect(try Files.list(folder.path) == ["p.yaml"], "nothing else is left")
  }

  /// Values that no configuration may have are not written.
  @Test func anInvalidTableIsRefused() throws {
    var table = ScenarioTable()
    table.activeHigh.discount = 7
    let folder = try RunFolder("parameters")
    #expect(throws: ConfigError.self) {
      try ScenarioFile.write(table, to: folder.file("p.yaml"), name: "x")
    }
    #expect(try Files.list(folder.path).isEmpty)
  }
}
