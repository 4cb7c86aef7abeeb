import Core

/// Round moments along a time axis.
struct TimeAxis {
  let start: Int64
  let end: Int64
  let stepNs: Int64

  private static let stepsSeconds: [Int64] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200, 86_400,
  ]

  init(start: Int64, end: Int64, ticksMax: Int) {
    self.start = start
    self.end = max(end, start + Nanoseconds.second)
    let wanted = (self.end - start) / Int64(ticksMax)
    let steps = TimeAxis.stepsSeconds.map { $0 * Nanoseconds.second }
    stepNs = steps.first { $0 >= wanted } ?? steps.last!
  }

  var ticks: [Int64] {
    var ticks: [Int64] = []
    var tick = floorDivide(start + stepNs - 1, stepNs) * stepNs
    while tick <= end, ticks.count < 100 {
      ticks.append(tick)
      tick += stepNs
    }
    return ticks
  }

  /// `23:57`, with seconds where the steps need them.
  func label(_ tick: Int64) -> String {
    let text = UTCDate(UnixNanos(tick)).timeText
    return stepNs % Nanoseconds.minute == 0 ? String(text.prefix(5)) : text
  }

  func position(_ time: Double, left: Double, width: Double) -> Double {
    left + width * (time - Double(start)) / Double(end - start)
  }
}
