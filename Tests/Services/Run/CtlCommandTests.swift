import Core
import Foundation
import Net
import Testing

@testable import Services

private let binary = ProcessInfo.processInfo.environment["WEIR_BINARY"]

@Suite("weir ctl", .enabled(if: binary != nil, "WEIR_BINARY names no binary; run make test"))
struct CtlCommandTests {
  /// A run's control socket, and `weir ctl` called against it on the same loop's thread.
  private final class Run {
    let folder: RunFolder
    let loop: EventLoop
    private(set) var heard: [(name: String, arguments: JSONValue)] = []
    private var socket: ControlSocket!

    init() throws {
      folder = try RunFolder("ctl")
      loop = try EventLoop()
      socket = try ControlSocket(on: loop, folder: folder.path) { [unowned self] name, arguments, answer in
        heard.append((name, arguments))
        switch name {
        case "status": answer(.success(CtlCommandTests.status))
        case "alerts": answer(.success(.object(["alerts": CtlCommandTests.status["alerts"]!])))
        case "restart": answer(.failure(.refused("there is no service \(arguments["service"]?.text ?? "")")))
        case "drain": answer(.success(.string("draining")))
        default: answer(.success(.object([])))
        }
      }
    }

    /// Runs `weir ctl` as a child and turns both loops until it has ended.
    func ctl(
      _ words: [String], environment: [String: String] = [:], names: Bool = true
    ) throws -> (code: Int32?, output: String, json: JSONValue?, error: String) {
      let log = folder.file("errors-\(UUID().uuidString)")
      let child = try HeardChild(
        try #require(binary), ["ctl"] + words + (names ? ["--run-dir", folder.path] : []),
        environment: environment, workingFolder: folder.path, errorLog: log)
      #expect(
        turn(loop, seconds: 30) {
          child.loop.turn(waitNs: 0)
          return !child.exits.isEmpty
        })
      let error = try String(contentsOfFile: log, encoding: .utf8)
      return (child.exits.first?.code, child.noise.joined(separator: "\n"), child.lines.first, error)
    }
  }

  private static let status: JSONValue = .object([
    "run_id": .string("r1"), "uptime_s": .double(3725.2), "state": .string("degraded"),
    "processes": .array([
      .object([
        "name": .string("harvest"), "pid": .integer(4711), "state": .string("healthy"),
        "restart_count": .integer(2), "rss_mb": .double(31.26), "open_files": .integer(17),
        "cpu_ratio": .double(0.125), "seq": .integer(123_456), "time_ns": .integer(0), "backlog": .integer(0),
      ]),
      .object(["name": .string("signal"), "state": .string("waiting")]),
    ]),
    "mode": .string("quiet"), "effects": .array([.string("a_only")]),
    "alerts": .array([
      .object([
        "rule": .string("dropped"), "level": .string("critical"), "fired_at": .string("2026-01-01T00:00:00Z"),
        "recovered_at": .null, "detail": .string("3 > 0"),
      ])
    ]),
  ])

  @Test("The status is a table for people and the run's own words for machines")
  func status() throws {
    let run = try Run()
    let table = try run.ctl(["status"])
    #expect(table.code == 0 && table.error == "")
    for text in [
      "run r1: degraded, up 1:02:05, mode quiet, in effect: a_only", "harvest", "4711", "31.3", "12.5 %",
      "123456",
      "waiting", "dropped", "critical", "3 > 0",
    ] {
      #expect(table.output.contains(text), "\(text) in \(table.output)")
    }
    #expect(try run.ctl(["status", "--json"]).json == Self.status)
    #expect(try run.ctl(["alerts"]).output.contains("dropped"))
  }

  @Test(
    "Each verb says what it means",
    arguments: [
      (["restart-ws"], "restart-ws", "{}"), (["fallback-rest"], "fallback-rest", #"{"on":true}"#),
      (["fallback-rest", "off"], "fallback-rest", #"{"on":false}"#),
      (["mode", "quiet"], "mode", #"{"mode":"quiet"}"#),
      (["pause-shadow"], "pause-shadow", #"{"on":true}"#),
      (["pause", "shadow", "off"], "pause-shadow", #"{"on":false}"#),
      (["rebuild-snapshot"], "rebuild-snapshot", "{}"),
      (["rebuild-snapshot", "btcusdt"], "rebuild-snapshot", #"{"symbol":"BTCUSDT"}"#),
      (["compress", "on"], "compress", #"{"on":true}"#), (["drain"], "drain", "{}"),
      (["reload"], "reload", "{}"),
    ] as [([String], String, String)])
  func verbs(words: [String], name: String, arguments: String) throws {
    let run = try Run()
    let outcome = try run.ctl(words)
    #expect(outcome.code == 0 && outcome.error == "")
    #expect(outcome.output == (name == "drain" ? "draining" : "done"))
    #expect(run.heard.map(\.name) == [name] && run.heard.first?.arguments.text() == arguments)
  }

  @Test("A refusal is told with its reason; a wrong command line names the nearest right one")
  func refusals() throws {
    let run = try Run()
    let refused = try run.ctl(["restart", "sginal"])
    #expect(refused.code == 1 && refused.error.contains("there is no service sginal"))
    let machine = try run.ctl(["restart", "sginal", "--json"])
    #expect(machine.code == 1 && machine.json?["error"]?.text == "there is no service sginal")
    let verb = try run.ctl(["stauts"])
    #expect(verb.code == 2 && verb.error.contains("did you mean status?"))
    let mode = try run.ctl(["mode", "quite"])
    #expect(mode.code == 2 && mode.error.contains("auto, quiet, active; did you mean quiet?"))
    #expect(try run.ctl(["compress", "maybe"]).code == 2)
    let nowhere = try run.ctl(["status", "--run-dir", "/no/such"], names: false)
    #expect(nowhere.code == 1 && nowhere.error.contains("no weir run listens in /no/such"))
    #expect(run.heard.map(\.name) == ["restart", "restart"])
  }

  @Test("The run is found by WEIR_RUN_DIR, or as the newest of ./runs")
  func folders() throws {
    let run = try Run()
    let none = try run.ctl(["status"], names: false)
    #expect(none.code == 1 && none.error.contains("--run-dir or WEIR_RUN_DIR"))
    #expect(try run.ctl(["drain"], environment: ["WEIR_RUN_DIR": run.folder.path], names: false).code == 0)
    try Files.makeFolder(run.folder.file("runs"))
    #expect(symlink(run.folder.path, run.folder.file("runs/today")) == 0)
    #expect(try run.ctl(["drain"], names: false).code == 0)
    #expect(run.heard.map(\.name) == ["drain", "drain"])
  }
}
