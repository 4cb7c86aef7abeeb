import Core

/// What retention does and leaves, each with its reason: a pure function of inventory, policy and time.
///
/// **Problem.** Disks are finite. What is deleted is gone, so deletion must be decided by rules that a person
/// can read beforehand, and must never take what another process still needs.
///
/// **Why the obvious answer fails.** `find -mtime +7 -delete` looks at one file at a time: it takes the hour that the
/// loader has not read, makes a hole in the middle of a tape, and a dry run of it shows what another
/// evaluation would do. A store that drops its oldest data when it is full loses what it said it had.
///
/// **Algorithm.** First everything beyond its kind's age is due. Then, on each disk above the high watermark,
/// the oldest things beyond the minimum age are due until the disk would be below the low one. A segment that
/// is due goes only if it is sealed, not the tape's last, converted (where the policy asks), held by nobody,
/// not about to be compressed, and if everything before it goes as well: what remains of a tape is one piece.
/// What is due and stays is in the plan with the reason. Parquet outlives its segments: it is its own copy.
/// What is left of days that are over becomes one file a kind and symbol.
///
/// `weir gc --dry-run` prints this value; without it the very same value is executed (``RetentionRun``).
///
/// **Bounds.** O(n log n) in the inventory's items, which are names and numbers: some 200 bytes each.
public struct RetentionPlan: Equatable, Sendable {
  public enum Verb: String, Sendable {
    case finishCompaction = "finish_compaction"
    case remove, compact, keep
  }

  public struct Action: Equatable, Sendable {
    public var verb: Verb
    /// The segment, file or folder.
    public var path: String
    public var reason: String
    /// For removals one; for a compaction the hours in order.
    public var items: [RetentionInventory.Item]

    public var bytes: Int64 { items.reduce(0) { $0 + $1.bytes } }
  }

  public var actions: [Action] = []

  /// Items in the order in which they go.
  public var removals: [RetentionInventory.Item] {
    actions.flatMap { $0.verb == .remove ? $0.items : [] }
  }

  public var json: JSONValue {
    .array(
      actions.map { action in
        var members: [JSONValue.Member] = [
          .init("action", .string(action.verb.rawValue)), .init("path", .string(action.path)),
        ]
        if let kind = action.items.first?.kind { members.append(.init("kind", .string(kind.rawValue))) }
        if !action.items.isEmpty { members.append(.init("bytes", .integer(action.bytes))) }
        if action.verb == .compact { members.append(.init("files", .integer(action.items.count))) }
        members.append(.init("reason", .string(action.reason)))
        return .object(members)
      })
  }

  public static func make(
    _ inventory: RetentionInventory, _ policy: RetentionPolicy, nowNs: Int64
  ) -> RetentionPlan {
    var maker = PlanMaker(inventory, policy, nowNs)
    return maker.make()
  }
}

private struct PlanMaker {
  private let inventory: RetentionInventory
  private let policy: RetentionPolicy
  private let nowNs: Int64
  /// Indices of the items, oldest first.
  private let order: [Int]
  /// By item: why it goes.
  private var removed: [Int: String] = [:]
  /// By item that is due and stays: why.
  private var kept: [Int: String] = [:]
  /// By tape: something older stays.
  private var isBlocked: [Bool]
  private var lastSegments: [String?]
  private var freed: [Int64]
  /// Symbols' days whose files are about to change; they wait for the next round.
  private let changing: Set<String>

  init(_ inventory: RetentionInventory, _ policy: RetentionPolicy, _ nowNs: Int64) {
    self.inventory = inventory
    self.policy = policy
    self.nowNs = nowNs
    order = inventory.items.indices.sorted { a, b in
      let (a, b) = (inventory.items[a], inventory.items[b])
      if a.endNs != b.endNs { return a.endNs < b.endNs }
      return a.path.utf8.lexicographicallyPrecedes(b.path.utf8)
    }
    isBlocked = inventory.tapes.map { _ in false }
    lastSegments = inventory.tapes.map { _ in nil }
    freed = inventory.disks.map { _ in 0 }
    changing = Set(inventory.unfinishedCompactions.compactMap(\.place))
    for item in inventory.items {
      if case .segment(let segment) = item.detail {
        lastSegments[segment.tape] = max(lastSegments[segment.tape] ?? "", segment.stem)
      }
    }
  }

  mutating func make() -> RetentionPlan {
    removeByAge()
    for disk in inventory.disks.indices { removeForSpace(on: disk) }
    var plan = RetentionPlan()
    plan.actions += inventory.unfinishedCompactions.map {
      .init(
        verb: .finishCompaction, path: $0.path, reason: "an earlier compaction was interrupted", items: [])
    }
    for index in order {
      guard let reason = removed[index] else { continue }
      let item = inventory.items[index]
      plan.actions.append(.init(verb: .remove, path: item.path, reason: reason, items: [item]))
    }
    plan.actions += compactions()
    for index in order {
      guard let reason = kept[index], removed[index] == nil else { continue }
      let item = inventory.items[index]
      plan.actions.append(.init(verb: .keep, path: item.path, reason: reason, items: [item]))
    }
    return plan
  }

  private mutating func removeByAge() {
    for tape in isBlocked.indices { isBlocked[tape] = false }
    for index in order {
      let item = inventory.items[index]
      if case .segment(let segment) = item.detail, let to = inventory.tapes[segment.tape].trimmedTo,
        let last = segment.lastSequence, last <= to
      {
        take(index, because: "an earlier trim was interrupted")
        continue
      }
      if item.kind == .tape, item.detail == .file {
        take(index, because: "an earlier trim was interrupted")
        continue
      }
      let days = policy[item.kind]
      if days > 0, isOlder(item, thanNs: Int64(days) * Nanoseconds.day) {
        take(index, because: "older than \(days) days")
      } else {
        block(item)
      }
    }
  }

  private mutating func removeForSpace(on index: Int) {
    let disk = inventory.disks[index]
    guard policy.diskHighPercent > 0, disk.totalBytes > 0,
      isAtLeast(policy.diskHighPercent, disk.usedBytes - freed[index], disk)
    else { return }
    for tape in isBlocked.indices { isBlocked[tape] = false }
    for place in order where removed[place] == nil {
      let isStillAbove = isAtLeast(policy.diskLowPercent, disk.usedBytes - freed[index], disk)
      if !isStillAbove { return }
      let item = inventory.items[place]
      if item.disk != index {
        block(item)
        continue
      }
      if isOlder(item, thanNs: Int64(policy.diskMinimumAgeHours) * Nanoseconds.hour) {
        take(
          place,
          because:
            "the disk of \(disk.path) is more than \(policy.diskHighPercent) % full, and this is the oldest")
      } else {
        block(item)
      }
    }
  }

  /// Removes a due item, or notes why it stays.
  private mutating func take(_ index: Int, because reason: String) {
    let item = inventory.items[index]
    if let obstacle = obstacle(item) {
      kept[index] = "\(reason), but \(obstacle)"
      block(item)
    } else {
      removed[index] = reason
      freed[item.disk] += item.bytes
    }
  }

  private mutating func block(_ item: RetentionInventory.Item) {
    if case .segment(let segment) = item.detail { isBlocked[segment.tape] = true }
  }

  private func obstacle(_ item: RetentionInventory.Item) -> String? {
    if case .table(let file) = item.detail, changing.contains(file.place) { return "its day is being merged" }
    guard case .segment(let segment) = item.detail else { return nil }
    let tape = inventory.tapes[segment.tape]
    if segment.stem == lastSegments[segment.tape] { return "it is the tape's last segment" }
    if segment.lastSequence == nil { return "it has no seal" }
    if isBlocked[segment.tape] { return "an older segment stays" }
    if policy.keepsUntilConverted, !segment.isConverted { return "it is not converted to Parquet" }
    if let hold = tape.holds.first(where: { $0.needs(segment) }) { return "\(hold.name) still needs it" }
    if tape.isBeingWritten, policy.segmentsAreCompressed, !segment.isCompressed {
      return "the tape's writer may be compressing it"
    }
    return nil
  }

  private func isOlder(_ item: RetentionInventory.Item, thanNs age: Int64) -> Bool {
    let (limit, overflow) = item.endNs.addingReportingOverflow(age)
    return !overflow && limit <= nowNs
  }

  private func isAtLeast(_ percent: Int, _ used: Int64, _ disk: RetentionInventory.Disk) -> Bool {
    Double(used) * 100 >= Double(percent) * Double(disk.totalBytes)
  }

  private func compactions() -> [RetentionPlan.Action] {
    guard policy.compactAfterDays > 0 else { return [] }
    struct Group {
      var indices: [Int] = []
      var endNs = Int64.min
    }
    var groups: [String: Group] = [:]
    for (index, item) in inventory.items.enumerated() {
      guard removed[index] == nil, case .table(let file) = item.detail else { continue }
      let key = file.place
      if changing.contains(key) { continue }
      groups[key, default: Group()].indices.append(index)
      groups[key]!.endNs = max(groups[key]!.endNs, item.endNs)
    }
    func hour(_ index: Int) -> Int {
      if case .table(let file) = inventory.items[index].detail { file.hour ?? -1 } else { -1 }
    }
    let day = Nanoseconds.day
    return groups.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.compactMap { key, group in
      // A day is over at its midnight, whichever hour was the last with rows.
      let midnight = (group.endNs + day - 1) / day * day
      guard group.indices.count > 1,
        midnight + Int64(policy.compactAfterDays) * day <= nowNs
      else { return nil }
      let items = group.indices.sorted { hour($0) < hour($1) }.map { inventory.items[$0] }
      return .init(
        verb: .compact, path: key, reason: "the day has been over for \(policy.compactAfterDays) days",
        items: items)
    }
  }
}
