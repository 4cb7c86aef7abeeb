import Net

/// Sends back what comes. While the client doesn't read, nothing is read from it either: at most one message
/// waits here.
final class EchoSocket: WebSocketDelegate {
  private let socket: WebSocket
  private let whenClosed: (ObjectIdentifier) -> Void
  private var waiting: (isText: Bool, bytes: [UInt8])?

  init(_ socket: WebSocket, whenClosed: @escaping (ObjectIdentifier) -> Void) {
    self.socket = socket
    self.whenClosed = whenClosed
    socket.delegate = self
  }

  func webSocketReceived(_ socket: WebSocket, text: UnsafeRawBufferPointer) {
    if !socket.send(text: text) { wait(true, text) }
  }

  func webSocketReceived(_ socket: WebSocket, binary: UnsafeRawBufferPointer) {
    if !socket.send(binary: binary) { wait(false, binary) }
  }

  private func wait(_ isText: Bool, _ bytes: UnsafeRawBufferPointer) {
    guard socket.isOpen else { return }
    waiting = (isText, Array(bytes))
    socket.pauseReading()
  }

  func webSocketDrained(_ socket: WebSocket) {
    guard let (isText, bytes) = waiting else { return }
    let isTaken = bytes.withUnsafeBytes { isText ? socket.send(text: $0) : socket.send(binary: $0) }
    guard isTaken else { return }
    waiting = nil
    socket.resumeReading()
  }

  func webSocketClosed(_ socket: WebSocket, code: UInt16, reason: String, error: NetError?) {
    whenClosed(ObjectIdentifier(self))
  }
}
