import CSystem
import Core
import Glibc

extension ChildProcess {
  /// A process that has just been started, and this side's ends of its pipes.
  struct Spawned: ~Copyable {
    var pid: Int32
    var input: Descriptor
    var output: Descriptor
  }

  /// Starts a process of a group of its own, with default signals, and with no descriptor but its three.
  static func spawn(
    _ executable: String, _ arguments: [String], _ environment: [String: String], workingFolder: String?,
    errorLog: String?
  ) throws(RunError) -> Spawned {
    let input = try Pipe(ours: .writing)
    let output = try Pipe(ours: .reading)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, input.reading.number, 0)
    posix_spawn_file_actions_adddup2(&actions, output.writing.number, 1)
    if let errorLog {
      posix_spawn_file_actions_addopen(
        &actions, 2, errorLog, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, 0o600)
      // The child's failure to open it would have no name; this one has.
      let log = Descriptor(open(errorLog, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0o600))
      guard log.number >= 0 else { throw .file(FileError("open for writing", errorLog)) }
    }
    // Whatever a library has opened without close-on-exec ends here, too.
    posix_spawn_file_actions_addclosefrom_np(&actions, 3)
    if let workingFolder {
      guard Files.isFolder(workingFolder) else {
        throw .file(FileError("use as a folder", workingFolder, code: ENOTDIR))
      }
      posix_spawn_file_actions_addchdir_np(&actions, workingFolder)
    }

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    var pid: Int32 = 0
    let variables = environment.map { "\($0.key)=\($0.value)" }.sorted()
    let code = withCStrings(arguments) { words in
      withCStrings(variables) { posix_spawn(&pid, executable, &actions, &attributes, words, $0) }
    }
    guard code == 0 else { throw .spawn(executable: executable, code) }
    return Spawned(pid: pid, input: input.writing, output: output.reading)
  }

  private static func withCStrings<Result>(
    _ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
  ) -> Result {
    let copies: [UnsafeMutablePointer<CChar>?] = texts.map { strdup($0) } + [nil]
    defer { for copy in copies { free(copy) } }
    return body(copies)
  }
}
