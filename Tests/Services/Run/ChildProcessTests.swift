import Core
import Foundation
import Net
import Testing

@testable import Services

@Suite("Child process")
struct ChildProcessTests {
  @Test("Its lines, its noise and its exit code are heard, in this order")
  func speaks() throws {
    let heard = try HeardChild(
      script:
        #"""
        echo '{"ready":true}'; echo hello; echo 17; echo '{"summary":{"n":2}}'
        printf '{"last":1}'; exit 3
        """#
    )
    #expect(heard.waitForEnd())
    #expect(heard.exits == [.init(code: 3)])
    #expect(heard.child.exit == .init(code: 3))
    #expect(heard.noise == ["hello", "17"])
    #expect(heard.lines.map { $0.members?.first?.key } == ["ready", "summary", "last"])
    #expect(heard.child.summary?["n"]?.integer == 2)
  }

  @Test("kill -9 is noticed within milliseconds and reaped once")
  func killed() throws {
    let heard = try HeardChild("/bin/sleep", ["60"])
    heard.loop.turn(waitNs: 0)
    let began = EventLoop.monotonicNow()
    kill(heard.child.pid, SIGKILL)
    #expect(heard.waitForEnd())
    #expect(heard.exits == [.init(signal: SIGKILL)])
    #expect(heard.endedNs - began < 1_000_000_000)
    #expect(waitpid(heard.child.pid, nil, WNOHANG) == -1 && errno == ECHILD)
    // Signals to one that has gone reach nobody.
    heard.child.terminate()
    heard.child.kill()
    heard.child.stop(graceNs: 0)
    heard.loop.turn(waitNs: 1_000_000)
    #expect(heard.exits.count == 1)
  }

  @Test("A child that ignores SIGTERM is killed after the grace, with its own children")
  func stubborn() throws {
    let heard = try HeardChild(
      script: #"trap '' TERM; sleep 60 & echo "{\"pid\":$!}"; while :; do sleep 0.05; done"#)
    #expect(heard.wait { !$0.lines.isEmpty })
    let grandchild = Int32(try #require(heard.lines.first?["pid"]?.integer))
    let began = EventLoop.monotonicNow()
    heard.child.stop(graceNs: 200_000_000)
    heard.child.stop(graceNs: 1)
    #expect(heard.waitForEnd())
    #expect(heard.exits == [.init(signal: SIGKILL)])
    #expect(heard.endedNs - began >= 200_000_000)
    #expect(
      turn(heard.loop) {
        let stat = try? String(contentsOfFile: "/proc/\(grandchild)/stat", encoding: .utf8)
        return stat == nil || stat!.contains(") Z ")
      })
  }

  @Test("SIGTERM alone ends one that listens to it, before the grace is over")
  func docile() throws {
    let heard = try HeardChild(script: "trap 'exit 0' TERM; echo '{}'; while :; do sleep 0.01; done")
    #expect(heard.wait { !$0.lines.isEmpty })
    heard.child.stop(graceNs: 60_000_000_000)
    #expect(heard.waitForEnd())
    #expect(heard.exits == [.init(code: 0)])
  }

  @Test("What a child leaves running ends with it, and its open pipe holds up nothing")
  func grandchild() throws {
    let heard = try HeardChild(script: #"sleep 60 & echo "{\"pid\":$!}"; exit 0"#)
    #expect(heard.waitForEnd())
    #expect(heard.exits == [.init(code: 0)])
    #expect(heard.lines.count == 1)
  }

  @Test("Commands are answered, refused, too late, or fail with the child's end")
  func requests() throws {
    // Answers the 1st, refuses the 2nd, is silent on the 3rd, ends on the 4th.
    let script = #"""
      read a; echo '{"reply":1,"ok":true,"detail":"done it"}'; echo "$a" >&2
      read a; echo '{"reply":2,"ok":false,"detail":"not now"}'
      echo '{"reply":99,"ok":true}'; echo '{"beat":{"seq":5,"time_ns":7}}'
      read a; read a
      """#
    let folder = try RunFolder()
    let heard = try HeardChild(script: script, errorLog: folder.file("errors.log"))
    #expect(heard.child.lastBeat == nil && heard.child.lastBeatNs == heard.child.startedNs)
    var answers: [Result<String, RunError>] = []
    heard.child.request("restart-ws", .object(["symbol": .string("A")]), timeoutNs: 5_000_000_000) {
      answers.append($0)
    }
    heard.child.request("drain", timeoutNs: 5_000_000_000) { answers.append($0) }
    heard.child.request("mode", timeoutNs: 100_000_000) { answers.append($0) }
    #expect(heard.wait { _ in answers.count == 3 })
    heard.child.request("status", timeoutNs: 5_000_000_000) { answers.append($0) }
    #expect(heard.wait { _ in answers.count == 4 })
    #expect(
      answers == [
        .success("done it"), .failure(.refused("not now")), .failure(.timeout("mode of test")),
        .failure(.childEnded("test")),
      ])
    #expect(heard.waitForEnd())
    heard.child.request("status", timeoutNs: 1) { answers.append($0) }
    #expect(answers.count == 4, "a reply never comes at once")
    #expect(heard.wait { _ in answers.count == 5 })
    #expect(answers.last == .failure(.childEnded("test")))
    #expect(heard.child.lastBeat?["seq"]?.integer == 5 && heard.child.beats == 1)
    #expect(heard.child.lastBeatNs > heard.child.startedNs)
    let log = try String(contentsOfFile: folder.file("errors.log"), encoding: .utf8)
    #expect(log == #"{"id":1,"do":"restart-ws","args":{"symbol":"A"}}"# + "\n")
    var status = stat()
    #expect(stat(folder.file("errors.log"), &status) == 0 && status.st_mode & 0o777 == 0o600)
  }

  @Test("A child that floods its output doesn't hold up the loop; a line too long is cut and counted")
  func flood() throws {
    let heard = try HeardChild(script: "head -c 3000000 /dev/zero | tr '\\0' x; echo; yes '{\"a\":1}'")
    var ticks = 0
    func tick() {
      ticks += 1
      heard.loop.after(10_000_000, tick)
    }
    tick()
    #expect(heard.wait { $0.lines.count > 100_000 && ticks > 5 })
    #expect(heard.child.linesCut == 1)
    #expect(heard.noise.count == 1 && heard.noise[0].utf8.count == (4 << 10) + "…".utf8.count)
    heard.child.kill()
    #expect(heard.waitForEnd())
  }

  @Test("One that doesn't read is sent no more than the bound; one that closes its input, nothing")
  func deaf() throws {
    let heard = try HeardChild("/bin/sleep", ["60"])
    let line = JSONValue.object(["x": .string(String(repeating: "y", count: 10_000))])
    var sent = 0
    while heard.child.send(line), sent < 1000 { sent += 1 }
    #expect((26...33).contains(sent), "256 KiB and a pipe of 64 KiB, found \(sent) × 10 kB")
    var answers: [Result<String, RunError>] = []
    heard.child.request("x", line, timeoutNs: 1_000_000_000) { answers.append($0) }
    #expect(heard.wait { _ in !answers.isEmpty })
    #expect(answers == [.failure(.childBusy("test"))])

    let closed = try HeardChild(script: "exec 0<&-; echo '{}'; sleep 60")
    #expect(closed.wait { !$0.lines.isEmpty })
    #expect(closed.wait { !$0.child.send(.object([])) })
    let turns = closed.loop.turns
    let until = EventLoop.monotonicNow() + 200_000_000
    while EventLoop.monotonicNow() < until { closed.loop.turn(waitNs: 50_000_000) }
    #expect(closed.loop.turns - turns < 50, "the loop spins on a closed pipe")
    #expect(closed.exits.isEmpty)
  }

  @Test("What waits for a child is written as it reads")
  func cat() throws {
    let heard = try HeardChild("/bin/cat", [])
    var sent = 0
    let text = String(repeating: "z", count: 1000)
    #expect(
      heard.wait { heard in
        while sent < 5000, heard.child.send(.object(["n": .integer(sent), "text": .string(text)])) {
          sent += 1
        }
        return heard.lines.count == 5000
      })
    #expect(heard.lines.enumerated().allSatisfy { $0.element["n"]?.integer == Int64($0.offset) })
    heard.child.closeInput()
    #expect(heard.waitForEnd())
    #expect(heard.exits == [.init(code: 0)])
  }

  @Test("It inherits no descriptor, no ignored signal, no blocked one, and has a group of its own")
  func inheritance() throws {
    // Not close-on-exec, as a careless library would open it.
    let leak = open("/dev/null", O_RDONLY)
    defer { close(leak) }
    signal(SIGUSR2, SIG_IGN)
    defer { signal(SIGUSR2, SIG_DFL) }
    let heard = try HeardChild("/bin/sleep", ["60"])
    let folder = "/proc/\(heard.child.pid)/"
    // Its loader opens its libraries first.
    #expect(
      turn(heard.loop) {
        (try? FileManager.default.contentsOfDirectory(atPath: folder + "fd").sorted()) == ["0", "1", "2"]
      })
    let status = try String(contentsOfFile: folder + "status", encoding: .utf8)
    for name in ["SigBlk", "SigIgn"] {
      let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
      let mask = try #require(line?.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) })
      // 32 and 33 are the C library's own.
      #expect(mask & 0x7FFF_FFFF == 0, "\(name) \(mask)")
    }
    #expect(getpgid(heard.child.pid) == heard.child.pid)
    #expect(fcntl(leak, F_GETFD) == 0)
  }

  @Test("Its environment is what it is given, its folder too")
  func surroundings() throws {
    let folder = try RunFolder()
    let heard = try HeardChild(
      "/bin/sh",
      ["-c", #"echo "{\"env\":\"$(env | grep -v ^_ | sort | tr '\n' ,)\",\"pwd\":\"$(pwd -P)\"}""#],
      environment: ["B": "2", "PATH": "/usr/bin:/bin"], workingFolder: folder.path)
    #expect(heard.waitForEnd())
    #expect(heard.lines.first?["env"]?.text == "B=2,PATH=/usr/bin:/bin,PWD=\(folder.path),")
    #expect(heard.lines.first?["pwd"]?.text == folder.path)
  }

  @Test("Released, it is told by the end of its input, and reaped")
  func released() throws {
    let heard = try HeardChild("/bin/cat", [])
    let pid = heard.child.pid
    heard.release()
    #expect(turn(heard.loop) { kill(pid, 0) != 0 })
    #expect(heard.exits.isEmpty && heard.loop.sourceCount == 0)
  }

  @Test("What cannot be started says why, and leaves no descriptor behind")
  func unstartable() throws {
    let loop = try EventLoop()
    func start(_ executable: String, folder: String? = nil, log: String? = nil) throws {
      _ = try ChildProcess(
        on: loop, name: "x", executable: executable, arguments: ["x"], environment: [:],
        workingFolder: folder,
        errorLog: log, line: { _ in }, noise: { _ in }, ended: { _ in })
    }
    #expect(throws: RunError.spawn(executable: "/no/such", ENOENT)) { try start("/no/such") }
    #expect(throws: RunError.file(FileError("use as a folder", "/no/such", code: ENOTDIR))) {
      try start("/bin/true", folder: "/no/such")
    }
    #expect(throws: RunError.file(FileError("open for writing", "/no/such/log", code: ENOENT))) {
      try start("/bin/true", log: "/no/such/log")
    }
    #expect(loop.sourceCount == 0)
  }

  @Test("Lines come out whole however the bytes arrive; only one beyond the bound is cut", arguments: 1...9)
  func splitting(piece: Int) {
    let text = "ab\n\n12345678\n123456789\nc\n1234567890123456789\nlast"
    let expected = ["ab", "", "12345678", "12345678…", "c", "12345678…", "last"]
    var splitter = LineSplitter(lineBytesMax: 8)
    var lines: [LineSplitter.Line] = []
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      lines += rest.prefix(piece).withUnsafeBytes { splitter.take($0) }
      rest = rest.dropFirst(piece)
    }
    if let last = splitter.finish() { lines.append(last) }
    #expect(lines.map { String(decoding: $0.bytes, as: UTF8.self) + ($0.isCut ? "…" : "") } == expected)
    #expect(splitter.finish()?.bytes == nil)
  }
}
