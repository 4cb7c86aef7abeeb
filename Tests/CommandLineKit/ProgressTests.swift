import Core
import Testing

@testable import CommandLineKit

@Suite("Progress")
struct ProgressTests {
  /// Lines shown by one update every 100 ms for 20 s.
  private func lines(_ display: Progress.Display, total: Int64? = 200, columns: Int = 80) -> [String] {
    var now: Int64 = 5
    var shown: [String] = []
    let progress = Progress(
      "replay", total: total, unit: "records", display: display, columnsMax: columns, clock: { now }
    ) { shown.append($0) }
    for step in 1...200 {
      now += Nanoseconds.second / 10
      progress.update(Int64(step))
      if step < 20 { #expect(shown.isEmpty) }
    }
    progress.finish()
    progress.update(200)
    return shown
  }

  @Test func aTerminalLineIsRewrittenTwiceASecondAndRemoved() {
    let shown = lines(.rewritten)
    #expect(shown.count == 38)
    #expect(shown.first == "\rreplay: 10 %, 20 of 200 records, 10/s, 18 s left\u{1B}[K")
    #expect(shown.dropLast().allSatisfy { $0.hasPrefix("\r") && !$0.contains("\n") })
    #expect(shown.last == "\r\u{1B}[K")
  }

  @Test func elsewhereALineComesEveryFiveSeconds() {
    #expect(
      lines(.lines, total: nil).map { $0 == "replay: 20 records, 10/s\n" } == [true, false, false, false])
  }

  @Test func narrowTerminalsAndSilence() {
    #expect(lines(.none).isEmpty)
    #expect(lines(.rewritten, columns: 30).allSatisfy { $0.count <= 34 })
  }

  @Test func whoSeesIt() {
    #expect(Progress.display(isTerminal: true, isJSON: true, isQuiet: false) == .rewritten)
    #expect(Progress.display(isTerminal: false, isJSON: true, isQuiet: false) == .none)
    #expect(Progress.display(isTerminal: false, isJSON: false, isQuiet: false) == .lines)
    #expect(Progress.display(isTerminal: true, isJSON: false, isQuiet: true) == .none)
  }

  @Test(
    arguments: [
      (0, "0"), (999, "999"), (1000, "1 k"), (999.6, "1 k"), (12_345, "12.3 k"), (8_314_000, "8.31 M"),
      (2.5, "2.5"),
      (999_600, "1 M"), (3e15, "3000 T"), (.infinity, "–"),
    ] as [(Double, String)])
  func counts(_ value: Double, _ text: String) {
    #expect(compactCount(value) == text)
  }

  @Test(
    arguments: [
      (0.2, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (.nan, "–"),
    ] as [(Double, String)])
  func durations(_ seconds: Double, _ text: String) {
    #expect(durationText(seconds) == text)
  }

  @Test func theClockMoves() {
    let first = MonotonicClock.nanoseconds()
    #expect(first > 0 && MonotonicClock.nanoseconds() >= first)
  }
}
