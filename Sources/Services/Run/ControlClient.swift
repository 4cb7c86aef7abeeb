import Core
import Glibc
import Net

/// A caller of a run's ``ControlSocket``, for commands: it blocks.
public enum ControlClient {
  /// Longer than the run may take, so that its own word on a delay is heard.
  public static let timeoutNs = ControlSocket.deadlineNs + 2 * Nanoseconds.second

  /// Asks a run to do something and waits for its answer.
  ///
  /// - Throws: ``RunError``: no run there, one of another user, no answer in time, or the run's refusal.
  public static func call(
    runFolder: String, name: String, arguments: JSONValue = .object([]),
    timeoutNs: Int64 = ControlClient.timeoutNs
  ) throws(RunError) -> JSONValue {
    let deadlineNs = EventLoop.monotonicNow() + timeoutNs
    let socket = try UnixSocket.connect(runFolder, timeoutNs: timeoutNs)
    try say(.object(["do": .string(name), "args": arguments]), on: socket, runFolder)
    let line = try hear(on: socket, deadlineNs: deadlineNs, runFolder)
    guard let json = line.withUnsafeBytes({ try? JSONValue(parsing: $0) }), let isDone = json["ok"]?.boolean
    else { throw .protocol("what answers in \(runFolder) is no weir run, or ended while answering") }
    if isDone { return json["result"] ?? .null }
    throw .refused(json["error"]?.text ?? "the run gave no reason")
  }

  /// The newest folder in `parent` in which a run listens; nil when there is none.
  public static func newestRun(in parent: String) -> String? {
    let names = (try? Files.list(parent)) ?? []
    let sockets = names.compactMap { name -> (folder: String, madeNs: Int64)? in
      let folder = parent + "/" + name
      var status = stat()
      guard stat(folder + "/" + UnixSocket.fileName, &status) == 0 else { return nil }
      return (folder, Int64(status.st_mtim.tv_sec) * Nanoseconds.second + Int64(status.st_mtim.tv_nsec))
    }
    return sockets.sorted { $0.madeNs > $1.madeNs }.first { isAnswered($0.folder) }?.folder
  }

  /// A run that may not be asked is one, too: the call will say so.
  private static func isAnswered(_ folder: String) -> Bool {
    do throws(RunError) {
      _ = try UnixSocket.connect(folder, timeoutNs: Nanoseconds.second)
      return true
    } catch {
      return error == .notAllowed(folder: folder)
    }
  }

  private static func say(
    _ json: JSONValue, on socket: borrowing Descriptor, _ folder: String
  ) throws(RunError) {
    let text = Array((json.text() + "\n").utf8)
    var done = 0
    while done < text.count {
      let count = text.withUnsafeBytes {
        send(socket.number, $0.baseAddress! + done, $0.count - done, Int32(MSG_NOSIGNAL))
      }
      if count > 0 {
        done += count
      } else if errno == EPIPE || errno == ECONNRESET {
        // It has said why before it closed.
        return
      } else if errno == EAGAIN {
        throw .timeout("the run in \(folder)")
      } else if errno != EINTR {
        throw .system("talk to the run in \(folder)", errno)
      }
    }
  }

  private static func hear(
    on socket: borrowing Descriptor, deadlineNs: Int64, _ folder: String
  ) throws(RunError) -> [UInt8] {
    var line: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let leftNs = deadlineNs - EventLoop.monotonicNow()
      guard leftNs > 0 else { throw .timeout("the run in \(folder)") }
      var waiting = pollfd(fd: socket.number, events: Int16(POLLIN), revents: 0)
      guard poll(&waiting, 1, Int32(clamping: leftNs / Nanoseconds.millisecond + 1)) > 0 else { continue }
      let count = recv(socket.number, &chunk, chunk.count, 0)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return line }
      line.append(contentsOf: chunk[..<count])
      if chunk[count - 1] == 0x0A { return line }
      guard line.count <= ControlSocket.replyBytesMax else {
        throw .protocol("the answer of the run in \(folder) is too long")
      }
    }
  }
}
