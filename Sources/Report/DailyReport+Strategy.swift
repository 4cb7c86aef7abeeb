import Core
import Flow
import Strategy

extension DailyReport {
  // MARK: JSON

  /// Regimes, scenarios, divergences: what the strategy made of the day.
  var strategyMembers: [JSONValue.Member] {
    let track = day.regimeTrack.settled()
    return [
      .init("regimes", regimes(track)),
      .init("mode_changes_total", .integer(track.changesTotal)),
      .init(
        "mode_changes",
        .array(
          track.changes.map {
            .object([
              "t": .string(UTCDate($0.time).isoText), "from": .string("\($0.from.name)"),
              "to": .string("\($0.to.name)"),
            ])
          })),
      .init(
        "scenarios",
        .object(
          Scenario.allCases.map { scenario in
            let counts = day.scenarios[Int(scenario.rawValue)]
            let share = Double(counts.rows) / Double(max(1, day.counts.rows))
            return .init(
              scenario == .none ? "none" : "\(scenario.name)",
              .object(counts.members + [.init("share_of_rows", .rounded(share, 6))]))
          })),
      .init("divergence", divergence),
    ]
  }

  private func regimes(_ track: RegimeTrack) -> JSONValue {
    let whole = track.nsInRegime.reduce(0, +)
    return .object(
      RegimeTrack.regimes.map { regime in
        let ns = track.nsInRegime[Int(regime.rawValue)]
        return .init(
          "\(regime.name)",
          .object(
            day.regimes[Int(regime.rawValue)].members + [
              .init("time_s", .rounded(Double(ns) / 1e9, 3)),
              .init("share_of_time", .rounded(whole == 0 ? nil : Double(ns) / Double(whole), 6)),
            ]))
      })
  }

  private var divergence: JSONValue {
    func rate(_ events: Int) -> JSONValue {
      .rounded(day.divergenceSamples == 0 ? nil : Double(events) / Double(day.divergenceSamples), 6)
    }
    let events = day.divergences.dropFirst().reduce(0, +)
    return .object([
      "events": .integer(events), "samples": .integer(day.divergenceSamples), "rate": rate(events),
      "kinds": .object(
        DivergenceKind.allCases.dropFirst().map { kind in
          let events = day.divergences[Int(kind.rawValue)]
          return .init("\(kind.name)", .object(["events": .integer(events), "rate": rate(events)]))
        }),
    ])
  }

  // MARK: Markdown

  /// Changes listed for people, the first ones; up to ``RegimeTrack/changesMax`` are in the JSON.
  private static let changesListedMax = 30

  func strategy(_ json: JSONValue, _ text: inout MarkdownWriter) {
    func plain(_ value: JSONValue?) -> String { MarkdownWriter.cell(value ?? .null) }
    text.line("## Regimes")
    text.line()
    text.table("regime", json["regimes"] ?? .null)
    let changes = json["mode_changes"]?.elements ?? []
    if changes.isEmpty {
      text.line("The regime did not change.")
    } else {
      let listed = changes.prefix(DailyReport.changesListedMax)
      text.line("\(plain(json["mode_changes_total"])) changes; the first \(listed.count):")
      text.line()
      text.table(
        "n", .object(listed.enumerated().map { JSONValue.Member("\($0.offset + 1)", $0.element) }))
    }
    text.line()
    text.line("## Scenarios")
    text.line()
    text.table("scenario", json["scenarios"] ?? .null)
    text.line("## Divergences")
    text.line()
    let divergence = json["divergence"] ?? .null
    text.line(
      "\(plain(divergence["events"])) events in \(plain(divergence["samples"])) samples "
        + "(rate \(plain(divergence["rate"])); at most 0.15 is wanted).")
    text.line()
    text.table("kind", divergence["kinds"] ?? .null)
  }
}

extension ReportAccumulator {
  /// What the strategy made of all days held, in a few lines.
  public var overview: [String] {
    func percent(_ part: Int64, _ whole: Int64) -> String {
      (JSONValue.rounded(100 * Double(part) / Double(max(1, whole)), 1).text ?? "–") + " %"
    }
    func list(_ parts: [(name: String, count: Int64)]) -> String {
      let whole = parts.reduce(0) { $0 + $1.count }
      let shown = parts.filter { $0.count > 0 }.map { "\($0.name) \(percent($0.count, whole))" }
      return shown.isEmpty ? "none" : shown.joined(separator: ", ")
    }
    let tracks = days.map { $0.regimeTrack.settled() }
    let regimes = RegimeTrack.regimes.map { regime in
      ("\(regime.name)", tracks.reduce(0) { $0 + $1.nsInRegime[Int(regime.rawValue)] })
    }
    let changes = tracks.reduce(0) { $0 + $1.changesTotal }
    let scenarios = Scenario.allCases.map { scenario in
      (
        scenario == .none ? "none" : "\(scenario.name)",
        days.reduce(0) { $0 + Int64($1.scenarios[Int(scenario.rawValue)].rows) }
      )
    }
    let kinds = DivergenceKind.allCases.dropFirst().map { kind in
      (name: "\(kind.name)", count: days.reduce(0) { $0 + $1.divergences[Int(kind.rawValue)] })
    }
    let samples = days.reduce(0) { $0 + $1.divergenceSamples }
    let events = kinds.reduce(0) { $0 + $1.count }
    let named = kinds.filter { $0.count > 0 }.map { "\($0.name) \(grouped($0.count))" }
    return [
      "regimes by time: \(list(regimes)); \(changes) changes",
      "scenarios by rows: \(list(scenarios))",
      "divergences: \(grouped(events)) in \(grouped(samples)) samples (\(percent(Int64(events), Int64(samples))))"
        + (named.isEmpty ? "" : ": " + named.joined(separator: ", ")),
    ]
  }
}
