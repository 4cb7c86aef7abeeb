import Core

extension WebSocket {
  /// Begins the closing handshake: sends a close frame behind what waits to be written, and gives the peer
  /// ``WebSocketOptions/closeTimeoutNs`` for its own. Nothing is delivered any more.
  ///
  /// - Parameters:
  ///   - code: one that may be sent; see ``WebSocketCloseCode/isSendable(_:)``.
  ///   - reason: cut to 123 bytes.
  public func close(code: UInt16 = WebSocketCloseCode.normal, reason: String = "") {
    precondition(WebSocketCloseCode.isSendable(code), "close code \(code) is for local use")
    guard state == .open else { return }
    state = .closing
    sendClose(code, reason)
    closeDueNs = EventLoop.monotonicNow() + options.closeTimeoutNs
    pingDueNs = .max
    pongDueNs = .max
    setDeadline()
    // What comes must be read, if only to be thrown away: the peer's close frame lies behind it.
    isPaused = false
    connection.resumeReading()
    deliverSoon()
  }

  /// Gives the connection up at once, without a close frame; what waits to be written is lost.
  public func abort() { connection.abort(.cancelled) }

  /// Like ``abort()``, and the peer sees a reset.
  public func reset() { connection.reset() }

  /// The peer is at fault: says so in a close frame and ends the connection without waiting for an answer
  /// (RFC 6455, 7.1.7).
  func fail(_ code: UInt16, _ reason: String) { fail(code, reason, .protocol(reason)) }

  func failSize(_ what: String, _ bytesMax: Int) {
    let error = NetError.tooLarge(what, bytesMax: bytesMax)
    fail(WebSocketCloseCode.tooLarge, "\(error)", error)
  }

  private func fail(_ code: UInt16, _ reason: String, _ error: NetError) {
    guard state == .open || state == .closing else { return }
    failure = error
    closeCode = code
    closeReason = reason
    if state == .open { sendClose(code, reason) }
    finish(endsConnection: true)
  }

  func takeClose(_ payload: UnsafeRawBufferPointer) {
    var code = WebSocketCloseCode.absent
    if payload.count == 1 { return fail(WebSocketCloseCode.protocolError, "a close frame holds one byte") }
    if payload.count >= 2 {
      code = UInt16(bigEndian: payload.loadUnaligned(as: UInt16.self))
      guard WebSocketCloseCode.isSendable(code) else {
        return fail(WebSocketCloseCode.protocolError, "close code \(code) must not be sent")
      }
      let reason = UnsafeRawBufferPointer(rebasing: payload[2...])
      guard WebSocketText.isValid(reason) else {
        return fail(WebSocketCloseCode.invalidData, "a close frame's reason is not UTF-8")
      }
      closeReason = String(decoding: reason, as: UTF8.self)
    }
    closeCode = code
    hasPeerClosed = true
    if state == .open {
      if code == WebSocketCloseCode.absent {
        appendFrame(WebSocketFrame.close, UnsafeRawBufferPointer(start: nil, count: 0))
      } else {
        sendClose(code, "")
      }
    }
    // The server ends TCP first, so that it isn't the client that is left with a port in TIME_WAIT (7.1.1).
    finish(endsConnection: isServer)
  }

  private func sendClose(_ code: UInt16, _ reason: String) {
    guard connection.isOpen else { return }
    var payload = [UInt8(code >> 8), UInt8(code & 0xFF)]
    for character in reason.unicodeScalars {
      let scalar = UTF8.encode(character)!
      guard payload.count + scalar.count <= WebSocketFrame.controlBytesMax else { break }
      payload += scalar
    }
    payload.withUnsafeBytes { appendFrame(WebSocketFrame.close, $0) }
  }

  private func finish(endsConnection: Bool) {
    state = .finished
    pingDueNs = .max
    pongDueNs = .max
    closeDueNs = EventLoop.monotonicNow() + options.closeTimeoutNs
    setDeadline()
    assembly.consume(assembly.count)
    waitingPong = nil
    if endsConnection { connection.close() }
  }
}
