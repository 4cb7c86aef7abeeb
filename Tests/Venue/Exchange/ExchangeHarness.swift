import Binance
import Core

@testable import Venue

/// An exchange under a virtual clock, with every message kept as text.
final class ExchangeHarness {
  static let epoch = MarketOptions.startDefault.rawValue

  let exchange: Exchange
  var now = ExchangeHarness.epoch
  var messages: [Int32: [String]] = [:]
  var pings: [Int32: Int] = [:]
  var closes: [Int32: CloseManner] = [:]
  var keepsMessages = true
  /// FNV-1a over all that was sent.
  var hash: UInt64 = 0xCBF2_9CE4_8422_2325
  var onMessage: ((Int32, String) -> Void)?
  var apiKey = VenueUser.demo.apiKey
  var secret = VenueUser.demo.secret

  init(_ options: ExchangeOptions) throws {
    exchange = try Exchange(options, now: UnixNanos(ExchangeHarness.epoch))
  }

  static func market(
    seed: UInt64 = 1, symbols: [String] = ["BTCUSDT"], framesPerSecond: Double? = nil, minutes: Double? = nil,
    _ change: (inout ExchangeOptions) -> Void = { _ in }
  ) throws -> ExchangeHarness {
    var options = ExchangeOptions(
      source: .market(seed: seed, symbols: symbols, framesPerSecond: framesPerSecond), minutes: minutes)
    change(&options)
    return try ExchangeHarness(options)
  }

  func drain() {
    exchange.drain(
      message: { session, bytes in
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        guard keepsMessages else { return }
        let text = String(decoding: bytes, as: UTF8.self)
        if let onMessage { onMessage(session.rawValue, text) } else { messages[session.rawValue, default: []].append(text) }
      },
      ping: { pings[$0.rawValue, default: 0] += 1 },
      close: { closes[$0.rawValue] = $1 })
  }

  /// Steps from due moment to due moment, as a simulation does.
  func run(ms: Int64) {
    let target = now + ms * Nanoseconds.millisecond
    while exchange.nextTime.rawValue <= target {
      now = max(now, exchange.nextTime.rawValue)
      exchange.advance(to: UnixNanos(now))
      drain()
    }
    now = target
    exchange.advance(to: UnixNanos(now))
    drain()
  }

  @discardableResult
  func open(_ id: Int32, _ target: String) -> SessionOpening {
    let opening = exchange.open(SessionID(rawValue: id), target: target, now: UnixNanos(now))
    drain()
    return opening
  }

  func write(_ id: Int32, _ text: String) {
    let bytes = Array(text.utf8)
    bytes.withUnsafeBytes {
      exchange.receive($0, from: SessionID(rawValue: id), now: UnixNanos(now))
    }
    drain()
  }

  /// What a session got, which is then forgotten.
  func take(_ id: Int32) -> [JSONValue] {
    defer { messages[id] = [] }
    return (messages[id] ?? []).map { (try? JSONValue(parsing: $0)) ?? .string($0) }
  }

  func request(_ method: String, _ target: String, body: String = "", authorization: String? = nil) -> VenueResponse {
    defer { drain() }
    return exchange.respond(
      to: VenueRequest(
        method: method, target: target, apiKey: apiKey, body: Array(body.utf8), authorization: authorization),
      now: UnixNanos(now))
  }

  func get(_ target: String) -> JSONValue { json(request("GET", target)) }

  func json(_ response: VenueResponse) -> JSONValue {
    (try? JSONValue(parsing: String(decoding: response.body, as: UTF8.self))) ?? .null
  }

  var timeMs: Int64 { now / Nanoseconds.millisecond }

  func signed(_ method: String, _ path: String, _ parameters: String = "") -> JSONValue {
    json(signedResponse(method, path, parameters))
  }

  func signedResponse(_ method: String, _ path: String, _ parameters: String = "") -> VenueResponse {
    let query = (parameters.isEmpty ? "" : parameters + "&") + "timestamp=\(exchange.timeMs)"
    return request(method, "\(path)?\(RequestSigning.signed(query, secret: secret))")
  }

  func listenKey() -> String { json(request("POST", "/fapi/v1/listenKey"))["listenKey"]?.text ?? "" }

  func truth(_ symbol: String = "BTCUSDT") -> JSONValue { exchange.truth["symbols"]![symbol]! }

  /// Best bid and ask as texts.
  func touch(_ symbol: String = "BTCUSDT") -> (bid: String, ask: String) {
    let book = get("/fapi/v1/depth?symbol=\(symbol)&limit=5")
    return (book["bids"]![0]![0]!.text!, book["asks"]![0]![0]!.text!)
  }
}

extension VenueResponse {
  func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

extension SessionOpening {
  var status: Int {
    switch self {
    case .accepted: 101
    case .refused(let response): response.status
    }
  }
}
