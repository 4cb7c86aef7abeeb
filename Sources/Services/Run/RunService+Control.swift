import Configuration
import Core
import Net
import Telemetry

/// What `weir ctl` may ask, and SIGHUP.
extension RunService {
  /// Performs a command of the control socket.
  func perform(_ name: String, _ arguments: JSONValue, _ answer: @escaping ControlSocket.Answer) {
    if name != "status", name != "alerts" {
      log.info("ctl", ["command": .text(name), "arguments": .text(arguments.text())])
    }
    let isOn = arguments["on"]?.boolean ?? true
    switch name {
    case "status": answer(.success(statusJSON))
    case "alerts": answer(.success(.array(record.alerts.map(\.json))))
    case "drain":
      stop(reason: "weir ctl drain")
      answer(.success(.string("draining; the run ends when everything has been read")))
    case "reload": answer(reload())
    case "restart":
      guard let service = arguments["service"]?.text.flatMap({ ServiceName(rawValue: $0) }) else {
        return answer(.failure(.refused("no such service; there are \(serviceList)")))
      }
      guard service != .venue, supervision.restart(service, EventLoop.monotonicNow()) else {
        return answer(.failure(.refused("\(service.rawValue) is not running, or cannot be restarted")))
      }
      step()
      answer(.success(.string("\(service.rawValue) is being restarted")))
    case "restart-ws": ask("restart-ws", .object([]), answer)
    case "rebuild-snapshot":
      ask("rebuild-snapshot", arguments["symbol"].map { .object(["symbol": $0]) } ?? .object([]), answer)
    case "fallback-rest":
      watch.operatorEffects.restFallback = isOn
      give(answer, "REST fallback \(isOn ? "on" : "off")")
    case "compress":
      watch.operatorEffects.compressNow = isOn
      give(answer, "compression at once \(isOn ? "on" : "off")")
    case "pause-shadow":
      watch.operatorEffects.shadowIsPaused = isOn
      give(answer, "shadow signals \(isOn ? "paused" : "resumed")")
    case "mode":
      guard let mode = arguments["mode"]?.text, ["auto", "quiet", "active"].contains(mode) else {
        return answer(.failure(.refused("mode is auto, quiet or active")))
      }
      watch.operatorEffects.mode = mode
      give(answer, "mode \(mode)")
    default: answer(.failure(.refused("unknown command \(name)")))
    }
  }

  private var serviceList: String { options.plan.map(\.rawValue).joined(separator: ", ") }

  /// Applies what the operator wants, by way of the harvester's tape.
  private func give(_ answer: @escaping ControlSocket.Answer, _ text: String) {
    guard options.plan.contains(.harvest) else {
      return answer(.failure(.refused("this run reads a finished tape; nothing can be added to it")))
    }
    watch.applyEffects(by: "ctl") { problem in
      answer(problem.map { .failure(.refused($0)) } ?? .success(.string(text)))
    }
  }

  func ask(
    _ command: String, _ arguments: JSONValue, _ answer: @escaping ControlSocket.Answer
  ) {
    guard let harvest = children[.harvest] else {
      return answer(.failure(.refused("harvest is not running")))
    }
    harvest.request(command, arguments, timeoutNs: 5 * Nanoseconds.second) { result in
      switch result {
      case .success(let detail): answer(.success(.string(detail.isEmpty ? "done" : detail)))
      case .failure(let error): answer(.failure(.refused("\(error)")))
      }
    }
  }

  // MARK: Reload

  /// Sockets are open and services are started by then.
  private static let fixedKeys: Set<String> = [
    "run.metrics_port", "run.symbols", "run.venue", "run.log_format",
  ]

  /// Loads the configuration again and takes over what a running run can: an invalid one changes nothing.
  ///
  /// Gates, fusion thresholds and scenarios go onto the tape, so that a replay changes them at the same record; the
  /// rules file and the supervisor's own limits are taken at once. Anything else has shaped files, windows or
  /// connections already and needs a new run: it is named, and stays as it was.
  @discardableResult
  func reload() -> Result<JSONValue, RunError> {
    guard let reloadConfiguration else {
      return .failure(.refused("this run has no configuration to reload"))
    }
    let loaded: ReloadedConfiguration
    do {
      loaded = try reloadConfiguration()
      try watch.reload(loaded)
    } catch {
      log.error("reload_refused", ["reason": .text("\(error)")])
      _ = note(reload: ["ok": .bool(false), "error": .string("\(error)")])
      return .failure(.refused("the configuration was not taken, the old one stays: \(error)"))
    }
    let before = RunService.flat(current.loaded.json["values"])
    let after = RunService.flat(loaded.loaded.json["values"])
    var applied: [String] = []
    var kept: [String] = []
    for key in after.keys.sorted() where before[key] != after[key] {
      let isOfTheTape = StageParameters.holds(key) && options.plan.contains(.harvest)
      let isOfTheRun = key.hasPrefix("run.") && !RunService.fixedKeys.contains(key)
      if isOfTheTape || isOfTheRun { applied.append(key) } else { kept.append(key) }
    }
    current = loaded
    run = loaded.configuration.run
    supervision.configuration = run
    tellStages(by: "reload")
    log.info(
      "reloaded",
      [
        "applied": .text(applied.joined(separator: ",")),
        "need_a_new_run": .text(kept.joined(separator: ",")),
        "config_version": .text(loaded.version),
      ])
    noteParameters()
    return .success(
      note(reload: [
        "ok": .bool(true), "config_version": .string(loaded.version),
        "applied": .array(applied.map { .string($0) }), "need_a_new_run": .array(kept.map { .string($0) }),
        "parameters": parametersJSON,
      ]))
  }

  /// Remembers a reload, or a refusal, with its time.
  func note(reload members: KeyValuePairs<String, JSONValue>) -> JSONValue {
    let time = JSONValue.Member("t", .string(UTCDate(EventLoop.wallNow()).isoText))
    let entry: JSONValue = .object([time] + members.map { .init($0.key, $0.value) })
    if record.reloads.count < RunRecord.reloadsMax { record.reloads.append(entry) }
    return entry
  }

  /// `{"gates": {"lag_ms_max": 600}}` as `gates.lag_ms_max: 600`.
  static func flat(_ json: JSONValue?, _ prefix: String = "") -> [String: JSONValue] {
    var result: [String: JSONValue] = [:]
    for member in json?.members ?? [] {
      if member.value.members == nil {
        result[prefix + member.key] = member.value
      } else {
        result.merge(flat(member.value, prefix + member.key + ".")) { $1 }
      }
    }
    return result
  }
}
