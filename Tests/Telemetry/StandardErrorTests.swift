import Core
import Glibc
import Testing

@testable import Telemetry

/// Not by exit tests: their monitor waits for any child of this process, and other suites have children.
@Suite("Log on standard error") struct StandardErrorTests {
  @Test("a reader that doesn't read, or is gone, holds nobody up", .timeLimit(.minutes(2)))
  func fullPipe() throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    signal(SIGPIPE, SIG_IGN)
    _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
    var byte: UInt8 = 0x0A
    while write(ends[1], &byte, 1) == 1 {}
    func say(_ text: String) {
      let log = Log(service: "signal", format: .human, now: { UnixNanos(0) }) { [end = ends[1]] in
        Log.writeLine($0, to: end)
      }
      log.info(text)
    }
    say("unread")
    // Room for one line again.
    var bytes = [UInt8](repeating: 0, count: 4096)
    try #require(read(ends[0], &bytes, bytes.count) == bytes.count)
    say("read")
    var rest = ""
    while !rest.hasSuffix("read\n") {
      let count = read(ends[0], &bytes, bytes.count)
      try #require(count > 0)
      rest += String(decoding: bytes[..<count], as: UTF8.self)
    }
    #expect(rest.drop { $0 == "\n" } == "00:00:00.000 INFO signal  read\n")
    close(ends[0])
    say("gone")
    close(ends[1])
  }
}
