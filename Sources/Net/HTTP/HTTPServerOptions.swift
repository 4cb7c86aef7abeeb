import Core

/// Where a server listens, and its bounds. Times in nanoseconds.
public struct HTTPServerOptions: Sendable {
  /// A numeric address, or `localhost`.
  public var host = "127.0.0.1"
  /// 0 for a free port.
  public var port: UInt16 = 0
  /// A larger head is refused with 431, a longer request line with 414.
  public var headBytesMax = 16 << 10
  /// A larger body is refused with 413, where possible before it is sent.
  public var bodyBytesMax = 1 << 20
  /// A connection without a request is closed after so long.
  public var idleNs = 60 * Nanoseconds.second
  /// A head that is not complete so long after its first byte is refused with 408. Also the TLS handshake's
  /// and the first byte's time.
  public var headTimeoutNs = 10 * Nanoseconds.second
  /// A body that is not complete so long after its head is refused with 408.
  public var bodyTimeoutNs = 30 * Nanoseconds.second
  /// A client that takes none of the waiting output for so long (twice at most) is cut off.
  public var writeStallNs = 30 * Nanoseconds.second
  /// Who comes on top of so many is answered 503.
  public var connectionsMax = 1024
  /// With so many unanswered requests on one connection no more are read from it.
  public var pipelineMax = 64
  /// With so much output waiting on one connection no more requests are read from it, and streams are full.
  /// An answer that is given whole is always taken whole, so the memory of a connection is bounded by this
  /// and the answers to ``pipelineMax`` requests.
  public var outputBytesMax = 1 << 20

  public init() {}

  public init(host: String = "127.0.0.1", port: UInt16) {
    self.host = host
    self.port = port
  }
}
