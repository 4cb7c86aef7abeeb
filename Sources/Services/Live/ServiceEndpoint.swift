import Core
import Net

/// `/metrics`, `/healthz` and `/readyz` of a service, on loopback.
public final class ServiceEndpoint {
  private var server: HTTPServer!

  /// Listens at once.
  ///
  /// - Parameters:
  ///   - port: 0 for a free one.
  ///   - metrics: appends all metrics in Prometheus' text format 0.0.4.
  ///   - isReady: whether the service does its work now.
  /// - Throws: `NetError` when the port is taken.
  public init(
    on loop: EventLoop, port: UInt16, metrics: @escaping (inout ByteWriter) -> Void,
    isReady: @escaping () -> Bool
  ) throws(NetError) {
    var options = HTTPServerOptions()
    options.port = port
    server = try HTTPServer(on: loop, options: options) { request, responder in
      switch request.path {
      case "/metrics":
        var text = ByteWriter(capacity: 16 << 10)
        metrics(&text)
        responder.respond(
          200, headers: ["Content-Type": "text/plain; version=0.0.4; charset=utf-8"], body: text.bytes)
      case "/healthz": responder.respond(200, body: "ok\n")
      case "/readyz":
        let isUp = isReady()
        responder.respond(isUp ? 200 : 503, body: isUp ? "ready\n" : "not ready\n")
      default: responder.respond(404, body: "there is /metrics, /healthz and /readyz\n")
      }
    }
  }

  /// e.g. `127.0.0.1:9101`
  public var address: String { "\(server.address)" }
  public var port: UInt16 { server.address.port }
}
