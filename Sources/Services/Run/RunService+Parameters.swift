import Configuration
import Core
import Glibc
import Net
import Telemetry

/// The parameters of the stages, which change while a run goes on: what the tape says of them, and the file that
/// some of them come from.
///
/// What they are to be is in `RunService.current`; what differs from the tape is put on it at the next occasion, so
/// that a change outlives a harvester that happens to be down.
struct StageParameters {
  /// What the stages work with: where they started, changed by what was put on the tape. Of a continued run
  /// nothing is known but its start, and everything is said anew.
  var onTape: [String: JSONValue]
  var isAsked = false
  /// What was last refused, and why.
  var refusal: String?
  /// The parameter file as it was when it was last read, and as it was at the last look.
  fileprivate var read: FileStamp?
  fileprivate var seen: FileStamp?
  fileprivate var problem: String?
  private(set) var reloads = 0
  private(set) var failures = 0

  init(_ loaded: LoadedConfig<WeirConfiguration>?) {
    onTape = loaded.map { StageParameters.values($0) } ?? [:]
  }

  /// Whether a key can be changed by a record of the tape.
  static func holds(_ key: String) -> Bool {
    Control.parameterSections.contains { key.hasPrefix($0) }
  }

  /// By key.
  static func values(_ loaded: LoadedConfig<WeirConfiguration>) -> [String: JSONValue] {
    RunService.flat(loaded.json["values"]).filter { holds($0.key) }
  }

  fileprivate mutating func succeeded() {
    problem = nil
    reloads += 1
  }

  /// - Returns: whether it is a new failure.
  fileprivate mutating func failed(_ text: String, _ stamp: FileStamp?) -> Bool {
    // It is tried again, for the reason may lie elsewhere.
    read = nil
    let key = "\(stamp.map { "\($0)" } ?? "absent") \(text)"
    guard problem != key else { return false }
    problem = key
    failures += 1
    return true
  }
}

/// What tells that a file has another content, without reading it.
private struct FileStamp: Equatable {
  var modifiedNs: Int64
  var bytes: Int64
  var node: UInt64

  init?(_ path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    modifiedNs = Int64(status.st_mtim.tv_sec) * Nanoseconds.second + Int64(status.st_mtim.tv_nsec)
    bytes = Int64(status.st_size)
    node = UInt64(status.st_ino)
  }
}

extension RunService {
  /// Puts on the tape what the stages do not work with yet. What fails is tried again at the next look.
  func tellStages(by: String) {
    guard options.plan.contains(.harvest), !parameters.isAsked, supervision.phase == .running else { return }
    let wanted = StageParameters.values(current.loaded)
    let changed = wanted.filter { parameters.onTape[$0.key] != $0.value }
    guard !changed.isEmpty, children[.harvest] != nil else { return }
    parameters.isAsked = true
    let values = changed.sorted { $0.key < $1.key }.map { JSONValue.Member($0.key, $0.value) }
    let control: JSONValue = .object([
      "control": .string("params"), "version": .string(current.version), "values": .object(values),
      "by": .string(by),
    ])
    ask("control", control) { [weak self] answer in
      guard let self else { return }
      parameters.isAsked = false
      switch answer {
      case .success:
        parameters.onTape.merge(changed) { $1 }
        parameters.refusal = nil
        // They may have changed again meanwhile.
        tellStages(by: by)
      case .failure(let error):
        let refusal = "\(current.version) \(error)"
        if parameters.refusal != refusal { log.error("params_refused", ["reason": .error(error)]) }
        parameters.refusal = refusal
      }
    }
  }

  func noteParameters() {
    guard let facts = current.configuration.parameters else { return }
    log.info("parameters", parameterFields(facts))
  }

  private func parameterFields(_ facts: ScenarioFile.Facts) -> KeyValuePairs<String, LogValue> {
    [
      "file": .text(facts.path), "version": .text(facts.version), "hash": .text(facts.hash),
      "as_configured": .text(facts.fallback.joined(separator: ",")), "config_version": .text(current.version),
    ]
  }

  /// At each look at the services: takes over a parameter file that says something else than before.
  ///
  /// Only the scenarios are taken: the rest of the configuration waits for the operator's word. A file that was
  /// written within the last second is left to its writer until the next look.
  func lookAtParameters() {
    tellStages(by: "reload")
    // Nothing can be added to a tape that is finished.
    guard options.plan.contains(.harvest), let reloadConfiguration,
      let facts = current.configuration.parameters
    else { return }
    let stamp = FileStamp(facts.path)
    if let stamp, stamp == parameters.read { return }
    let isYoung = stamp.map { EventLoop.wallNow().rawValue - $0.modifiedNs < Nanoseconds.second } ?? false
    let isSettled = stamp == parameters.seen
    parameters.seen = stamp
    if isYoung, !isSettled { return }
    parameters.read = stamp
    do {
      let file = try ScenarioFile(path: facts.path)
      if try file.facts() == facts {
        parameters.problem = nil
        return
      }
      let new = try reloadConfiguration()
      guard let taken = new.configuration.parameters, taken.path == facts.path else {
        throw RunError.refused("the configuration names another parameter file by now; reload it")
      }
      take(taken, new)
    } catch {
      guard parameters.failed("\(error)", stamp) else { return }
      log.error("parameters_refused", ["file": .text(facts.path), "reason": .text("\(error)")])
      _ = note(reload: ["ok": .bool(false), "by": .string("parameters"), "error": .string("\(error)")])
    }
  }

  private func take(_ facts: ScenarioFile.Facts, _ new: ReloadedConfiguration) {
    current.loaded = current.loaded.taking(ScenarioFile.section, from: new.loaded)
    current.loaded.value.parameters = facts
    current.configuration.signal.strategy.scenarios = new.configuration.signal.strategy.scenarios
    current.configuration.parameters = facts
    parameters.succeeded()
    log.info("parameters", parameterFields(facts))
    _ = note(reload: [
      "ok": .bool(true), "by": .string("parameters"), "config_version": .string(current.version),
      "parameters": facts.json,
    ])
    tellStages(by: "parameters")
  }

  /// Of the file in force, with how often it was taken over and refused; null without one.
  var parametersJSON: JSONValue {
    guard let facts = current.configuration.parameters, let members = facts.json.members else { return .null }
    return .object(
      members + [
        .init("reloads", .integer(parameters.reloads)), .init("failures", .integer(parameters.failures)),
      ])
  }
}
