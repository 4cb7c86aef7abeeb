import Core
import Glibc
import Net

/// The program that third-party clients and servers are held against: `Net` and nothing else.
///
/// Servers print `{"ready":true,"port":N}` once they listen and end on SIGTERM. Clients print a line of JSON for
/// each URL and end.
@main
enum PeerProgram {
  static let usage = """
    net-peer websocket-echo | http  [--tls CERTIFICATE --key KEY] [--deflate] [--message-bytes-max N]
             [--static FOLDER] [--token TOKEN] [--head-ms N] [--body-ms N] [--idle-ms N] [--connections-max N]
             [--ping-ms N] [--pong-ms N]
    net-peer websocket-client   [--deflate] [--ca FILE] URL
    net-peer websocket-observe  [--deflate] [--ca FILE] [--message-bytes-max N] [--send TEXT] [--timeout-ms N] URL...
    net-peer http-client        [--ca FILE] [--method M] [--body TEXT] [--body-bytes N] [--timeout-ms N]
             [--body-bytes-max N] [--connections N] [--together] URL...

    """

  static func main() {
    let words = Array(CommandLine.arguments.dropFirst())
    let arguments = PeerArguments(Array(words.dropFirst()))
    do {
      let loop = try EventLoop()
      switch words.first {
      case "websocket-echo", "http": try PeerServer(arguments, on: loop).run()
      case "websocket-client": try WebSocketScript(arguments, on: loop).run()
      case "websocket-observe": try WebSocketObserver(arguments, on: loop).run()
      case "http-client": try HTTPFetch(arguments, on: loop).run()
      default:
        say(usage, to: 2)
        exit(2)
      }
    } catch {
      say("net-peer: \(error)\n", to: 2)
      exit(1)
    }
  }

  static func print(_ line: JSONValue) { say(line.text() + "\n", to: 1) }

  private static func say(_ text: String, to descriptor: Int32) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count <= 0 { return }
      rest.removeFirst(count)
    }
  }

  /// A client's trust: the named authority; nil for the system's, which takes long to read.
  static func trust(_ arguments: PeerArguments) throws -> TLSContext? {
    try arguments.text("--ca").map { try TLSContext(trusting: $0) }
  }
}
