import Core

/// Websocket connections: opening, subscriptions, pings, ends.
extension Exchange {
  /// Subscription names longer than this are refused.
  static let nameBytesMax = 128

  /// A websocket handshake for a target such as `/public/stream?streams=btcusdt@depth@100ms`,
  /// `/market/ws/btcusdt@aggTrade`, `/private/ws?listenKey=…`, or the retired `/stream` and `/ws`.
  ///
  /// An invalid listen key is accepted and stays silent, as at the real exchange.
  public func open(_ id: SessionID, target: String, now: UnixNanos) -> SessionOpening {
    run(to: now.rawValue)
    if sessionsByID[id] != nil { closed(id) }
    let parameters = RequestParameters(target: target)
    guard let (root, isRaw, inPath) = Exchange.route(parameters.path), root != .legacy || options.legacyRoot
    else {
      return .refused(
        VenueError(-5000, "Path \(parameters.path), Method GET is invalid", status: 404).response)
    }
    if struck({ if case .refuseConnections = $0 { true } else { false } }) != nil {
      return .refused(VenueError(-1008, "Connections are refused (injected fault).", status: 503).response)
    }
    guard sessions.count < options.sessionsMax else {
      return .refused(VenueError(-1034, "Too many connections.", status: 503).response)
    }
    var names = inPath
    if let streams = parameters["streams"] { names += streams.split(separator: "/").map(String.init) }
    if let key = parameters["listenKey"] { names.append(key) }
    guard names.count <= options.streamsPerConnectionMax,
      names.allSatisfy({ $0.utf8.count <= Exchange.nameBytesMax })
    else { return .refused(VenueError(-1130, "Too many streams.").response) }
    sessionsOpened += 1
    let session = Session(
      id: id, number: sessionsOpened, root: root, isRaw: isRaw, openedAt: self.now,
      nextPing: self.now + options.pingIntervalNs)
    sessions.append(session)
    sessionsByID[id] = session
    for name in names { subscribe(session, name) }
    timersChanged()
    return .accepted
  }

  /// Root, form and streams of a path; nil for an unknown one.
  private static func route(_ path: String) -> (VenueRoot, isRaw: Bool, streams: [String])? {
    var parts = path.split(separator: "/").map(String.init)
    guard let head = parts.first else { return nil }
    var root = VenueRoot.legacy
    if let named = VenueRoot(rawValue: head), named != .legacy {
      root = named
      parts.removeFirst()
    }
    switch parts.first {
    case "ws": return (root, true, Array(parts.dropFirst()))
    case "stream" where parts.count == 1: return (root, false, [])
    default: return nil
    }
  }

  /// A pong frame came.
  public func ponged(_ id: SessionID, now: UnixNanos) {
    run(to: now.rawValue)
    guard let session = sessionsByID[id] else { return }
    session.pongDue = .max
    timersChanged()
  }

  /// The connection is gone, whoever ended it.
  public func closed(_ id: SessionID) {
    guard let session = sessionsByID[id] else { return }
    remove(session)
    outbox.forget(id.rawValue)
  }

  /// Ends a session from the exchange's side.
  func end(_ session: Session, _ manner: CloseManner) {
    guard sessionsByID[session.id] === session else { return }
    remove(session)
    outbox.close(session.id.rawValue, manner)
  }

  private func remove(_ session: Session) {
    for subscription in session.subscriptions { leave(session, subscription) }
    session.subscriptions = []
    sessionsByID[session.id] = nil
    sessions.removeAll { $0 === session }
    timersChanged()
  }

  // MARK: Subscriptions

  func subscribe(_ session: Session, _ name: String) {
    if session.subscriptions.contains(where: { $0.name == name }) { return }
    let stream = resolve(name, on: session.root) ?? -1
    session.subscriptions.append(Session.Subscription(name: name, stream: stream))
    subscriptionsChanged()
    guard stream >= 0 else { return }
    table.streams[stream].subscribers.append(
      VenueStream.Subscriber(session: session.id.rawValue, isRaw: session.isRaw))
  }

  func unsubscribe(_ session: Session, _ name: String) {
    guard let index = session.subscriptions.firstIndex(where: { $0.name == name }) else { return }
    leave(session, session.subscriptions.remove(at: index))
    subscriptionsChanged()
  }

  private func leave(_ session: Session, _ subscription: Session.Subscription) {
    guard subscription.stream >= 0 else { return }
    table.streams[subscription.stream].subscribers.removeAll { $0.session == session.id.rawValue }
  }

  /// Switches a session between raw and combined frames.
  func setCombined(_ session: Session, _ isCombined: Bool) {
    session.isRaw = !isCombined
    for subscription in session.subscriptions where subscription.stream >= 0 {
      let stream = subscription.stream
      for index in table.streams[stream].subscribers.indices
      where table.streams[stream].subscribers[index].session == session.id.rawValue {
        table.streams[stream].subscribers[index].isRaw = !isCombined
      }
    }
  }

  /// The stream behind a name on a root; nil where it is acknowledged and never delivers: a wrong root, an
  /// unknown symbol, a kind this exchange does not publish.
  func resolve(_ name: String, on root: VenueRoot) -> Int? {
    if listenKeys[name] != nil {
      return root == .privateStreams || root == .legacy ? table.intern(name) : nil
    }
    guard VenueStreamKind.isCarried(name, by: root) else { return nil }
    return resolve(name)
  }

  /// The stream of that name, whatever the root.
  func resolve(_ name: String) -> Int? {
    if let tape {
      guard name.utf8.count <= Exchange.nameBytesMax, let stream = table.intern(name) else { return nil }
      derive(name, from: tape, stream: stream)
      return stream
    }
    switch name {
    case VenueStreamKind.allBookTickers:
      guard let stream = table.intern(name) else { return nil }
      allBookTickers = stream
      return stream
    case VenueStreamKind.allForceOrders:
      guard let stream = table.intern(name) else { return nil }
      allForceOrders = stream
      return stream
    default: if let list = symbolList(name) { return list }
    }
    let parts = name.split(separator: "@", maxSplits: 1)
    guard parts.count == 2, parts[0] == parts[0].lowercased(),
      let symbol = symbolIndices[parts[0].uppercased()], let kind = VenueStreamKind(suffix: parts[1])
    else { return derive(name) }
    guard let stream = table.intern(name) else { return nil }
    streamIndices[symbol * VenueStreamKind.allCases.count + kind.rawValue] = Int32(stream)
    return stream
  }
}
