import Core

/// Limits, deadlines and extensions of a ``WebSocket``.
public struct WebSocketOptions: Sendable {
  /// A message larger than this, compressed or not, ends the connection with code 1009. At most 2 GiB.
  public var messageBytesMax = 16 << 20
  /// Likewise for a single frame; no bound of its own by default.
  public var frameBytesMax = Int.max
  /// Payload that may wait to be written. What would exceed it is not taken; see ``WebSocket/send(text:)``.
  public var outputBytesMax = 16 << 20

  /// Client: for name, TCP, TLS and upgrade together.
  public var handshakeTimeoutNs = 10 * Nanoseconds.second
  /// How long the peer may take for its half of the close, and again to end TCP.
  public var closeTimeoutNs = 2 * Nanoseconds.second
  /// A ping is sent so often; 0 for never.
  public var pingIntervalNs: Int64 = 0
  /// A peer of which nothing at all has come for so long after a ping is given up.
  public var pongTimeoutNs = 10 * Nanoseconds.second

  /// Client: offers permessage-deflate; server: accepts it.
  public var deflate = false
  /// zlib's level, 1...9.
  public var deflateLevel: Int32 = 1
  /// Largest window, 9...15, for both directions as far as the peer agrees. A socket that has compressed holds
  /// 2^(bits + 2) bytes of window and at most 128 KiB of hash; one that has decompressed 2^bits and 8 KiB:
  /// about 300 KiB together at 15 bits. Neither exists before the first compressed message.
  public var deflateWindowBits = 15
  /// Whether a message may refer to earlier ones. Without it messages compress worse, and independently.
  public var deflateKeepsContext = true
  /// Shorter messages go uncompressed.
  public var deflateBytesMin = 64

  /// Client: offered, in order of preference; server: understood, in order of preference.
  public var subprotocols: [String] = []

  public init() {}

  public init(deflate: Bool) { self.deflate = deflate }
}
