import Core
import Telemetry
import Testing

private func parse(
  _ text: String, limits: Exposition.Limits = .init()
) throws(ExpositionError) -> Exposition {
  let bytes = Array(text.utf8)
  return try parse(bytes, limits: limits)
}

private func parse(
  _ bytes: [UInt8], limits: Exposition.Limits = .init()
) throws(ExpositionError) -> Exposition {
  // A copy with nothing after it, so that a read beyond the end is one beyond the allocation.
  let exact = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
  defer { exact.deallocate() }
  exact.copyBytes(from: bytes)
  return try Exposition(parsing: UnsafeRawBufferPointer(exact), limits: limits)
}

/// Equal to the bit, NaN included.
private func isSame(_ a: [MetricSample], _ b: [MetricSample]) -> Bool {
  a.count == b.count
    && zip(a, b).allSatisfy { a, b in
      a.name == b.name && a.labels == b.labels
        && (a.value.bitPattern == b.value.bitPattern || a.value.isNaN && b.value.isNaN)
    }
}

/// A registry with every type, and texts and values that are hard to write.
private func randomRegistry(_ random: inout SeededRandom) -> MetricRegistry {
  let alphabet = Array("abzAZ09_ \\\"\n\t{}=,#é€😀\u{0}\u{85}")
  func text(_ random: inout SeededRandom) -> String {
    var text = ""
    for _ in 0..<random.below(12) { text.append(alphabet[random.below(alphabet.count)]) }
    return text
  }
  func value(_ random: inout SeededRandom) -> Double {
    switch random.below(6) {
    case 0: Double(random.below(1000))
    case 1: random.uniform()
    case 2: Double(random.below(1_000_000)) / 1000
    case 3: Double(bitPattern: random.next())
    case 4: -random.exponential(mean: 1e6)
    default: [0, 1e15, 1e16, .infinity, -.infinity, .nan, 5e-7, 123456789012345.6][random.below(8)]
    }
  }
  let registry = MetricRegistry(seriesPerFamilyMax: 6)
  for family in 0..<1 + random.below(8) {
    let help = text(&random)
    for _ in 0..<random.below(8) {
      let labels: KeyValuePairs = ["symbol": text(&random), "le_": text(&random)]
      switch family % 3 {
      case 0: registry.gauge("gauge_\(family)", help, labels: labels).set(value(&random))
      case 1:
        registry.counter("counter_\(family)_total", help, labels: labels).add(abs(Double(random.below(100))))
      default:
        let histogram = registry.histogram(
          "histogram:\(family)", help, buckets: [-1, 0.005, 1, 1e6], labels: labels)
        for _ in 0..<random.below(20) { histogram.observe(random.normal() * 1000) }
      }
    }
  }
  return registry
}

@Suite("Exposition") struct ExpositionTests {
  @Test("families, samples, labels, time stamps and comments") func example() throws {
    let page = try parse(
      #"""
      # HELP http_requests_total The total number of HTTP requests.
      # TYPE http_requests_total counter
      http_requests_total{method="post",code="200"} 1027 1395066363000
      http_requests_total{method="post",code="400"}    3 -1

      # Escaping in label values:
      msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9
      \#tmetric_without_timestamp_and_labels 12.47
      something_weird { problem = "division by zero" , } +Inf -3982045
      # TYPE empty gauge
      # HELP empty A \\ and\na "line".
      #
      # HELP silent
      #TYPE rpc summary
      rpc{} NaN
      """# + "\n")
    #expect(
      page.families == [
        .init(name: "http_requests_total", type: .counter, help: "The total number of HTTP requests."),
        .init(name: "empty", type: .gauge, help: "A \\ and\na \"line\"."),
        .init(name: "silent"),
        .init(name: "rpc", type: .summary),
      ])
    let post = MetricSample.Label("method", "post")
    let expected = [
      MetricSample("http_requests_total", [post, .init("code", "200")], 1027),
      MetricSample("http_requests_total", [post, .init("code", "400")], 3),
      MetricSample(
        "msdos_file_access_time_seconds",
        [.init("path", #"C:\DIR\FILE.TXT"#), .init("error", "Cannot find file:\n\"FILE.TXT\"")], 1458255915),
      MetricSample("metric_without_timestamp_and_labels", [], 12.47),
      MetricSample("something_weird", [.init("problem", "division by zero")], .infinity),
      MetricSample("rpc", [], .nan),
    ]
    #expect(isSame(page.samples, expected))
  }

  @Test("nothing is a valid page") func empty() throws {
    #expect(try parse("").samples.isEmpty)
    #expect(try parse("\n \n").samples.isEmpty)
    #expect(try Exposition(parsing: UnsafeRawBufferPointer(start: nil, count: 0)).families.isEmpty)
  }

  @Test(
    "numbers read as the library reads them",
    arguments: [
      "0", "-0", "+0", "1", "-1.5", "0.1", "123456789012345", "12345678901.2345", "1234567890123456",
      "0.000000000000001", "0.0000000000000001", "9007199254740993", "1e-5", "1E+300", "5e-324", ".5", "5.",
      "179769313486231570000000000000000000000", "0.30000000000000004", "000000000000000000001", "3.14159",
    ])
  func numbers(text: String) throws {
    let value = try #require(try parse("x \(text)\n").samples.first?.value)
    #expect(value.bitPattern == Double(text)?.bitPattern)
  }

  @Test(
    "infinities in any spelling",
    arguments: [("Inf", Double.infinity), ("+inf", .infinity), ("-Inf", -.infinity), ("infinity", .infinity)])
  func infinities(text: String, value: Double) throws {
    #expect(try parse("x \(text)\n").samples == [MetricSample("x", [], value)])
  }

  @Test(
    "the first thing that is wrong is named with its line and column",
    arguments: [
      ("x 1", 1, 4, "the last line has no line feed; the text was cut short"),
      ("x 1\ny 2\nz 12", 3, 5, "the last line has no line feed; the text was cut short"),
      ("x 1\n1y 2\n", 2, 1, "expected a metric name, found \"1y 2\""),
      ("x\n", 1, 2, "expected a number, found the line's end"),
      ("x null\n", 1, 3, "expected a number, found \"null\""),
      ("x 1e999\n", 1, 3, "expected a number, found \"1e999\""),
      ("x 1_000\n", 1, 3, "expected a number, found \"1_000\""),
      ("x .\n", 1, 3, "expected a number, found \".\""),
      ("x 1\r\n", 1, 3, "expected a number, found \"1\\r\""),
      ("x 1 then\n", 1, 5, "expected a time stamp or the line's end, found \"then\""),
      ("x 1 2 3\n", 1, 7, "expected the line's end, found \"3\""),
      ("x{a=\"1\" 1\n", 1, 9, "expected a comma or }, found \"1\""),
      ("x{a=\"1\n", 1, 7, "expected a quotation mark, found the line's end"),
      ("x{a=1} 1\n", 1, 5, "expected a quotation mark, found \"1} 1\""),
      ("x{a} 1\n", 1, 4, "expected an equals sign, found \"} 1\""),
      ("x{a:b=\"\"} 1\n", 1, 4, "expected an equals sign, found \":b=\\\"\\\"} 1\""),
      ("x{,} 1\n", 1, 3, "expected a label name, found \",} 1\""),
      ("x{a=\"\\t\"} 1\n", 1, 7, "expected \\, n or a quotation mark after \\, found \"t\\\"} 1\""),
      ("x{a=\"\",a=\"\"} 1\n", 1, 9, "a second label a"),
      ("# HELP x A.\n# HELP x B.\n", 2, 10, "a second HELP of x"),
      ("# TYPE x gauge\n# TYPE x gauge\n", 2, 10, "a second TYPE of x"),
      ("# TYPE x\n", 1, 9, "expected counter, gauge, histogram, summary or untyped, found the line's end"),
      ("# TYPE x Gauge\n", 1, 10, "expected counter, gauge, histogram, summary or untyped, found \"Gauge\""),
      ("# TYPE x gauge 2\n", 1, 16, "expected the line's end, found \"2\""),
      ("# TYPE x-y gauge\n", 1, 9, "expected a blank, found \"-y gauge\""),
      ("# HELP\n", 1, 7, "expected a metric name, found the line's end"),
      ("# HELP x \\t\n", 1, 11, "expected \\ or n after \\, found \"t\""),
      ("<html>\n", 1, 1, "expected a metric name, found \"<html>\""),
    ])
  func errors(text: String, line: Int, column: Int, problem: String) {
    let error = #expect(throws: ExpositionError.self) { try parse(text) }
    #expect(error?.description == "line \(line), column \(column): \(problem)")
  }

  @Test("bytes that are no text are refused") func badText() {
    let label = Array("x{a=\"".utf8) + [0xFF] + Array("\"} 1\n".utf8)
    #expect(throws: ExpositionError(line: 1, column: 7, .badText("the label's value"))) { try parse(label) }
    let help = Array("\n# HELP x \\\\".utf8) + [0xC3] + Array("\n".utf8)
    #expect(throws: ExpositionError(line: 2, column: 13, .badText("a help text"))) { try parse(help) }
  }

  @Test("every limit is kept") func limits() throws {
    var limits = Exposition.Limits()
    limits.bytesMax = 40
    limits.samplesMax = 2
    limits.familiesMax = 1
    limits.labelsPerSampleMax = 1
    #expect(try parse("# TYPE x gauge\nx{a=\"\"} 1\nx 2\n", limits: limits).samples.count == 2)
    #expect(throws: ExpositionError(line: 1, column: 1, .tooMany("bytes", max: 40))) {
      try parse(String(repeating: "\n", count: 41), limits: limits)
    }
    #expect(throws: ExpositionError(line: 3, column: 1, .tooMany("samples", max: 2))) {
      try parse("x 1\nx 2\nx 3\n", limits: limits)
    }
    #expect(throws: ExpositionError(line: 2, column: 9, .tooMany("metrics", max: 1))) {
      try parse("# HELP x\n# HELP y\n", limits: limits)
    }
    #expect(throws: ExpositionError(line: 1, column: 9, .tooMany("labels", max: 1))) {
      try parse("x{a=\"\",b=\"\"} 1\n", limits: limits)
    }
  }
}

@Suite("Exposition, seeded") struct ExpositionPropertyTests {
  @Test("what a registry writes reads back to the bit", arguments: 0..<60 as Range<UInt64>)
  func roundtrip(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let registry = randomRegistry(&random)
    var writer = ByteWriter()
    registry.write(into: &writer)
    let page = try parse(Array(writer.bytes))
    #expect(isSame(page.samples, registry.samples()))
    #expect(page.families.first?.name == MetricCatalog.seriesDropped.name)
    var again = ByteWriter()
    registry.write(into: &again)
    #expect(Array(again.bytes) == Array(writer.bytes))
  }

  @Test("no mutation of a text traps, and an error points into it", arguments: 0..<24 as Range<UInt64>)
  func mutations(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var writer = ByteWriter()
    randomRegistry(&random).write(into: &writer)
    let whole = Array(writer.bytes)
    let likely = Array("\n \t#{}=,\"\\+-.0e9NaInf\0".utf8) + [0xFF, 0xC3]
    for _ in 0..<120 {
      var bytes = whole
      for _ in 0...random.below(4) where !bytes.isEmpty {
        let place = random.below(bytes.count)
        switch random.below(5) {
        case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes[place] = likely[random.below(likely.count)]
        case 2: bytes.insert(likely[random.below(likely.count)], at: place)
        case 3: bytes.removeSubrange(place..<min(bytes.count, place + 1 + random.below(20)))
        default: bytes.removeSubrange(place...)
        }
      }
      do {
        _ = try parse(bytes)
      } catch {
        let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
        #expect((1...lines.count).contains(error.line), "seed \(seed): \(error)")
        #expect((1...lines[error.line - 1].count + 1).contains(error.column), "seed \(seed): \(error)")
      }
    }
  }
}
