import Core
import Glibc
import Telemetry
import Testing

private let promtool = ["/usr/bin/promtool", "/usr/local/bin/promtool"].first(where: Files.exists)

@Suite(
  "Prometheus' own checker", .enabled(if: promtool != nil, "promtool (Debian: prometheus) is not installed"))
struct PromtoolTests {
  /// The exit status for a page: 0 in order, 3 understood with remarks on style, 1 not understood.
  private func check(_ page: UnsafeRawBufferPointer) throws -> Int32 {
    let tool = try #require(promtool)
    let pipe = try #require(popen("\(tool) check metrics >/dev/null 2>&1", "w"))
    fwrite(page.baseAddress, 1, page.count, pipe)
    return pclose(pipe) >> 8 & 0xFF
  }

  @Test("understands a page with every type, odd texts and odd values") func page() throws {
    let registry = MetricRegistry(seriesPerFamilyMax: 3)
    registry.gauge("weir_test_ratio", "A \\ and\na \"line\".", labels: ["v": "a\\b\"c\nd,}=é"]).set(.nan)
    registry.gauge("weir_test_ratio", "", labels: ["v": ""]).set(-.infinity)
    registry.gauge("weir_test_ratio", "", labels: ["v": "tiny"]).set(.leastNonzeroMagnitude)
    registry.gauge("weir_test_ratio", "", labels: ["v": "one too many"]).set(1)
    registry.counter("weir_test_events_total", "Events.").add(1e21)
    let wait = registry.histogram("weir_test_wait_seconds", "Waiting.", buckets: MetricBuckets.latencySeconds)
    for step in 0..<100 { wait.observe(Double(step) / 7) }
    var writer = ByteWriter()
    registry.write(into: &writer)
    #expect(try check(writer.bytes) == 0)
  }

  @Test("understands every metric of the catalogue") func catalog() throws {
    let registry = MetricRegistry()
    for definition in MetricCatalog.all {
      switch definition.type {
      case .counter: registry.counter(definition.name, definition.help).add()
      case .gauge: registry.gauge(definition.name, definition.help).set(1)
      case .histogram:
        registry.histogram(definition.name, definition.help, buckets: definition.buckets).observe(1)
      case .summary, .untyped: registry.declare(definition)
      }
    }
    var writer = ByteWriter()
    registry.write(into: &writer)
    // Some of the fixed names are not to its taste (milliseconds).
    #expect(try [0, 3].contains(check(writer.bytes)))
  }

  @Test("refuses what our reader refuses, so that its consent means something") func refused() throws {
    var page = ByteWriter()
    page.append("weir_test_ratio null\n")
    #expect(try check(page.bytes) == 1)
    #expect(throws: ExpositionError.self) { try Exposition(parsing: page.bytes) }
  }
}
