import Binance
import Core
import Services
import Venue

/// What the network and the exchange's edge are doing to the world at the moment.
struct NetworkState {
  var latencyMs = 5
  var jitterMs = 10
  var refusesConnectionsUntil: Int64 = 0
  var restFailsUntil: Int64 = 0
  var restIsSlowUntil: Int64 = 0
  var restLimitsUntil: Int64 = 0
  var bodiesAreCutUntil: Int64 = 0
  var snapshotsAreStaleUntil: Int64 = 0
  /// Frames of a stream that the exchange loses, repeats or swaps.
  var drops: [String: Int] = [:]
  var duplicates: [String: Int] = [:]
  var swaps: [String: Int] = [:]
  var silences: [String: Int64] = [:]
  /// Every so-many-th frame of a stream is lost, on all connections.
  var losses: [String: (every: Int, seen: Int)] = [:]
  /// Snapshots as they were, to be served again when they are too old.
  var oldSnapshots: [String: [UInt8]] = [:]

  func latency(_ random: inout SeededRandom) -> Int64 {
    Int64(latencyMs * 1000 + random.below(max(1, jitterMs * 1000))) * 1000
  }
}

extension World {
  static let observerSession = SessionID(rawValue: 0)

  func openObserver() {
    let streams = options.symbols.flatMap {
      ["\($0.lowercased())@depth@100ms", "\($0.lowercased())@aggTrade"]
    }
    _ = exchange.open(
      World.observerSession, target: "/stream?streams=" + streams.joined(separator: "/"),
      now: UnixNanos(start))
    for symbol in options.symbols {
      let reply = exchange.respond(
        to: VenueRequest(method: "GET", target: "/fapi/v1/depth?symbol=\(symbol)&limit=1000"),
        now: UnixNanos(start))
      observer.start(
        symbol, snapshot: (try? reply.body.withUnsafeBytes { try JSONValue(parsing: $0) }) ?? .null)
    }
  }

  /// Takes what the exchange has to say and plans its next event.
  func exchangeChanged() {
    var closes: [(SessionID, CloseManner)] = []
    exchange.drain(
      message: { [self] session, bytes in
        if session == World.observerSession {
          observer.take(bytes, at: now)
        } else if let link = linkOfSession[Int(session.rawValue)] {
          publish(link, bytes)
        }
      },
      ping: { [self] session in
        if session != World.observerSession { exchange.ponged(session, now: UnixNanos(now)) }
      },
      close: { closes.append(($0, $1)) })
    for (session, _) in closes {
      if session == World.observerSession {
        // The truth does not end after the day that a session lives.
        exchange.closed(session)
        reopenObserver()
      } else if let link = linkOfSession[Int(session.rawValue)] {
        lastVenueClose = now
        closeSession(link)
        toHarvester(link, .closed("the venue closed"))
      }
    }
    let next = exchange.nextTime.rawValue
    if next != nextExchangeTime {
      nextExchangeTime = next
      if next != .max { queue.add(at: max(now, next), .advanceExchange) }
    }
  }

  private func reopenObserver() {
    let streams = options.symbols.flatMap {
      ["\($0.lowercased())@depth@100ms", "\($0.lowercased())@aggTrade"]
    }
    _ = exchange.open(
      World.observerSession, target: "/stream?streams=" + streams.joined(separator: "/"), now: UnixNanos(now))
  }

  func closeSession(_ link: Int) {
    guard let session = links[link].session else { return }
    links[link].session = nil
    linkOfSession[Int(session.rawValue)] = nil
    exchange.closed(session)
  }

  // MARK: Frames on their way

  /// A frame of the exchange goes to one session, with what the faults make of it.
  private func publish(_ link: Int, _ bytes: UnsafeRawBufferPointer) {
    let frame = Array(bytes)
    guard let stream = World.streamName(frame) else { return toHarvester(link, .message(frame)) }
    let key = "\(link)/\(stream)"
    if let until = network.silences[stream], now < until { return }
    if let loss = network.losses[stream] {
      network.losses[stream]!.seen += 1
      if loss.seen % loss.every == 0 { return }
    }
    if let count = network.drops[key], count > 0 {
      network.drops[key] = count - 1
      return
    }
    if let held = heldFrames[key] {
      heldFrames[key] = nil
      toHarvester(link, .message(frame))
      return toHarvester(link, .message(held))
    }
    if let count = network.swaps[key], count > 0 {
      network.swaps[key] = count - 1
      heldFrames[key] = frame
      return
    }
    toHarvester(link, .message(frame))
    if let count = network.duplicates[key], count > 0 {
      network.duplicates[key] = count - 1
      toHarvester(link, .message(frame))
    }
  }

  /// The name in `{"stream":"…"`; nil for replies.
  static func streamName(_ frame: [UInt8]) -> String? {
    let head = Array("{\"stream\":\"".utf8)
    guard frame.starts(with: head), let close = frame[head.count...].firstIndex(of: 0x22) else { return nil }
    return String(decoding: frame[head.count..<close], as: UTF8.self)
  }

  func toHarvester(_ link: Int, _ what: ToHarvester) {
    guard !links[link].isHalfOpen else { return }
    let time = max(links[link].lastToHarvester, now + network.latency(&random))
    links[link].lastToHarvester = time
    queue.add(at: time, .reachHarvester(link, what))
  }

  func toVenue(_ link: Int, _ what: ToVenue) {
    let time = max(links[link].lastToVenue, now + network.latency(&random))
    links[link].lastToVenue = time
    queue.add(at: time, .reachVenue(link, what))
  }

  func reachVenue(_ link: Int, _ what: ToVenue) {
    if links[link].isHalfOpen, case .gone = what {} else if links[link].isHalfOpen { return }
    switch what {
    case .connect(let target):
      guard links[link].process == process else { return }
      if now < network.refusesConnectionsUntil {
        return toHarvester(link, .closed("connection refused"))
      }
      sessionCount += 1
      let session = SessionID(rawValue: sessionCount)
      switch exchange.open(session, target: target, now: UnixNanos(now)) {
      case .accepted:
        links[link].session = session
        linkOfSession[Int(session.rawValue)] = link
        toHarvester(link, .opened)
      case .refused: toHarvester(link, .closed("refused"))
      }
    case .text(let text):
      guard let session = links[link].session else { return }
      let bytes = Array(text.utf8)
      bytes.withUnsafeBytes { exchange.receive($0, from: session, now: UnixNanos(now)) }
    case .ping: if links[link].session != nil { toHarvester(link, .pong) }
    case .close:
      closeSession(link)
      toHarvester(link, .closed("closed"))
    case .gone: closeSession(link)
    }
    exchangeChanged()
  }

  func reachHarvester(_ link: Int, _ what: ToHarvester) {
    guard links[link].process == process, links[link].harvesterKnows else { return }
    let socket = links[link].socket
    switch what {
    case .opened: step { try $0.opened(socket, moment) }
    case .message(var bytes):
      outcome.framesDelivered += 1
      delivered.append(World.hash(bytes))
      if options.defect == .framesAreAltered, bytes.count > 200, random.bernoulli(0.003) { bytes[150] ^= 1 }
      let time = moment
      var scratch = PaddedBytes()
      swap(&scratch, &padded)
      scratch.with(bytes) { frame in step { try $0.received(frame, on: socket, time) } }
      swap(&scratch, &padded)
    case .pong: step { $0.ponged(socket, moment) }
    case .closed(let reason):
      trace("closed \(socket.rawValue): \(reason)")
      links[link].harvesterKnows = false
      linkOfSocket[socket] = nil
      step { try $0.closed(socket, reason: reason, moment) }
    }
  }

  static func hash(_ bytes: [UInt8]) -> UInt64 {
    // FNV-1a over words.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    bytes.withUnsafeBytes { bytes in
      var index = 0
      while index + 8 <= bytes.count {
        hash = (hash ^ bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)) &* 0x100_0000_01B3
        hash ^= hash >> 29
        index += 8
      }
      while index < bytes.count {
        hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01B3
        index += 1
      }
    }
    return hash
  }

  // MARK: Requests

  func answer(
    _ id: RequestID, _ method: String, _ target: String, _ timeoutNs: Int64, _ process: Int
  ) {
    guard process == self.process else { return }
    if now < network.restFailsUntil {
      let isSilent = random.bernoulli(0.5)
      return queue.add(
        at: now + (isSilent ? timeoutNs : network.latency(&random)),
        .reply(id, .failure(isSilent ? "timed out" : "connection reset"), process: process))
    }
    if now < network.restLimitsUntil {
      return queue.add(
        at: now + network.latency(&random),
        .reply(id, .answer(status: 429, retryAfter: 1, weight: nil, body: Array("{}".utf8)), process: process)
      )
    }
    let reply = exchange.respond(
      to: VenueRequest(method: method, target: target), now: UnixNanos(now))
    exchangeChanged()
    func header(_ name: String) -> Int? {
      reply.headers.first { $0.name.uppercased() == name }.flatMap { Int($0.value) }
    }
    var body = reply.body
    if target.contains("/depth") {
      if let old = network.oldSnapshots[target], now < network.snapshotsAreStaleUntil { body = old }
      network.oldSnapshots[target] = reply.body
    }
    if options.defect == .tradesAreNotBackfilled, target.contains("/aggTrades") { body = Array("[]".utf8) }
    if now < network.bodiesAreCutUntil, body.count > 20 { body.removeLast(body.count / 3) }
    let delay =
      now < network.restIsSlowUntil ? Int64(random.below(6000)) * Nanoseconds.millisecond : 0
    let arrival = now + network.latency(&random) + delay
    if delay > timeoutNs {
      return queue.add(at: now + timeoutNs, .reply(id, .failure("timed out"), process: process))
    }
    queue.add(
      at: arrival,
      .reply(
        id,
        .answer(
          status: reply.status, retryAfter: header("RETRY-AFTER"), weight: header("X-MBX-USED-WEIGHT-1M"),
          body: body), process: process))
  }

  func receive(_ id: RequestID, _ reply: Reply, _ process: Int) {
    guard process == self.process else { return }
    requestsUnderWay -= 1
    switch reply {
    case .failure(let reason): step { try $0.failed(id, reason: reason, moment) }
    case .answer(let status, let retryAfter, let weight, let body):
      let time = moment
      var scratch = PaddedBytes()
      swap(&scratch, &padded)
      scratch.with(body) { body in
        step {
          try $0.replied(
            id, RESTReply(status: status, retryAfterSeconds: retryAfter, usedWeight: weight, body: body), time
          )
        }
      }
      swap(&scratch, &padded)
    }
  }
}
