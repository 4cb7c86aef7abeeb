import Core

/// What of the run is changed at the moment: by an operator, by an alert's action, or by the degrade ladder.
///
/// Whatever changes signals is told to the harvester, which writes it on the tape: a replay obeys it at the same
/// record. The rest acts on the harvester alone.
struct RunEffects: Equatable, Sendable {
  var lightRows = false
  var strongOnly = false
  var thresholdsUp = false
  var conservativeCost = false
  var timeIsDegraded = false
  var restFallback = false
  var compressNow = false
  var shadowIsPaused = false
  /// A forced mode; nil where nobody wants one.
  var mode: String?

  /// How far thresholds are raised while data is degraded.
  static let thresholdScale = 1.25

  func union(_ other: RunEffects) -> RunEffects {
    RunEffects(
      lightRows: lightRows || other.lightRows, strongOnly: strongOnly || other.strongOnly,
      thresholdsUp: thresholdsUp || other.thresholdsUp,
      conservativeCost: conservativeCost || other.conservativeCost,
      timeIsDegraded: timeIsDegraded || other.timeIsDegraded,
      restFallback: restFallback || other.restFallback, compressNow: compressNow || other.compressNow,
      shadowIsPaused: shadowIsPaused || other.shadowIsPaused, mode: mode ?? other.mode)
  }

  /// Names of what is on, for people.
  var names: [String] {
    let all: [(Bool, String)] = [
      (lightRows, "light_rows"), (strongOnly, "strong_only"), (thresholdsUp, "thresholds_up"),
      (conservativeCost, "conservative_cost"), (timeIsDegraded, "degraded_time_sync"),
      (restFallback, "rest_fallback"), (compressNow, "compress_now"), (shadowIsPaused, "shadow_paused"),
    ]
    return all.filter(\.0).map(\.1) + (mode.map { $0 == "auto" ? [] : ["mode_\($0)"] } ?? [])
  }

  /// Commands to the harvester that lead from one state to another.
  ///
  /// - Parameter isFresh: the harvester was started anew: what is on its tape still holds, what it only
  ///   remembered does not.
  func commands(from before: RunEffects, isFresh: Bool = false, by: String) -> [(name: String, JSONValue)] {
    var commands: [(name: String, JSONValue)] = []
    func control(_ members: KeyValuePairs<String, JSONValue>) {
      let all = members.map { JSONValue.Member($0.key, $0.value) } + [.init("by", .string(by))]
      commands.append(("control", .object(all)))
    }
    if (lightRows, strongOnly, thresholdsUp, conservativeCost)
      != (before.lightRows, before.strongOnly, before.thresholdsUp, before.conservativeCost)
    {
      control([
        "control": .string("degrade"), "light_rows": .bool(lightRows), "strong_only": .bool(strongOnly),
        "threshold_scale": .double(thresholdsUp ? RunEffects.thresholdScale : 1),
        "conservative_cost": .bool(conservativeCost),
      ])
    }
    if timeIsDegraded != before.timeIsDegraded {
      control(["control": .string("time_sync"), "value": .string(timeIsDegraded ? "degraded" : "normal")])
    }
    if mode ?? "auto" != before.mode ?? "auto" {
      control(["control": .string("mode"), "value": .string(mode ?? "auto")])
    }
    if shadowIsPaused != before.shadowIsPaused {
      control(["control": .string("shadow"), "value": .string(shadowIsPaused ? "pause" : "resume")])
    }
    if restFallback != (isFresh ? false : before.restFallback) {
      commands.append(("fallback-rest", .object(["on": .bool(restFallback)])))
    }
    if compressNow != (isFresh ? false : before.compressNow) {
      commands.append(("compress", .object(["on": .bool(compressNow)])))
    }
    return commands
  }
}
