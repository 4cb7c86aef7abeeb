import Core
import Foundation

/// A redis-server of the test's own, on a socket in a scratch folder, that can be killed and come back with what
/// its append-only file holds. It is ended by its pid, and its folder removed, when it is released.
public final class RedisServer {
  public static let isInstalled = RealServer.find("redis-server") != nil

  public let folder: String
  /// Zero unless asked for.
  public let port: UInt16
  private let extra: [String]
  private var process = Process()

  /// - Parameters:
  ///   - listens: also on a free loopback port.
  ///   - isStarted: false leaves it to ``start()``.
  public init(listens: Bool = false, isStarted: Bool = true, extra: [String] = []) throws {
    folder = NSTemporaryDirectory() + "weir-redis-" + UUID().uuidString.prefix(8)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    port = listens ? try Loopback.freePort() : 0
    self.extra = extra
    if isStarted { try start() }
  }

  deinit {
    kill()
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// For `redis.url`.
  public var url: String { "unix://\(folder)/s" }
  public var pid: Int32 { process.processIdentifier }
  public var log: String { (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? "" }

  /// Starts it and waits until it answers; what it kept is there again.
  public func start() throws {
    guard let path = RealServer.find("redis-server") else {
      throw RealServer.Failure(description: "redis-server is not installed; run scripts/peers.sh")
    }
    process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments =
      [
        "--port", String(port), "--bind", "127.0.0.1", "--unixsocket", folder + "/s", "--dir", folder,
        "--save",
        "", "--appendonly", "yes", "--appendfsync", "everysec", "--logfile", folder + "/log", "--daemonize",
        "no",
      ] + extra
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    let deadline = Date().addingTimeInterval(60)
    while process.isRunning, Date() < deadline {
      if ["+PONG", "-NOAUTH"].contains(where: { answer(to: "PING").hasPrefix($0) }) { return }
      usleep(10_000)
    }
    throw RealServer.Failure(description: "redis-server gives no answer: \(log.suffix(1000))")
  }

  /// Ends it by SIGKILL, and waits: a server in a scratch folder has nothing to put in order.
  public func kill() {
    guard process.isRunning else { return }
    Foundation.kill(pid, SIGKILL)
    process.waitUntilExit()
  }

  public func signal(_ number: Int32) { if process.isRunning { Foundation.kill(pid, number) } }

  /// Cuts the end off the append-only file of a server that does not run: what it had not synced when the power
  /// was cut.
  public func loseEndOfLog(bytes: Int) throws {
    let log = folder + "/appendonlydir"
    guard let name = try Files.list(log).filter({ $0.hasSuffix(".incr.aof") }).last else { return }
    let file = try File(log + "/" + name, .append)
    try file.truncate(to: max(0, file.size() - bytes))
  }

  /// Says one line of the inline protocol on a connection of its own.
  ///
  /// - Returns: the start of the answer; empty when there is none.
  public func answer(to line: String) -> String {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array((folder + "/s").utf8)) }
    let connection = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard connection >= 0 else { return "" }
    defer { close(connection) }
    var limit = timeval(tv_sec: 5, tv_usec: 0)
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    let isConnected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(connection, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
      }
    }
    let text = Array((line + "\r\n").utf8)
    guard isConnected, send(connection, text, text.count, Int32(MSG_NOSIGNAL)) == text.count else {
      return ""
    }
    var answer = [UInt8](repeating: 0, count: 4096)
    let count = recv(connection, &answer, answer.count, 0)
    return count > 0 ? String(decoding: answer[..<count], as: UTF8.self) : ""
  }
}
