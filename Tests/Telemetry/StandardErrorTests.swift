import Core
import Glibc
import Telemetry
import Testing

@Suite("Log on standard error") struct StandardErrorTests {
  @Test("writes JSON where no terminal is") func json() async throws {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      let log = Log.standardError(service: "signal", now: { UnixNanos(0) })
      log.info("started", ["port": 80])
      log.debug("hidden")
    }
    let text = String(decoding: try #require(result?.standardErrorContent), as: UTF8.self)
    #expect(
      text.contains(
        #"{"ts":"1970-01-01T00:00:00.000Z","level":"info","service":"signal","event":"started","port":80}"#
          + "\n"))
    #expect(!text.contains("hidden"))
  }

  @Test("a reader that doesn't read, or is gone, holds nobody up", .timeLimit(.minutes(1)))
  func fullPipe() async {
    await #expect(processExitsWith: .success) {
      var ends: [Int32] = [0, 0]
      try #require(pipe(&ends) == 0)
      _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
      var byte: UInt8 = 0x0A
      while write(ends[1], &byte, 1) == 1 {}
      dup2(ends[1], STDERR_FILENO)
      let log = Log.standardError(service: "signal", format: .human, now: { UnixNanos(0) })
      log.info("unread")
      // Room for one line again.
      var bytes = [UInt8](repeating: 0, count: 4096)
      try #require(read(ends[0], &bytes, bytes.count) == bytes.count)
      log.info("read")
      var rest = ""
      while !rest.hasSuffix("read\n") {
        let count = read(ends[0], &bytes, bytes.count)
        try #require(count > 0)
        rest += String(decoding: bytes[..<count], as: UTF8.self)
      }
      #expect(rest.drop { $0 == "\n" } == "00:00:00.000 INFO signal  read\n")
      signal(SIGPIPE, SIG_IGN)
      close(ends[0])
      log.info("gone")
    }
  }
}
