import Core

/// The metrics of one service, used on its loop's thread.
///
/// A service counts on its hot path and is asked for all its numbers a few times a minute. Looking a metric up
/// by name and labels for every event would cost more than the event, so a caller asks once and keeps the
/// object: an increment is then an addition to a field. Numbers that are kept elsewhere anyway (a queue's
/// depth, a state machine's totals) are copied only when somebody asks, by a job given to ``onCollect(_:)``.
///
/// What a metric is called is decided in code, so a bad name, a changed type or other buckets are our bug and
/// trap. What a label says may come from outside (a symbol, a close reason) and must not grow memory without
/// end: beyond ``seriesPerFamilyMax`` all further label sets of a family share one object that is not exposed,
/// and `weir_telemetry_series_dropped_total{metric}` counts the requests that met this bound.
///
/// Format: Prometheus text exposition 0.0.4.
public final class MetricRegistry {
  enum Instrument {
    case counter(Counter)
    case gauge(Gauge)
    case histogram(Histogram)
  }

  struct Series {
    var labels: [MetricSample.Label]
    /// `symbol="BTCUSDT",reason="remote"`, escaped; empty without labels.
    var labelText: String
    var instrument: Instrument
  }

  final class Family {
    let name: String
    let type: MetricType
    let help: String
    var upperBounds: [Double]?
    var series: [Series] = []
    /// Where the series with these labels, ordered by name, is.
    var places: [[MetricSample.Label]: Int] = [:]
    var overflow: Instrument?

    init(name: String, type: MetricType, help: String) {
      self.name = name
      self.type = type
      self.help = help
    }
  }

  public let seriesPerFamilyMax: Int
  /// In order of first registration.
  private(set) var families: [Family] = []
  private var places: [String: Int] = [:]
  /// Every name that appears before a value, and the family that writes it.
  private var owners: [String: String] = [:]
  private var jobs: [() -> Void] = []

  public init(seriesPerFamilyMax: Int = 4096) {
    precondition(seriesPerFamilyMax > 0)
    self.seriesPerFamilyMax = seriesPerFamilyMax
    declare(MetricCatalog.seriesDropped)
  }

  /// The counter with this name and these labels, the same object every time.
  public func counter(
    _ name: String, _ help: String, labels: KeyValuePairs<String, String> = [:]
  ) -> Counter {
    let instrument = instrument(name, .counter, help, labels) { .counter(Counter()) }
    guard case .counter(let counter) = instrument else { preconditionFailure() }
    return counter
  }

  /// The gauge with this name and these labels, the same object every time.
  public func gauge(_ name: String, _ help: String, labels: KeyValuePairs<String, String> = [:]) -> Gauge {
    let instrument = instrument(name, .gauge, help, labels) { .gauge(Gauge()) }
    guard case .gauge(let gauge) = instrument else { preconditionFailure() }
    return gauge
  }

  /// The histogram with this name and these labels, the same object every time.
  ///
  /// - Parameter buckets: upper bounds, finite and ascending; the same for all series of the name.
  public func histogram(
    _ name: String, _ help: String, buckets: [Double], labels: KeyValuePairs<String, String> = [:]
  ) -> Histogram {
    let family = family(name, .histogram, help)
    if let known = family.upperBounds {
      precondition(known == buckets, "\(name) has other buckets already")
    } else {
      precondition(buckets.allSatisfy(\.isFinite), "\(name): a bucket's bound is finite")
      precondition(
        zip(buckets, buckets.dropFirst()).allSatisfy(<), "\(name): the buckets' bounds are not ascending")
      family.upperBounds = buckets
    }
    let instrument = instrument(name, .histogram, help, labels) {
      .histogram(Histogram(upperBounds: buckets))
    }
    guard case .histogram(let histogram) = instrument else { preconditionFailure() }
    return histogram
  }

  /// Announces a metric, so that its `HELP` and `TYPE` are written while it has no sample yet.
  public func declare(_ name: String, _ type: MetricType, _ help: String) {
    _ = family(name, type, help)
  }

  /// Has `job` run before each exposition, to refresh values that are kept elsewhere.
  public func onCollect(_ job: @escaping () -> Void) { jobs.append(job) }

  func collect() {
    for job in jobs { job() }
  }

  private func family(_ name: String, _ type: MetricType, _ help: String) -> Family {
    if let place = places[name] {
      let family = families[place]
      precondition(family.type == type, "\(name) is a \(family.type.rawValue) already")
      return family
    }
    precondition(MetricName.isValid(name.utf8), "\(name) is no metric name")
    for exposed in exposedNames(name, type) {
      if let owner = owners.updateValue(name, forKey: exposed) {
        preconditionFailure("\(exposed) belongs to \(owner) already")
      }
    }
    let family = Family(name: name, type: type, help: help)
    places[name] = families.count
    families.append(family)
    return family
  }

  private func exposedNames(_ name: String, _ type: MetricType) -> [String] {
    switch type {
    case .counter, .gauge, .untyped: [name]
    case .summary: [name, name + "_sum", name + "_count"]
    case .histogram: [name, name + "_bucket", name + "_sum", name + "_count"]
    }
  }

  private func instrument(
    _ name: String, _ type: MetricType, _ help: String, _ labels: KeyValuePairs<String, String>,
    make: () -> Instrument
  ) -> Instrument {
    let family = family(name, type, help)
    let written = labels.map { MetricSample.Label($0.key, $0.value) }
    let key = written.count < 2 ? written : written.sorted { $0.name < $1.name }
    if let place = family.places[key] { return family.series[place].instrument }
    check(key, of: family)
    // The count of the bound's victims has one series for each family, and those are decided in code.
    if family.series.count >= seriesPerFamilyMax, name != MetricCatalog.seriesDropped.name {
      counter(MetricCatalog.seriesDropped, labels: ["metric": name]).add()
      if let overflow = family.overflow { return overflow }
      let overflow = make()
      family.overflow = overflow
      return overflow
    }
    let instrument = make()
    family.places[key] = family.series.count
    family.series.append(
      Series(labels: written, labelText: Self.labelText(written), instrument: instrument))
    return instrument
  }

  private func check(_ labels: [MetricSample.Label], of family: Family) {
    for label in labels {
      precondition(
        MetricName.isValidLabel(label.name.utf8) && !label.name.hasPrefix("__"),
        "\(family.name): \(label.name) is no label name")
      precondition(
        family.type != .histogram || label.name != "le", "\(family.name): le is the histogram's own label")
    }
    precondition(
      zip(labels, labels.dropFirst()).allSatisfy { $0.name != $1.name }, "\(family.name): a label given twice"
    )
  }
}
