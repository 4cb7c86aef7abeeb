/// How a metric is spelt and what it means, apart from its values.
public struct MetricDefinition: Equatable, Sendable {
  public var name: String
  public var type: MetricType
  public var help: String
  /// The labels every one of its series carries; a series may carry more.
  public var labels: [String]
  /// Upper bounds of a histogram; empty for the other types.
  public var buckets: [Double]

  public init(
    _ name: String, _ type: MetricType, _ help: String, labels: [String] = [], buckets: [Double] = []
  ) {
    self.name = name
    self.type = type
    self.help = help
    self.labels = labels
    self.buckets = buckets
  }
}

extension MetricRegistry {
  public func counter(
    _ definition: MetricDefinition, labels: KeyValuePairs<String, String> = [:]
  ) -> Counter {
    check(definition, .counter, labels)
    return counter(definition.name, definition.help, labels: labels)
  }

  public func gauge(_ definition: MetricDefinition, labels: KeyValuePairs<String, String> = [:]) -> Gauge {
    check(definition, .gauge, labels)
    return gauge(definition.name, definition.help, labels: labels)
  }

  public func histogram(
    _ definition: MetricDefinition, labels: KeyValuePairs<String, String> = [:]
  ) -> Histogram {
    check(definition, .histogram, labels)
    return histogram(definition.name, definition.help, buckets: definition.buckets, labels: labels)
  }

  public func declare(_ definition: MetricDefinition) {
    declare(definition.name, definition.type, definition.help)
  }

  private func check(
    _ definition: MetricDefinition, _ type: MetricType, _ labels: KeyValuePairs<String, String>
  ) {
    precondition(definition.type == type, "\(definition.name) is a \(definition.type.rawValue)")
    precondition(
      definition.labels.allSatisfy { name in labels.contains { $0.key == name } },
      "\(definition.name) has the labels \(definition.labels)")
  }
}
