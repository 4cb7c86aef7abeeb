import Core
import Glibc
import Net
import Parquet

/// What `weir gc` is asked to do.
public struct GarbageCollectionOptions: Sendable {
  public var folders: [String]
  /// Position files of loaders whose states are elsewhere.
  public var positions: [String]
  public var policy: RetentionPolicy
  public var isDryRun: Bool

  public init(
    folders: [String], positions: [String] = [], policy: RetentionPolicy, isDryRun: Bool = false
  ) {
    self.folders = folders
    self.positions = positions
    self.policy = policy
    self.isDryRun = isDryRun
  }
}

/// One round of retention over folders: look, plan, and unless it is a dry run, execute. The shell around
/// ``RetentionPlan``.
public struct GarbageCollection: Sendable {
  public var plan: RetentionPlan
  public var disks: [RetentionInventory.Disk]
  /// nil for a dry run.
  public var result: RetentionResult?

  /// - Parameters:
  ///   - nowNs: the moment ages are counted to.
  ///   - progress: called with the actions done and the number of all.
  public static func run(
    _ options: GarbageCollectionOptions, nowNs: Int64 = EventLoop.wallNow().rawValue,
    progress: (Int64) -> Void = { _ in }
  ) throws -> GarbageCollection {
    try withLocks(options.isDryRun ? [] : options.folders[...]) {
      let inventory = try RetentionInventory.read(options.folders, positions: options.positions)
      var collection = GarbageCollection(
        plan: .make(inventory, options.policy, nowNs: nowNs), disks: inventory.disks)
      if !options.isDryRun {
        let run = RetentionRun(inventory, nowNs: nowNs) { try ParquetFiles.concatenate($0, to: $1) }
        collection.result = try run.execute(collection.plan, progress: progress)
      }
      return collection
    }
  }

  /// Keeps a second collection from the folders. The kernel gives the locks back, however the process ends.
  private static func withLocks(
    _ folders: ArraySlice<String>, _ body: () throws -> GarbageCollection
  ) throws -> GarbageCollection {
    guard let folder = folders.first else { return try body() }
    let lock = try File(folder + "/.gc.lock", .append)
    while flock(lock.descriptor, LOCK_EX | LOCK_NB) != 0 {
      if errno == EWOULDBLOCK { throw RetentionError.locked(folder) }
      if errno != EINTR { throw FileError("lock", lock.path) }
    }
    return try withLocks(folders.dropFirst(), body)
  }

  /// Things that are due and stay.
  public var keptCount: Int { plan.actions.count { $0.verb == .keep } }

  /// Whether everything that the plan says was done.
  public var isComplete: Bool { result?.compactionsFailed.isEmpty ?? true }

  public var json: JSONValue {
    var members: [JSONValue.Member] = [
      .init("dry_run", .bool(result == nil)), .init("actions", plan.json),
      .init("kept_due", .integer(keptCount)),
      .init(
        "disks",
        .array(
          disks.map {
            .object([
              "path": .string($0.path), "total_bytes": .integer($0.totalBytes),
              "free_bytes": .integer($0.freeBytes),
              "used_pct": .rounded(Double($0.usedBytes) * 100 / Double(max(1, $0.totalBytes)), 2),
            ])
          })),
    ]
    members += result?.json.members ?? []
    return .object(members)
  }
}
