import Configuration
import Strategy
import Testing

@testable import Services

@Suite("Strategy in the environment")
struct ModeEnvironmentTests {
  private typealias Overrides = [(key: String, value: String)]

  private func load(
    _ environment: [String: String], overrides: Overrides = []
  ) throws(ConfigError) -> LoadedConfig<WeirConfiguration> {
    try ConfigLoader(WeirConfiguration.schema).load(
      environment: environment, aliases: WeirConfiguration.environmentAliases, overrides: overrides)
  }

  @Test func eachVariableSetsItsKey() throws {
    let byAlias = try load(["STRATEGY_MODE": "quiet"])
    #expect(byAlias.value.signal.strategy.mode == .quiet)
    #expect(byAlias.origin(of: "strategy.mode") == .environment(variable: "STRATEGY_MODE"))
    #expect(byAlias.render().contains("mode: \"quiet\"  # STRATEGY_MODE"))
    let byName = try load(["WEIR__strategy__mode": "quiet"])
    #expect(byName.value.signal.strategy == byAlias.value.signal.strategy)
    // Part of the version, by value and not by where it came from.
    #expect(byName.version == byAlias.version)
    #expect(try byAlias.version != load([:]).version)
  }

  @Test(arguments: [("true", true), ("1", true), ("false", false), ("0", false)])
  func dynamicsAreSwitched(_ text: String, _ isDynamic: Bool) throws {
    #expect(try load(["DYNAMIC_MODE_ENABLED": text]).value.signal.strategy.isDynamic == isDynamic)
  }

  @Test func theCommandLineStandsAbove() throws {
    let loaded = try load(["STRATEGY_MODE": "quiet"], overrides: [("strategy.mode", "active")])
    #expect(loaded.value.signal.strategy.mode == .active)
    #expect(loaded.origin(of: "strategy.mode") == .commandLine)
  }

  @Test func anEmptyVariableSetsNothing() throws {
    let loaded = try load(["STRATEGY_MODE": "", "DYNAMIC_MODE_ENABLED": ""])
    #expect(try loaded.version == load([:]).version)
  }

  @Test func bothNamesMaySayTheSame() throws {
    let loaded = try load([
      "STRATEGY_MODE": "quiet", "WEIR__strategy__mode": "quiet", "DYNAMIC_MODE_ENABLED": "0",
      "weir__STRATEGY__dynamic": "false",
    ])
    #expect(loaded.value.signal.strategy.mode == .quiet && !loaded.value.signal.strategy.isDynamic)
  }

  @Test(arguments: [
    (["STRATEGY_MODE": "quiet", "WEIR__strategy__mode": "active"], "strategy.mode"),
    (["DYNAMIC_MODE_ENABLED": "1", "WEIR__strategy__dynamic": "false"], "strategy.dynamic"),
    (["STRATEGY_MODE": "loud"], "strategy.mode"), (["STRATEGY_MODE": "Quiet"], "strategy.mode"),
    (["DYNAMIC_MODE_ENABLED": "no"], "strategy.dynamic"), (["DYNAMIC_MODE_ENABLED": "2"], "strategy.dynamic"),
  ])
  func whatCannotBeIsAnErrorThatNamesTheVariable(_ environment: [String: String], _ key: String) throws {
    let error = #expect(throws: ConfigError.self) { try load(environment) }
    let issue = try #require(error?.issues.first)
    #expect(error?.issues.count == 1 && issue.key == key)
    #expect(environment.keys.contains { issue.description.hasPrefix($0) }, "\(issue)")
  }

  @Test func aContradictionNamesBoth() throws {
    let error = #expect(throws: ConfigError.self) {
      try load(["STRATEGY_MODE": "quiet", "WEIR__strategy__mode": "active"])
    }
    #expect(
      "\(error!)" == """
        STRATEGY_MODE: strategy.mode: is "quiet", and WEIR__strategy__mode is "active"; unset one
        """)
  }

  /// What the supervisor has merged is in its services' file; no variable may say otherwise to them.
  @Test func servicesAreToldByTheirFileAlone() throws {
    let loaded = try load(["STRATEGY_MODE": "quiet"], overrides: [("strategy.mode", "active")])
    let options = RunOptions(
      services: [.signal], sink: .dual, minutes: nil, folder: "run", source: .tape("tape"), symbols: [],
      configuration: loaded.value, loaded: loaded, isReplay: true,
      environment: [
        "STRATEGY_MODE": "quiet", "DYNAMIC_MODE_ENABLED": "0", "WEIR__strategy__mode": "quiet",
        "PATH": "/bin",
      ])
    #expect(options.serviceEnvironment == ["PATH": "/bin"])
    #expect(options.loaded.render(omitsSecrets: true).contains("mode: \"active\""))
  }

  @Test(arguments: [
    ("strategy.schedule.time_zone", "Mars/Olympus"), ("strategy.schedule.weekdays", "mon,holiday"),
    ("strategy.schedule.windows", "09:30-09:30"), ("strategy.schedule.holidays", "2026-02-30"),
    ("strategy.quiet.position_notional_usdt_max", "0.5"),
  ])
  func valuesOfTheStrategyAreCheckedWhereTheyAreLoaded(_ key: String, _ value: String) throws {
    let error = #expect(throws: ConfigError.self) { try load([:], overrides: [(key, value)]) }
    #expect(error?.issues.map(\.key) == [key])
    #expect(error?.issues.first?.origin == .commandLine)
  }

  @Test func brokersHearTheLimitsOfTheRegimes() throws {
    let broker = try load(
      [:],
      overrides: [
        ("broker.position_notional_usdt_max", "4000"), ("strategy.quiet.position_notional_usdt_max", "1500"),
      ]
    ).value.brokerConfiguration
    #expect(broker.positionNotionalUSDTMax(in: .normal) == 4000)
    #expect(broker.positionNotionalUSDTMax(in: .active) == 4000)
    #expect(broker.positionNotionalUSDTMax(in: .quiet) == 1500)
  }
}
