import Core

extension WebSocket {
  /// Takes the frames that lie in the input, until one is not complete or the delegate has had enough.
  func deliver() {
    guard !isDelivering, !isPaused else { return }
    let bytes = connection.input.bytes
    guard let base = bytes.baseAddress, wantsFrames else {
      return connection.input.consume(connection.input.count)
    }
    isDelivering = true
    var offset = 0
    repeat {
      hasNewDelegate = false
      offset &+= deliver(base + offset, available: bytes.count &- offset, to: delegate)
    } while hasNewDelegate && wantsFrames && !isPaused
    isDelivering = false
    connection.input.consume(wantsFrames ? offset : connection.input.count)
  }

  private var wantsFrames: Bool { state == .open || state == .closing }

  /// - Returns: how many bytes of whole frames were taken.
  private func deliver(
    _ bytes: UnsafeMutableRawPointer, available: Int, to receiver: (any WebSocketDelegate)?
  ) -> Int {
    var offset = 0
    while wantsFrames, !isPaused, !hasNewDelegate {
      let taken = takeFrame(bytes + offset, available: available &- offset, receiver)
      guard taken > 0 else { break }
      offset &+= taken
    }
    return offset
  }

  /// Handles one frame.
  ///
  /// - Returns: its bytes; 0 when it is not complete or has ended the connection.
  @inline(__always)
  private func takeFrame(
    _ bytes: UnsafeMutableRawPointer, available: Int, _ receiver: (any WebSocketDelegate)?
  ) -> Int {
    guard available >= 2 else { return 0 }
    let first = bytes.load(as: UInt8.self)
    let second = bytes.load(fromByteOffset: 1, as: UInt8.self)
    let isMessage = first == WebSocketFrame.final | WebSocketFrame.text && messageStart == 0
    if !isMessage || (second & WebSocketFrame.masked != 0) != isServer,
      let fault = WebSocketFrame.fault(
        first, second, fromClient: isServer, inMessage: messageStart != 0, deflate: deflate != nil)
    {
      fail(WebSocketCloseCode.protocolError, fault)
      return 0
    }
    guard let lengths = WebSocketFrame.lengths(bytes, available: available, isMasked: isServer) else {
      return 0
    }
    guard isWelcome(first, payloadBytes: lengths.payload) else { return 0 }
    let frameBytes = lengths.header &+ lengths.payload
    guard available >= frameBytes else { return 0 }

    let payload = UnsafeMutableRawBufferPointer(start: bytes + lengths.header, count: lengths.payload)
    var isASCII = false
    if isServer {
      let key = (bytes + (lengths.header &- 4)).loadUnaligned(as: UInt32.self)
      isASCII = WebSocketMask.unmask(payload.baseAddress!, payload.count, key: key)
    }
    if isMessage {
      guard state == .open else { return frameBytes }
      let text = UnsafeRawBufferPointer(payload)
      guard isASCII || WebSocketText.isValid(text) else {
        failText()
        return 0
      }
      receiver?.webSocketReceived(self, text: text)
    } else {
      takeUnusual(first, UnsafeRawBufferPointer(payload), receiver)
    }
    return frameBytes
  }

  /// Whether a frame of this length may come; if not, the connection has failed.
  @inline(__always)
  private func isWelcome(_ first: UInt8, payloadBytes: Int) -> Bool {
    if payloadBytes < 0 {
      fail(WebSocketCloseCode.protocolError, "a frame's length is not written in the shortest way")
      return false
    }
    if first & 0x08 != 0 { return true }
    // Compressed bytes may be a few more than those they stand for.
    let isCompressed = (first | messageStart) & WebSocketFrame.compressed != 0
    let bytesMax =
      isCompressed ? messageBytesMax &+ MessageDeflater.growthMax(messageBytesMax) : messageBytesMax
    if payloadBytes > bytesMax &- messageWireBytes {
      failSize("a message", messageBytesMax)
      return false
    }
    if payloadBytes > options.frameBytesMax {
      failSize("a frame", options.frameBytesMax)
      return false
    }
    return true
  }

  /// Everything but a text message in one uncompressed frame.
  @inline(never)
  private func takeUnusual(
    _ first: UInt8, _ payload: UnsafeRawBufferPointer, _ receiver: (any WebSocketDelegate)?
  ) {
    switch first & 0x0F {
    case WebSocketFrame.close: takeClose(payload)
    case WebSocketFrame.ping:
      guard state == .open else { return }
      sendPong(payload)
      receiver?.webSocketPinged(self)
    case WebSocketFrame.pong:
      guard state == .open else { return }
      pongDueNs = .max
      setDeadline()
      receiver?.webSocketPonged(self)
    default:
      // After our close frame nothing is delivered: then a message needs no putting together either.
      guard state == .open else { return skipFragment(first) }
      let isWhole = first & WebSocketFrame.final != 0 && messageStart == 0
      if isWhole, first & WebSocketFrame.compressed == 0 {
        receiver?.webSocketReceived(self, binary: payload)
      } else {
        takeFragment(first, payload, receiver)
      }
    }
  }

  private func skipFragment(_ first: UInt8) {
    if first & WebSocketFrame.final != 0 {
      messageStart = 0
    } else if messageStart == 0 {
      messageStart = first
    }
  }

  private func takeFragment(
    _ first: UInt8, _ payload: UnsafeRawBufferPointer, _ receiver: (any WebSocketDelegate)?
  ) {
    if messageStart == 0 { messageStart = first }
    messageWireBytes &+= payload.count
    let isLast = first & WebSocketFrame.final != 0
    if messageStart & WebSocketFrame.compressed != 0 {
      guard inflate(payload, isLast: isLast) else { return }
    } else {
      assembly.append(payload)
    }
    let isText = messageStart & 0x0F == WebSocketFrame.text
    if isText, !checkText(isLast: isLast) { return failText() }
    guard isLast else { return }
    let length = assembly.count
    messageStart = 0
    messageWireBytes = 0
    assemblyChecked = 0
    let message = assembly.bytes(from: 0, count: length)
    if isText {
      receiver?.webSocketReceived(self, text: message)
    } else {
      receiver?.webSocketReceived(self, binary: message)
    }
    assembly.consume(length)
  }

  private func inflate(_ payload: UnsafeRawBufferPointer, isLast: Bool) -> Bool {
    let agreement = deflate!
    if inflater == nil {
      inflater = MessageInflater(
        windowBits: isServer ? agreement.clientWindowBits : agreement.serverWindowBits,
        keepsContext: isServer ? agreement.clientKeepsContext : agreement.serverKeepsContext)
    }
    switch inflater!.append(payload, isLast: isLast, to: assembly, bytesMax: messageBytesMax) {
    case .complete: return true
    case .tooLarge: failSize("a message", messageBytesMax)
    case .corrupt: fail(WebSocketCloseCode.invalidData, "a message's compressed bytes are damaged")
    }
    return false
  }

  /// Checks what has come of a text message, so that a bad one ends early; all of it at its end.
  private func checkText(isLast: Bool) -> Bool {
    let rest = assembly.bytes(from: assemblyChecked, count: assembly.count - assemblyChecked)
    let tail = isLast ? 0 : WebSocketText.incompleteTail(rest)
    let checked = rest.count - tail
    guard WebSocketText.isValid(UnsafeRawBufferPointer(rebasing: rest[..<checked])) else { return false }
    assemblyChecked += checked
    return true
  }

  private func failText() { fail(WebSocketCloseCode.invalidData, "a text message is not UTF-8") }
}
