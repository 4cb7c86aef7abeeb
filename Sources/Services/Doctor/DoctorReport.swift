import Core

/// One finding of ``Doctor``.
public struct DoctorCheck: Sendable, Equatable {
  public enum Status: String, Sendable { case ok, warn, fail }

  public var name: String
  public var status: Status
  public var detail: String
  /// What to do; always there unless the status is `ok`.
  public var advice: String?

  public init(_ name: String, _ status: Status, _ detail: String, advice: String? = nil) {
    self.name = name
    self.status = status
    self.detail = detail
    self.advice = advice
  }
}

/// All findings, in a fixed order.
public struct DoctorReport: Sendable, Equatable {
  public var checks: [DoctorCheck]

  public init(checks: [DoctorCheck]) { self.checks = checks }

  /// The worst status; `weir doctor` exits with 1 when it is `fail`.
  public var status: DoctorCheck.Status {
    if checks.contains(where: { $0.status == .fail }) { return .fail }
    return checks.contains { $0.status == .warn } ? .warn : .ok
  }

  /// One line a check, advice below it, a summary last.
  public var text: String {
    let width = checks.map(\.name.count).max() ?? 0
    var text = ""
    for check in checks {
      let status = check.status.rawValue + (check.status == .ok ? "  " : "")
      text +=
        "\(status)  \(check.name)\(String(repeating: " ", count: width - check.name.count))  \(check.detail)\n"
      if let advice = check.advice { text += String(repeating: " ", count: width + 8) + "→ \(advice)\n" }
    }
    let warnings = checks.count { $0.status == .warn }
    let failures = checks.count { $0.status == .fail }
    return text + "\(checks.count) checks, \(warnings) warnings, \(failures) failures\n"
  }

  /// `{"status": "warn", "checks": [{"name": …, "status": …, "detail": …, "advice": …}]}`
  public var json: JSONValue {
    .object([
      "status": .string(status.rawValue),
      "checks": .array(
        checks.map { check in
          .object([
            "name": .string(check.name), "status": .string(check.status.rawValue),
            "detail": .string(check.detail),
            "advice": check.advice.map { .string($0) } ?? .null,
          ])
        }),
    ])
  }
}
