import Core

/// What clients write on a websocket connection.
extension Exchange {
  private static let methods = ["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY"]

  /// A text message from a client. Its size is the caller's to bound.
  ///
  /// More than ``ExchangeOptions/clientMessagesPerSecondMax`` in a second end the session. Whatever is not a
  /// valid request is answered with an error.
  public func receive(_ text: UnsafeRawBufferPointer, from id: SessionID, now: UnixNanos) {
    run(to: now.rawValue)
    guard let session = sessionsByID[id] else { return }
    if self.now - session.secondBegin >= Nanoseconds.second {
      session.secondBegin = self.now
      session.secondMessages = 0
    }
    session.secondMessages += 1
    if session.secondMessages > options.clientMessagesPerSecondMax {
      end(session, .code(1008, "Too many requests"))
      return
    }
    let request: JSONValue
    do throws(JSONValue.ParseError) {
      request = try JSONValue(parsing: text)
    } catch {
      reply(session, error: 3, "Invalid JSON: \(error)", id: .null)
      return
    }
    handle(request, session)
  }

  private func handle(_ request: JSONValue, _ session: Session) {
    guard request.members != nil else {
      reply(session, error: 2, "Invalid request: expected an object", id: .null)
      return
    }
    let identity = request["id"] ?? .null
    switch identity {
    case .null, .string: break
    case .number(let text) where UInt64(text) != nil: break
    default:
      reply(session, error: 2, "Invalid request: request ID must be an unsigned integer", id: .null)
      return
    }
    guard case .string(let method) = request["method"] ?? .null else {
      reply(session, error: 2, "Invalid request: missing field `method`", id: identity)
      return
    }
    switch method {
    case "SUBSCRIBE", "UNSUBSCRIBE":
      guard let names = names(request, session, identity) else { return }
      if method == "SUBSCRIBE" {
        let known = Set(session.subscriptions.map(\.name))
        guard known.union(names).count <= options.streamsPerConnectionMax else {
          reply(session, error: 2, "Invalid request: too many parameters", id: identity)
          return
        }
        for name in names { subscribe(session, name) }
      } else {
        for name in names { unsubscribe(session, name) }
      }
      reply(session, result: .null, id: identity)
    case "LIST_SUBSCRIPTIONS":
      reply(session, result: .array(session.subscriptions.map { .string($0.name) }), id: identity)
    case "SET_PROPERTY", "GET_PROPERTY":
      guard case .string(let name) = request["params"]?[0] ?? .null else {
        reply(session, error: 2, "Invalid request: property name must be a string", id: identity)
        return
      }
      guard name == "combined" else {
        reply(session, error: 0, "Unknown property", id: identity)
        return
      }
      if method == "GET_PROPERTY" {
        reply(session, result: .bool(!session.isRaw), id: identity)
        return
      }
      guard let value = request["params"]?[1]?.boolean else {
        reply(session, error: 1, "Invalid value type: expected Boolean", id: identity)
        return
      }
      setCombined(session, value)
      reply(session, result: .null, id: identity)
    default:
      let known = Exchange.methods.map { "`\($0)`" }.joined(separator: ", ")
      reply(
        session, error: 2, "Invalid request: unknown variant `\(method)`, expected one of \(known)",
        id: identity)
    }
  }

  private func names(_ request: JSONValue, _ session: Session, _ identity: JSONValue) -> [String]? {
    guard let elements = request["params"]?.elements else {
      reply(session, error: 2, "Invalid request: missing field `params`", id: identity)
      return nil
    }
    var names: [String] = []
    for element in elements {
      guard case .string(let name) = element, name.utf8.count <= Exchange.nameBytesMax else {
        reply(session, error: 2, "Invalid request: stream names must be strings", id: identity)
        return nil
      }
      names.append(name)
    }
    return names
  }

  private func reply(_ session: Session, result: JSONValue, id: JSONValue) {
    outbox.send(session.id.rawValue, JSONValue.object(["result": result, "id": id]).text())
  }

  private func reply(_ session: Session, error code: Int, _ message: String, id: JSONValue) {
    let error = JSONValue.object(["code": .integer(code), "msg": .string(message)])
    outbox.send(session.id.rawValue, JSONValue.object(["error": error, "id": id]).text())
  }
}
