import Core
import Testing

@testable import Services

/// Drives a ``Supervision`` by a clock of its own.
private struct World {
  var supervision: Supervision
  var nowNs: Int64 = 1_000_000_000
  var nextPid: Int32 = 100
  var log: [Supervision.Action] = []
  /// Services whose new process says that it is ready at once.
  var readiesAtOnce = true
  var endsWhenTold = true

  init(
    _ services: [ServiceName] = [.harvest, .signal, .broker, .report],
    _ change: (inout RunConfiguration) -> Void = { _ in }
  ) {
    var configuration = RunConfiguration()
    change(&configuration)
    supervision = Supervision(services, configuration: configuration, seed: 1)
    supervision.start(nowNs)
    settle()
  }

  /// Performs actions as obedient processes would.
  mutating func settle() {
    while true {
      let actions = supervision.takeActions()
      if actions.isEmpty { return }
      for action in actions {
        log.append(action)
        switch action {
        case .start(let service):
          nextPid += 1
          supervision.started(service, pid: nextPid, nowNs)
          if readiesAtOnce { supervision.ready(service, nowNs) }
        case .terminate(let service):
          if endsWhenTold { supervision.ended(service, reason: "exit 0", isOrderly: true, nowNs) }
        case .kill(let service): supervision.ended(service, reason: "signal 9", isOrderly: false, nowNs)
        case .drain(let service): beat(service, seq: supervision[service]!.sequence, isDrained: true)
        case .finish: break
        }
      }
    }
  }

  mutating func beat(_ service: ServiceName, seq: Int64, isDrained: Bool = false, behind: Int64 = 0) {
    supervision.beat(
      service,
      .object([
        "seq": .integer(seq), "time_ns": .integer(seq), "is_drained": .bool(isDrained),
        "bytes_behind": .integer(behind),
      ]), nowNs)
  }

  mutating func advance(_ seconds: Double, beating: Bool = true) {
    let end = nowNs + Int64(seconds * 1e9)
    while nowNs < end {
      nowNs = min(end, max(nowNs + 1, supervision.deadline(nowNs)))
      if beating {
        for member in supervision.members where member.isRunning && member.isReady {
          beat(member.service, seq: member.sequence, isDrained: member.isDrained)
        }
      }
      supervision.tick(nowNs)
      settle()
    }
  }

  mutating func crash(_ service: ServiceName) {
    supervision.ended(service, reason: "signal 9", isOrderly: false, nowNs)
    settle()
  }

  func starts(_ service: ServiceName) -> Int { log.count { $0 == .start(service) } }
}

@Suite("Supervision")
struct SupervisionTests {
  @Test func startsInOrderAndStopsTheOtherWayRound() {
    var world = World()
    #expect(world.log == [.start(.harvest), .start(.signal), .start(.broker), .start(.report)])
    world.supervision.stop(world.nowNs, reason: "test")
    world.settle()
    world.advance(5)
    #expect(world.supervision.phase == .done)
    #expect(world.supervision.shutdownOrder == [.report, .broker, .signal, .harvest])
    #expect(world.supervision.unreadRecords == 0)
    #expect(world.log.last == .finish)
  }

  @Test func theVenueComesFirstAndGoesLast() {
    var world = World([.venue, .harvest, .signal])
    #expect(world.log.first == .start(.venue))
    #expect(world.log.contains(.start(.signal)))
    world.supervision.stop(world.nowNs, reason: "test")
    world.settle()
    world.advance(5)
    #expect(world.supervision.shutdownOrder == [.signal, .harvest, .venue])
  }

  /// What archives the tape is told to end when the harvester has sealed it, and nobody waits for it to be even.
  @Test func archivesGoBehindTheHarvester() {
    var world = World([.convert, .clickhouse, .harvest, .signal, .cache])
    world.supervision.stop(world.nowNs, reason: "test")
    world.settle()
    for step in 0..<50 where world.supervision.phase != .done {
      world.beat(.clickhouse, seq: Int64(step), behind: 1_000_000)
      world.advance(0.1)
    }
    #expect(world.supervision.phase == .done)
    #expect(world.supervision.isDrainComplete)
    #expect(world.supervision.shutdownOrder == [.cache, .signal, .harvest, .clickhouse, .convert])
  }

  @Test func aDeadServiceIsBackWithinASecond() throws {
    var world = World()
    world.advance(3)
    world.crash(.signal)
    #expect(world.supervision[.signal]?.state == .restarting)
    world.advance(1)
    #expect(world.supervision[.signal]?.state == .healthy)
    #expect(world.supervision[.signal]?.restartCount == 1)
    let restart = try #require(world.supervision.restarts.first)
    #expect(restart.service == .signal)
    #expect(restart.backoffMs > 0 && restart.backoffMs < 1000)
    #expect(try #require(restart.readyNs) - restart.endedNs < 1_000_000_000)
  }

  @Test func aServiceThatCannotLiveIsGivenUp() {
    var world = World { $0.restartsMax = 4 }
    for _ in 0..<20 {
      guard world.supervision[.broker]?.isRunning == true else { break }
      world.crash(.broker)
      world.advance(10)
    }
    #expect(world.supervision[.broker]?.state == .unhealthy)
    #expect(world.starts(.broker) == 5)
    #expect(world.supervision.phase == .running, "the rest goes on")
    let waits = world.supervision.restarts.map(\.backoffMs)
    #expect(zip(waits, waits.dropFirst()).allSatisfy { $1 > $0 }, "\(waits)")
  }

  @Test func whatNeverStartsEndsTheRun() {
    var world = World([.harvest, .signal])
    world.readiesAtOnce = false
    world.supervision = Supervision([.harvest, .signal], configuration: RunConfiguration(), seed: 1)
    world.supervision.start(world.nowNs)
    world.settle()
    for _ in 0..<Supervision.startsMax {
      world.crash(.harvest)
      world.advance(3)
    }
    #expect(world.starts(.harvest) == 1 + Supervision.startsMax, "one of them by the first supervision")
    #expect(world.supervision.stopReason == "harvest does not start: signal 9")
  }

  @Test func aRunWithoutItsHarvesterEnds() {
    var world = World { $0.restartsMax = 1 }
    world.crash(.harvest)
    world.advance(1)
    world.crash(.harvest)
    world.advance(30)
    #expect(world.supervision.phase == .done)
    #expect(world.supervision.stopReason?.contains("harvest") == true)
  }

  @Test func aServiceWithoutABeatIsKilledAndStartedAgain() {
    var world = World { $0.heartbeatTimeoutSeconds = 5 }
    world.advance(8, beating: false)
    #expect(world.log.contains(.kill(.signal)))
    #expect(world.starts(.signal) == 2)
    #expect(world.supervision[.signal]?.beatsMissed == 1)
  }

  @Test func stableServicesStartTheBackoffAnew() {
    var world = World { $0.restartsMax = 3 }
    for _ in 0..<10 {
      world.crash(.signal)
      world.advance(Double(RunConfiguration().stableSeconds) + 5)
    }
    #expect(world.supervision[.signal]?.state == .healthy)
    #expect(world.supervision[.signal]?.restartCount == 10)
  }

  @Test func theDrainWaitsForTheSignalStage() {
    var world = World()
    world.beat(.harvest, seq: 1000)
    world.beat(.signal, seq: 400)
    world.supervision.stop(world.nowNs, reason: "test")
    world.settle()
    world.advance(3)
    #expect(world.supervision.phase == .draining)
    world.beat(.signal, seq: 1000)
    world.advance(3)
    #expect(world.supervision.phase == .done)
    #expect(world.supervision.unreadRecords == 0)
  }

  @Test func aDrainThatStandsStillIsCutAndCounted() {
    var world = World()
    world.beat(.harvest, seq: 1000)
    world.beat(.signal, seq: 400)
    world.supervision.stop(world.nowNs, reason: "test")
    world.settle()
    world.advance(Double(RunConfiguration().stopGraceSeconds) + 2)
    #expect(world.supervision.phase == .done)
    #expect(world.supervision.unreadRecords == 600)
    #expect(!world.supervision.isDrainComplete)
  }

  @Test func aConsumerThatDiesWhileDrainingFinishes() {
    var world = World()
    world.beat(.harvest, seq: 1000)
    world.beat(.signal, seq: 400)
    world.supervision.stop(world.nowNs, reason: "test")
    world.settle()
    world.crash(.signal)
    world.advance(2)
    #expect(world.starts(.signal) == 2)
    world.beat(.signal, seq: 1000)
    world.advance(3)
    #expect(world.supervision.phase == .done)
    #expect(world.supervision.unreadRecords == 0)
    #expect(world.supervision.shutdownOrder == [.report, .broker, .signal, .harvest])
  }

  @Test func whoDoesNotEndIsKilled() {
    var world = World()
    world.endsWhenTold = false
    world.supervision.stop(world.nowNs, reason: "test")
    world.settle()
    world.advance(6 * Double(RunConfiguration().stopGraceSeconds))
    #expect(world.supervision.phase == .done)
    #expect(world.log.contains(.kill(.report)) && world.log.contains(.kill(.harvest)))
  }

  @Test func anOperatorsRestartIsNoFailure() {
    var world = World { $0.restartsMax = 1 }
    for _ in 0..<5 {
      let isTaken = world.supervision.restart(.signal, world.nowNs)
      #expect(isTaken)
      world.settle()
      world.advance(1)
    }
    #expect(world.supervision[.signal]?.state == .healthy)
    #expect(world.supervision[.signal]?.restartCount == 5)
  }

  /// Whatever dies whenever, the run ends, each service at most once at a time, nobody left behind.
  @Test(arguments: 0..<200 as Range<UInt64>)
  func everyRunEnds(_ seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var world = World(
      random.below(2) == 0 ? [.harvest, .signal, .broker, .report] : [.venue, .harvest, .signal])
    world.readiesAtOnce = random.below(4) != 0
    let stopAt = Int(random.below(30))
    for round in 0..<60 {
      if round == stopAt {
        world.supervision.stop(world.nowNs, reason: "test")
        world.settle()
      }
      let members = world.supervision.members.filter(\.isRunning)
      if !members.isEmpty, random.below(2) == 0 {
        let victim = members[random.below(members.count)]
        if victim.isReady || world.readiesAtOnce {
          world.crash(victim.service)
        } else {
          world.supervision.ready(victim.service, world.nowNs)
          world.settle()
        }
      }
      world.advance(Double(random.below(3000)) / 1000)
    }
    world.advance(200)
    #expect(world.supervision.phase == .done, "seed \(seed)")
    #expect(world.supervision.members.allSatisfy { !$0.isRunning }, "seed \(seed)")
    #expect(world.log.count { $0 == .finish } == 1, "seed \(seed)")
    #expect(
      Set(world.supervision.shutdownOrder).count == world.supervision.shutdownOrder.count, "seed \(seed)")
  }
}
