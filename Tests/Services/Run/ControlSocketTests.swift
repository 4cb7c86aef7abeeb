import Core
import Foundation
import Net
import Synchronization
import Testing

@testable import Services

@Suite("Control socket")
struct ControlSocketTests {
  /// A run that echoes, refuses, and answers later or never.
  private final class Run {
    let loop: EventLoop
    let folder: String
    var socket: ControlSocket?
    var heard: [String] = []

    init(_ folder: String, deadlineNs: Int64 = ControlSocket.deadlineNs) throws {
      loop = try EventLoop()
      self.folder = folder
      socket = try ControlSocket(on: loop, folder: folder, deadlineNs: deadlineNs) {
        [unowned self] name, arguments, answer in
        heard.append(name)
        switch name {
        case "echo":
          answer(.success(arguments))
          answer(.failure(.refused("a second answer")))
        case "later": loop.after(50_000_000) { answer(.success(.string("late"))) }
        case "long":
          answer(.success(.string(String(repeating: "x", count: Int(arguments["bytes"]?.integer ?? 0)))))
        case "never": loop.after(3_600_000_000_000) { answer(.success(.null)) }
        default: answer(.failure(.refused("there is no \(name)")))
        }
      }
    }

    /// Calls from another thread, as another process would.
    func call(
      _ name: String, _ arguments: JSONValue = .object([]), timeoutNs: Int64 = 20_000_000_000
    ) throws -> Result<JSONValue, RunError> {
      let box = Box()
      let folder = folder
      let thread = Thread {
        do throws(RunError) {
          let answer = try ControlClient.call(
            runFolder: folder, name: name, arguments: arguments, timeoutNs: timeoutNs)
          box.result.withLock { $0 = .success(answer) }
        } catch {
          box.result.withLock { $0 = .failure(error) }
        }
      }
      thread.start()
      #expect(turn(loop, seconds: 30) { box.result.withLock { $0 != nil } })
      return try #require(box.result.withLock { $0 })
    }

  }

  private final class Box: Sendable {
    let result = Mutex<Result<JSONValue, RunError>?>(nil)
  }

  /// A peer that says what it likes.
  private struct Peer: ~Copyable {
    let socket: Descriptor

    init(_ folder: String) throws { socket = try UnixSocket.connect(folder, timeoutNs: 1_000_000_000) }

    func say(_ text: String) {
      let bytes = Array(text.utf8)
      _ = send(socket.number, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    /// What has come by the end of the connection.
    func hear(_ loop: EventLoop) -> String {
      var text: [UInt8] = []
      var hasEnded = false
      _ = turn(loop) {
        var chunk = [UInt8](repeating: 0, count: 4096)
        let count = recv(socket.number, &chunk, chunk.count, Int32(MSG_DONTWAIT))
        if count > 0 { text += chunk[..<count] }
        hasEnded = count == 0 || count < 0 && errno != EAGAIN
        return hasEnded
      }
      return String(decoding: text, as: UTF8.self) + (hasEnded ? "" : "(open)")
    }
  }

  @Test("Requests are answered at once or later, or refused with the reason")
  func calls() throws {
    let folder = try RunFolder()
    let run = try Run(folder.path)
    let arguments = JSONValue.object(["a": .array([.integer(1), .string("\n\"ü")])])
    #expect(try run.call("echo", arguments) == .success(arguments))
    #expect(try run.call("later") == .success(.string("late")))
    #expect(try run.call("nonsense") == .failure(.refused("there is no nonsense")))
    // More than a socket's buffer holds.
    #expect(try run.call("long", .object(["bytes": .integer(3_000_000)])).get().text?.utf8.count == 3_000_000)
    #expect(throws: RunError.self) { try run.call("long", .object(["bytes": .integer(5_000_000)])).get() }
    #expect(run.loop.sourceCount == 1, "connections are closed")
  }

  @Test("A run that doesn't answer is told as such, by the run and by the caller's patience")
  func deadlines() throws {
    let folder = try RunFolder()
    let run = try Run(folder.path, deadlineNs: 300_000_000)
    guard case .failure(.refused(let reason)) = try run.call("never") else {
      Issue.record("answered")
      return
    }
    #expect(reason.contains("no answer yet"))
    let other = try RunFolder("other")
    let patient = try Run(other.path)
    guard case .failure(.timeout) = try patient.call("never", timeoutNs: 200_000_000) else {
      Issue.record("waited")
      return
    }
    // A slow one that never finishes its line.
    let slow = try Peer(folder.path)
    slow.say(#"{"do":"#)
    #expect(slow.hear(run.loop).contains("no whole request came in time"))
    // One that asks for much and doesn't read it.
    let deaf = try Peer(folder.path)
    deaf.say(#"{"do":"long","args":{"bytes":4000000}}"# + "\n")
    #expect(turn(run.loop) { run.heard.last == "long" })
    #expect(turn(run.loop) { run.loop.sourceCount == 1 })
  }

  @Test(
    "What is no request is answered so, and the run goes on",
    arguments: [
      ("nonsense\n", "a request is one line"), ("\n", "a request is one line"),
      ("[]\n", "a request is one line"),
      (#"{"do":7}"# + "\n", "a request is one line"), ("\u{0}\u{1}\n", "a request is one line"),
      (String(repeating: "x", count: 70_000), "at most 65536 bytes"), (#"{"do":"x"}"#, "no x"),
      (#"{"do":"x"}"# + "\n" + #"{"do":"y"}"# + "\n", "no x"), ("", ""),
    ])
  func garbage(text: String, answer: String) throws {
    let folder = try RunFolder()
    let run = try Run(folder.path)
    let peer = try Peer(folder.path)
    peer.say(text)
    _ = shutdown(peer.socket.number, Int32(SHUT_WR))
    let heard = peer.hear(run.loop)
    #expect(answer.isEmpty ? heard.isEmpty : heard.contains(answer) && !heard.contains("(open)"))
    #expect(heard.filter { $0 == "\n" }.count == (answer.isEmpty ? 0 : 1))
    #expect(turn(run.loop) { run.loop.sourceCount == 1 })
    #expect(try run.call("later") == .success(.string("late")))
  }

  @Test("The 17th connection is turned away, and there is room again afterwards")
  func crowd() throws {
    let folder = try RunFolder()
    let run = try Run(folder.path)
    let idle = try (0..<ControlSocket.clientsMax).map { _ in
      try UnixSocket.connect(folder.path, timeoutNs: 1_000_000_000).take()
    }
    #expect(turn(run.loop) { run.loop.sourceCount == 17 })
    let late = try Peer(folder.path)
    #expect(late.hear(run.loop).contains("16 connections are open already"))
    for one in idle { close(one) }
    #expect(turn(run.loop) { run.loop.sourceCount == 1 })
    #expect(try run.call("later") == .success(.string("late")))
  }

  @Test("Its file is the owner's alone, goes with it, and a dead run's is replaced, a living one's not")
  func file() throws {
    let folder = try RunFolder()
    let path = folder.file("weir.sock")
    var run: Run? = try Run(folder.path)
    var status = stat()
    #expect(
      lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK && status.st_mode & 0o777 == 0o600)
    #expect(throws: RunError.locked(folder: folder.path, pid: nil)) { try Run(folder.path) }
    #expect(try run?.call("later") == .success(.string("late")))
    run = nil
    #expect(!Files.exists(path))
    #expect(throws: RunError.notRunning(folder: folder.path)) {
      try ControlClient.call(runFolder: folder.path, name: "status")
    }
    // As kill -9 leaves it.
    do {
      let socket = try UnixSocket.make()
      #expect(UnixSocket.call(bind, socket, in: try UnixSocket.folder(folder.path)) == 0)
    }
    #expect(Files.exists(path))
    #expect(throws: RunError.notRunning(folder: folder.path)) {
      try ControlClient.call(runFolder: folder.path, name: "status")
    }
    run = try Run(folder.path)
    #expect(try run?.call("later") == .success(.string("late")))
    run = nil
    try Files.writeAtomically(path, "somebody's file")
    #expect(throws: RunError.file(FileError("listen at", path, code: EEXIST))) { try Run(folder.path) }
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "somebody's file")
    #expect(throws: RunError.notRunning(folder: "/no/such")) {
      try ControlClient.call(runFolder: "/no/such", name: "status")
    }
  }

  @Test("A folder far longer than a socket's path may be works all the same")
  func deep() throws {
    let folder = try RunFolder()
    let path =
      folder.path + "/" + String(repeating: "a", count: 120) + "/" + String(repeating: "b", count: 120)
    try Files.makeFolder(path)
    let run = try Run(path)
    #expect(try run.call("later") == .success(.string("late")))
  }

  @Test("The newest folder with a living run is found")
  func newest() throws {
    let folder = try RunFolder()
    for name in ["a", "b", "c"] { try Files.makeFolder(folder.file(name)) }
    #expect(ControlClient.newestRun(in: folder.path) == nil)
    let first = try Run(folder.file("b"))
    usleep(20_000)
    let second = try Run(folder.file("a"))
    do {
      usleep(20_000)
      let socket = try UnixSocket.make()
      #expect(UnixSocket.call(bind, socket, in: try UnixSocket.folder(folder.file("c"))) == 0)
    }
    #expect(ControlClient.newestRun(in: folder.path) == folder.file("a"))
    second.socket?.close()
    #expect(ControlClient.newestRun(in: folder.path) == folder.file("b"))
    withExtendedLifetime(first) {}
    #expect(ControlClient.newestRun(in: "/no/such") == nil)
  }

  private static let canBeOther =
    geteuid() == 0 && ["/usr/bin/setpriv", "/usr/bin/perl"].allSatisfy(Files.exists)

  @Test(
    "Another user cannot connect, and is refused where the file lets it",
    .enabled(if: canBeOther, "needs root, setpriv and perl to become another user"))
  func otherUser() throws {
    let folder = try RunFolder()
    let run = try Run(folder.path)
    let script = """
      use Socket; $SIG{PIPE} = "IGNORE"; socket(S, AF_UNIX, SOCK_STREAM, 0);
      connect(S, sockaddr_un($ARGV[0])) or do { print "no: $!\\n"; exit };
      syswrite(S, "{\\"do\\":\\"echo\\"}\\n"); print <S>;
      """
    func tryAsNobody() throws -> String {
      let heard = try HeardChild(
        "/usr/bin/setpriv",
        ["--reuid=65534", "--clear-groups", "/usr/bin/perl", "-e", script, folder.file("weir.sock")])
      #expect(
        turn(run.loop) {
          run.loop.turn(waitNs: 0); heard.loop.turn(waitNs: 1_000_000); return !heard.exits.isEmpty
        })
      return heard.noise.joined() + heard.lines.map { $0.text() }.joined()
    }
    #expect(try tryAsNobody() == "no: Permission denied")
    chmod(folder.file("weir.sock"), 0o666)
    #expect(try tryAsNobody().contains("belongs to another user"))
    #expect(run.heard.isEmpty)
  }
}
