import Core

/// A server's answer, received whole.
public struct HTTPResponse {
  public let status: Int
  public let headers: HTTPHeaders
  private let content: ByteQueue

  init(status: Int, headers: HTTPHeaders, body: UnsafeRawBufferPointer) {
    self.status = status
    self.headers = headers
    content = ByteQueue(capacity: body.count)
    content.append(body)
  }

  public var bodyCount: Int { content.count }
  /// A copy of the body.
  public var body: [UInt8] { Array(content.bytes) }
  /// The body as text; bytes that are no UTF-8 are replaced.
  public var text: String { String(decoding: content.bytes, as: UTF8.self) }

  /// The body in place, with at least ``ByteQueue/padding`` readable bytes behind it, valid during the call.
  public func withBody<Result, Failure: Error>(
    _ read: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try read(UnsafeRawBufferPointer(content.bytes))
  }
}
