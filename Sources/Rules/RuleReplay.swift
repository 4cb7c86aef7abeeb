import Core
import Telemetry

/// Rules over recorded or simulated metrics, in the metrics' own time.
///
/// A line is one scrape of one target:
/// `{"time_ns":1721347200000000000,"target":{"job":"signal"},"samples":[["name",{"label":"value"},1.5],…]}`.
/// Values that JSON has no number for are texts: `"NaN"`, `"+Inf"`, `"-Inf"`. Rules are judged at every whole
/// multiple of their interval, after all scrapes up to then.
public struct RuleReplay: Sendable {
  public private(set) var store: MetricStore
  public private(set) var engine: AlertEngine
  public private(set) var ladder: DegradeLadder
  private let intervalNs: Int64
  private let settleNs: Int64
  private var nextNs: Int64?
  private var newestNs: Int64 = .min

  public init(_ rules: RuleSet) {
    store = MetricStore(for: rules)
    engine = AlertEngine(rules)
    ladder = DegradeLadder(rules)
    intervalNs = rules.intervalNs
    settleNs = rules.settleNs
  }

  /// Judges up to the line's time, then takes the line.
  ///
  /// - Returns: events of alerts and of the ladder, one object each.
  /// - Throws: ``RuleError`` that says what is wrong with the line.
  public mutating func take(_ line: UnsafeRawBufferPointer) throws(RuleError) -> [JSONValue] {
    let value: JSONValue
    do throws(JSONValue.ParseError) {
      value = try JSONValue(parsing: line)
    } catch {
      throw RuleError(message: error.description)
    }
    guard case .number? = value["time_ns"], let time = value["time_ns"]?.integer, time >= 0,
      time < Int64.max / 2
    else {
      throw RuleError(message: "time_ns must be whole nanoseconds since 1970")
    }
    guard time >= newestNs else {
      throw RuleError(message: "time_ns \(time) is before the line above; sort the lines by time")
    }
    let target = try labels(value["target"] ?? .object([]))
    guard let elements = value["samples"]?.elements else {
      throw RuleError(message: "samples must be a list of [\"name\", {labels}, value]")
    }
    var samples: [MetricSample] = []
    for element in elements { samples.append(try sample(element)) }
    let events = judge(before: time)
    newestNs = time
    if nextNs == nil { nextNs = (time + intervalNs - 1) / intervalNs * intervalNs }
    store.append(samples, target: target, at: UnixNanos(time))
    return events
  }

  /// Judges what the last lines have left, up to the first multiple of the interval at or after them.
  public mutating func finish() -> [JSONValue] {
    nextNs == nil ? [] : judge(before: newestNs + intervalNs)
  }

  private mutating func judge(before time: Int64) -> [JSONValue] {
    var events: [JSONValue] = []
    while let next = nextNs, next < time {
      if next - newestNs > settleNs {
        // Nothing changes in a silence this long, so its evaluations can be left out.
        nextNs = max(next, time / intervalNs * intervalNs)
        if nextNs! >= time { break }
      }
      let now = UnixNanos(nextNs!)
      nextNs! += intervalNs
      events += engine.step(now: now, store).events.map(\.json)
      events += ladder.step(now: now, store).map(\.json)
    }
    return events
  }

  private func labels(_ value: JSONValue) throws(RuleError) -> [MetricSample.Label] {
    guard let members = value.members else {
      throw RuleError(message: "labels must be an object of texts")
    }
    var labels: [MetricSample.Label] = []
    for member in members {
      guard case .string(let text) = member.value else {
        throw RuleError(message: "the label \(legible(member.key)) must be a text")
      }
      labels.append(MetricSample.Label(member.key, text))
    }
    return labels
  }

  private func sample(_ value: JSONValue) throws(RuleError) -> MetricSample {
    guard let parts = value.elements, parts.count == 3, case .string(let name) = parts[0],
      let number = parts[2].text.flatMap({ Double($0) })
    else {
      throw RuleError(message: "a sample must be [\"name\", {labels}, value]; found \(value.text())")
    }
    return MetricSample(name, try labels(parts[1]), number)
  }
}
