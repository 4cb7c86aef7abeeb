import Core
import Foundation

/// A `weir run` as an operator sees it: processes by `/proc`, states by its status file, files in its folder.
public final class SupervisedRun {
  public struct Service: Equatable {
    public var name: String
    public var pid: Int32
  }

  public static let services = ["harvest", "signal", "broker", "report"]

  public let folder: String
  public let process: WeirProcess
  /// Every service process that was ever seen, for the question what is left of them.
  public private(set) var seen: Set<Int32> = []

  /// Starts `weir run --run-dir FOLDER` and the words.
  public init(
    folder: String, _ words: [String], environment: [String: String] = [:],
    binary: String? = ProcessInfo.processInfo.environment["WEIR_BINARY"]
  ) throws {
    self.folder = folder
    process = try WeirProcess(
      ["run", "--run-dir", folder] + words, environment: environment, binary: binary)
  }

  /// The living children of the supervisor, by the service's name in their second word.
  public func children() -> [Service] {
    let found = ProcessTable.children(of: process.pid).compactMap { pid in
      let words = ProcessTable.words(of: pid)
      return words.count > 1 ? Service(name: words[1], pid: pid) : nil
    }
    for service in found { seen.insert(service.pid) }
    return found
  }

  public func pid(of name: String) -> Int32? { children().first { $0.name == name }?.pid }

  /// Processes that were services of this run, or name its folder, and live though the supervisor has ended.
  public func leftovers() -> [String] {
    ProcessTable.pids().compactMap { pid in
      let words = ProcessTable.words(of: pid)
      let isOurs =
        words.first.map { $0.hasSuffix("weir") } == true
        && (seen.contains(pid) || words.contains { $0 == folder || $0.hasPrefix(folder + "/") })
      return isOurs && pid != getpid() ? "\(pid): \(words.joined(separator: " "))" : nil
    }
  }

  /// A JSON file of the run's folder; null when it is absent or no JSON.
  public func json(_ name: String) -> JSONValue {
    guard let bytes = try? Files.read(folder + "/" + name) else { return .null }
    return bytes.withUnsafeBytes { (try? JSONValue(parsing: $0)) ?? .null }
  }

  public var manifest: JSONValue { json("run_manifest.json") }

  /// Asks the run by its control socket.
  ///
  /// - Returns: the answer, `{"ok":…}`; null when nobody answers.
  public func ask(_ command: String, _ arguments: JSONValue = .object([])) -> JSONValue {
    let path = folder + "/weir.sock"
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    precondition(path.utf8.count < 107, "the run's folder is too deep for a test: \(path)")
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let connection = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard connection >= 0 else { return .null }
    defer { close(connection) }
    var limit = timeval(tv_sec: 8, tv_usec: 0)
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    let isConnected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(connection, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
      }
    }
    let question: JSONValue = .object(["do": .string(command), "args": arguments])
    let text = Array((question.text() + "\n").utf8)
    guard isConnected, send(connection, text, text.count, Int32(MSG_NOSIGNAL)) == text.count else {
      return .null
    }
    var answer: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while answer.last != 0x0A {
      let count = recv(connection, &chunk, chunk.count, 0)
      guard count > 0 else { return .null }
      answer += chunk[..<count]
    }
    return answer.withUnsafeBytes { (try? JSONValue(parsing: $0)) ?? .null }
  }

  /// What the supervisor says of its services now.
  public func states() -> [String: (pid: Int32, state: String)] {
    var found: [String: (pid: Int32, state: String)] = [:]
    for process in ask("status")["result"]?["processes"]?.elements ?? [] {
      let pid = Int32(truncatingIfNeeded: process["pid"]?.integer ?? 0)
      found[process["name"]?.text ?? ""] = (pid, process["state"]?.text ?? "")
    }
    return found
  }

  /// The services that live, have said that they are ready, and are none of the `old` processes.
  public func ready(after old: Set<Int32> = []) -> Set<String> {
    // A degraded service works; its source was down at the last look.
    let working = states().filter {
      ["healthy", "degraded"].contains($0.value.state) && !old.contains($0.value.pid)
    }
    return Set(working.filter { ProcessTable.isAlive($0.value.pid) }.keys)
  }

  /// Waits until it holds.
  ///
  /// - Returns: seconds waited; nil when the time was over or the supervisor had ended.
  @discardableResult
  public func wait(_ secondsMax: Double, until holds: () -> Bool) -> Double? {
    let start = DispatchTime.now().uptimeNanoseconds
    while true {
      let passed = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
      if holds() { return passed }
      guard passed < secondsMax, process.isRunning else { return nil }
      usleep(5000)
    }
  }

  /// Waits until all of the services are ready, in processes other than the `old` ones.
  @discardableResult
  public func waitReady(
    _ names: [String] = SupervisedRun.services, after old: Set<Int32> = [], seconds: Double = 60
  ) -> Double? {
    wait(seconds) { ready(after: old).isSuperset(of: names) }
  }
}

/// Linux's table of processes.
public enum ProcessTable {
  public static func pids() -> [Int32] {
    ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }
  }

  /// The words of a process' command line; empty for one that has ended.
  public static func words(of pid: Int32) -> [String] {
    guard let bytes = try? Files.read("/proc/\(pid)/cmdline") else { return [] }
    return bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast().map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  /// Parent and state letter of a process.
  private static func entry(of pid: Int32) -> (parent: Int32, state: Character)? {
    guard let bytes = try? Files.read("/proc/\(pid)/stat") else { return nil }
    // The name before the last parenthesis may hold anything.
    let fields =
      String(decoding: bytes, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
    guard fields.count > 1, let parent = Int32(fields[1]), let state = fields[0].first else { return nil }
    return (parent, state)
  }

  /// Living children, without those that only wait to be asked for their exit code.
  public static func children(of parent: Int32) -> [Int32] {
    // The kernel's own list is thirty times cheaper than a look at every process; some kernels lack it.
    let tasks = (try? Files.list("/proc/\(parent)/task")) ?? []
    let lists = tasks.compactMap { try? Files.read("/proc/\(parent)/task/\($0)/children") }
    let candidates =
      lists.isEmpty
      ? pids()
      : lists.flatMap { String(decoding: $0, as: UTF8.self).split(separator: " ").compactMap { Int32($0) } }
    return candidates.filter { pid in
      guard let entry = entry(of: pid) else { return false }
      return entry.parent == parent && entry.state != "Z"
    }
  }

  public static func isAlive(_ pid: Int32) -> Bool {
    guard let entry = entry(of: pid) else { return false }
    return entry.state != "Z" && entry.state != "X"
  }
}
