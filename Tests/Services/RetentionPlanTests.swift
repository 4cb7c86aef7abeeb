import Core
import Testing

@testable import Services

/// Deletion is decided by a function of values: what it must never do is asked of random values.
@Suite("Retention plan")
struct RetentionPlanTests {
  @Test(arguments: UInt64(1)...300)
  func removesNothingThatIsNeeded(seed: UInt64) throws {
    let world = RandomWorld(seed: seed)
    let inventory = world.inventory
    let plan = RetentionPlan.make(inventory, world.policy, nowNs: world.nowNs)
    let removed = Set(plan.removals.map(\.path))
    #expect(removed.count == plan.removals.count, "seed \(seed): something is removed twice")
    for (index, tape) in inventory.tapes.enumerated() {
      let segments = inventory.items.compactMap { item -> (String, RetentionInventory.Segment)? in
        if case .segment(let segment) = item.detail, segment.tape == index {
          (item.path, segment)
        } else {
          nil
        }
      }.sorted { $0.1.stem < $1.1.stem }
      let count = segments.count { removed.contains($0.0) }
      #expect(segments.prefix(count).allSatisfy { removed.contains($0.0) }, "seed \(seed): a hole in a tape")
      #expect(count < segments.count || segments.isEmpty, "seed \(seed): a tape's last segment")
      for (_, segment) in segments.prefix(count) {
        let last = try #require(segment.lastSequence, "seed \(seed): an unsealed segment")
        let wasBegun = tape.trimmedTo.map { last <= $0 } ?? false
        #expect(segment.isConverted || !world.policy.keepsUntilConverted, "seed \(seed): not converted")
        #expect(segment.isCompressed || !tape.isBeingWritten, "seed \(seed): being compressed")
        for hold in tape.holds {
          let isFree =
            (hold.sequence != nil || hold.stem != nil) && hold.sequence.map { last < $0 } ?? true
            && hold.stem.map { segment.stem < $0 } ?? true
          #expect(isFree, "seed \(seed): held by \(hold.name), begun \(wasBegun)")
        }
      }
    }
    for item in plan.removals where item.kind != .tape {
      let days = world.policy[item.kind]
      let isDue = days > 0 && item.endNs + Int64(days) * Nanoseconds.day <= world.nowNs
      let disk = inventory.disks[item.disk]
      let isFull =
        world.policy.diskHighPercent > 0
        && disk.usedBytes * 100 >= Int64(world.policy.diskHighPercent) * disk.totalBytes
      let isOld = item.endNs + Int64(world.policy.diskMinimumAgeHours) * Nanoseconds.hour <= world.nowNs
      #expect(isDue || isFull && isOld, "seed \(seed): \(item.path) was not due")
    }
    for action in plan.actions where action.verb == .compact {
      #expect(
        action.items.count > 1 && action.items.allSatisfy { !removed.contains($0.path) }, "seed \(seed)")
    }
  }

  @Test(arguments: UInt64(1)...300)
  func executedItLeavesNothingToDo(seed: UInt64) {
    let world = RandomWorld(seed: seed)
    let plan = RetentionPlan.make(world.inventory, world.policy, nowNs: world.nowNs)
    let again = RetentionPlan.make(world.inventory.after(plan), world.policy, nowNs: world.nowNs)
    let rest = again.actions.filter { $0.verb != .keep }
    #expect(rest.isEmpty, "seed \(seed): \(rest.map { "\($0.verb) \($0.path): \($0.reason)" })")
  }

  @Test(arguments: UInt64(1)...50)
  func orderOfTheInventoryDoesNotMatter(seed: UInt64) {
    let world = RandomWorld(seed: seed)
    var random = SeededRandom(seed: seed &+ 1_000_000)
    var shuffled = world.inventory
    shuffled.items.shuffle(using: &random)
    #expect(
      RetentionPlan.make(shuffled, world.policy, nowNs: world.nowNs)
        == RetentionPlan.make(world.inventory, world.policy, nowNs: world.nowNs), "seed \(seed)")
  }

  @Test func initialPolicyRemovesNothing() {
    for seed in UInt64(1)...50 {
      let world = RandomWorld(seed: seed)
      var inventory = world.inventory
      for index in inventory.tapes.indices { inventory.tapes[index].trimmedTo = nil }
      #expect(RetentionPlan.make(inventory, RetentionPolicy(), nowNs: world.nowNs).removals.isEmpty)
    }
  }

  @Test func reasonsNameWhoHolds() {
    var inventory = RetentionInventory()
    inventory.disks = [.init(path: "/d", totalBytes: 100, freeBytes: 50)]
    inventory.tapes = [.init(folder: "t", holds: [.init(name: ".hold-copy.json", sequence: 15)])]
    for hour in 0..<3 {
      inventory.items.append(
        .init(
          kind: .tape, path: "t/2024-07-18T0\(hour)", bytes: 10, endNs: Int64(hour + 1) * Nanoseconds.hour,
          disk: 0,
          detail: .segment(
            .init(
              tape: 0, stem: "2024-07-18T0\(hour)", lastSequence: Int64(hour + 1) * 10, isCompressed: true,
              isConverted: true))))
    }
    var policy = RetentionPolicy()
    policy[.tape] = 1
    let plan = RetentionPlan.make(inventory, policy, nowNs: 30 * Nanoseconds.day)
    #expect(plan.actions.map(\.verb) == [.remove, .keep, .keep])
    #expect(
      plan.actions.map(\.reason) == [
        "older than 1 days", "older than 1 days, but .hold-copy.json still needs it",
        "older than 1 days, but it is the tape's last segment",
      ])
  }

  @Test func spaceIsMadeFromTheOldestUpToTheLowMark() {
    var inventory = RetentionInventory()
    inventory.disks = [
      .init(path: "/full", totalBytes: 1000, freeBytes: 100),
      .init(path: "/roomy", totalBytes: 1000, freeBytes: 900),
    ]
    for index in 0..<20 {
      inventory.items.append(
        .init(
          kind: .depth, path: "p\(100 + index)", bytes: 50, endNs: Int64(index) * Nanoseconds.hour,
          disk: index % 2, detail: .file))
    }
    var policy = RetentionPolicy()
    policy.diskHighPercent = 90
    policy.diskLowPercent = 80
    policy.diskMinimumAgeHours = 24
    let plan = RetentionPlan.make(inventory, policy, nowNs: 100 * Nanoseconds.hour)
    // 900 of 1000 are used: below 800 after three files of 50.
    #expect(plan.removals.map(\.path) == ["p100", "p102", "p104"])
    policy.diskMinimumAgeHours = 98
    #expect(
      RetentionPlan.make(inventory, policy, nowNs: 100 * Nanoseconds.hour).removals.map(\.path) == [
        "p100", "p102",
      ])
  }
}

/// A random inventory with its policy and time.
private struct RandomWorld {
  var inventory = RetentionInventory()
  var policy = RetentionPolicy()
  let nowNs = 400 * Nanoseconds.day

  init(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    func chance(_ probability: Double) -> Bool { random.bernoulli(probability) }
    for kind in RetainedKind.allCases where chance(0.5) { policy[kind] = random.below(20) }
    if chance(0.5) {
      policy.diskHighPercent = 1 + random.below(100)
      policy.diskLowPercent = random.below(policy.diskHighPercent + 1)
      policy.diskMinimumAgeHours = random.below(200)
    }
    policy.compactAfterDays = random.below(4)
    policy.keepsUntilConverted = chance(0.7)
    for disk in 0..<(1 + random.below(2)) {
      let total = Int64(1000 + random.below(100_000))
      inventory.disks.append(
        .init(path: "/disk\(disk)", totalBytes: total, freeBytes: Int64(random.below(Int(total)))))
    }
    let firstDay = 380
    for tape in 0..<random.below(4) {
      let disk = random.below(inventory.disks.count)
      var entry = RetentionInventory.Tape(folder: "tape\(tape)", isBeingWritten: chance(0.3))
      let count = random.below(12)
      var hour = random.below(240)
      var sequence: Int64 = 0
      for place in 0..<count {
        hour += 1 + random.below(40)
        sequence += Int64(1 + random.below(50))
        let isSealed = place < count - 1 ? chance(0.95) : chance(0.3)
        let end = UnixNanos(Int64(firstDay) * Nanoseconds.day + Int64(hour + 1) * Nanoseconds.hour)
        let date = UTCDate(UnixNanos(end.rawValue - Nanoseconds.hour))
        let stem = "\(date.dayText)T\(date.timeText.prefix(2))"
        inventory.items.append(
          .init(
            kind: .tape, path: "tape\(tape)/\(stem)", bytes: Int64(1 + random.below(500)),
            endNs: end.rawValue,
            disk: disk,
            detail: .segment(
              .init(
                tape: tape, stem: stem, lastSequence: isSealed ? sequence : nil, isCompressed: chance(0.8),
                isConverted: chance(0.8)))))
        if chance(0.05) { entry.holds.append(.init(name: "stem", stem: stem)) }
      }
      if chance(0.3) { entry.holds.append(.init(name: "seq", sequence: Int64(random.below(400)))) }
      if chance(0.05) { entry.holds.append(.init(name: "all")) }
      if chance(0.1) { entry.trimmedTo = Int64(random.below(100)) }
      inventory.tapes.append(entry)
    }
    for day in 0..<random.below(12) {
      for symbol in ["A", "B"] where chance(0.7) {
        let kind: RetainedKind = chance(0.5) ? .depth : .trade
        let leaf = "kind=\(kind.rawValue)/date=\(day)/symbol=\(symbol)"
        let start = Int64(firstDay + day) * Nanoseconds.day
        for hour in (chance(0.2) ? -1 : 0)..<24 where chance(0.3) {
          inventory.items.append(
            .init(
              kind: kind, path: "\(leaf)/\(hour)", bytes: Int64(1 + random.below(300)),
              endNs: hour < 0 ? start + Nanoseconds.day : start + Int64(hour + 1) * Nanoseconds.hour,
              disk: random.below(inventory.disks.count),
              detail: .table(
                .init(folder: "parquet", leaf: leaf, name: "\(hour)", hour: hour < 0 ? nil : hour))))
        }
      }
    }
  }
}

extension RetentionInventory {
  /// What is left when a plan has been executed.
  fileprivate func after(_ plan: RetentionPlan) -> RetentionInventory {
    var left = self
    let removed = Set(plan.removals.map(\.path))
    for item in plan.removals { left.disks[item.disk].freeBytes += item.bytes }
    left.items.removeAll { removed.contains($0.path) }
    for action in plan.actions where action.verb == .compact {
      let paths = Set(action.items.map(\.path))
      left.items.removeAll { paths.contains($0.path) }
      guard let first = action.items.first, case .table(var file) = first.detail else { continue }
      file.hour = nil
      file.name = "day"
      let end = (action.items.map(\.endNs).max()! + Nanoseconds.day - 1) / Nanoseconds.day * Nanoseconds.day
      left.items.append(
        .init(
          kind: first.kind, path: "\(file.leaf)/day", bytes: action.bytes, endNs: end, disk: first.disk,
          detail: .table(file)))
    }
    left.unfinishedCompactions = []
    return left
  }
}
