import Core
import Telemetry

/// A short memory of scraped metrics: what rules look back at.
///
/// Each metric is kept as long as the longest range that a rule applies to it, plus the lookback of an
/// instant selector; metrics that no rule names are not kept at all. Times are those of the scrapes, in
/// whole milliseconds as in Prometheus. A series that a target showed in its last scrape and shows no more
/// gets a staleness mark, so that the gauges of a dead service don't linger.
///
/// Bounds: ``Limits``. What exceeds them is counted in ``counters`` and not stored, except that a full
/// series lets its oldest sample go. Scrapes must come in order of time; a sample that is not newer than its
/// series' newest is counted and left out.
public struct MetricStore: Sendable {
  public struct Limits: Equatable, Sendable {
    public var seriesMax = 8192
    public var samplesPerSeriesMax = 20_000
    public var targetsMax = 256

    public init() {}
  }

  /// What happened to samples since the start.
  public struct Counters: Equatable, Sendable {
    public var stored = 0
    /// Of metrics that no rule names.
    public var unused = 0
    public var staleMarks = 0
    /// Not newer than their series' newest, or twice in a scrape.
    public var outOfOrder = 0
    /// Of new series beyond `seriesMax`, or of targets beyond `targetsMax`.
    public var overBound = 0
    /// The oldest of a full series.
    public var pushedOut = 0
  }

  struct Series: Sendable {
    let name: String
    let labels: LabelSet
    var ring = SampleRing()
    var scrape = 0
  }

  private struct Key: Hashable {
    let name: String
    let labels: LabelSet
  }

  /// How far an instant selector looks back, and so how long a series lives that nobody ended: 5 min.
  public static let lookbackMs: Int64 = 300_000
  private static let sweepEveryMs: Int64 = 60_000

  public let limits: Limits
  public private(set) var counters = Counters()
  private let retentionMs: [String: Int64]
  private var slots: [Series?] = []
  private var freeSlots: [Int] = []
  private var slotOfKey: [Key: Int] = [:]
  private var slotsOfName: [String: [Int]] = [:]
  /// The series of each target's last scrape.
  private var scraped: [LabelSet: [Int]] = [:]
  private var scrapes = 0
  private var sweepAtMs: Int64 = .min

  /// - Parameter rangesMs: the metrics to keep, each with the longest range asked of it (0 for none).
  public init(keeping rangesMs: [String: Int64], limits: Limits = Limits()) {
    retentionMs = rangesMs.mapValues { $0 + MetricStore.lookbackMs }
    self.limits = limits
  }

  /// The number of series held.
  public var seriesCount: Int { slotOfKey.count }

  /// Takes one scrape of one target; an empty scrape means that the target is gone.
  ///
  /// - Parameter target: added to each sample's labels; a sample's own label of the same name becomes
  ///   `exported_<name>`, as Prometheus does without `honor_labels`.
  /// - Complexity: O(samples × labels)
  public mutating func append(_ samples: [MetricSample], target: [MetricSample.Label], at time: UnixNanos) {
    let ms = time.milliseconds
    let targetLabels = LabelSet(target)
    guard scraped[targetLabels] != nil || scraped.count < limits.targetsMax else {
      counters.overBound += samples.count
      return
    }
    scrapes += 1
    var present: [Int] = []
    for sample in samples {
      guard retentionMs[sample.name] != nil else {
        counters.unused += 1
        continue
      }
      let labels = MetricStore.join(sample.labels, targetLabels)
      guard let slot = slot(sample.name, labels) else {
        counters.overBound += 1
        continue
      }
      if slots[slot]!.scrape != scrapes { present.append(slot) }
      slots[slot]!.scrape = scrapes
      store(sample.value, slot, ms)
    }
    for slot in scraped[targetLabels] ?? [] where slots[slot]?.scrape != scrapes {
      counters.staleMarks += 1
      store(SampleRing.staleMark, slot, ms)
    }
    scraped[targetLabels] = present
    if ms >= sweepAtMs { sweep(ms) }
  }

  /// Takes one sample of one series outside any scrape: no other series is marked as ended by it.
  ///
  /// - Parameter value: `nil` ends the series.
  public mutating func append(_ name: String, _ labels: LabelSet, _ value: Double?, at time: UnixNanos) {
    guard retentionMs[name] != nil else {
      counters.unused += 1
      return
    }
    guard let slot = slot(name, labels) else {
      counters.overBound += 1
      return
    }
    store(value ?? SampleRing.staleMark, slot, time.milliseconds)
    if time.milliseconds >= sweepAtMs { sweep(time.milliseconds) }
  }

  private static func join(_ labels: [MetricSample.Label], _ target: LabelSet) -> LabelSet {
    let own = labels.map {
      target[$0.name] == nil ? $0 : MetricSample.Label("exported_" + $0.name, $0.value)
    }
    return LabelSet(own + target.labels)
  }

  private mutating func slot(_ name: String, _ labels: LabelSet) -> Int? {
    let key = Key(name: name, labels: labels)
    if let known = slotOfKey[key] { return known }
    guard slotOfKey.count < limits.seriesMax else { return nil }
    let series = Series(name: name, labels: labels)
    let slot: Int
    if let free = freeSlots.popLast() {
      slot = free
      slots[slot] = series
    } else {
      slot = slots.count
      slots.append(series)
    }
    slotOfKey[key] = slot
    slotsOfName[name, default: []].append(slot)
    return slot
  }

  private mutating func store(_ value: Double, _ slot: Int, _ ms: Int64) {
    if let newest = slots[slot]!.ring.newest, newest.ms >= ms {
      counters.outOfOrder += 1
      return
    }
    slots[slot]!.ring.removeAll(before: ms - retentionMs[slots[slot]!.name]!)
    let point = SampleRing.Point(ms: ms, value: value)
    if slots[slot]!.ring.append(point, countMax: limits.samplesPerSeriesMax) { counters.pushedOut += 1 }
    counters.stored += 1
  }

  /// Forgets series whose newest sample no rule can see any more.
  private mutating func sweep(_ ms: Int64) {
    sweepAtMs = ms + MetricStore.sweepEveryMs
    for (key, slot) in slotOfKey {
      let newest = slots[slot]!.ring.newest?.ms ?? .min
      guard newest < ms - retentionMs[key.name]! else { continue }
      slots[slot] = nil
      freeSlots.append(slot)
      slotOfKey[key] = nil
      slotsOfName[key.name]!.removeAll { $0 == slot }
    }
    freeSlots.sort(by: >)
    for target in scraped.keys {
      scraped[target]!.removeAll { slots[$0] == nil }
      if scraped[target]!.isEmpty { scraped[target] = nil }
    }
  }

  // MARK: Reading

  /// The series of a metric that `matches`, in order of their labels.
  func series(_ name: String, where matches: (LabelSet) -> Bool) -> [Series] {
    var found: [Series] = []
    for slot in slotsOfName[name] ?? [] where matches(slots[slot]!.labels) { found.append(slots[slot]!) }
    return found.sorted { $0.labels < $1.labels }
  }
}

extension MetricStore.Series {
  /// What an instant selector sees: the newest sample of the last five minutes, unless the series has ended.
  func value(atMs ms: Int64) -> Double? {
    let after = ring.lowerBound(ms + 1)
    guard after > 0 else { return nil }
    let point = ring[after - 1]
    guard point.ms >= ms - MetricStore.lookbackMs, !SampleRing.isStale(point.value) else { return nil }
    return point.value
  }

  /// What a range selector sees: the samples from `start` to `end`, both included, without staleness marks.
  func points(fromMs start: Int64, throughMs end: Int64) -> [SampleRing.Point] {
    var found: [SampleRing.Point] = []
    var index = ring.lowerBound(start)
    while index < ring.count, ring[index].ms <= end {
      if !SampleRing.isStale(ring[index].value) { found.append(ring[index]) }
      index += 1
    }
    return found
  }
}
