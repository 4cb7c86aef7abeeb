/// What a metric's numbers mean, spelt as in the text format's `TYPE` line.
public enum MetricType: String, CaseIterable, Sendable {
  case counter, gauge, histogram, summary, untyped
}
