import Configuration
import Core
import Net

/// Where a venue is reached: the base addresses of its REST interface and its websockets.
public struct VenueEndpoints: Equatable, Sendable {
  public var name: String
  /// Without a closing slash, e.g. `https://fapi.binance.com`.
  public var rest: String
  /// e.g. `wss://fstream.binance.com`.
  public var webSocket: String

  public init(name: String, rest: String, webSocket: String) {
    self.name = name
    self.rest = rest
    self.webSocket = webSocket
  }

  /// `live`, `testnet`, or the address of a venue that serves both on one port, such as
  /// `http://127.0.0.1:9001`.
  ///
  /// - Throws: ``NetError/badURL(_:)``
  public init(_ text: String, configuration: WeirConfiguration.Venues) throws(NetError) {
    switch text {
    case "live": self = configuration.live
    case "testnet": self = configuration.testnet
    default:
      var base = text
      while base.hasSuffix("/") { base.removeLast() }
      let scheme = base.split(separator: ":").first.map(String.init)
      guard let webSocketScheme = ["http": "ws", "https": "wss"][scheme ?? ""], base.contains("://"),
        base.split(separator: "/").count == 2
      else { throw .badURL(text) }
      self.init(
        name: base, rest: base,
        webSocket: webSocketScheme + base.dropFirst(scheme!.count))
    }
  }

  public var isSecure: Bool { rest.hasPrefix("https:") || webSocket.hasPrefix("wss:") }
}

extension WeirConfiguration {
  /// Base addresses of the exchange, which has moved them before.
  public struct Venues: Equatable, Sendable {
    public var live = VenueEndpoints(
      name: "live", rest: "https://fapi.binance.com", webSocket: "wss://fstream.binance.com")
    public var testnet = VenueEndpoints(
      name: "testnet", rest: "https://testnet.binancefuture.com",
      webSocket: "wss://stream.binancefuture.com")
    /// PEM file of the authorities to trust instead of the system's; empty for those.
    public var authorities = ""

    public init() {}
  }
}

extension WeirConfiguration {
  static let venueKeys: [ConfigKey<WeirConfiguration>] = [
    .text("venues.live_rest_url", \.venues.live.rest, "REST base address of --venue live"),
    .text("venues.live_ws_url", \.venues.live.webSocket, "websocket base address of --venue live"),
    .text("venues.testnet_rest_url", \.venues.testnet.rest, "REST base address of --venue testnet"),
    .text("venues.testnet_ws_url", \.venues.testnet.webSocket, "websocket base address of --venue testnet"),
    .text(
      "venues.authorities", \.venues.authorities,
      "PEM file of the authorities to trust instead of the system's; empty for those"),
  ]
}
