import CTLS
import Glibc

/// What went wrong with a socket, where, and what to do about it.
public enum NetError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A system call failed while doing this; `errno`.
  case system(String, Int32)
  /// The address cannot be listened on.
  case listen(String, Int32)
  /// No connection to this peer; `errno`.
  case connect(String, Int32)
  case unknownHost(String)
  /// TLS with this peer failed for the stated reason.
  case tls(String, String)
  /// A certificate, key or authority file that cannot be used.
  case certificate(String, String)
  case badURL(String)
  /// A header field that cannot be sent: a name that is no token, or a value with control characters.
  case badHeader(String)
  /// The peer broke the protocol.
  case `protocol`(String)
  /// The peer closed the connection.
  case closed
  /// This took too long.
  case timeout(String)
  /// More than so many bytes.
  case tooLarge(String, bytesMax: Int)
  /// The loop has ended, or the connection was given up by this side.
  case cancelled

  public var description: String {
    switch self {
    case .system(let what, let code): "cannot \(what): \(String(cString: strerror(code)))"
    case .listen(let address, let code):
      "cannot listen on \(address): \(String(cString: strerror(code)))"
        + (code == EADDRINUSE
          ? "; choose another port, or 0 for a free one" : code == EACCES ? "; choose a port above 1023" : "")
    case .connect(let address, let code):
      "cannot connect to \(address): \(String(cString: strerror(code)))"
        + (code == ECONNREFUSED ? "; is the server running?" : "")
    case .unknownHost(let host): "no address found for \(host); check the name and the network"
    case .tls(let peer, let reason): "TLS with \(peer) failed: \(reason)"
    case .certificate(let path, let reason): "cannot use \(path): \(reason)"
    case .badURL(let text): "\"\(text)\" is no address; write http://HOST:PORT or https://HOST"
    case .badHeader(let name):
      "the header field \"\(name)\" cannot be sent; use letters, digits and - in names, and no line breaks"
    case .protocol(let reason): "the peer broke the protocol: \(reason)"
    case .closed: "the peer closed the connection"
    case .timeout(let what): "\(what) took too long"
    case .tooLarge(let what, let bytesMax): "\(what) is larger than \(bytesMax) bytes"
    case .cancelled: "cancelled"
    }
  }

  /// The oldest error in OpenSSL's queue, which is emptied.
  static func tlsReason() -> String {
    let code = ERR_get_error()
    ERR_clear_error()
    guard code != 0 else { return "the connection ended" }
    guard let text = ERR_reason_error_string(code) else { return "error \(code)" }
    return String(cString: text)
  }
}
