import Core

/// What the exchange knows that a client must have found out, and the control paths that tell it.
extension Exchange {
  /// The truth so far.
  ///
  /// - `symbols`, by name: `bids` and `asks` (decimal strings, best first) and `last_u` as the last published
  ///   depth frame left them, dropped frames included; `cvd` (exact) and `trades` (`count`, `first_a`,
  ///   `last_a`) of all published trades; `depth_frames`; `frames`, by stream: those the market `published`
  ///   and those `sent` to sessions, each session and each copy counted.
  /// - `streams`: the same counts for streams over all symbols and streams of accounts.
  /// - `faults`: every fault injected, and how often it struck.
  ///
  /// A tape's truth has as symbols those seen so far; its books are complete only if the tape's snapshots
  /// were.
  public var truth: JSONValue {
    var members: [JSONValue.Member] = []
    switch options.source {
    case .market(let seed, _, let rate):
      members = [
        JSONValue.Member("source", .string("market")), JSONValue.Member("seed", .string(String(seed))),
        JSONValue.Member("frames_per_second", .double(rate)),
      ]
    case .tape(_, let speed):
      members = [JSONValue.Member("source", .string("tape")), JSONValue.Member("speed", .double(speed))]
    }
    let perSymbol =
      tape.map { tape in tape.listedSymbols.map { JSONValue.Member($0, tape.truth($0, table)) } }
      ?? symbolNames.indices.map { JSONValue.Member(symbolNames[$0], symbolTruth($0)) }
    members += [
      JSONValue.Member("time_ms", .integer(timeMs)),
      JSONValue.Member("is_over", .bool(isOver)),
      JSONValue.Member("symbols", .object(perSymbol)),
      JSONValue.Member("streams", .object(otherStreams)),
      JSONValue.Member("faults", faultLog),
    ]
    if let tape {
      members.append(JSONValue.Member("raw_frames_skipped", .integer(tape.rawFramesSkipped)))
      members.append(JSONValue.Member("lines_unreadable", .integer(tape.linesUnreadable)))
    }
    return .object(members)
  }

  private var otherStreams: [JSONValue.Member] {
    // A listen key is no secret of the truth's reader, but it differs from run to run with the calls.
    table.streams.filter { tape == nil && ($0.name.hasPrefix("!") || !$0.name.contains("@")) }.map {
      JSONValue.Member($0.name, .object(["published": .integer($0.published), "sent": .integer($0.sent)]))
    }
  }

  private func symbolTruth(_ index: Int) -> JSONValue {
    let instrument = symbols[index].market.instrument
    func side(_ side: Side) -> JSONValue {
      var levels: [JSONValue] = []
      symbols[index].market.forEachPublished(side) { tick, lots in
        levels.append(
          .array([
            .string(instrument.priceScale.text(Int64(tick) * instrument.tickUnits)),
            .string(instrument.quantityScale.text(lots)),
          ]))
      }
      return .array(levels)
    }
    var frames: [JSONValue.Member] = []
    for kind in VenueStreamKind.allCases {
      let stream = Int(streamIndices[index * VenueStreamKind.allCases.count + kind.rawValue])
      guard kind.isAlwaysPublished || stream >= 0 else { continue }
      frames.append(
        JSONValue.Member(
          kind.suffix,
          .object([
            "published": .integer(symbols[index].published[kind.rawValue]),
            "sent": .integer(stream >= 0 ? table.streams[stream].sent : 0),
          ])))
    }
    for derived in symbols[index].derived {
      let stream = table.streams[derived.stream]
      frames.append(
        JSONValue.Member(
          String(stream.name.drop { $0 != "@" }.dropFirst()),
          .object(["published": .integer(stream.published), "sent": .integer(stream.sent)])))
    }
    return .object([
      "last_u": .integer(symbols[index].lastPublishedID),
      "depth_frames": .integer(symbols[index].published[VenueStreamKind.depth.rawValue]),
      "cvd": .string(instrument.quantityScale.text(symbols[index].cvdLots)),
      "trades": .object([
        "count": .integer(symbols[index].tradeCount), "first_a": .integer(symbols[index].firstAggregateID),
        "last_a": .integer(symbols[index].lastAggregateID),
      ]),
      "frames": .object(frames),
      "bids": side(.bid),
      "asks": side(.ask),
    ])
  }

  // MARK: Control

  /// `GET /venue/truth`, `/venue/status`, `/venue/faults`; `POST /venue/faults` with the administrator's
  /// token.
  func control(_ request: VenueRequest, _ parameters: RequestParameters) -> VenueResponse {
    switch (request.method, parameters.path) {
    case ("GET", "/venue/truth"): return VenueResponse(truth)
    case ("GET", "/venue/status"): return VenueResponse(status)
    case ("GET", "/venue/faults"): return VenueResponse(faultLog)
    case ("POST", "/venue/faults"):
      guard let token = options.adminToken else {
        return VenueError(
          -2015, "Faults cannot be injected by HTTP: start the exchange with an administrator's token.",
          status: 403
        ).response
      }
      guard request.authorization == "Bearer \(token)" else {
        return VenueError(-2015, "Send the header Authorization: Bearer <token>.", status: 401).response
      }
      return injectByRequest(request.body)
    default:
      return VenueError(
        -5000, "Path \(parameters.path), Method \(request.method) is invalid", status: 404
      ).response
    }
  }

  /// All faults of a list are checked before the first is injected. `at_ms` is counted from the start.
  private func injectByRequest(_ body: [UInt8]) -> VenueResponse {
    let json: JSONValue
    do throws(JSONValue.ParseError) {
      json = try JSONValue(parsing: String(decoding: body, as: UTF8.self))
    } catch {
      return VenueError(-1100, "The body is no JSON: \(error)").response
    }
    var asked: [(Fault, Int64)] = []
    for one in json.elements ?? [json] {
      do throws(FaultError) {
        let fault = try Fault(json: one)
        if let name = fault.stream, listenKeys[name] == nil, resolve(name) == nil {
          throw .unknownStream(name)
        }
        let time = one["at_ms"]?.integer.map {
          start + min(max(0, $0), Exchange.delayMsMax) * Nanoseconds.millisecond
        }
        asked.append((fault, max(now, time ?? now)))
      } catch {
        return VenueError(-1130, "\(error)").response
      }
    }
    for (fault, time) in asked {
      do throws(FaultError) {
        try schedule(fault, at: time)
      } catch {
        return VenueError(-1130, "\(error)").response
      }
    }
    run(to: now)
    return VenueResponse(.object(["injected": .integer(asked.count)]))
  }

  private var status: JSONValue {
    .object([
      "time_ms": .integer(timeMs),
      "is_over": .bool(isOver),
      "sessions": .array(
        sessions.enumerated().map { index, session in
          .object([
            "index": .integer(index), "root": .string(session.root.rawValue), "raw": .bool(session.isRaw),
            "subscriptions": .integer(session.subscriptions.count),
            "silent_subscriptions": .integer(session.subscriptions.count { $0.stream < 0 }),
            "open_ms": .integer((now - session.openedAt) / Nanoseconds.millisecond),
          ])
        }),
      "sessions_opened": .integer(sessionsOpened),
      "streams": .integer(table.streams.count),
      "frames_sent": .integer(table.streams.reduce(0) { $0 + $1.sent }),
      "open_orders": .integer(openOrders.count),
      "delayed_frames": .integer(delayed.count),
      "request_weight": .integer(limiter.weight),
      "faults": .integer(injected.count),
    ])
  }
}
