import Core
import Glibc

/// One end of a websocket connection (RFC 6455, with permessage-deflate of RFC 7692).
///
/// **Problem.** The feed is thousands of messages of some hundred bytes a second and connection, in bursts. The
/// kernel's share of such a message is about 50 ns; what surrounds it must not cost more. At the same time
/// every byte comes from somebody else: lengths that lie, text that isn't, compressed bombs, a peer that stops
/// in the middle.
///
/// **Why the obvious answer fails.** A message as a value of its own (an array, a string, a task to carry it)
/// costs an allocation and a copy or two: ten times the budget. A queue of messages in front of a slow reader
/// must either grow or drop, and both are silent.
///
/// **Algorithm.** Frames are read where the socket's bytes lie. An unfragmented message is unmasked in place,
/// eight bytes at a time, checked for ASCII on the way (UTF-8 otherwise), and lent to the delegate for the
/// length of the call. Only a fragmented or compressed message is put together in a buffer, which is reused.
/// Lengths are checked when the header is there, before a byte of the payload is waited for. Sending writes the
/// header and the (masked, or compressed) payload straight into the connection's output.
///
/// **Backpressure.** Nothing is dropped. Reading: after ``pauseReading()`` no message is delivered, not even
/// those that have arrived, and TCP makes the peer wait; what lies in the input then is bounded by one frame and
/// one turn's reading. Writing: at most ``WebSocketOptions/outputBytesMax`` bytes wait, more are not taken and
/// the sender learns so. A pong that finds no room is kept; a later ping's pong takes its place (RFC 6455,
/// 5.5.3).
///
/// **Life.** An open socket keeps itself alive, through its connection the loop does; after
/// ``WebSocketDelegate/webSocketClosed(_:code:reason:error:)`` it belongs to whoever still holds it. The end of
/// the loop closes it.
public final class WebSocket {
  /// Messages that come while there is none are read and forgotten.
  public weak var delegate: (any WebSocketDelegate)? {
    didSet { hasNewDelegate = true }
  }

  /// The request's target: path and query as sent.
  public let target: String
  /// What the two sides agreed on, if anything.
  public let subprotocol: String?
  /// The head of the peer's half of the handshake: a server sees the request's fields, a client the answer's.
  public let handshakeHeaders: HTTPHeaders
  public let isServer: Bool
  public let options: WebSocketOptions
  /// nil: messages are not compressed.
  let deflate: DeflateAgreement?

  let connection: Connection
  var state = State.open
  // What other modules can see of a class is checked for exclusive access at run time, once a message: hence
  // the internal properties with public views.
  var isPaused = false
  let outputBytesMax: Int

  // Receiving.
  var isDelivering = false
  /// The delegate is held for the length of a batch, as a weak reference costs as much as a small message; a
  /// change within the batch is seen by this.
  var hasNewDelegate = false
  /// The message being put together.
  let assembly = ByteQueue(capacity: 1024)
  /// First byte of that message's first frame; 0 between messages.
  var messageStart: UInt8 = 0
  /// How much of it is known to be UTF-8.
  var assemblyChecked = 0
  /// Bytes of its frames so far.
  var messageWireBytes = 0
  let messageBytesMax: Int
  var inflater: MessageInflater?

  // Sending.
  var maskKeys = WebSocketMaskKeys()
  var deflater: MessageDeflater?
  /// A pong that found no room.
  var waitingPong: [UInt8]?

  // Closing.
  var closeCode = WebSocketCloseCode.abnormal
  var closeReason = ""
  var hasPeerClosed = false
  var failure: NetError?

  // Deadlines: monotonic, `.max` for none.
  var pingDueNs = Int64.max
  var pongDueNs = Int64.max
  var closeDueNs = Int64.max
  /// Whether anything has come since the last ping.
  var hasHeard = true

  private weak var loop: EventLoop?
  /// Set from the handshake to the end of the connection.
  private var keeper: WebSocket?

  enum State {
    case open
    /// Our close frame is out; the peer's is awaited.
    case closing
    /// No frame is wanted any more; TCP is about to end.
    case finished
    /// The delegate has been told.
    case ended
  }

  /// Takes over an open connection after the handshake.
  init(
    _ connection: Connection, isServer: Bool, target: String, headers: HTTPHeaders, subprotocol: String?,
    deflate: DeflateAgreement?, options: WebSocketOptions, loop: EventLoop
  ) {
    self.connection = connection
    self.isServer = isServer
    self.target = target
    self.handshakeHeaders = headers
    self.subprotocol = subprotocol
    self.deflate = deflate
    self.options = options
    self.loop = loop
    messageBytesMax = max(0, min(options.messageBytesMax, Int(Int32.max)))
    let payloadMax = max(0, min(options.outputBytesMax, Int(Int32.max)))
    let growthMax = deflate == nil ? 0 : MessageDeflater.growthMax(payloadMax)
    outputBytesMax = payloadMax + growthMax + WebSocketFrame.headerBytesMax
    connection.outputBytesMax = outputBytesMax
    connection.delegate = self
    keeper = self
    if options.pingIntervalNs > 0 { pingDueNs = EventLoop.monotonicNow() + options.pingIntervalNs }
    setDeadline()
    if connection.isReadingPaused { connection.resumeReading() }
  }

  /// Whether messages can be sent and will be delivered: until either side closes.
  public var isOpen: Bool { state == .open }

  /// Bytes that wait to be written, framing included.
  public var bufferedBytes: Int { connection.output.count }

  /// The peer's name for messages.
  public var peer: String { connection.peer }

  public var isSecure: Bool { connection.isSecure }

  /// Whether messages may be compressed.
  public var isDeflated: Bool { deflate != nil }

  // MARK: Flow of input

  public var isReadingPaused: Bool { isPaused }

  /// Delivers nothing more, from this moment on: messages of the same batch wait as well. Pings are not
  /// answered meanwhile.
  public func pauseReading() {
    guard state == .open, !isPaused else { return }
    isPaused = true
    connection.pauseReading()
  }

  /// Goes on with the messages that have arrived, in the next turn, and then with new ones.
  public func resumeReading() {
    guard isPaused else { return }
    isPaused = false
    // Silence during the pause was our doing.
    hasHeard = true
    connection.resumeReading()
    deliverSoon()
  }

  /// Frames that lie in the input already announce themselves by no event.
  func deliverSoon() {
    guard !connection.input.isEmpty else { return }
    loop?.soon { [weak self] in self?.deliver() }
  }
}

// MARK: - The connection's events

extension WebSocket: ConnectionDelegate {
  public func connectionOpened(_ connection: Connection) {}

  public func connectionReceived(_ connection: Connection) {
    hasHeard = true
    deliver()
  }

  public func connectionDrained(_ connection: Connection) {
    guard state == .open else { return }
    if let pong = waitingPong {
      waitingPong = nil
      pong.withUnsafeBytes { sendPong($0) }
    }
    delegate?.webSocketDrained(self)
  }

  public func connectionTimedOut(_ connection: Connection) {
    let now = EventLoop.monotonicNow()
    switch state {
    case .open:
      if now >= pongDueNs {
        pongDueNs = .max
        guard hasHeard || isPaused else {
          return connection.abort(.timeout("an answer of \(peer) to a ping"))
        }
      }
      if now >= pingDueNs {
        pingDueNs = now + options.pingIntervalNs
        // Without room there is a peer that doesn't read; the deadline for its answer holds all the same.
        ping()
        if pongDueNs == .max {
          pongDueNs = now + options.pongTimeoutNs
          hasHeard = false
        }
      }
      setDeadline()
    case .closing:
      connection.abort(.timeout("the closing handshake with \(peer)"))
    case .finished:
      connection.abort(.closed)
    case .ended: break
    }
  }

  public func connectionClosed(_ connection: Connection, _ reason: NetError) {
    guard state != .ended else { return }
    state = .ended
    let delegate = delegate
    self.delegate = nil
    inflater = nil
    deflater = nil
    keeper = nil
    delegate?.webSocketClosed(
      self, code: closeCode, reason: closeReason, error: hasPeerClosed ? nil : failure ?? reason)
  }

  func setDeadline() {
    guard connection.isOpen else { return }
    connection.deadlineNs = min(pingDueNs, pongDueNs, closeDueNs)
  }
}
