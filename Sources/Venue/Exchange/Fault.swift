import Core

/// One injected fault: what goes wrong, where, and for how long.
public enum Fault: Sendable, Equatable {
  /// Which sessions a cut hits.
  public enum Sessions: Sendable, Equatable {
    case all
    /// The n-th open session in order of opening, from 0.
    case index(Int)
    /// Those on a root: `public`, `market`, `private`, `legacy`.
    case root(String)
  }

  /// The stream's next frames are lost.
  case drop(stream: String, count: Int)
  /// The stream's next frames are sent twice.
  case duplicate(stream: String, count: Int)
  /// So many times the stream's next frame is sent behind the one after it.
  case reorder(stream: String, count: Int)
  /// Frames made in the coming `durationMs` arrive `delayMs` late, in order.
  case delay(stream: String, delayMs: Int64, durationMs: Int64)
  /// Frames made in the coming `durationMs` are lost.
  case silence(stream: String, durationMs: Int64)
  case cut(Sessions, CloseManner)
  case refuseConnections(durationMs: Int64)
  /// The exchange's clock stands so far ahead of the right time; 0 sets it right.
  case clockSkew(ms: Int64)
  /// The next depth snapshots are answered late.
  case slowSnapshot(delayMs: Int64, count: Int)
  /// The next depth snapshots are of a book too old to be continued, with wrong quantities.
  case staleSnapshot(count: Int)
  /// The next depth snapshots are cut off or garbled, by turns.
  case wrongSnapshot(count: Int)
  /// Every REST request is answered 429.
  case rateLimit(durationMs: Int64, retryAfterS: Int64)
  /// Every REST request is answered 418.
  case ban(durationMs: Int64)
  /// The next REST requests are answered 503.
  case restError(count: Int)
  /// The next REST requests get no answer; what they asked for is not done.
  case restDrop(count: Int)

  static let countMax = 1_000_000
  static let durationMsMax: Int64 = 7 * 86_400_000
  static let skewMsMax: Int64 = 86_400_000

  /// The stream it is aimed at.
  var stream: String? {
    switch self {
    case .drop(let stream, _), .duplicate(let stream, _), .reorder(let stream, _),
      .delay(let stream, _, _), .silence(let stream, _):
      stream
    default: nil
    }
  }

  /// How often it may strike; nil when time ends it.
  var count: Int? {
    switch self {
    case .drop(_, let count), .duplicate(_, let count), .reorder(_, let count), .slowSnapshot(_, let count),
      .staleSnapshot(let count), .wrongSnapshot(let count), .restError(let count), .restDrop(let count):
      count
    default: nil
    }
  }

  var durationMs: Int64? {
    switch self {
    case .delay(_, _, let duration), .silence(_, let duration), .refuseConnections(let duration),
      .rateLimit(let duration, _), .ban(let duration):
      duration
    default: nil
    }
  }

  /// - Throws: ``FaultError`` for a number out of range.
  func check() throws(FaultError) {
    if let count, !(1...Fault.countMax).contains(count) {
      throw .outOfRange("count", Int64(count), 1...Int64(Fault.countMax))
    }
    if let durationMs, !(1...Fault.durationMsMax).contains(durationMs) {
      throw .outOfRange("duration_ms", durationMs, 1...Fault.durationMsMax)
    }
    switch self {
    case .delay(_, let delay, _), .slowSnapshot(let delay, _):
      if !(0...Fault.durationMsMax).contains(delay) {
        throw .outOfRange("delay_ms", delay, 0...Fault.durationMsMax)
      }
    case .clockSkew(let ms):
      if !(-Fault.skewMsMax...Fault.skewMsMax).contains(ms) {
        throw .outOfRange("ms", ms, -Fault.skewMsMax...Fault.skewMsMax)
      }
    case .rateLimit(_, let retry):
      if !(0...86_400).contains(retry) { throw .outOfRange("retry_after_s", retry, 0...86_400) }
    case .cut(.root(let name), _):
      if VenueRoot(rawValue: name) == nil { throw .unknownSessions(name) }
    case .cut(.index(let index), _):
      if index < 0 { throw .outOfRange("sessions", Int64(index), 0...Int64(Int32.max)) }
    default: break
    }
    if case .cut(_, .code(let code, _)) = self, !(1000...4999).contains(code) {
      throw .outOfRange("code", Int64(code), 1000...4999)
    }
  }
}

/// Why a fault cannot be injected, and what would do.
public enum FaultError: Error, Equatable, CustomStringConvertible {
  case notAnObject
  case unknownKind(String)
  case missing(String, in: String)
  case unknownKey(String, in: String)
  case outOfRange(String, Int64, ClosedRange<Int64>)
  case unknownSessions(String)
  case unknownManner(String)
  case unknownStream(String)
  case tooMany

  public var description: String {
    switch self {
    case .notAnObject: "a fault is a JSON object such as {\"fault\":\"drop\",\"stream\":\"btcusdt@depth@100ms\",\"count\":3}"
    case .unknownKind(let kind):
      "there is no fault \"\(kind)\"; choose one of \(Fault.kinds.joined(separator: ", "))"
    case .missing(let key, let kind): "the fault \(kind) needs \"\(key)\""
    case .unknownKey(let key, let kind): "the fault \(kind) has no \"\(key)\"; remove it"
    case .outOfRange(let key, let value, let range):
      "\(key) is \(value); give \(range.lowerBound) to \(range.upperBound)"
    case .unknownSessions(let name):
      "\"\(name)\" names no sessions; give all, public, market, private, legacy, or a number from 0"
    case .unknownManner(let name): "\"\(name)\" is no manner of cutting; give close, abort or stall"
    case .unknownStream(let name):
      "the stream \(name) does not exist here; give a name such as btcusdt@depth@100ms"
    case .tooMany: "\(Exchange.faultsMax) faults have been injected; start a new exchange for more"
    }
  }
}
