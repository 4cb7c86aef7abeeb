import Core
import Glibc
import Testing

/// Third parties against this build: each script talks to our programs as clients or servers of another make, and
/// prints a verdict. See the scripts for the tables of cases.
///
/// One at a time: the scripts run their cases side by side themselves, and the machine may have two cores.
@Suite(
  "Conformance", .serialized,
  .enabled(if: Peers.areReady, "run scripts/test.sh: it fetches the third parties"))
struct ConformanceTests {
  @Test func webSocketServer() throws { try Peers.judge("websocket_server_cases", casesMin: 567) }
  @Test func webSocketClient() throws { try Peers.judge("websocket_client_cases", casesMin: 363) }
  @Test func httpServer() throws { try Peers.judge("http_server_cases", casesMin: 206) }
  @Test func httpClient() throws { try Peers.judge("http_client_cases", casesMin: 97) }

  @Test(.enabled(if: Peers.hasBrowser, "chromium is not installed; see scripts/test-packages.txt"))
  func browser() throws { try Peers.judge("browser_case", casesMin: 48) }

  @Test func tradingClients() throws { try Peers.judge("venue_clients", casesMin: 71) }
  @Test func cryptofeedBooks() throws { try Peers.judge("cryptofeed_book", casesMin: 11) }
  @Test func marketExports() throws { try Peers.judge("market_exports", casesMin: 15) }
}

/// The environment that scripts/peers.sh makes, and the programs that scripts/test.sh builds.
enum Peers {
  static let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
  static let python = root + "/.deps/peers/bin/python"

  static let peer = variable("WEIR_PEER")
  static let weir = variable("WEIR_BINARY")
  static let areReady =
    peer != nil && weir != nil && Files.exists(python) && Files.exists(root + "/.deps/peers/stamp")

  static let hasBrowser = Files.exists("/usr/bin/chromium")

  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// A script takes about ten seconds; one that hangs is ended.
  private static let secondsMax: UInt32 = 180

  /// Runs a script and expects that it ran so many cases and that none failed.
  static func judge(_ script: String, casesMin: Int) throws {
    let outcome = try run(script)
    let line = outcome.output.split(separator: "\n").last { $0.hasPrefix("{") }
    let verdict = try #require(
      try? JSONValue(parsing: line.map(String.init) ?? ""),
      "\(script) gave no verdict and ended with \(outcome.code): \(outcome.output.suffix(2000))")
    for failure in verdict["failed"]?.elements ?? [] {
      Issue.record("\(script) \(text(failure, "case")) \(text(failure, "title")): \(text(failure, "found"))")
    }
    for skip in verdict["skipped"]?.elements ?? [] {
      print("\(script) \(text(skip, "case")) \(text(skip, "title")) skipped: \(text(skip, "why"))")
    }
    let passed = Int(verdict["passed"]?.integer ?? 0)
    let skipped = verdict["skipped"]?.elements?.count ?? 0
    #expect(passed + skipped >= casesMin, "\(script) ran \(passed) cases, \(casesMin) are known")
    #expect(outcome.code == 0)
    print("\(script): \(passed) cases passed, \(skipped) skipped")
  }

  private static func text(_ value: JSONValue, _ name: String) -> String {
    if case .string(let text)? = value[name] { text } else { "" }
  }

  private static func run(_ script: String) throws -> (code: Int32, output: String) {
    var template = Array("/tmp/weir-conformance-XXXXXX".utf8CString)
    let log = mkstemp(&template)
    try #require(log >= 0)
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer {
      close(log)
      unlink(path)
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, log, 1)
    posix_spawn_file_actions_adddup2(&actions, log, 2)
    // `timeout` ends what hangs; our own servers end with the script.
    let words = [
      "/usr/bin/timeout", "--kill-after=5", String(secondsMax), python, "-B",
      "\(root)/Tests/Conformance/Scripts/\(script).py",
      "--peer", try #require(peer), "--weir", try #require(weir),
    ]
    var arguments = words.map { strdup($0) } + [nil]
    defer { for word in arguments { free(word) } }
    var child: pid_t = 0
    try #require(posix_spawn(&child, words[0], &actions, nil, &arguments, environ) == 0)
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    let output = String(decoding: try Files.read(path), as: UTF8.self)
    return (status & 0x7F == 0 ? status >> 8 & 0xFF : -1, output)
  }
}
