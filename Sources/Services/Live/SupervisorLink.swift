import Core
import Glibc
import Net

/// A service's line to its supervisor: JSON lines on standard input and output.
///
/// **Problem.** A supervised service has to hear commands, prove that it lives, and end when its supervisor has
/// died without a word; a supervisor that is killed must not leave orphans writing to its files.
///
/// **Why the obvious answer fails.** Signals carry no arguments and no answer. A socket has to be found, kept
/// from others and cleaned up. A parent's death signal is lost when the wrong thread of it ends.
///
/// **Algorithm.** The pipes that a parent gives its child are private, need no name, and end with the parent.
/// In: `{"id":7,"do":"restart-ws","args":{…}}`. Out: `{"reply":7,"ok":true,"detail":"…"}`, and once a second
/// `{"beat":{"seq":…,"time_ns":…}}`: the loop turns, and how far the service has come. When standard input ends, the
/// supervisor is gone and the service drains as if told to.
///
/// **Bounds.** A command is at most 64 KiB; a longer line ends the link. An output pipe that is full drops
/// beats, never replies: those wait in a queue of 256 and then end the link.
public final class SupervisorLink {
  public struct Reply {
    public var isDone: Bool
    public var detail: String

    public static func done(_ detail: String = "") -> Reply { Reply(isDone: true, detail: detail) }
    public static func refused(_ reason: String) -> Reply { Reply(isDone: false, detail: reason) }
  }

  private static let lineBytesMax = 64 << 10
  private static let linesWaitingMax = 256

  private let loop: EventLoop
  private let command: (_ name: String, _ arguments: JSONValue) -> Reply
  private let ended: () -> Void
  private let beat: () -> JSONValue
  private var input: Input?
  private var partial: [UInt8] = []
  private var waiting: [[UInt8]] = []

  /// - Parameters:
  ///   - beat: members of the heartbeat: `seq` (position, how many records are done), `time_ns` (of the newest
  ///     record done, tape time; 0 for none), and what else the service wants known.
  ///   - command: performs a command on the loop's thread.
  ///   - ended: the supervisor is gone.
  public init(
    on loop: EventLoop, beat: @escaping () -> JSONValue,
    command: @escaping (_ name: String, _ arguments: JSONValue) -> Reply, ended: @escaping () -> Void
  ) throws(NetError) {
    self.loop = loop
    self.beat = beat
    self.command = command
    self.ended = ended
    for descriptor: Int32 in [0, 1] {
      _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }
    let input = Input(descriptor: 0)
    input.link = self
    try loop.add(input, interest: .read)
    self.input = input
    scheduleBeat()
  }

  /// Says a line of the service's own, such as its ready line.
  public func say(_ json: JSONValue) {
    guard waiting.count < SupervisorLink.linesWaitingMax else { return end() }
    waiting.append(Array((json.text() + "\n").utf8))
    flush()
  }

  /// Writes what waits, the last line before the process ends among it, for at most so long.
  public func drain(timeoutNs: Int64 = 5 * Nanoseconds.second) {
    let deadline = EventLoop.monotonicNow() + timeoutNs
    while !waiting.isEmpty {
      flush()
      let leftMs = (deadline - EventLoop.monotonicNow()) / Nanoseconds.millisecond
      guard !waiting.isEmpty, leftMs > 0, input != nil else { return }
      var output = pollfd(fd: 1, events: Int16(POLLOUT), revents: 0)
      poll(&output, 1, Int32(clamping: leftMs))
    }
  }

  private func scheduleBeat() {
    loop.after(Nanoseconds.second) { [weak self] in
      guard let self, input != nil else { return }
      if waiting.isEmpty { say(.object(["beat": beat()])) } else { flush() }
      scheduleBeat()
    }
  }

  private func flush() {
    while let line = waiting.first {
      let written = line.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
      if written == line.count {
        waiting.removeFirst()
      } else if written > 0 {
        waiting[0].removeFirst(written)
      } else if errno == EINTR {
        continue
      } else {
        if errno != EAGAIN { end() }
        return
      }
    }
  }

  fileprivate func readable() {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while input != nil {
      let count = read(0, &buffer, buffer.count)
      if count < 0 {
        if errno == EINTR { continue }
        if errno != EAGAIN { end() }
        return
      }
      if count == 0 { return end() }
      for byte in buffer[..<count] {
        if byte == 0x0A {
          perform(partial)
          partial.removeAll(keepingCapacity: true)
        } else if partial.count < SupervisorLink.lineBytesMax {
          partial.append(byte)
        } else {
          return end()
        }
      }
    }
  }

  private func perform(_ line: [UInt8]) {
    guard let json = line.withUnsafeBytes({ try? JSONValue(parsing: $0) }), let name = json["do"]?.text else {
      return
    }
    let reply = command(name, json["args"] ?? .object([]))
    say(
      .object([
        "reply": json["id"] ?? .null, "ok": .bool(reply.isDone), "detail": .string(reply.detail),
      ]))
  }

  private func end() {
    guard let input else { return }
    loop.remove(input)
    self.input = nil
    ended()
  }

  private final class Input: EventSource {
    weak var link: SupervisorLink?
    override func ready(_ events: Interest) { link?.readable() }
  }
}
