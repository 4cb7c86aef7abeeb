import Core

/// Finds a stream from its exchange without keeping it alive.
final class HTTPStreamReference {
  weak var stream: HTTPBodyStream?
  let isEvents: Bool

  init(_ stream: HTTPBodyStream?, isEvents: Bool) {
    self.stream = stream
    self.isEvents = isEvents
  }
}

/// The body of an answer, written bit by bit.
///
/// Its holder keeps it: dropped before ``finish()``, the connection is cut, so that the client doesn't take a
/// part for the whole. After the end, from whichever side, all calls do nothing.
///
/// **Bound.** ``write(_:)`` refuses what would make more than ``HTTPServerOptions/outputBytesMax`` wait;
/// ``onDrained`` then says when to go on. Nothing is dropped.
public final class HTTPBodyStream {
  /// There is room again after ``write(_:)`` has refused.
  public var onDrained: (() -> Void)?
  /// The client is gone, or the server has cut the connection, before ``finish()``. Called once.
  public var onClosed: (() -> Void)?
  private var owner: HTTPServerConnection?
  private let sequence: Int
  private var content = HTTPServerConnection.Content.none
  private var lengthLeft: Int?
  private var wasRefused = false
  /// Narrower bound on what waits, for events.
  var bytesMax: Int?

  init(
    _ owner: HTTPServerConnection?, _ sequence: Int, _ status: Int, _ headers: HTTPHeaders,
    _ type: ContentType?, length: Int?, isEvents: Bool
  ) {
    self.sequence = sequence
    let reference = HTTPStreamReference(nil, isEvents: isEvents)
    guard let owner,
      let content = owner.beginStream(
        sequence, status, headers, type, length: length, reference)
    else { return }
    self.owner = owner
    self.content = content
    if case .length = content { lengthLeft = length }
    reference.stream = self
  }

  deinit { owner?.abort() }

  public var isOpen: Bool { owner != nil }

  /// Bytes that wait to be sent.
  public var waitingBytes: Int { owner?.streamWaitingBytes(sequence) ?? 0 }

  /// - Returns: false when the bytes were not taken: the stream is full or closed.
  @discardableResult
  public func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let owner else { return false }
    if let lengthLeft { precondition(bytes.count <= lengthLeft, "more content than announced") }
    guard owner.write(sequence, bytes, content, bytesMax: bytesMax) else {
      wasRefused = true
      return false
    }
    lengthLeft? -= bytes.count
    return true
  }

  @discardableResult
  public func write(_ text: String) -> Bool {
    var text = text
    return text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
  }

  /// The body is whole. One that is shorter than announced cuts the connection.
  public func finish() {
    guard let owner else { return }
    if let lengthLeft, lengthLeft > 0 { return abort() }
    letGo()
    owner.finishStream(sequence, content)
  }

  /// Cuts the connection: the client sees that the body is not whole.
  public func abort() {
    guard let owner else { return }
    letGo()
    owner.abort()
  }

  private func letGo() {
    owner = nil
    onDrained = nil
    onClosed = nil
  }

  /// The connection is gone.
  func ended() {
    let closed = onClosed
    letGo()
    closed?()
  }

  /// The server stops: the body ends whole, and the holder learns that it has.
  func endWhole() {
    let closed = onClosed
    finish()
    closed?()
  }

  func roomAgain() {
    guard wasRefused else { return }
    wasRefused = false
    onDrained?()
  }
}
