import CSystem
import CTLS
import Core
import Glibc

/// What a protocol does with a ``Connection``. All calls come on the loop's thread.
public protocol ConnectionDelegate: AnyObject {
  /// The stream is up: TCP is connected and TLS, if any, has verified the peer.
  func connectionOpened(_ connection: Connection)
  /// New bytes lie in ``Connection/input``. What is not consumed stays for the next time.
  func connectionReceived(_ connection: Connection)
  /// Output has fallen below ``Connection/outputLowBytes`` after ``Connection/write(_:)`` said it is full.
  func connectionDrained(_ connection: Connection)
  /// The last call: the descriptor is gone. Also after a failed attempt to connect.
  func connectionClosed(_ connection: Connection, _ reason: NetError)
  /// ``Connection/deadlineNs`` has passed; it was reset to none.
  func connectionTimedOut(_ connection: Connection)
}

/// A non-blocking stream of bytes over TCP, plain or with TLS, with its two queues.
///
/// **Output.** ``write(_:)`` appends to ``output``; the queue is written at the end of the loop's turn, so that
/// many small writes become one system call. The queue is bounded: what would exceed ``outputBytesMax`` is not
/// taken and the caller learns so; nothing is dropped in silence.
///
/// **Input.** A turn reads at most ``readBytesPerTurn``, so that one fast peer cannot starve the others. While
/// ``isReadingPaused`` nothing is read and TCP pushes back on the peer; the input queue is therefore bounded by
/// what the delegate leaves in it. A peer's orderly end is reported only after the pause.
///
/// **Life.** The loop owns an open connection. After ``connectionClosed(_:_:)`` it does nothing any more,
/// whoever still holds it.
public final class Connection: EventSource {
  public let input: ByteQueue
  public let output: ByteQueue
  public weak var delegate: (any ConnectionDelegate)?
  /// Monotonic time at which the delegate wants to be called, with the sweep's resolution; `.max` for never.
  public var deadlineNs: Int64 = .max
  public var outputBytesMax = 16 << 20
  public var outputLowBytes = 64 << 10
  /// Peer's name for messages.
  public let peer: String
  public let isSecure: Bool
  public private(set) var isOpen = false
  public private(set) var isReadingPaused = false
  /// Bytes the system has taken so far: it stands still when the peer doesn't read.
  public private(set) var writtenBytes = 0

  static let readBytesPerTurn = 256 << 10
  static let lingerNs = 2 * Nanoseconds.second

  /// Kept only while the connection is watched, so it cannot be used after the loop's end.
  private weak var loop: EventLoop?
  private let tls: TLSContext?
  private var session: OpaquePointer?
  private var state: State
  private var isDirty = false
  private var wasFull = false
  private var closesWhenWritten = false
  /// TLS may have to write in order to read, and the other way round.
  private var tlsWantsWrite = false

  private enum State { case connecting, handshaking, open, finishing, closed }

  /// A connected or connecting socket. ``start()`` begins.
  init(
    descriptor: Int32, loop: EventLoop, tls: TLSContext?, host: String, peer: String, isConnected: Bool
  ) {
    input = ByteQueue(capacity: 16 << 10)
    output = ByteQueue(capacity: 4096)
    self.loop = loop
    self.tls = tls
    self.peer = peer
    isSecure = tls != nil
    state = isConnected ? (tls == nil ? .open : .handshaking) : .connecting
    super.init(descriptor: descriptor)
    session = tls?.makeSession(descriptor: descriptor, host: host)
    var one: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
  }

  deinit { release() }

  func start() throws(NetError) {
    guard let loop else { throw .cancelled }
    try loop.add(self, interest: state == .connecting ? [.write] : [.read])
    if state == .open {
      isOpen = true
      delegate?.connectionOpened(self)
    }
  }

  // MARK: Writing

  /// Appends to the output.
  ///
  /// - Returns: false when the connection is closed or the output is full; nothing was taken then.
  @discardableResult
  public func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard admits(bytes.count) else { return false }
    output.append(bytes)
    wrote()
    return true
  }

  /// Whether so many more bytes fit. When not, ``ConnectionDelegate/connectionDrained(_:)`` will be called.
  public func admits(_ length: Int) -> Bool {
    guard isOpen, !closesWhenWritten else { return false }
    if output.count + length <= outputBytesMax { return true }
    wasFull = true
    return false
  }

  /// Bytes were put into ``output`` directly: have them written at the end of the turn.
  public func wrote() {
    guard !isDirty, let loop else { return }
    isDirty = true
    loop.writeAtTurnEnd(self)
  }

  /// Writes what waits, now.
  public func flush() {
    isDirty = false
    guard isOpen else { return }
    var failure: NetError?
    while !output.isEmpty {
      let bytes = output.bytes
      if let session {
        ERR_clear_error()
        let count = SSL_write(session, bytes.baseAddress, Int32(min(bytes.count, Int(Int32.max))))
        if count > 0 {
          output.consume(Int(count))
          writtenBytes += Int(count)
          continue
        }
        failure = tlsFailure(count)
      } else {
        let count = send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        if count >= 0 {
          output.consume(count)
          writtenBytes += count
          continue
        }
        if errno == EINTR { continue }
        if errno != EAGAIN { failure = .closed }
      }
      break
    }
    if let failure { return end(failure) }
    if output.isEmpty, closesWhenWritten { return finishWriting() }
    updateInterest()
    if wasFull, output.count <= outputLowBytes {
      wasFull = false
      delegate?.connectionDrained(self)
    }
  }

  // MARK: Reading

  /// Stops reading: the peer will have to wait.
  public func pauseReading() {
    isReadingPaused = true
    updateInterest()
  }

  public func resumeReading() {
    guard isReadingPaused else { return }
    isReadingPaused = false
    updateInterest()
    // TLS may hold decrypted bytes that no event announces.
    if isOpen, session != nil { loop?.callAgain(self) }
  }

  public override func ready(_ events: Interest) {
    switch state {
    case .connecting: return finishConnecting()
    case .handshaking: return handshake()
    case .finishing: return finish()
    case .closed: return
    case .open: break
    }
    if events.contains(.write) || tlsWantsWrite {
      tlsWantsWrite = false
      flush()
    }
    guard state == .open else { return }
    if !events.intersection([.read, .failure]).isEmpty, !isReadingPaused || events.contains(.failure) {
      receive(isBroken: events.contains(.failure))
    }
  }

  private func receive(isBroken: Bool) {
    var taken = 0
    var failure: NetError?
    while taken < Connection.readBytesPerTurn {
      let place = input.room(32 << 10)
      let room = input.roomLeft
      if let session {
        ERR_clear_error()
        let count = SSL_read(session, place, Int32(min(room, Connection.readBytesPerTurn)))
        if count > 0 {
          input.commit(Int(count))
          taken += Int(count)
          continue
        }
        failure = tlsFailure(count)
        break
      }
      let count = recv(descriptor, place, min(room, Connection.readBytesPerTurn), 0)
      if count > 0 {
        input.commit(count)
        taken += count
        // A read that didn't fill the room has emptied the socket.
        if count < room { break }
        continue
      }
      if count == 0 {
        failure = .closed
      } else if errno == EINTR {
        continue
      } else if errno != EAGAIN {
        failure = .closed
      }
      break
    }
    if taken > 0 { delegate?.connectionReceived(self) }
    guard state == .open else { return }
    if let failure {
      // A delegate that has just paused still wants what lies in the input. The end of the stream stays in the
      // socket and is found again after the pause; only a broken socket would be announced for ever.
      if isReadingPaused, failure == .closed, !isBroken { return }
      // The peer has said its last word, but may still listen: what answers it must not be lost.
      if failure == .closed, !output.isEmpty { flush() }
      return end(failure)
    }
    if session != nil {
      if taken >= Connection.readBytesPerTurn { loop?.callAgain(self) }
      updateInterest()
    }
  }

  // MARK: Opening and closing

  private func finishConnecting() {
    var code: Int32 = 0
    var length = socklen_t(4)
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
    guard code == 0 else { return end(.connect(peer, code)) }
    if session != nil {
      state = .handshaking
      return handshake()
    }
    opened()
  }

  private func handshake() {
    guard let session else { return }
    ERR_clear_error()
    let result = SSL_do_handshake(session)
    if result == 1 { return opened() }
    switch SSL_get_error(session, result) {
    case SSL_ERROR_WANT_READ: loop?.setInterest(self, [.read])
    case SSL_ERROR_WANT_WRITE: loop?.setInterest(self, [.write])
    default: end(.tls(peer, TLSContext.failure(session)))
    }
  }

  private func opened() {
    state = .open
    isOpen = true
    loop?.setInterest(self, [.read])
    delegate?.connectionOpened(self)
    // The handshake's last read may have brought data along.
    if isOpen, session != nil { loop?.callAgain(self) }
  }

  /// Closes once all output is written; input is no longer wanted.
  public func close() {
    guard isOpen, !closesWhenWritten else { return }
    closesWhenWritten = true
    wrote()
  }

  /// Gives the connection up at once; output that waits is lost. The delegate is told.
  public func abort(_ reason: NetError = .cancelled) { end(reason) }

  /// Like ``abort(_:)``, and the peer sees a reset.
  public func reset() {
    guard state != .closed else { return }
    var value = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    end(.cancelled)
  }

  /// The output is out: says so to the peer, and waits a little for it to close as well, so that no reset
  /// overtakes the last bytes.
  private func finishWriting() {
    if let session { SSL_shutdown(session) }
    shutdown(descriptor, Int32(SHUT_WR))
    state = .finishing
    isOpen = false
    loop?.setInterest(self, [.read])
    deadlineNs = EventLoop.monotonicNow() + Connection.lingerNs
  }

  /// Reads and forgets until the peer has closed.
  private func finish() {
    while true {
      let count = recv(descriptor, input.room(16 << 10), 16 << 10, 0)
      if count > 0 || (count < 0 && errno == EINTR) { continue }
      if count < 0, errno == EAGAIN { return }
      return end(.closed)
    }
  }

  private func end(_ reason: NetError) {
    guard state != .closed else { return }
    state = .closed
    isOpen = false
    loop?.remove(self)
    release()
    delegate?.connectionClosed(self, reason)
    delegate = nil
  }

  private func release() {
    if let session { SSL_free(session) }
    session = nil
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  private func updateInterest() {
    guard state == .open else { return }
    var interest: Interest = isReadingPaused ? [] : [.read]
    if !output.isEmpty || tlsWantsWrite { interest.insert(.write) }
    if interest != self.interest { loop?.setInterest(self, interest) }
  }

  /// nil where the call only has to be repeated later.
  private func tlsFailure(_ result: Int32) -> NetError? {
    switch SSL_get_error(session, result) {
    case SSL_ERROR_WANT_READ: return nil
    case SSL_ERROR_WANT_WRITE:
      tlsWantsWrite = true
      return nil
    case SSL_ERROR_ZERO_RETURN: return .closed
    case SSL_ERROR_SYSCALL: return .closed
    default: return .tls(peer, NetError.tlsReason())
    }
  }

  public override func sweep(nowNs: Int64) {
    guard nowNs >= deadlineNs else { return }
    deadlineNs = .max
    switch state {
    case .open: delegate?.connectionTimedOut(self)
    case .connecting, .handshaking: end(.timeout("connecting to \(peer)"))
    case .finishing, .closed: end(.closed)
    }
  }

  public override func loopEnded() { end(.cancelled) }
}
