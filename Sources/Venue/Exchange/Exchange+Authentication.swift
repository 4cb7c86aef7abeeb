import Binance
import Core

/// API keys, signatures and listen keys.
extension Exchange {
  private static let windowMsDefault: Int64 = 5000
  private static let windowMsMax: Int64 = 60_000

  func account(of request: VenueRequest) throws(VenueError) -> VenueAccount {
    guard let key = request.apiKey, !key.isEmpty else {
      throw VenueError(-2014, "API-key format invalid.", status: 401)
    }
    guard let index = accountIndices[key] else {
      throw VenueError(-2015, "Invalid API-key, IP, or permissions for action.", status: 401)
    }
    return accounts[index]
  }

  /// A signed request's account: key, time and signature are right.
  func authenticate(_ request: VenueRequest, _ parameters: RequestParameters) throws(VenueError)
    -> VenueAccount
  {
    let account = try account(of: request)
    guard let given = parameters["signature"] else { throw .missing("signature") }
    guard let stamp = try parameters.integer("timestamp") else { throw .missing("timestamp") }
    let window = try parameters.integer("recvWindow") ?? Exchange.windowMsDefault
    guard window <= Exchange.windowMsMax else {
      throw VenueError(-1131, "recvWindow must be less than \(Exchange.windowMsMax)")
    }
    guard stamp < timeMs + 1000 else {
      throw VenueError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    }
    guard stamp >= 0, timeMs - stamp <= window else {
      throw VenueError(-1021, "Timestamp for this request is outside of the recvWindow.")
    }
    let total =
      RequestParameters.unsigned(parameters.query)
      + RequestParameters.unsigned(String(decoding: request.body, as: UTF8.self))
    guard RequestSigning.signature(of: total, secret: account.user.secret) == given.lowercased() else {
      throw VenueError(-1022, "Signature for this request is not valid.")
    }
    return account
  }

  // MARK: Listen keys

  /// `POST` gives the account's key, new if it has none; `PUT` renews it; `DELETE` ends it.
  func listenKey(_ request: VenueRequest) throws(VenueError) -> JSONValue {
    let account = try account(of: request)
    let unknown = VenueError(-1125, "This listenKey does not exist.")
    switch request.method {
    case "POST":
      if account.listenKey == nil {
        var writer = ByteWriter(capacity: 64)
        for _ in 0..<4 { writer.append(hex: listenKeyRandom.next(), digits: 16) }
        let key = writer.string()
        account.listenKey = key
        listenKeys[key] = accountIndices[account.user.apiKey]
      }
      renew(account)
      return .object(["listenKey": .string(account.listenKey ?? "")])
    case "PUT":
      guard let key = account.listenKey else { throw unknown }
      renew(account)
      return .object(["listenKey": .string(key)])
    default:
      guard let key = account.listenKey else { throw unknown }
      listenKeys[key] = nil
      account.listenKey = nil
      account.listenKeyExpiry = .max
      timersChanged()
      return .object([])
    }
  }

  private func renew(_ account: VenueAccount) {
    account.listenKeyExpiry = now + options.listenKeyLifeNs
    timersChanged()
  }

  func expireListenKey(_ index: Int) {
    let account = accounts[index]
    guard let key = account.listenKey else { return }
    tell(
      account,
      .object(["e": .string("listenKeyExpired"), "E": .integer(timeMs), "listenKey": .string(key)]))
    listenKeys[key] = nil
    account.listenKey = nil
    account.listenKeyExpiry = .max
  }
}
