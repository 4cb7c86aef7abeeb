import Core
import Telemetry
import Testing

/// A log whose clock the test moves and whose lines it keeps.
private final class Recorder {
  var time = UnixNanos(milliseconds: 1_721_347_021_080)
  var lines: [String] = []
  private(set) var log: Log!

  init(format: Log.Format = .json, level: Log.Level = .info, eventsPerWindowMax: Int = 20, run: String? = nil)
  {
    log = Log(
      service: "signal", run: run, format: format, level: level, eventsPerWindowMax: eventsPerWindowMax,
      now: { [unowned self] in time },
      write: { [unowned self] in lines.append(String(decoding: $0, as: UTF8.self)) })
  }

  func advance(seconds: Double) { time = UnixNanos(time.rawValue + Int64(seconds * 1e9)) }
}

@Suite("Log") struct LogTests {
  @Test("a JSON line holds the frame's fields, then the event's") func json() {
    let recorder = Recorder(run: "r1")
    recorder.log.warning(
      "reconnected",
      [
        "symbol": "BTCUSDT", "tries": 3, "share": 0.25, "loss": .double(.nan), "late": false,
        "bytes": .integer(UInt64.max), "key": .secret("hunter2"), "wait": "\(1 + 1) s",
      ], trace: TraceID(tapeSequence: 255))
    #expect(
      recorder.lines == [
        #"{"ts":"2024-07-18T23:57:01.080Z","level":"warning","service":"signal","run":"r1","#
          + #""event":"reconnected","trace_id":"00000000000000ff","symbol":"BTCUSDT","tries":3,"share":0.25,"#
          + #""loss":"NaN","late":false,"bytes":"18446744073709551615","key":"<redacted>","wait":"2 s"}"#
          + "\n"
      ])
  }

  @Test("a line for a person has the time of day and quotes only what needs it") func human() {
    let recorder = Recorder(format: .human)
    recorder.log.info("reconnected", ["symbol": "BTCUSDT", "reason": "remote"])
    recorder.log.error(
      "refused", ["why": "no = 1", "none": "", "n": -2, "x": .double(-.infinity), "key": .secret(7)],
      trace: TraceID(tapeSequence: 1))
    #expect(
      recorder.lines == [
        "23:57:01.080 INFO signal  reconnected symbol=BTCUSDT reason=remote\n",
        "23:57:01.080 ERROR signal  refused trace_id=0000000000000001 why=\"no = 1\" none=\"\" n=-2 x=-Inf"
          + " key=<redacted>\n",
      ])
  }

  @Test(
    "whatever a text holds, an event is one printable line that reads back", arguments: Log.Format.allCases)
  func oneLine(format: Log.Format) throws {
    let hostile = "a\nb\r\u{0}\u{1B}[2J\u{7F}\u{85}\u{9B}31m\u{2028}\u{2029}\u{202E}\u{200F}\u{2066}é\"\\\t😀"
    let recorder = Recorder(format: format)
    recorder.log.error(hostile, ["text": .text(hostile)])
    let line = try #require(recorder.lines.first)
    #expect(line.last == "\n")
    let forbidden = line.dropLast().unicodeScalars.filter { scalar in
      scalar.properties.generalCategory == .control || scalar.properties.isBidiControl
        || scalar.properties.generalCategory == .lineSeparator
        || scalar.properties.generalCategory == .paragraphSeparator
    }
    #expect(forbidden.isEmpty)
    if format == .json {
      let bytes = Array(line.utf8)
      let value = try bytes.withUnsafeBytes { try JSONValue(parsing: $0) }
      #expect(value["text"]?.text == hostile)
      #expect(value["event"]?.text == hostile)
    }
  }

  @Test("a long text is cut at the end of a character") func long() throws {
    let recorder = Recorder(format: .human)
    recorder.log.error("long", ["text": .text("x" + String(repeating: "é", count: 4000))])
    let line = try #require(recorder.lines.first)
    #expect(line.hasSuffix("éé…\n"))
    #expect(line.filter { $0 == "é" }.count == (LogValue.textBytesMax - 1) / 2)
  }

  @Test("lines below the level are not written, and their fields not made") func levels() {
    let recorder = Recorder(level: .warning)
    var made = 0
    func value() -> LogValue {
      made += 1
      return 1
    }
    recorder.log.debug("a", ["n": value()])
    recorder.log.info("a", ["n": value()])
    #expect(made == 0)
    recorder.log.warning("a", ["n": value()])
    recorder.log.error("a", ["n": value()])
    recorder.log.level = .debug
    recorder.log.debug("a", ["n": value()])
    #expect(recorder.lines.count == 3)
    #expect(made == 3)
    #expect(Log.Level.allCases.map(\.name) == ["debug", "info", "warning", "error"])
    #expect(Log.Level(name: "warning") == .warning)
    #expect(Log.Level(name: "loud") == nil)
  }
}

@Suite("Log limit") struct LogLimitTests {
  private func recorder() -> Recorder { Recorder(format: .human, level: .debug, eventsPerWindowMax: 3) }

  @Test("an event beyond its number in ten seconds is counted, and reported when they are over")
  func suppressed() {
    let recorder = recorder()
    for index in 0..<10 {
      recorder.log.write(index == 7 ? .error : .info, "failed", ["n": .integer(index)])
      recorder.log.info("other \(index)")
      recorder.advance(seconds: 0.5)
    }
    #expect(recorder.lines.filter { $0.contains("  failed ") }.count == 3)
    #expect(recorder.lines.count == 13)
    #expect(recorder.log.suppressedCount == 7)
    recorder.advance(seconds: 5)
    recorder.log.info("failed", ["n": 10])
    #expect(
      recorder.lines.suffix(2) == [
        "23:57:11.080 ERROR signal  suppressed suppressed_event=failed suppressed=7\n",
        "23:57:11.080 INFO signal  failed n=10\n",
      ])
    recorder.log.flush()
    #expect(recorder.lines.count == 15)
  }

  @Test("any line or the timer reports a window that has ended; the end reports those that have not")
  func reporters() {
    let recorder = recorder()
    for _ in 0..<5 { recorder.log.info("a") }
    recorder.advance(seconds: 4)
    for _ in 0..<4 { recorder.log.info("b") }
    recorder.log.tick()
    #expect(recorder.lines.count == 6)
    recorder.advance(seconds: 6)
    recorder.log.tick()
    recorder.log.tick()
    #expect(recorder.lines.last == "23:57:11.080 INFO signal  suppressed suppressed_event=a suppressed=2\n")
    #expect(recorder.lines.count == 7)
    recorder.advance(seconds: 4)
    recorder.log.info("c")
    #expect(
      recorder.lines.suffix(2) == [
        "23:57:15.080 INFO signal  suppressed suppressed_event=b suppressed=1\n",
        "23:57:15.080 INFO signal  c\n",
      ])
    for _ in 0..<4 { recorder.log.info("c") }
    recorder.log.flush()
    recorder.log.flush()
    #expect(recorder.lines.last == "23:57:15.080 INFO signal  suppressed suppressed_event=c suppressed=2\n")
    #expect(recorder.lines.count == 12)
  }

  @Test("a clock set back an hour silences nothing and hides no count") func clockSetBack() {
    let recorder = recorder()
    for _ in 0..<5 { recorder.log.info("a") }
    recorder.advance(seconds: -3600)
    recorder.log.info("a")
    #expect(
      recorder.lines.suffix(2) == [
        "22:57:01.080 INFO signal  suppressed suppressed_event=a suppressed=2\n",
        "22:57:01.080 INFO signal  a\n",
      ])
  }

  @Test("a thousand different events share one limit beyond the bound of windows") func manyEvents() {
    let recorder = recorder()
    for index in 0..<1000 { recorder.log.info("event_\(index)") }
    #expect(recorder.lines.count == 256 + 3)
    recorder.advance(seconds: 10)
    recorder.log.info("later")
    #expect(recorder.lines.suffix(2).first?.hasSuffix("suppressed_event=other suppressed=741\n") == true)
    for index in 0..<200 { recorder.log.info("again_\(index)") }
    #expect(recorder.lines.count == 256 + 3 + 2 + 200)
  }
}
