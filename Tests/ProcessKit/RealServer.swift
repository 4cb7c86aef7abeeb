import Core
import Foundation

/// A third party's server on a free loopback port with a scratch folder of its own, for tests that must not
/// believe our own idea of a protocol. It is ended by its pid, and its folder removed, when it is released,
/// which Swift does after the last use: where only its port is used later, `defer` holds it.
///
/// ```
/// let gateway = try RealServer.pushgateway()
/// defer { gateway.stop() }
/// let answer = try gateway.request("GET", "/metrics")
/// ```
public final class RealServer {
  public struct Failure: Error, CustomStringConvertible {
    public var description: String
  }

  public let program: String
  public private(set) var port: UInt16 = 0
  /// Scratch; `log` holds what the server prints.
  public let folder: String
  private var process = Process()

  /// Where a program lies, or nil when it is not installed; see scripts/test-packages.txt.
  public static func find(_ program: String) -> String? {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    return path.split(separator: ":").map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
  }

  /// Starts a program and waits until it answers 200.
  ///
  /// - Parameters:
  ///   - readyPath: what is asked until it answers.
  ///   - port: a free one by default; a given one to come back on after a ``stop()``.
  ///   - files: written into the folder first, by name.
  ///   - arguments: made from the port and the folder.
  public init(
    _ program: String, readyPath: String, port: UInt16? = nil, files: [String: String] = [:],
    secondsMax: Double = 60, arguments: (_ port: UInt16, _ folder: String) -> [String]
  ) throws {
    guard let path = RealServer.find(program) else {
      throw Failure(description: "\(program) is not installed; run scripts/peers.sh")
    }
    self.program = program
    folder = NSTemporaryDirectory() + "weir-server-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for (name, content) in files {
      try content.write(toFile: folder + "/" + name, atomically: false, encoding: .utf8)
    }
    let deadline = Date().addingTimeInterval(secondsMax)
    while true {
      self.port = try port ?? Loopback.freePort()
      process = Process()
      try start(path, arguments(self.port, folder))
      while process.isRunning, Date() < deadline {
        if isListening, (try? request("GET", readyPath, secondsMax: 2))?.status == 200 { return }
        usleep(20_000)
      }
      // Somebody else may have taken the port since it was found free.
      if port != nil || Date() >= deadline || !log.contains("address already in use") { break }
    }
    throw Failure(description: "\(program) gives no answer on port \(self.port): \(log.suffix(1000))")
  }

  private func start(_ path: String, _ arguments: [String]) throws {
    _ = FileManager.default.createFile(atPath: folder + "/log", contents: nil)
    let log = try FileHandle(forWritingTo: URL(fileURLWithPath: folder + "/log"))
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = log
    process.standardError = log
    try process.run()
  }

  /// Whether the port is this process's own: an answer alone could come from another server.
  private var isListening: Bool {
    let digits = String(port, radix: 16, uppercase: true)
    let mark = ":" + String(repeating: "0", count: 4 - digits.count) + digits
    let sockets = (try? String(contentsOfFile: "/proc/net/tcp", encoding: .utf8)) ?? ""
    let inodes = sockets.split(separator: "\n").compactMap { line -> String? in
      let words = line.split(separator: " ")
      let isOurs = words.count > 9 && words[1].hasSuffix(mark) && words[3] == "0A"
      return isOurs ? "socket:[\(words[9])]" : nil
    }
    // It may stand behind a process that starts it.
    let children = (try? String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)) ?? ""
    return ([pid] + children.split(separator: " ").compactMap { Int32($0) }).contains { pid in
      let files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")) ?? []
      return files.contains { file in
        let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\(file)")
        return link.map(inodes.contains) ?? false
      }
    }
  }

  deinit {
    stop()
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// e.g. `http://127.0.0.1:40123`
  public var url: String { "http://127.0.0.1:\(port)" }
  public var pid: Int32 { process.processIdentifier }
  public var isRunning: Bool { process.isRunning }
  /// What it has printed.
  public var log: String { (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? "" }

  /// e.g. SIGSTOP and SIGCONT, for a server that hangs.
  public func signal(_ number: Int32) { if process.isRunning { kill(pid, number) } }

  /// Ends it by SIGTERM, after five seconds by SIGKILL, and waits.
  public func stop() {
    guard process.isRunning else { return }
    kill(pid, SIGTERM)
    kill(pid, SIGCONT)
    let deadline = Date().addingTimeInterval(5)
    while process.isRunning, Date() < deadline { usleep(5000) }
    if process.isRunning { kill(pid, SIGKILL) }
    process.waitUntilExit()
  }

  /// Asks it something and waits for the answer.
  ///
  /// - Parameter target: path and query, percent-encoded.
  public func request(
    _ method: String, _ target: String, headers: [String: String] = [:], body: String = "",
    secondsMax: Double = 60
  ) throws -> (status: Int, body: String) {
    try Loopback.request(
      port: port, method, target, headers: headers, body: body, secondsMax: secondsMax)
  }
}

extension RealServer {
  /// A Pushgateway; its `/metrics` shows what was pushed.
  public static func pushgateway(port: UInt16? = nil) throws -> RealServer {
    try RealServer("prometheus-pushgateway", readyPath: "/-/ready", port: port) { port, _ in
      // Debian's build keeps what was pushed in a file of the system unless told otherwise.
      ["--web.listen-address=127.0.0.1:\(port)", "--log.level=warn", "--persistence.file="]
    }
  }

  /// VictoriaMetrics: takes InfluxDB's `/write` and `/api/v2/write`, gives back by `/api/v1/export`.
  public static func victoriaMetrics(port: UInt16? = nil, extra: [String] = []) throws -> RealServer {
    try RealServer("victoria-metrics", readyPath: "/health", port: port) { port, folder in
      [
        "-httpListenAddr=127.0.0.1:\(port)", "-storageDataPath=\(folder)/data", "-retentionPeriod=100y",
        "-memory.allowedBytes=64MB", "-loggerLevel=WARN",
      ] + extra
    }
  }

  /// Prometheus with this configuration, and rule files beside it by their names.
  public static func prometheus(configuration: String, files: [String: String] = [:]) throws -> RealServer {
    let files = files.merging(["prometheus.yml": configuration]) { $1 }
    return try RealServer("prometheus", readyPath: "/-/ready", files: files) { port, folder in
      [
        "--config.file=\(folder)/prometheus.yml", "--storage.tsdb.path=\(folder)/data",
        "--web.listen-address=127.0.0.1:\(port)", "--log.level=warn",
      ]
    }
  }
}
