import Core

/// One look at all services.
public struct HealthSample: Sendable {
  public var time: UnixNanos
  public var services: [(name: ServiceName, state: Supervision.State, problem: String?)]
  public var isGreen: Bool { services.allSatisfy { $0.state == .healthy } }

  var json: JSONValue {
    .object([
      "t": .string(UTCDate(time).isoText), "green": .bool(isGreen),
      "processes": .object(
        services.map { service in
          .init(
            service.name.rawValue,
            .string(service.problem.map { "\(service.state.rawValue): \($0)" } ?? service.state.rawValue))
        }),
    ])
  }
}

/// How old data may be.
public enum FreshnessWindow: Equatable, Sendable {
  /// Against this machine's clock: the market is now.
  case live
  /// Against the tape's own time: the market was some other day.
  case replay
}

extension Supervision {
  /// Looks at liveness (process and beat), readiness (as `/readyz` said) and freshness of data.
  ///
  /// A harvester's data is fresh when its newest record is, on the wall clock (live) or when records still come
  /// (replay). A consumer's is when it is not further behind its source than that, in tape time.
  ///
  /// - Parameters:
  ///   - isReady: what `/readyz` answered; nil when nothing came.
  ///   - formerSequences: positions at the last look, for replays.
  public mutating func look(
    _ nowNs: Int64, wall: UnixNanos, window: FreshnessWindow, isReady: [ServiceName: Bool],
    formerSequences: [ServiceName: Int64], freshnessNsMax: Int64
  ) -> HealthSample {
    var services: [(name: ServiceName, state: State, problem: String?)] = []
    for member in members {
      var problem: String?
      var state = member.state
      switch state {
      case .starting: problem = "not ready yet"
      case .restarting: problem = "ended, starts again"
      case .unhealthy: problem = "gave up after \(member.restartCount) restarts"
      case .waiting, .stopping, .stopped: break
      case .healthy, .degraded:
        if nowNs - member.lastBeatNs > 3 * Nanoseconds.second, member.service != .venue {
          problem = "no beat for \((nowNs - member.lastBeatNs) / Nanoseconds.second) s"
        } else if isReady[member.service] == false {
          problem = member.service == .harvest ? "data source down" : "not ready"
        } else if isReady[member.service] == nil, member.service != .venue {
          problem = "/readyz does not answer"
        } else {
          problem = staleness(
            member, nowNs, wall: wall, window: window, former: formerSequences[member.service],
            nsMax: freshnessNsMax)
        }
        mark(member.service, isDegraded: problem != nil)
        state = problem == nil ? .healthy : .degraded
      }
      services.append((member.service, state, problem))
    }
    return HealthSample(time: wall, services: services)
  }

  /// Reports follow once a minute.
  private static let reportNs = 90 * Nanoseconds.second

  private func staleness(
    _ member: Member, _ nowNs: Int64, wall: UnixNanos, window: FreshnessWindow, former: Int64?, nsMax: Int64
  ) -> String? {
    func seconds(_ ns: Int64) -> String { "\((ns + 500_000_000) / Nanoseconds.second) s" }
    // One that has just been started has nothing that could be old.
    if member.timeNs == 0 {
      let age = nowNs - member.startedNs
      return member.service == .venue || member.service.isArchive || age <= nsMax
        ? nil : "no record in \(seconds(age))"
    }
    switch member.service {
    case .venue, .convert, .clickhouse, .publish: return nil
    case .harvest:
      if window == .replay { return member.sequence == former ? "no record since the last look" : nil }
      let age = wall.rawValue - member.timeNs
      return age > nsMax ? "newest record is \(seconds(age)) old" : nil
    case .signal, .broker, .report, .cache:
      guard let upstream = member.service.upstream, let source = self[upstream], source.timeNs > 0 else {
        return nil
      }
      // A tape is read faster than its time went by: whoever still moves is not stale.
      if window == .replay, member.sequence != former { return nil }
      let behind = source.timeNs - member.timeNs - (member.service.readsOnAtEnd ? Self.reportNs : 0)
      return behind > nsMax ? "\(seconds(behind)) behind \(upstream.rawValue)" : nil
    }
  }
}
