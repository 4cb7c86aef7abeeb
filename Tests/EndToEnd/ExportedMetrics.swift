import Core
import Foundation
import ProcessKit
import Tape
import Telemetry

@testable import Rules

/// What a run and its services export: every sample of their `/metrics`, and the families announced.
struct ExportedMetrics {
  private(set) var labelSets: [String: [LabelSet]] = [:]
  private(set) var families: [String: MetricType] = [:]

  /// Announced, and without a sample in this build, because their service is not part of it.
  static let withoutSamples: Set<String> = [
    "predict_latency_ms", "predict_qps_util", "calibration_ece_pp", "cost_mape_ratio", "rolling_pr_auc_7d",
    "fpr_pp",
  ]
  /// What whoever scrapes adds.
  private static let targetLabels: Set<String> = ["job", "instance"]

  mutating func add(_ exposition: Exposition) {
    for family in exposition.families { families[family.name] = family.type }
    for sample in exposition.samples { labelSets[sample.name, default: []].append(LabelSet(sample.labels)) }
  }

  /// Whether a rule may name this metric though it has no sample.
  private func isAnnouncedOnly(_ name: String) -> Bool {
    let family = ["_bucket", "_sum", "_count"].first { name.hasSuffix($0) }.map { name.dropLast($0.count) }
    let candidates = [name] + (family.map { [String($0)] } ?? [])
    return candidates.contains {
      ExportedMetrics.withoutSamples.contains($0) && families[$0] != nil
        && (families[$0] == .histogram) == ($0 != name)
    }
  }

  /// What the rules read and nobody exports, one line each.
  func problems(of rules: RuleSet) -> [String] {
    let named = rules.alerts.map { ($0.name, $0.condition) } + rules.degrade.map { ($0.name, $0.condition) }
    return named.flatMap { name, condition in
      problems(of: condition.expression.root, grouping: []).map { "\(name): \($0)" }
    }
  }

  /// - Parameter grouping: labels that the operators above take for granted.
  private func problems(of node: MetricExpression.Node, grouping: Set<String>) -> [String] {
    switch node {
    case .number: return []
    case .select(let selector), .range(let selector, _): return problems(of: selector, grouping)
    case .call(let function, let arguments):
      let wanted = function == .histogram_quantile ? grouping.union(["le"]) : grouping
      return arguments.flatMap { problems(of: $0, grouping: wanted) }
    case .aggregate(_, .by(let labels), let node): return problems(of: node, grouping: Set(labels))
    case .aggregate(_, .without(let labels), let node):
      return problems(of: node, grouping: grouping.union(labels))
    case .negate(let node): return problems(of: node, grouping: grouping)
    case .binary(_, let left, let right, .on(let labels)):
      return [left, right].flatMap { problems(of: $0, grouping: grouping.union(labels)) }
    case .binary(_, let left, let right, .ignoring):
      return [left, right].flatMap { problems(of: $0, grouping: grouping) }
    }
  }

  private func problems(of selector: MetricExpression.Selector, _ grouping: Set<String>) -> [String] {
    guard let found = labelSets[selector.name] else {
      return isAnnouncedOnly(selector.name) ? [] : ["nobody exports \(selector.name)"]
    }
    let wanted = grouping.union(selector.matchers.map(\.label)).subtracting(ExportedMetrics.targetLabels)
    let missing = wanted.filter { label in !found.contains { $0[label] != nil } }
    if !missing.isEmpty {
      return ["\(selector.name) has no label \(missing.sorted().joined(separator: ", "))"]
    }
    let matchers = selector.matchers.filter { !ExportedMetrics.targetLabels.contains($0.label) }
    let matches = found.contains { labels in matchers.allSatisfy { $0.matches(labels) } }
    return matches ? [] : ["no sample of \(selector.name) has the values that are asked for"]
  }
}

/// A run that is watched from outside.
extension SupervisedRun {
  /// Where each service serves its metrics, and the run itself as `run`; complete once all services are ready.
  func metricsPorts() -> [String: UInt16] {
    let status = json("run_status.json")
    var ports: [String: UInt16] = [:]
    for process in status["processes"]?.elements ?? [] {
      guard let name = process["name"]?.text, let port = process["metrics_port"]?.integer else { continue }
      ports[name] = UInt16(exactly: port)
    }
    ports["run"] = status["metrics_port"]?.integer.flatMap { UInt16(exactly: $0) }
    return ports
  }

  func waitForMetrics(seconds: Double = 60) -> [String: UInt16]? {
    var ports: [String: UInt16] = [:]
    let waited = wait(seconds) {
      ports = metricsPorts()
      return SupervisedRun.services.allSatisfy { ports[$0] != nil } && ports["run"] ?? 0 > 0
    }
    return waited.map { _ in ports }
  }

  /// The notes on its tape, in order.
  func tapeNotes() throws -> [JSONValue] {
    var reader = try TapeReader(folder: folder + "/tape")
    var notes: [JSONValue] = []
    while let block = try reader.nextBlock() {
      for line in block.split(separator: 0x0A) {
        guard String(decoding: line.prefix(120), as: UTF8.self).contains(#""kind":"note""#) else { continue }
        notes.append(try JSONValue(parsing: String(decoding: line, as: UTF8.self)))
      }
    }
    return notes
  }
}

/// Takes what a webhook posts, and answers 200.
final class WebhookReceiver: @unchecked Sendable {
  // One thread writes, others read: all of it under the lock.
  private let lock = NSLock()
  private var bodies: [JSONValue] = []
  private let listener: Int32
  let port: UInt16

  init() throws {
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listener = listener
    let isOpen = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && getsockname(listener, $0, &length) == 0 && listen(listener, 8) == 0
      }
    }
    port = UInt16(bigEndian: address.sin_port)
    guard isOpen else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EADDRNOTAVAIL) }
    Thread.detachNewThread { [weak self] in
      while true {
        let connection = accept(listener, nil, nil)
        if connection < 0 { return }
        guard let self else {
          close(connection)
          return
        }
        serve(connection)
      }
    }
  }

  /// Ends the thread by the end of its socket.
  func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

  deinit {
    stop()
    close(listener)
  }

  /// The alerts of all notifications.
  var alerts: [JSONValue] {
    lock.withLock { bodies.flatMap { $0["alerts"]?.elements ?? [] } }
  }

  /// One request of a connection, which is closed behind it.
  private func serve(_ connection: Int32) {
    defer { close(connection) }
    var limit = timeval(tv_sec: 2, tv_usec: 0)
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var request: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 14)
    while true {
      let text = String(decoding: request, as: UTF8.self)
      if let end = text.range(of: "\r\n\r\n") {
        let head = text[..<end.lowerBound].lowercased()
        let length = head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
          .flatMap { Int($0.dropFirst(15).filter(\.isNumber)) }
        let body = text[end.upperBound...]
        if body.utf8.count >= length ?? 0 {
          if let json = try? JSONValue(parsing: String(body)) { lock.withLock { bodies.append(json) } }
          let answer = Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".utf8)
          _ = send(connection, answer, answer.count, Int32(MSG_NOSIGNAL))
          return
        }
      }
      let count = recv(connection, &chunk, chunk.count, 0)
      guard count > 0, request.count < 1 << 20 else { return }
      request += chunk[..<count]
    }
  }
}
