/// What a program does with a ``WebSocket``. All calls come on the loop's thread.
///
/// A delegate may send, pause, close, abort and let go of the socket in any of them.
public protocol WebSocketDelegate: AnyObject {
  /// A whole text message: UTF-8, checked. The bytes are valid during the call, and at least
  /// ``ByteQueue/padding`` bytes behind them may be read (not trusted).
  func webSocketReceived(_ socket: WebSocket, text: UnsafeRawBufferPointer)
  /// A whole binary message; its bytes as for text.
  func webSocketReceived(_ socket: WebSocket, binary: UnsafeRawBufferPointer)
  /// A pong came, asked for or not.
  func webSocketPonged(_ socket: WebSocket)
  /// A ping came; its pong is on its way already.
  func webSocketPinged(_ socket: WebSocket)
  /// There is room again after a message was refused.
  func webSocketDrained(_ socket: WebSocket)
  /// The last call, made exactly once.
  ///
  /// - Parameters:
  ///   - code: the peer's close code, 1005 when it gave none; the code this side gave when it found the peer at
  ///     fault; else 1006.
  ///   - error: nil after the peer's close frame; else why the connection ended without one.
  func webSocketClosed(_ socket: WebSocket, code: UInt16, reason: String, error: NetError?)
}

extension WebSocketDelegate {
  public func webSocketPonged(_ socket: WebSocket) {}
  public func webSocketPinged(_ socket: WebSocket) {}
  public func webSocketDrained(_ socket: WebSocket) {}
}
