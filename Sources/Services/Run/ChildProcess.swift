import CSystem
import Core
import Glibc
import Net

/// A child process on an event loop: started, spoken with, listened to, ended, and reaped.
///
/// **Problem.** A supervisor has to know within milliseconds that a child has ended, must never wait for one
/// that hangs or floods, and must leave nothing behind: no zombie, no descriptor, no grandchild.
///
/// **Why the obvious answer fails.** `SIGCHLD` is one bit for all children and belongs to the whole process;
/// a thread that blocks in `waitpid` is one more thread for each child. The end of a pipe is no proof: a
/// grandchild may hold it open, and a child may close it and live. A child in the terminal's foreground group
/// gets Ctrl-C at the same time as its supervisor and stops in no order.
///
/// **Algorithm.** A pidfd is readable once the process has ended; as long as nobody has reaped it, its number
/// and its group's cannot be given to another process, so signals sent until then hit no stranger. At the
/// end, what is left of its group is killed, what it wrote before is read, and only then `ended` is called,
/// once. Commands and replies are JSON lines, see ``SupervisorLink``.
///
/// **Bounds.** 256 KiB and 256 requests wait for a child that is busy; a command beyond that is refused. A
/// line of its output is cut at 1 MiB and counted. 64 KiB are read in a turn, so that a child that floods
/// holds up nobody; it is held back by its pipe.
///
/// Releasing it closes the pipes, which a service takes as the end of its supervisor; a child that goes on is
/// still reaped by the loop.
public final class ChildProcess {
  /// How a process ended; neither when that could not be learnt.
  public struct Exit: Equatable, Sendable, CustomStringConvertible {
    public var code: Int32?
    public var signal: Int32?

    public init(code: Int32? = nil, signal: Int32? = nil) {
      self.code = code
      self.signal = signal
    }

    public var isClean: Bool { code == 0 }

    public var description: String {
      if let code { return "exit code \(code)" }
      return signal.map { "signal \($0) (\(String(cString: strsignal($0))))" } ?? "unknown end"
    }
  }

  public static let inputBytesMax = 256 << 10
  public static let lineBytesMax = 1 << 20
  public static let requestsMax = 256
  private static let readBytes = 16 << 10
  private static let readsPerTurnMax = 4
  private static let noiseBytesMax = 4 << 10

  public let name: String
  public let pid: Int32
  /// Monotonic time of the start.
  public let startedNs: Int64
  /// Nil while it runs.
  public private(set) var exit: Exit?
  /// Members of the newest heartbeat.
  public private(set) var lastBeat: JSONValue?
  /// Monotonic time of the newest heartbeat; of the start until there was one.
  public private(set) var lastBeatNs: Int64
  public private(set) var beats = 0
  /// What the child said of itself at its end, from its `{"summary":…}` line.
  public private(set) var summary: JSONValue?
  /// Lines of its output that were longer than ``lineBytesMax``.
  public private(set) var linesCut = 0

  private struct Request {
    var reply: (Result<String, RunError>) -> Void
    var timer: TimerID
  }

  private let loop: EventLoop
  private let line: (JSONValue) -> Void
  private let noise: (String) -> Void
  private let ended: (Exit) -> Void
  private var input: PipeEnd?
  private var output: PipeEnd?
  private var splitter = LineSplitter(lineBytesMax: ChildProcess.lineBytesMax)
  private var unsent: [UInt8] = []
  private var requests: [Int64: Request] = [:]
  private var nextRequest: Int64 = 1
  private var killTimer: TimerID?

  /// Starts the process.
  ///
  /// - Parameters:
  ///   - arguments: its argv, the program's name first.
  ///   - environment: all its variables; none is inherited.
  ///   - errorLog: a file that its standard error is appended to, made readable for its owner only; nil: it
  ///     writes where this process does.
  ///   - line: a JSON object that it said, other than a heartbeat or a reply.
  ///   - noise: a line of its output that is no JSON object, at most its first 4 KiB.
  ///   - ended: it has ended, and everything it said before has been handed on.
  public init(
    on loop: EventLoop, name: String, executable: String = "/proc/self/exe", arguments: [String],
    environment: [String: String], workingFolder: String? = nil, errorLog: String?,
    line: @escaping (JSONValue) -> Void, noise: @escaping (String) -> Void,
    ended: @escaping (Exit) -> Void
  ) throws(RunError) {
    let spawned = try ChildProcess.spawn(
      executable, arguments, environment, workingFolder: workingFolder, errorLog: errorLog)
    let pid = spawned.pid
    let pidfd = weir_pidfd_open(pid)
    guard pidfd >= 0 else {
      let code = errno
      ChildProcess.discard(pid)
      throw .system("watch the process \(name)", code)
    }
    self.loop = loop
    self.name = name
    self.pid = pid
    self.line = line
    self.noise = noise
    self.ended = ended
    startedNs = EventLoop.monotonicNow()
    lastBeatNs = startedNs
    let watch = ExitWatch(descriptor: pidfd, pid: pid, loop: loop)
    let input = PipeEnd(descriptor: spawned.input.number)
    let output = PipeEnd(descriptor: spawned.output.number)
    _ = spawned.input.take()
    _ = spawned.output.take()
    do throws(NetError) {
      try loop.add(watch, interest: .read)
      try loop.add(input, interest: [])
      try loop.add(output, interest: .read)
    } catch {
      for source in [watch, input, output] { loop.remove(source) }
      ChildProcess.discard(pid)
      throw .cannotWatch("the process \(name)", error)
    }
    self.input = input
    self.output = output
    watch.child = self
    input.wake = { [weak self] in self?.inputReady($0) }
    output.wake = { [weak self] _ in self?.read() }
  }

  deinit {
    for end in [input, output] {
      if let end { loop.remove(end) }
    }
    if let killTimer { loop.cancel(killTimer) }
    for request in requests.values { loop.cancel(request.timer) }
  }

  private static func discard(_ pid: Int32) {
    Glibc.kill(-pid, SIGKILL)
    while waitpid(pid, nil, 0) < 0, errno == EINTR {}
  }

  // MARK: Ending it

  /// Asks it to drain and to end. Nothing happens when it has ended.
  public func terminate() {
    if exit == nil { Glibc.kill(pid, SIGTERM) }
  }

  /// Ends it and its own children at once.
  public func kill() {
    if exit == nil { Glibc.kill(-pid, SIGKILL) }
  }

  /// Asks it to end, and ends it when it hasn't after the grace. A second call changes nothing.
  public func stop(graceNs: Int64) {
    guard exit == nil, killTimer == nil else { return }
    terminate()
    killTimer = loop.after(graceNs) { [weak self] in self?.kill() }
  }

  fileprivate func reaped(_ exit: Exit) {
    self.exit = exit
    if let killTimer { loop.cancel(killTimer) }
    closeInput()
    // The pipe holds 64 KiB; whoever still writes to it is no child of ours.
    for _ in 0..<4 { read() }
    closeOutput()
    let waiting = requests.values
    requests = [:]
    for request in waiting {
      loop.cancel(request.timer)
      request.reply(.failure(.childEnded(name)))
    }
    ended(exit)
  }

  // MARK: Telling it

  /// Sends a line.
  ///
  /// - Returns: false when it no longer listens, or ``inputBytesMax`` wait for it: nothing was sent.
  @discardableResult
  public func send(_ json: JSONValue) -> Bool {
    guard input != nil else { return false }
    let text = json.text()
    guard unsent.count + text.utf8.count < ChildProcess.inputBytesMax else { return false }
    unsent.append(contentsOf: text.utf8)
    unsent.append(0x0A)
    flush()
    return true
  }

  /// Has it perform a command.
  ///
  /// - Parameter reply: called exactly once and never at once: what it says, or why it didn't. It is not
  ///   called when this object is released.
  public func request(
    _ name: String, _ arguments: JSONValue = .object([]), timeoutNs: Int64,
    reply: @escaping (Result<String, RunError>) -> Void
  ) {
    let id = nextRequest
    nextRequest += 1
    let isFull = requests.count >= ChildProcess.requestsMax
    guard !isFull, send(.object(["id": .integer(id), "do": .string(name), "args": arguments])) else {
      let error: RunError = input == nil ? .childEnded(self.name) : .childBusy(self.name)
      return loop.soon { reply(.failure(error)) }
    }
    let timer = loop.after(timeoutNs) { [weak self] in
      guard let self, let request = requests.removeValue(forKey: id) else { return }
      request.reply(.failure(.timeout("\(name) of \(self.name)")))
    }
    requests[id] = Request(reply: reply, timer: timer)
  }

  /// Ends its standard input, which a service takes as the end of its supervisor.
  public func closeInput() {
    guard let input else { return }
    loop.remove(input)
    self.input = nil
    unsent = []
  }

  private func inputReady(_ events: EventSource.Interest) {
    if events.contains(.failure) { closeInput() } else { flush() }
  }

  private func flush() {
    while let input, !unsent.isEmpty {
      let count = unsent.withUnsafeBytes { write(input.descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        unsent.removeFirst(count)
      } else if errno == EAGAIN {
        return loop.setInterest(input, .write)
      } else if errno != EINTR {
        return closeInput()
      }
    }
    if let input { loop.setInterest(input, []) }
  }

  // MARK: Hearing it

  private func read() {
    for _ in 0..<ChildProcess.readsPerTurnMax {
      guard let output else { return }
      var lines: [LineSplitter.Line] = []
      let count = withUnsafeTemporaryAllocation(byteCount: ChildProcess.readBytes, alignment: 16) { buffer in
        let count = Glibc.read(output.descriptor, buffer.baseAddress, buffer.count)
        if count > 0 { lines = splitter.take(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
        return count
      }
      for line in lines { hear(line) }
      if count > 0 { continue }
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN { return }
      return closeOutput()
    }
  }

  private func closeOutput() {
    guard let output else { return }
    loop.remove(output)
    self.output = nil
    if let line = splitter.finish() { hear(line) }
  }

  private func hear(_ said: LineSplitter.Line) {
    if said.isCut { linesCut += 1 }
    guard !said.isCut, let json = said.bytes.withUnsafeBytes({ try? JSONValue(parsing: $0) }),
      json.members != nil
    else {
      if said.bytes.isEmpty { return }
      let isLong = said.isCut || said.bytes.count > ChildProcess.noiseBytesMax
      let text = String(decoding: said.bytes.prefix(ChildProcess.noiseBytesMax), as: UTF8.self)
      return noise(isLong ? text + "…" : text)
    }
    if let beat = json["beat"] {
      lastBeat = beat
      lastBeatNs = EventLoop.monotonicNow()
      beats += 1
    } else if let id = json["reply"] {
      guard let number = id.integer, let request = requests.removeValue(forKey: number) else { return }
      loop.cancel(request.timer)
      let detail = json["detail"]?.text ?? ""
      request.reply(json["ok"]?.boolean == true ? .success(detail) : .failure(.refused(detail)))
    } else {
      if let summary = json["summary"] { self.summary = summary }
      line(json)
    }
  }
}

/// One end of a pipe, closed with the object.
private final class PipeEnd: EventSource {
  var wake: ((Interest) -> Void)?

  deinit { close(descriptor) }

  override func ready(_ events: Interest) { wake?(events) }
}

/// Waits for a process's end and reaps it, also when nobody is interested in it any more.
private final class ExitWatch: EventSource {
  weak var child: ChildProcess?
  private weak var loop: EventLoop?
  private let pid: Int32

  init(descriptor: Int32, pid: Int32, loop: EventLoop) {
    self.pid = pid
    self.loop = loop
    super.init(descriptor: descriptor)
  }

  deinit { close(descriptor) }

  override func ready(_ events: Interest) {
    // What is left of its group: the number is nobody else's until it is reaped.
    Glibc.kill(-pid, SIGKILL)
    var status: Int32 = 0
    let reaped = waitpid(pid, &status, WNOHANG)
    if reaped == 0 || reaped < 0 && errno == EINTR { return }
    loop?.remove(self)
    // Somebody who ignores SIGCHLD has the kernel reap, and the status is lost.
    guard reaped == pid else { return child?.reaped(.init()) ?? () }
    let signal = status & 0x7F
    child?.reaped(signal == 0 ? .init(code: status >> 8 & 0xFF) : .init(signal: signal))
  }
}
