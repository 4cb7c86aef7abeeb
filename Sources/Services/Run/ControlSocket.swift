import CSystem
import Core
import Glibc
import Net

/// Where a run takes orders: a Unix socket in its folder.
///
/// **Problem.** `weir ctl`, an alert's action and an operator's script must reach a run that is already
/// going, get an answer, and nobody else may.
///
/// **Why the obvious answer fails.** A TCP port is open to every user of the machine and has to be found. A
/// Unix socket's file survives kill -9 and then keeps the next run from listening; made with the default mode
/// and changed afterwards, it is open to all in between.
///
/// **Algorithm.** The socket's inode gets its mode, 0600, before it gets its name, and the kernel says of
/// each peer whose it is: this user's or root's. A file at which nobody answers is a dead run's and is
/// replaced. A connection carries one line `{"do":"status","args":{…}}` and gets one,
/// `{"ok":true,"result":…}` or `{"ok":false,"error":"…"}`; then it is closed.
///
/// **Bounds.** 16 connections, the next is told so; 64 KiB a request, 4 MiB a reply; 10 s from the connection
/// to the last byte of the reply.
public final class ControlSocket {
  public typealias Answer = (Result<JSONValue, RunError>) -> Void
  /// Performs a request on the loop's thread, and answers then or later; only the first answer counts.
  public typealias Handler = (_ name: String, _ arguments: JSONValue, _ answer: @escaping Answer) -> Void

  public static let clientsMax = 16
  public static let requestBytesMax = 64 << 10
  public static let replyBytesMax = 4 << 20
  public static let deadlineNs = 10 * Nanoseconds.second

  public let folder: String
  private let loop: EventLoop
  private let handler: Handler
  private let deadlineNs: Int64
  private var listener: ControlListener?
  private var peers: [ObjectIdentifier: ControlPeer] = [:]

  /// Listens at once.
  ///
  /// - Throws: ``RunError/locked(folder:pid:)`` when a run answers at this folder's socket.
  public convenience init(
    on loop: EventLoop, folder: String, handler: @escaping Handler
  ) throws(RunError) {
    try self.init(on: loop, folder: folder, deadlineNs: ControlSocket.deadlineNs, handler: handler)
  }

  init(
    on loop: EventLoop, folder: String, deadlineNs: Int64, handler: @escaping Handler
  ) throws(RunError) {
    self.loop = loop
    self.folder = folder
    self.deadlineNs = deadlineNs
    self.handler = handler
    let listener = ControlListener(try ControlSocket.listen(in: folder), folder)
    do throws(NetError) { try loop.add(listener, interest: .read) } catch {
      throw .cannotWatch("the socket in \(folder)", error)
    }
    self.listener = listener
    listener.server = self
  }

  deinit { close() }

  /// Listens no more, drops all connections and removes the socket's file.
  public func close() {
    if let listener {
      loop.remove(listener)
      listener.removeFile()
    }
    listener = nil
    for peer in peers.values { loop.remove(peer) }
    peers = [:]
  }

  private static func listen(in path: String) throws(RunError) -> Descriptor {
    let folder: Descriptor
    do throws(FileError) { folder = try UnixSocket.folder(path) } catch { throw .file(error) }
    let socket = try UnixSocket.make()
    _ = fcntl(socket.number, F_SETFL, O_NONBLOCK)
    // The file gets this mode; changing it after `bind` would be too late.
    fchmod(socket.number, 0o600)
    var code = UnixSocket.call(bind, socket, in: folder)
    if code == EADDRINUSE {
      try removeStale(in: folder, path)
      code = UnixSocket.call(bind, socket, in: folder)
    }
    guard code == 0, Glibc.listen(socket.number, Int32(clientsMax)) == 0 else {
      throw .system("listen in \(path)", code == 0 ? errno : code)
    }
    return socket
  }

  private static func removeStale(in folder: borrowing Descriptor, _ path: String) throws(RunError) {
    var status = stat()
    if fstatat(folder.number, UnixSocket.fileName, &status, AT_SYMLINK_NOFOLLOW) == 0,
      status.st_mode & S_IFMT != S_IFSOCK
    {
      throw .file(FileError("listen at", path + "/" + UnixSocket.fileName, code: EEXIST))
    }
    let probe = try UnixSocket.make()
    _ = fcntl(probe.number, F_SETFL, O_NONBLOCK)
    guard UnixSocket.call(connect, probe, in: folder) == ECONNREFUSED else {
      throw .locked(folder: path, pid: nil)
    }
    unlinkat(folder.number, UnixSocket.fileName, 0)
  }

  // MARK: Connections

  fileprivate func accept() {
    // A bounded number a turn, so that a storm of connections doesn't starve the run.
    for _ in 0..<ControlSocket.clientsMax {
      guard let listener else { return }
      let accepted = accept4(listener.descriptor, nil, nil, Int32(weir_accept_flags))
      guard accepted >= 0 else {
        if errno == EINTR || errno == ECONNABORTED { continue }
        if errno == EMFILE || errno == ENFILE { pause(listener) }
        return
      }
      let peer = ControlPeer(
        descriptor: accepted, server: self, deadlineNs: EventLoop.monotonicNow() + deadlineNs)
      let user = weir_peer_user(accepted)
      if user != 0, user != Int(geteuid()) {
        peer.turnAway("this run belongs to another user")
      } else if peers.count >= ControlSocket.clientsMax {
        peer.turnAway("\(ControlSocket.clientsMax) connections are open already; try again")
      } else if (try? loop.add(peer, interest: .read)) != nil {
        peers[ObjectIdentifier(peer)] = peer
      }
    }
  }

  /// No descriptor is left: asking again at once would spin.
  private func pause(_ listener: ControlListener) {
    loop.setInterest(listener, [])
    loop.after(Nanoseconds.second) { [weak self, weak listener] in
      if let self, let listener { loop.setInterest(listener, .read) }
    }
  }

  fileprivate func perform(_ name: String, _ arguments: JSONValue, _ answer: @escaping Answer) {
    handler(name, arguments, answer)
  }

  fileprivate func wait(for peer: ControlPeer, _ interest: EventSource.Interest) {
    loop.setInterest(peer, interest)
  }

  fileprivate func drop(_ peer: ControlPeer) {
    loop.remove(peer)
    peers[ObjectIdentifier(peer)] = nil
  }
}

private final class ControlListener: EventSource {
  weak var server: ControlSocket?
  private var file: String?

  init(_ socket: consuming Descriptor, _ folder: String) {
    file = folder + "/" + UnixSocket.fileName
    super.init(descriptor: socket.take())
  }

  deinit { close(descriptor) }

  override func ready(_ events: Interest) { server?.accept() }

  override func loopEnded() { removeFile() }

  /// Once: a later file of this name would be the next run's.
  func removeFile() {
    if let file { unlink(file) }
    file = nil
  }
}

/// One connection: reads a line, waits for its answer, writes it.
private final class ControlPeer: EventSource {
  private enum State { case reading, waiting, writing }

  private weak var server: ControlSocket?
  private var state = State.reading
  private var splitter = LineSplitter(lineBytesMax: ControlSocket.requestBytesMax)
  private var unsent: ArraySlice<UInt8> = []
  private var deadlineNs: Int64

  init(descriptor: Int32, server: ControlSocket, deadlineNs: Int64) {
    self.server = server
    self.deadlineNs = deadlineNs
    super.init(descriptor: descriptor)
  }

  deinit { close(descriptor) }

  override func ready(_ events: Interest) {
    switch state {
    case .reading: read()
    case .waiting: server?.drop(self)
    case .writing: flush()
    }
  }

  override func sweep(nowNs: Int64) {
    guard nowNs >= deadlineNs else { return }
    deadlineNs = nowNs + Nanoseconds.second
    switch state {
    case .reading: reply(.failure(.refused("no whole request came in time")))
    case .waiting: reply(.failure(.refused("the run took it up, but has no answer yet; ask for its status")))
    case .writing: server?.drop(self)
    }
  }

  func turnAway(_ reason: String) {
    let text = Array(ControlPeer.text(.failure(.refused(reason))).utf8)
    _ = write(descriptor, text, text.count)
  }

  private func read() {
    var lines: [LineSplitter.Line] = []
    let count = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 16) { buffer in
      let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      if count > 0 { lines = splitter.take(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
      return count
    }
    if count < 0, errno == EINTR || errno == EAGAIN { return }
    // A request whose line break was forgotten is one, too, once nothing can follow.
    if count == 0, let last = splitter.finish() { lines.append(last) }
    if let line = lines.first { perform(line) } else if count <= 0 { server?.drop(self) }
  }

  private func perform(_ line: LineSplitter.Line) {
    state = .waiting
    server?.wait(for: self, [])
    guard !line.isCut else {
      return reply(.failure(.protocol("a request has at most \(ControlSocket.requestBytesMax) bytes")))
    }
    guard let json = line.bytes.withUnsafeBytes({ try? JSONValue(parsing: $0) }),
      case .string(let name) = json["do"] ?? .null
    else { return reply(.failure(.protocol(#"a request is one line {"do":"NAME","args":{…}}"#))) }
    server?.perform(name, json["args"] ?? .object([])) { [weak self] in self?.reply($0) }
  }

  private func reply(_ result: Result<JSONValue, RunError>) {
    guard state != .writing else { return }
    state = .writing
    var text = ControlPeer.text(result)
    if text.utf8.count > ControlSocket.replyBytesMax {
      text = ControlPeer.text(
        .failure(.protocol("the answer has \(text.utf8.count) bytes, too many to send")))
    }
    unsent = Array(text.utf8)[...]
    flush()
  }

  private static func text(_ result: Result<JSONValue, RunError>) -> String {
    let json: JSONValue =
      switch result {
      case .success(let value): .object(["ok": .bool(true), "result": value])
      case .failure(let error): .object(["ok": .bool(false), "error": .string("\(error)")])
      }
    return json.text() + "\n"
  }

  private func flush() {
    while !unsent.isEmpty {
      let count = unsent.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        unsent = unsent.dropFirst(count)
      } else if errno == EAGAIN {
        server?.wait(for: self, .write)
        return
      } else if errno != EINTR {
        break
      }
    }
    server?.drop(self)
  }
}
