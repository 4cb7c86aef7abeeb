/// One value of a metric, as it is exposed, scraped, judged by rules and exported.
public struct MetricSample: Equatable, Sendable {
  public struct Label: Hashable, Sendable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  public var name: String
  /// In the order they were written.
  public var labels: [Label]
  public var value: Double

  public init(_ name: String, _ labels: [Label] = [], _ value: Double) {
    self.name = name
    self.labels = labels
    self.value = value
  }

  public subscript(label: String) -> String? { labels.first { $0.name == label }?.value }
}
