/// Upper bounds for histograms, ascending; the bucket for everything above the last is always there.
///
/// Each list holds the limits that the alert rules compare with, so that a quantile is exact where it decides.
public enum MetricBuckets {
  /// Waiting for a machine on the network or in this room: 0.5 ms to 10 s, with 0.2 s and 0.3 s as limits.
  public static let latencySeconds: [Double] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10,
  ]
  /// The same in milliseconds.
  public static let latencyMilliseconds: [Double] = [
    0.5, 1, 2.5, 5, 10, 25, 50, 100, 200, 300, 500, 1000, 2500, 5000, 10_000,
  ]
  /// Work in one process: 0.01 ms to 1 s, with 5 ms, 50 ms, 100 ms and 200 ms as limits.
  public static let milliseconds: [Double] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 200, 500, 1000,
  ]
  /// Tasks: 1 ms to 5 min.
  public static let taskSeconds: [Double] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
  ]
}
