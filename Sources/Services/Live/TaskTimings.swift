import Core

/// How late a harvester's loop and its disk are.
///
/// A loop that is busy runs its timers late, so the lateness of a timer that comes every 20 ms is the time a frame may
/// wait for its turn.
struct TaskTimings {
  private static let turnLateNsMax = 250 * Nanoseconds.millisecond
  private static let syncNsMax = Nanoseconds.second
  private static let boundsMs: [Double] = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000]

  private(set) var turns = LatencyHistogram()
  private(set) var syncs = LatencyHistogram()
  private(set) var turnOverruns = 0
  private(set) var syncOverruns = 0

  mutating func turned(lateNs: Int64) {
    turns.add(lateNs)
    if lateNs > TaskTimings.turnLateNsMax { turnOverruns += 1 }
  }

  mutating func synced(ns: Int64) {
    syncs.add(ns)
    if ns > TaskTimings.syncNsMax { syncOverruns += 1 }
  }

  /// `task_latency_seconds` and `weir_task_overruns_total`.
  func exposition(into writer: inout ByteWriter) {
    writer.append(
      "# HELP task_latency_seconds lateness of the loop's timers, duration of syncs\n"
        + "# TYPE task_latency_seconds histogram\n")
    for (name, histogram) in [("turn", turns), ("sync", syncs)] {
      func line(_ suffix: String, _ bound: String?, _ value: Double) {
        let label = bound.map { ",le=\"\($0)\"" } ?? ""
        writer.append("task_latency_seconds\(suffix){task_type=\"\(name)\"\(label)} ")
        writer.append(double: value)
        writer.append(byte: 0x0A)
      }
      for bound in TaskTimings.boundsMs {
        var text = ByteWriter(capacity: 16)
        text.append(double: bound / 1000)
        line("_bucket", text.string(), Double(histogram.countAtMost(ms: bound)))
      }
      line("_bucket", "+Inf", Double(histogram.count))
      line("_sum", nil, Double(histogram.sumNs) / 1e9)
      line("_count", nil, Double(histogram.count))
    }
    writer.append(
      "# HELP weir_task_overruns_total timers over 250 ms late, syncs over 1 s\n"
        + "# TYPE weir_task_overruns_total counter\n"
        + "weir_task_overruns_total{task_type=\"turn\"} \(turnOverruns)\n"
        + "weir_task_overruns_total{task_type=\"sync\"} \(syncOverruns)\n")
  }
}
