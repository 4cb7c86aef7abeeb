import Core
import Foundation
import Net
import Testing

@testable import Services

/// Turns a loop until something holds.
///
/// - Returns: false when it never did.
func turn(_ loop: EventLoop, seconds: Double = 60, until holds: () -> Bool) -> Bool {
  let deadline = EventLoop.monotonicNow() + Int64(seconds * 1e9)
  while !holds() {
    guard EventLoop.monotonicNow() < deadline else { return false }
    loop.turn(waitNs: 5_000_000)
  }
  return true
}

/// A folder of a test's own, removed with the object.
final class RunFolder {
  let path: String

  init(_ name: String = "run") throws {
    path = NSTemporaryDirectory() + "weir-\(name)-" + UUID().uuidString
    try Files.makeFolder(path)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }
}

/// A child and everything that was heard of it.
final class HeardChild {
  let loop: EventLoop
  private(set) var child: ChildProcess!
  private(set) var lines: [JSONValue] = []
  private(set) var noise: [String] = []
  private(set) var exits: [ChildProcess.Exit] = []
  private(set) var endedNs: Int64 = 0

  init(
    _ executable: String, _ words: [String], environment: [String: String] = [:],
    workingFolder: String? = nil, errorLog: String? = "/dev/null"
  ) throws {
    loop = try EventLoop()
    child = try ChildProcess(
      on: loop, name: "test", executable: executable, arguments: [Files.name(executable)] + words,
      environment: environment, workingFolder: workingFolder, errorLog: errorLog,
      line: { [unowned self] in lines.append($0) }, noise: { [unowned self] in noise.append($0) },
      ended: { [unowned self] in
        exits.append($0)
        endedNs = EventLoop.monotonicNow()
      })
  }

  /// A script for `/bin/sh`.
  convenience init(script: String, errorLog: String? = "/dev/null") throws {
    try self.init("/bin/sh", ["-c", script], environment: ["PATH": "/usr/bin:/bin"], errorLog: errorLog)
  }

  deinit { child?.kill() }

  func wait(seconds: Double = 60, until holds: (HeardChild) -> Bool) -> Bool {
    turn(loop, seconds: seconds) { holds(self) }
  }

  func waitForEnd() -> Bool { wait { !$0.exits.isEmpty } }

  /// Gives up the child.
  func release() { child = nil }
}
