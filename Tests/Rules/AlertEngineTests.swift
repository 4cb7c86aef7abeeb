import Core
import Rules
import Telemetry
import Testing

@Suite("Alert engine")
struct AlertEngineTests {
  /// Rules over gauges that a test sets, a second a step.
  private struct Bench {
    var engine: AlertEngine
    var store: MetricStore
    var second = 0

    init(_ rules: [AlertRule], suppressSeconds: Int = 0, stormCountMax: Int = 5) throws {
      engine = AlertEngine(
        rules, suppressNs: Int64(suppressSeconds) * Nanoseconds.second, stormCountMax: stormCountMax,
        stormWindowNs: 600 * Nanoseconds.second)
      store = try RulesTests.store(for: rules.map(\.condition.expression.text))
    }

    /// Moves on by `seconds` with these samples throughout.
    mutating func run(_ count: Int, _ samples: [MetricSample]) -> AlertEngine.Step {
      var all = AlertEngine.Step()
      for _ in 0..<count {
        second += 1
        store.append(samples, target: [], at: seconds(second))
        let step = engine.step(now: seconds(second), store)
        all.events += step.events
        all.notifications += step.notifications
      }
      return all
    }
  }

  private func gauge(_ value: Double, _ symbol: String = "BTC") -> MetricSample {
    MetricSample("x", [.init("symbol", symbol)], value)
  }

  @Test func pendingFiringRecovered() throws {
    var bench = try Bench([try rule("high", "x", .greater, 5, forSeconds: 10, action: .scaleOut)])
    #expect(bench.run(5, [gauge(1)]).events.isEmpty)
    // A break starts the time anew.
    #expect(bench.run(9, [gauge(9)]).events.isEmpty)
    #expect(bench.run(1, [gauge(5)]).events.isEmpty)
    #expect(bench.run(10, [gauge(9)]).events.isEmpty)
    let fired = bench.run(1, [gauge(8)]).events
    #expect(fired.count == 1)
    #expect(fired[0].kind == .fired)
    #expect(fired[0].firedAt == seconds(26))
    #expect(fired[0].action == .scaleOut)
    #expect(fired[0].value == 8)
    #expect(fired[0].detail == #"high {symbol="BTC"}: something is wrong; 8 > 5 for 10s"#)
    #expect(bench.engine.firing.count == 1)
    #expect(bench.run(10, [gauge(7)]).events.isEmpty)
    let recovered = bench.run(3, [gauge(2)]).events
    #expect(recovered.count == 1)
    #expect(recovered[0].kind == .recovered)
    #expect(recovered[0].recoveredAt == seconds(37))
    #expect(recovered[0].firedAt == seconds(26))
    #expect(recovered[0].value == 7)
    #expect(bench.engine.firing.isEmpty)
  }

  @Test func aSeriesThatIsGoneRecovers() throws {
    var bench = try Bench([try rule("high", "x", .greater, 5)])
    #expect(bench.run(1, [gauge(9)]).events.map(\.kind) == [.fired])
    #expect(bench.run(1, []).events.map(\.kind) == [.recovered])
  }

  @Test func labelSetsAlertOneByOneAndAreNotifiedTogether() throws {
    var bench = try Bench([try rule("high", "x", .greater, 5)])
    let first = bench.run(1, [gauge(9, "BTC"), gauge(9, "ETH"), gauge(1, "SOL")])
    #expect(first.events.map { $0.labels["symbol"] } == ["BTC", "ETH"])
    #expect(first.notifications.count == 1)
    #expect(first.notifications[0].labels.count == 2)
    #expect(first.notifications[0].text.contains("high fired 2 times"))
    let second = bench.run(1, [gauge(9, "BTC"), gauge(1, "ETH"), gauge(9, "SOL")])
    #expect(second.events.map(\.kind) == [.recovered, .fired])
    #expect(second.notifications.map(\.kind) == [.fired, .recovered])
  }

  @Test func anAlertDoesNotFireAgainTooSoon() throws {
    var bench = try Bench([try rule("high", "x", .greater, 5)], suppressSeconds: 60)
    #expect(bench.run(1, [gauge(9)]).events.map(\.kind) == [.fired])
    #expect(bench.run(1, [gauge(1)]).events.map(\.kind) == [.recovered])
    for _ in 0..<10 {
      #expect(bench.run(2, [gauge(9)]).events.isEmpty)
      #expect(bench.run(2, [gauge(1)]).events.isEmpty)
    }
    #expect(bench.engine.suppressed == 10)
    // Another label set is another alert.
    #expect(bench.run(1, [gauge(9), gauge(9, "ETH")]).events.map { $0.labels["symbol"] } == ["ETH"])
    // It still holds when the time is over, so it fires then.
    let late = bench.run(40, [gauge(9), gauge(9, "ETH")]).events
    #expect(late.map { $0.labels["symbol"] } == ["BTC"])
    #expect(late[0].firedAt == seconds(61))
  }

  @Test func aStormHoldsMessagesButNotEvents() throws {
    let names = ["a", "b", "c", "d", "e", "f", "g"]
    let rules = try names.map { try rule($0, "x{symbol=\"\($0)\"}", .greater, 5, action: .restartWebSocket) }
    var bench = try Bench(rules)
    func samples(_ bad: [String]) -> [MetricSample] { names.map { gauge(bad.contains($0) ? 9 : 1, $0) } }

    // Five in ten minutes are no storm.
    for (index, name) in names.prefix(5).enumerated() {
      let step = bench.run(20, samples(Array(names[...index])))
      #expect(step.notifications.map(\.rule) == [name])
    }
    #expect(bench.engine.stormSince == nil)
    // The sixth is one.
    let begin = bench.run(1, samples(Array(names.prefix(6))))
    #expect(begin.events.map(\.rule) == ["f"])
    #expect(begin.events[0].action == .restartWebSocket)
    #expect(begin.notifications.map(\.kind) == [.stormBegan])
    #expect(begin.notifications[0].text.contains("f "))
    #expect(bench.engine.stormSince == seconds(101))
    let during = bench.run(100, samples(["g"]))
    #expect(during.events.count == 7)
    #expect(during.notifications.isEmpty)
    // It ends ten minutes after the last firing, with a summary.
    let calm = bench.run(500, samples(["g"]))
    #expect(calm.notifications.isEmpty)
    let end = bench.run(1, samples(["g"]))
    #expect(end.notifications.map(\.kind) == [.stormEnded])
    #expect(end.notifications[0].text.contains("a fired 0, recovered 1; "))
    #expect(end.notifications[0].text.contains("f fired 1, recovered 1"))
    #expect(end.notifications[0].text.contains("g fired 1, recovered 0; still firing: g"))
    #expect(bench.engine.stormSince == nil)
    #expect(bench.run(1, samples([])).notifications.map(\.kind) == [.recovered])
  }

  @Test func sixAlertsOverElevenMinutesAreNoStorm() throws {
    let names = ["a", "b", "c", "d", "e", "f"]
    var bench = try Bench(try names.map { try rule($0, "x{symbol=\"\($0)\"}", .greater, 5) })
    for name in names {
      _ = bench.run(1, [gauge(9, name)])
      _ = bench.run(119, [gauge(1, name)])
    }
    #expect(bench.engine.stormSince == nil)
  }

  @Test func aRuleThatCannotBeEvaluatedKeepsItsState() throws {
    var bench = try Bench([try rule("ratio", "x / on () y", .greater, 5)])
    let y = MetricSample("y", [], 1)
    #expect(bench.run(1, [gauge(9), y]).events.map(\.kind) == [.fired])
    #expect(bench.run(5, [gauge(9), gauge(1, "ETH"), y]).events.isEmpty)
    #expect(bench.engine.failures["ratio"]?.contains("several series on the left") == true)
    #expect(bench.engine.evaluationFailures == 5)
    #expect(bench.run(1, [gauge(1), y]).events.map(\.kind) == [.recovered])
    #expect(bench.engine.failures.isEmpty)
  }

  @Test func instancesAreBounded() throws {
    var bench = try Bench([try rule("high", "x", .greater, 5)], stormCountMax: 100_000)
    let many = (0..<2000).map { gauge(9, "S\($0)") }
    #expect(bench.run(1, many).events.count == AlertEngine.instancesMax)
    #expect(bench.engine.instancesRefused == 2000 - AlertEngine.instancesMax)
    #expect(bench.run(1, []).events.count == AlertEngine.instancesMax)
    #expect(bench.run(1, many).events.count == AlertEngine.instancesMax)
  }
}
