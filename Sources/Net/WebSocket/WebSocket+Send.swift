import Core
import Glibc

extension WebSocket {
  /// Sends a text message; the caller vouches for UTF-8.
  ///
  /// - Returns: false when the socket is closed or closing, or when the message would make more than
  ///   ``WebSocketOptions/outputBytesMax`` bytes wait: nothing of it was taken then, and
  ///   ``WebSocketDelegate/webSocketDrained(_:)`` says when to try again. A message larger than that is never
  ///   taken.
  @discardableResult
  public func send(text: UnsafeRawBufferPointer) -> Bool { sendMessage(WebSocketFrame.text, text) }

  @discardableResult
  public func send(text: String) -> Bool {
    var text = text
    return text.withUTF8 { sendMessage(WebSocketFrame.text, UnsafeRawBufferPointer($0)) }
  }

  /// Sends a binary message; otherwise as for text.
  @discardableResult
  public func send(binary: UnsafeRawBufferPointer) -> Bool { sendMessage(WebSocketFrame.binary, binary) }

  /// - Parameter payload: at most 125 bytes; the pong repeats them.
  /// - Returns: as for messages.
  @discardableResult
  public func ping(_ payload: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)) -> Bool {
    precondition(payload.count <= WebSocketFrame.controlBytesMax, "a ping carries at most 125 bytes")
    guard state == .open, admits(payload.count) else { return false }
    appendFrame(WebSocketFrame.ping, payload)
    return true
  }

  /// - Parameter payload: the ping's, at most 125 bytes.
  func sendPong(_ payload: UnsafeRawBufferPointer) {
    if admits(payload.count) {
      waitingPong = nil
      appendFrame(WebSocketFrame.pong, payload)
    } else {
      waitingPong = Array(payload)
    }
  }

  private func sendMessage(_ opcode: UInt8, _ payload: UnsafeRawBufferPointer) -> Bool {
    guard state == .open else { return false }
    if deflate != nil, payload.count >= options.deflateBytesMin, payload.count > 0,
      let deflater = usableDeflater()
    {
      let bytesMax = payload.count &+ MessageDeflater.growthMax(payload.count)
      guard admits(bytesMax) else { return false }
      appendCompressed(opcode, payload, deflater)
    } else {
      guard admits(payload.count) else { return false }
      appendFrame(opcode, payload)
    }
    return true
  }

  /// Whether a frame with such a payload fits. If not, the connection will say when there is room.
  @inline(__always)
  private func admits(_ payloadBytes: Int) -> Bool {
    let frameBytes = payloadBytes &+ WebSocketFrame.headerBytesMax
    return connection.output.count &+ frameBytes <= outputBytesMax || connection.admits(frameBytes)
  }

  /// A whole frame, straight into the connection's output. Its room has been asked for.
  func appendFrame(_ opcode: UInt8, _ payload: UnsafeRawBufferPointer) {
    let output = connection.output
    let place = output.room(payload.count &+ WebSocketFrame.headerBytesMax)
    let first = WebSocketFrame.final | opcode
    var header = WebSocketFrame.write(
      place, first: first, payloadBytes: payload.count, mask: isServer ? 0 : WebSocketFrame.masked)
    if isServer {
      if let source = payload.baseAddress { memcpy(place + header, source, payload.count) }
    } else {
      let key = maskKeys.next()
      (place + header).storeBytes(of: key, as: UInt32.self)
      header &+= 4
      if let source = payload.baseAddress {
        WebSocketMask.copy(source, to: place + header, payload.count, key: key)
      }
    }
    output.commit(header &+ payload.count)
    connection.wrote()
  }

  /// Compresses behind a gap for the largest header, then closes the gap: the length isn't known before.
  private func appendCompressed(
    _ opcode: UInt8, _ payload: UnsafeRawBufferPointer, _ deflater: MessageDeflater
  ) {
    let output = connection.output
    let start = output.count
    let gap = WebSocketFrame.headerBytesMax
    _ = output.room(gap)
    output.commit(gap)
    deflater.append(payload, to: output)
    let length = output.count &- start &- gap
    let place = output.bytes.baseAddress! + start
    var header = WebSocketFrame.write(
      place, first: WebSocketFrame.final | WebSocketFrame.compressed | opcode, payloadBytes: length,
      mask: isServer ? 0 : WebSocketFrame.masked)
    if isServer {
      memmove(place + header, place + gap, length)
    } else {
      let key = maskKeys.next()
      (place + header).storeBytes(of: key, as: UInt32.self)
      header &+= 4
      memmove(place + header, place + gap, length)
      WebSocketMask.copy(place + header, to: place + header, length, key: key)
    }
    output.removeLast(gap &- header)
    connection.wrote()
  }

  /// nil where the peer wants a window that zlib cannot make: messages then go uncompressed, as they may.
  private func usableDeflater() -> MessageDeflater? {
    if let deflater { return deflater }
    guard let agreement = deflate else { return nil }
    let bits = isServer ? agreement.serverWindowBits : agreement.clientWindowBits
    guard bits >= 9 else { return nil }
    deflater = MessageDeflater(
      level: options.deflateLevel, windowBits: bits,
      keepsContext: isServer ? agreement.serverKeepsContext : agreement.clientKeepsContext)
    return deflater
  }
}
