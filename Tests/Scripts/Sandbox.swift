import Core
@preconcurrency import Glibc
import Testing

/// A folder of its own for one test, with fake programs in `bin`.
final class Sandbox {
  let path: String

  init() throws {
    var template = Array("/tmp/weir-scripts-XXXXXX".utf8CString)
    path = try #require(mkdtemp(&template).map { String(cString: $0) })
    try Files.makeFolder(path + "/bin")
  }

  deinit { Sandbox.remove(path) }

  private static func remove(_ path: String) {
    if Files.isFolder(path) {
      for name in (try? Files.list(path)) ?? [] { remove(path + "/" + name) }
      rmdir(path)
    } else {
      unlink(path)
    }
  }

  func write(_ name: String, _ text: String) throws {
    let file = path + "/" + name
    try Files.makeFolder(String(file[..<(file.lastIndex(of: "/") ?? file.startIndex)]))
    try Files.writeAtomically(file, text)
  }

  func read(_ name: String) throws -> String {
    String(decoding: try Files.read(path + "/" + name), as: UTF8.self)
  }

  /// A program in `bin`, written in bash; `$FAKE` is the sandbox.
  func program(_ name: String, _ body: String) throws {
    try write("bin/" + name, "#!/bin/bash\n" + body + "\n")
    chmod(path + "/bin/" + name, 0o755)
  }

  struct Outcome: Equatable {
    var code: Int32
    /// Standard output and standard error in the order they came.
    var output: String
  }

  /// Runs one of the repository's scripts without standard input.
  func run(_ script: String, _ arguments: [String] = [], searchPath: String? = nil) throws -> Outcome {
    try spawn("/bin/bash", [repositoryRoot + "/" + script] + arguments, searchPath: searchPath)
  }

  func spawn(_ program: String, _ arguments: [String], searchPath: String? = nil) throws -> Outcome {
    let log = path + "/output"
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o644)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    let environment = [
      "PATH=" + (searchPath ?? path + "/bin:/usr/bin:/bin"), "HOME=" + path, "FAKE=" + path, "LANG=C.UTF-8",
    ]
    var words = ([program] + arguments).map { strdup($0) } + [nil]
    var variables = environment.map { strdup($0) } + [nil]
    defer { for text in words + variables { free(text) } }
    var child: pid_t = 0
    try #require(posix_spawn(&child, program, &actions, nil, &words, &variables) == 0)
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    let output = String(decoding: try Files.read(log), as: UTF8.self)
    return Outcome(code: status & 0x7F == 0 ? status >> 8 & 0xFF : -1, output: output)
  }
}

/// The folder that holds Package.swift.
let repositoryRoot = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
