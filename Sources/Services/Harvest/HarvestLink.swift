import Core

/// Why a connection was opened; part of the tape's records.
enum OpenReason: String, Sendable {
  case start, reconnect, rotation
}

/// Why a connection ended; part of the tape's records and the label of `ws_reconnects_total`.
public enum CloseReason: Int, CaseIterable, Sendable {
  case remote, connectFailed, connectTimeout, silence, heartbeat, firstFrameTimeout, rotation,
    rotationAbandoned,
    drain

  public var name: String {
    switch self {
    case .remote: "remote"
    case .connectFailed: "connect_failed"
    case .connectTimeout: "connect_timeout"
    case .silence: "silence"
    case .heartbeat: "heartbeat"
    case .firstFrameTimeout: "first_frame_timeout"
    case .rotation: "rotation"
    case .rotationAbandoned: "rotation_abandoned"
    case .drain: "drain"
    }
  }
}

/// One of a slot's two places for a socket. Its number, `2 × slot + side`, is the connection's id on the
/// tape.
struct HarvestLink: Sendable {
  enum Phase: UInt8, Sendable {
    case idle, connecting, open, closing
  }

  var phase = Phase.idle
  var slot: Int32
  var socket = SocketID(rawValue: -1)
  /// Sockets opened in this place.
  var generation: Int32 = 0
  var startedNs: Int64 = 0
  var openedNs: Int64 = 0
  /// `.min` before the first frame.
  var lastFrameNs = Int64.min
  var lastPongNs: Int64 = 0
  var nextPingNs = Int64.max
  /// When the streams that have not delivered are looked at next.
  var firstFrameCheckNs = Int64.max
  /// When a closing socket is dropped.
  var closeByNs = Int64.max
  var closeReason = CloseReason.remote
  var openReason = OpenReason.start
  var frames: Int64 = 0

  init(slot: Int) { self.slot = Int32(slot) }

  var isLive: Bool { phase == .open || phase == .closing }
}

/// What a planned connection keeps from socket to socket.
struct HarvestSlot: Sendable {
  /// The side whose socket carries the slot.
  var side = 0
  var hasOpened = false
  /// Failures in a row.
  var attempt = 0
  var reconnectAtNs = Int64.max
  var rotateAtNs = Int64.max
  var lastLoss = CloseReason.remote
  /// Reconnects by ``CloseReason``: why the connection before was lost.
  var reconnects = [Int](repeating: 0, count: CloseReason.allCases.count)
  /// Steps taken against streams that stay silent while others of the connection deliver.
  var remedies = 0
  var remedyNotBeforeNs = Int64.min
  /// Still to be replaced, because someone asked for all connections to be.
  var isRestarting = false
}

/// A slot's change from one socket to the next, while both deliver.
struct HarvestOverlap: Sendable {
  enum Phase: Sendable {
    /// The new socket is being opened.
    case connecting
    case both
    /// The old socket is being closed.
    case closing
    /// The old one is gone; copies of what it delivered may still come.
    case trailing(untilNs: Int64)
  }

  let slot: Int
  let newSide: Int
  var phase = Phase.connecting
  var openedNs: Int64 = 0
  /// By position: streams the old socket has delivered since the new one opened.
  var heardByOld: [Bool]
  var copies: DuplicateFilter

  init(slot: Int, newSide: Int, hasIDs: [Bool]) {
    self.slot = slot
    self.newSide = newSide
    heardByOld = Array(repeating: false, count: hasIDs.count)
    copies = DuplicateFilter(hasIDs: hasIDs)
  }
}
