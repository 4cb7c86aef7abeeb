import Core
import Tape

/// Now, on the two clocks a harvester needs.
public struct Moment: Equatable, Sendable {
  /// Stamps what was received. It may be set by hand or by a time service, and so jump.
  public var wall: UnixNanos
  /// Measures deadlines and round trips, nanoseconds since an origin of its own. It never jumps.
  public var monotonicNs: Int64

  public init(wall: UnixNanos, monotonicNs: Int64) {
    self.wall = wall
    self.monotonicNs = monotonicNs
  }
}

/// Where a harvester writes: a ``TapeWriter``, or a log in memory under simulation.
public protocol RecordLog: ~Copyable {
  /// Appends a websocket message as it came over the wire; its `seq`.
  mutating func append(
    frame: UnsafeRawBufferPointer, receiveTime: UnixNanos, connection: Int32
  ) throws(TapeError) -> Int64

  /// Appends a record of any other kind; its `seq`.
  mutating func append(
    _ kind: RecordKind, stream: String?, data: UnsafeRawBufferPointer, receiveTime: UnixNanos,
    connection: Int32
  ) throws(TapeError) -> Int64
}

extension TapeWriter: RecordLog {}

/// A websocket the harvester has asked for; never the same twice.
public struct SocketID: Hashable, Sendable {
  public var rawValue: Int32

  public init(rawValue: Int32) { self.rawValue = rawValue }
}

/// A REST request the harvester has asked for; never the same twice.
public struct RequestID: Hashable, Sendable {
  public var rawValue: Int64

  public init(rawValue: Int64) { self.rawValue = rawValue }
}

/// What a harvester wants done. The shell takes the actions after every call and does them in order.
public enum HarvestAction: Equatable, Sendable {
  /// Open a websocket to the root's base URL followed by the target. Answered by
  /// ``Harvester/opened(_:_:)`` or ``Harvester/closed(_:reason:_:)``.
  case connect(SocketID, target: String)
  /// Send a text message.
  case send(SocketID, text: String)
  /// Send a ping; its pong is told by ``Harvester/ponged(_:_:)``.
  case ping(SocketID)
  /// Close in order; what still arrives is handed in. Answered by ``Harvester/closed(_:reason:_:)``.
  case close(SocketID, code: UInt16)
  /// Drop the socket; no answer is expected, and what comes from it afterwards is ignored and counted.
  case abort(SocketID)
  /// Send a REST request. Answered once by ``Harvester/replied(_:_:_:)`` or
  /// ``Harvester/failed(_:reason:_:)``.
  case request(RequestID, method: String, target: String, timeoutNs: Int64)
}

/// A REST answer of any status.
public struct RESTReply {
  public var status: Int
  /// `Retry-After`
  public var retryAfterSeconds: Int?
  /// `X-MBX-USED-WEIGHT-1M`
  public var usedWeight: Int?
  /// ``FrameDecoder/paddingBytes`` readable bytes must lie behind it.
  public var body: UnsafeRawBufferPointer

  public init(
    status: Int, retryAfterSeconds: Int? = nil, usedWeight: Int? = nil, body: UnsafeRawBufferPointer
  ) {
    self.status = status
    self.retryAfterSeconds = retryAfterSeconds
    self.usedWeight = usedWeight
    self.body = body
  }
}
