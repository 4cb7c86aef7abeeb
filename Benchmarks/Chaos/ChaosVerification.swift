import Core
import Foundation
import ProcessKit

/// Whether a disturbed run left what an undisturbed one leaves: the judge is the same binary over the same tape.
struct ChaosVerification {
  struct Check {
    var name: String
    var holds: Bool
    var detail: String

    var json: JSONValue {
      .object(["name": .string(name), "holds": .bool(holds), "detail": .string(detail)])
    }
  }

  let binary: String
  let folder: String
  /// Where the undisturbed run over the same tape goes.
  let judgeFolder: String
  let settings: [String]
  private(set) var checks: [Check] = []

  init(binary: String, folder: String, judgeFolder: String, settings: [String]) {
    self.binary = binary
    self.folder = folder
    self.judgeFolder = judgeFolder
    self.settings = settings
  }

  /// All checks, in the order of the data's way.
  mutating func perform() throws {
    let tape = try execute(["tape", "verify", folder + "/tape"])
    add("tape verifies", tape.code == 0, tape.code == 0 ? "" : tape.error)
    let replay = try execute(
      ["replay", folder + "/tape", "--out", judgeFolder, "--sink", "dual", "--json", "--quiet"] + settings)
    add("tape replays", replay.code == 0, replay.code == 0 ? "" : replay.error)
    guard replay.code == 0 else { return }
    compareSignals(replay.last)
    compareShadow(replay.last)
    try compareParity()
    try compareOrders()
    try compareReports()
  }

  // MARK: Signals

  private mutating func compareSignals(_ replay: JSONValue) {
    let (mine, theirs) = (jsonl(folder), jsonl(judgeFolder))
    let difference = ChaosVerification.firstDifference(mine, theirs)
    let lines = theirs.values.reduce(0) { $0 + $1.count { $0 == 0x0A } }
    add("signals, bytes", difference == nil && lines > 0, difference ?? "\(lines) rows")
    let hash = json(folder + "/summary.json")["signals_sha256"]
    add(
      "signals, sha256", hash != nil && hash == replay["signals_sha256"],
      "\(hash?.text?.prefix(16) ?? "none") and \(replay["signals_sha256"]?.text?.prefix(16) ?? "none")")
  }

  /// There may be none: the channels speak when the market makes them.
  private mutating func compareShadow(_ replay: JSONValue) {
    let (mine, theirs) = (jsonl(folder + "/shadow"), jsonl(judgeFolder + "/shadow"))
    let difference = ChaosVerification.firstDifference(mine, theirs)
    let lines = theirs.values.reduce(0) { $0 + $1.count { $0 == 0x0A } }
    add("shadow signals, bytes", difference == nil, difference ?? "\(lines) rows")
    let hash = json(folder + "/summary.json")["shadow"]?["sha256"]
    let judge = replay["shadow"]?["sha256"]
    add(
      "shadow signals, sha256", hash == judge,
      "\(hash?.text?.prefix(16) ?? "none") and \(judge?.text?.prefix(16) ?? "none")")
  }

  private func jsonl(_ folder: String) -> [String: [UInt8]] {
    let path = folder + "/signals/jsonl"
    var files: [String: [UInt8]] = [:]
    for name in (try? Files.list(path)) ?? [] where name.hasSuffix(".jsonl") {
      files[name] = (try? Files.read(path + "/" + name)) ?? []
    }
    return files
  }

  private mutating func compareParity() throws {
    try compareParity("sinks equal", folder)
    if Files.isFolder(folder + "/shadow") {
      try compareParity("shadow sinks equal", folder + "/shadow")
    }
  }

  private mutating func compareParity(_ name: String, _ folder: String) throws {
    let parity = try execute(["parity", folder, "--json"])
    let isExact = parity.code == 0 && parity.last["exact"]?.boolean == true
    add(
      name, isExact,
      isExact
        ? "\(parity.last["jsonl"]?["total"]?.text ?? "?") rows" : parity.last["verdict"]?.text ?? parity.error
    )
  }

  // MARK: Orders

  private mutating func compareOrders() throws {
    let mine = (try? Files.read(folder + "/orders/orders.jsonl")) ?? []
    let broker = try execute(["broker", "--run", judgeFolder, "--idle-s", "1", "--json"] + settings)
    guard broker.code == 0 else { return add("orders, bytes", false, broker.error) }
    let theirs = (try? Files.read(judgeFolder + "/orders/orders.jsonl")) ?? []
    let difference = ChaosVerification.firstDifference(["orders.jsonl": mine], ["orders.jsonl": theirs])
    add("orders, bytes", difference == nil, difference ?? "\(theirs.count { $0 == 0x0A }) lines")

    var lines: [String: Int] = [:]
    var damaged = 0
    for line in mine.split(separator: 0x0A) {
      let order = line.withUnsafeBytes { try? JSONValue(parsing: $0) }
      if let id = order?["order_id"]?.text { lines[id, default: 0] += 1 } else { damaged += 1 }
    }
    let doubled = lines.filter { $0.value > 1 }.keys.sorted()
    let isWhole = doubled.isEmpty && damaged == 0 && !lines.isEmpty
    add(
      "no order twice", isWhole,
      isWhole ? "\(lines.count) orders" : "of \(lines.count): \(doubled.prefix(3)); \(damaged) damaged lines")
  }

  // MARK: Reports

  /// What a report says of its rows; what it says of the run (processes, alerts, exports) differs by nature.
  private mutating func compareReports() throws {
    let report = try execute(["report", "--run", judgeFolder, "--once", "--json"] + settings)
    guard report.code == 0 else { return add("reports, rows", false, report.error) }
    let (mine, theirs) = (summaries(folder), summaries(judgeFolder))
    var differences: [String] = []
    for (name, judge) in theirs {
      guard let own = mine[name] else {
        differences.append("\(name) is missing")
        continue
      }
      for key in ChaosVerification.rowMembers where own[key] != judge[key] {
        differences.append("\(name): \(key)")
      }
    }
    add(
      "reports, rows", differences.isEmpty && !theirs.isEmpty,
      differences.isEmpty ? "\(theirs.count) files" : differences.sorted().prefix(4).joined(separator: ", "))
  }

  private static let rowMembers = [
    "day", "utc_offset_s", "totals", "signal_types", "gating_breakdown", "regimes", "mode_changes_total",
    "mode_changes", "scenarios", "divergence", "symbols", "z_quality", "top_signals", "per_minute",
  ]

  private func summaries(_ folder: String) -> [String: JSONValue] {
    var found: [String: JSONValue] = [:]
    for name in (try? Files.list(folder)) ?? [] where name.hasPrefix("summary_") && name.hasSuffix(".json") {
      found[name] = json(folder + "/" + name)
    }
    return found
  }

  // MARK: Tools

  mutating func add(_ name: String, _ holds: Bool, _ detail: String) {
    checks.append(Check(name: name, holds: holds, detail: String(detail.prefix(300))))
  }

  private func execute(_ words: [String]) throws -> (code: Int32, last: JSONValue, error: String) {
    let process = try WeirProcess(words, binary: binary)
    let (code, last) = try process.wait()
    return (code, last, "exit code \(code): \(process.errorText.suffix(300))")
  }

  private func json(_ path: String) -> JSONValue {
    guard let bytes = try? Files.read(path) else { return .null }
    return bytes.withUnsafeBytes { (try? JSONValue(parsing: $0)) ?? .null }
  }

  /// The first file or line in which two folders differ.
  static func firstDifference(_ mine: [String: [UInt8]], _ theirs: [String: [UInt8]]) -> String? {
    let names = Set(mine.keys).union(theirs.keys).sorted()
    for name in names {
      guard let a = mine[name] else { return "\(name) is missing" }
      guard let b = theirs[name] else { return "\(name) should not be there" }
      if a == b { continue }
      let place =
        zip(a, b).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? min(a.count, b.count)
      let line = b[..<min(place, b.count)].count { $0 == 0x0A } + 1
      func text(_ bytes: [UInt8]) -> String {
        String(decoding: bytes[max(0, place - 60)..<min(bytes.count, place + 40)], as: UTF8.self)
      }
      return "\(name) line \(line) (\(a.count) and \(b.count) bytes): …\(text(a))… and …\(text(b))…"
    }
    return nil
  }
}
