import Core
import Foundation
import Testing

@testable import Services

@Suite("Process resources")
struct ProcessSampleTests {
  @Test("Files, memory and time of this process change with what it does")
  func own() throws {
    let before = try #require(ProcessSample(pid: getpid()))
    let files = (0..<200).map { _ in open("/dev/null", O_RDONLY) }
    defer { for file in files { close(file) } }
    var block = [UInt8](repeating: 1, count: 64 << 20)
    let until = Date().addingTimeInterval(10)
    var after = before
    while after.cpuSeconds == before.cpuSeconds, Date() < until {
      for _ in 0..<100_000 { block[block.count / 2] &+= 1 }
      after = try #require(ProcessSample(pid: getpid()))
    }
    // Other tests of this process open and close files meanwhile.
    #expect(after.openFiles > before.openFiles, "\(before) \(after)")
    #expect(after.rssBytes - before.rssBytes > 32 << 20)
    #expect(after.cpuSeconds > before.cpuSeconds)
    #expect(after.threads >= 1 && after.startTicks == before.startTicks && after.startTicks > 0)
    #expect(block[0] == 1)
  }

  @Test("A child is measured from outside; one that is gone or waits to be reaped is nil")
  func child() throws {
    let heard = try HeardChild("/bin/sleep", ["60"])
    let pid = heard.child.pid
    // It has just begun to load its libraries.
    #expect(
      turn(heard.loop) {
        guard let sample = ProcessSample(pid: pid) else { return false }
        return sample.rssBytes > 500_000 && sample.openFiles == 3
      })
    let sample = try #require(ProcessSample(pid: pid))
    #expect(sample.threads == 1)
    #expect(sample.rssBytes < 50_000_000)
    #expect(sample.startTicks > (try #require(ProcessSample(pid: getpid()))).startTicks)
    kill(pid, SIGKILL)
    // The loop doesn't turn, so nobody has reaped it: a zombie.
    let until = Date().addingTimeInterval(10)
    while ProcessSample(pid: pid) != nil, Date() < until { usleep(1000) }
    #expect(kill(pid, 0) == 0 && ProcessSample(pid: pid) == nil)
    #expect(heard.waitForEnd())
    #expect(kill(pid, 0) != 0 && ProcessSample(pid: pid) == nil)
    #expect(ProcessSample(pid: -1) == nil && ProcessSample(pid: 0) == nil)
  }

  @Test(
    "A program's name may hold anything; a short or strange file is nil",
    arguments: [
      ("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0 20 0 9 0 12345 1 2", 42, 9, 12345),
      ("7 (x\n) S 1) R 1 2 3 4 5 6 7 8 9 10 1 0 0 0 20 0 1 0 99 5", 1, 1, 99),
      ("7 (z) Z 1 2 3 4 5 6 7 8 9 10 40 2 0 0 20 0 9 0 12345 1 2", nil, 0, 0),
      ("7 (a) S 1 2 3 4 5 6 7 8 9 10 40", nil, 0, 0),
      ("7 (a) S 1 2 3 4 5 6 7 8 9 10 x 2 0 0 20 0 9 0 1", nil, 0, 0),
      ("", nil, 0, 0), ("7 (a)", nil, 0, 0),
    ] as [(String, Int64?, Int64, Int64)])
  func parsing(text: String, cpu: Int64?, threads: Int64, start: Int64) {
    let found = Array(text.utf8).withUnsafeBytes { ProcessSample.usage(stat: $0) }
    #expect(found?.cpuTicks == cpu)
    guard let found else { return }
    #expect(found.threads == threads && found.startTicks == start)
  }

  @Test("The machine's memory, disk and limit are what the system says")
  func host() throws {
    let used = try #require(HostResources.memoryUsedRatio())
    #expect(used > 0 && used < 1)
    let free = try #require(HostResources.diskFreeRatio(of: "/tmp"))
    #expect(free > 0 && free <= 1)
    #expect(HostResources.diskFreeRatio(of: "/no/such/folder") == nil)
    #expect(HostResources.openFilesLimit() > 16)
  }
}
