import Core
import Foundation
import Net
import Testing

@testable import Services

@Suite("Run lock")
struct RunLockTests {
  @Test("A second run is told the folder and the owner; the lock ends with its object")
  func second() throws {
    let folder = try RunFolder()
    let path = folder.file("deep/run")
    var lock: RunLock? = try RunLock(folder: path)
    #expect(try String(contentsOfFile: path + "/run.lock", encoding: .utf8) == "\(getpid())\n")
    let refusal = RunError.locked(folder: path, pid: getpid())
    #expect(throws: refusal) { try RunLock(folder: path) }
    #expect("\(refusal)".contains(path) && "\(refusal)".contains("\(getpid())"))
    #expect(lock != nil)
    lock = nil
    lock = try RunLock(folder: path)
    lock = nil
    #expect(throws: RunError.self) { try RunLock(folder: "/dev/null/x") }
  }

  @Test("kill -9 of its holder frees it, and the number left behind misleads nobody")
  func killed() throws {
    let folder = try RunFolder()
    let lock = folder.file("run.lock")
    let heard = try HeardChild(
      script: "exec 9>\(lock); flock -n 9; echo 12345 >&9; echo '{}'; exec sleep 60")
    #expect(heard.wait { !$0.lines.isEmpty })
    #expect(throws: RunError.locked(folder: folder.path, pid: 12345)) { try RunLock(folder: folder.path) }
    heard.child.kill()
    #expect(heard.waitForEnd())
    let own = try RunLock(folder: folder.path)
    #expect(try String(contentsOfFile: lock, encoding: .utf8) == "\(getpid())\n")
    withExtendedLifetime(own) {}
  }

  @Test("A child doesn't keep it")
  func child() throws {
    let folder = try RunFolder()
    var lock: RunLock? = try RunLock(folder: folder.path)
    let heard = try HeardChild("/bin/sleep", ["60"])
    #expect(lock != nil)
    lock = nil
    _ = try RunLock(folder: folder.path)
    #expect(heard.exits.isEmpty)
  }
}
