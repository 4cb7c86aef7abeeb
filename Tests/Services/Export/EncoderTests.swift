import Core
import Testing

@testable import Services

@Suite("Export encoders")
struct EncoderTests {
  private let grouping: [ExportPoint.Label] = [
    .init("job", "weir"), .init("run", "r 1/2"), .init("instance", "host-1"),
  ]

  private func prometheus(_ points: [ExportPoint]) -> String {
    String(decoding: PushgatewayEncoder.encode(points, grouping: grouping), as: UTF8.self)
  }

  private func influx(_ points: [ExportPoint]) -> String {
    String(decoding: InfluxLineEncoder.encode(points), as: UTF8.self)
  }

  // MARK: Pushgateway

  @Test func groupingKeyInThePath() {
    #expect(
      PushgatewayEncoder.path(grouping) == "/metrics/job/weir/run@base64/ciAxLzI/instance/host-1")
    // The Pushgateway's own examples of base64 values.
    #expect(
      PushgatewayEncoder.path([.init("job", "directory_cleaner"), .init("path", "/var/tmp")])
        == "/metrics/job/directory_cleaner/path@base64/L3Zhci90bXA")
    #expect(
      PushgatewayEncoder.path([.init("job", "example"), .init("first_label", "")])
        == "/metrics/job/example/first_label@base64/=")
    #expect(
      PushgatewayEncoder.path([.init("job", "titan"), .init("name", "Προμηθεύς")])
        == "/metrics/job/titan/name@base64/zqDPgc6_zrzOt864zrXPjc-C")
    #expect(PushgatewayEncoder.path([.init("job", "a"), .init("run", "..")]).hasSuffix("/run@base64/Li4"))
  }

  @Test func samplesOfAMetricStandTogetherUnderOneType() {
    let points = [
      ExportPoint(
        "weir_signal", tags: [.init("run", "r"), .init("symbol", "BTCUSDT")],
        fields: [.init("rows_total", .integer(5)), .init("ratio", .double(0.25))], timeNs: 1),
      ExportPoint(
        "weir_signal", tags: [.init("symbol", "ETHUSDT")],
        fields: [.init("rows_total", .integer(7)), .init("up", .boolean(true)), .init("note", .text("x"))],
        timeNs: 1),
      ExportPoint(
        "weir_signal", tags: [.init("symbol", "BTCUSDT")], fields: [.init("rows_total", .integer(6))],
        timeNs: 2),
    ]
    #expect(
      prometheus(points) == """
        # TYPE weir_signal_rows_total counter
        weir_signal_rows_total{symbol="BTCUSDT"} 6
        weir_signal_rows_total{symbol="ETHUSDT"} 7
        # TYPE weir_signal_ratio gauge
        weir_signal_ratio{symbol="BTCUSDT"} 0.25
        # TYPE weir_signal_up gauge
        weir_signal_up{symbol="ETHUSDT"} 1

        """)
    #expect(prometheus([]).isEmpty)
  }

  @Test func prometheusNumbersNamesAndEscapes() {
    let point = ExportPoint(
      "9 odd-name", tags: [.init("__a", "x"), .init("b c", "q\"\\\n"), .init("e", "")],
      fields: [
        .init("nan", .double(.nan)), .init("high", .double(.infinity)), .init("low", .double(-.infinity)),
        .init("min", .integer(.min)), .init("small", .double(.leastNonzeroMagnitude)),
      ], timeNs: 1)
    let lines = prometheus([point]).split(separator: "\n").filter { !$0.hasPrefix("#") }
    let labels = #"{b_c="q\"\\\n",label__a="x"}"#
    #expect(
      lines == [
        "_9_odd_name_nan\(labels) NaN", "_9_odd_name_high\(labels) +Inf", "_9_odd_name_low\(labels) -Inf",
        "_9_odd_name_min\(labels) -9.223372036854776e+18", "_9_odd_name_small\(labels) 5e-324",
      ])
  }

  // MARK: InfluxDB

  @Test func lineProtocol() {
    let point = ExportPoint(
      "weir signal,=x", tags: [.init("z", "1"), .init("a b,c=d", "e f,g=h"), .init("none", "")],
      fields: [
        .init("rows", .integer(.max)), .init("a b", .double(-0.25)), .init("up", .boolean(false)),
        .init("text", .text("say \"hi\" \\ a,b=c\nend")),
      ], timeNs: 1_721_347_021_080_123_456)
    #expect(
      influx([point, samplePoint(3, timeNs: -5)])
        == #"weir\ signal\,=x,a\ b\,c\=d=e\ f\,g\=h,z=1 "#
        + #"rows=9223372036854775807i,a\ b=-0.25,up=false,text="say \"hi\" \\ a,b=c end" "#
        + "1721347021080123456\nweir_signal rows_total=3i -5\n")
  }

  @Test func influxHasNoNumbersThatAreNotFinite() {
    let fields: [ExportPoint.Field] = [.init("a", .double(.nan)), .init("b", .double(.infinity))]
    #expect(influx([ExportPoint("m", fields: fields, timeNs: 1)]).isEmpty)
    #expect(
      influx([ExportPoint("m", fields: fields + [.init("c", .double(1e300))], timeNs: 1)]) == "m c=1e+300 1\n"
    )
  }

  @Test(arguments: [
    (#"a\b"#, #"a\b"#), (#"a\"#, "a_"), (#"a\,b"#, #"a_\,b"#), (#"\\x"#, #"_\x"#), ("a\tb\u{7F}", #"a\ b\ "#),
    ("", nil), ("é,", #"é\,"#),
  ])
  func tagValues(_ value: String, _ written: String?) {
    let point = ExportPoint("m", tags: [.init("t", value)], fields: [.init("v", .integer(1))], timeNs: 0)
    #expect(influx([point]) == (written.map { "m,t=\($0) v=1i 0\n" } ?? "m v=1i 0\n"))
  }

  @Test func commentsAreNoMeasurements() {
    #expect(influx([ExportPoint("#m", fields: [.init("v", .integer(1))], timeNs: 0)]) == "_m v=1i 0\n")
  }

  /// Two readers, one for which `\\` in a tag is a backslash and one for which it is two, see the same.
  @Test(arguments: 0..<40)
  func anyTextReadsBackTheSameEverywhere(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let alphabet: [String] = [",", " ", "=", "\\", "\"", "a", "é", "\n", "#", "0", "\t", "{"]
    func text(_ least: Int) -> String {
      (0..<(least + random.below(6))).map { _ in alphabet[random.below(alphabet.count)] }.joined()
    }
    let points = (0..<50).map { _ in
      ExportPoint(
        "m" + text(0), tags: (0..<random.below(3)).map { .init("k\($0)" + text(0), text(0)) },
        fields: (0..<(1 + random.below(3))).map { index in
          let kinds: [ExportValue] = [
            .integer(Int64(bitPattern: random.next())), .boolean(random.bernoulli(0.5)), .text(text(0)),
            .double(Double(bitPattern: random.next())),
          ]
          return .init("f\(index)" + text(0), kinds[random.below(4)])
        }, timeNs: Int64(bitPattern: random.next()))
    }
    let bytes = InfluxLineEncoder.encode(points)
    let lines = bytes.split(separator: 0x0A).map { Array($0) }
    let expected = points.compactMap { InfluxReading($0) }
    for doubled in [false, true] {
      let read = try lines.map { try #require(InfluxReading(line: $0, doubledBackslash: doubled)) }
      #expect(read == expected, "seed \(seed)")
    }
  }
}

/// A line of InfluxDB's protocol as a server understands it.
private struct InfluxReading: Equatable {
  var name: String
  var tags: [String: String] = [:]
  var fields: [String: String] = [:]
  var timeNs: Int64 = 0

  /// What must arrive of a point; nil for nothing.
  init?(_ point: ExportPoint) {
    func name(_ text: String) -> String {
      var result = ""
      let scalars = Array(text.unicodeScalars.map { $0.value < 0x20 ? " " : $0 })
      for (index, scalar) in scalars.enumerated() {
        let next = index + 1 < scalars.count ? scalars[index + 1] : "\\"
        let isLost = scalar == "\\" && ["\\", ",", " ", "=", "\""].contains(next)
        result.unicodeScalars.append(isLost ? "_" : scalar)
      }
      return result
    }
    self.name = name(point.measurement)
    for tag in point.tags where !tag.value.isEmpty { tags[name(tag.name)] = name(tag.value) }
    for field in point.fields {
      switch field.value {
      case .integer(let value): fields[name(field.name.replacing("\"", with: "_"))] = "\(value)i"
      case .boolean(let value): fields[name(field.name.replacing("\"", with: "_"))] = "\(value)"
      case .double(let value):
        if value.isFinite { fields[name(field.name.replacing("\"", with: "_"))] = "\(value)" }
      case .text(let text):
        let clean = String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 ? " " : $0 }))
        fields[name(field.name.replacing("\"", with: "_"))] = "\"" + clean
      }
    }
    if fields.isEmpty { return nil }
    timeNs = point.timeNs
  }

  init?(line: [UInt8], doubledBackslash: Bool) {
    var rest = line[...]
    func token(_ ends: [UInt8]) -> String? {
      var bytes: [UInt8] = []
      while let byte = rest.first {
        if byte == 0x5C, let next = rest.dropFirst().first,
          next == 0x2C || next == 0x20 || next == 0x3D || doubledBackslash && next == 0x5C
        {
          bytes.append(next)
          rest = rest.dropFirst(2)
        } else if ends.contains(byte) {
          return String(validating: bytes, as: UTF8.self)
        } else {
          bytes.append(byte)
          rest = rest.dropFirst()
        }
      }
      return nil
    }
    func take(_ byte: UInt8) -> Bool {
      guard rest.first == byte else { return false }
      rest = rest.dropFirst()
      return true
    }
    guard let name = token([0x2C, 0x20]) else { return nil }
    self.name = name
    while take(0x2C) {
      guard let key = token([0x3D]), take(0x3D), let value = token([0x2C, 0x20]) else { return nil }
      tags[key] = value
    }
    guard take(0x20) else { return nil }
    repeat {
      guard let key = token([0x3D]), take(0x3D) else { return nil }
      if take(0x22) {
        var bytes: [UInt8] = [0x22]
        while let byte = rest.popFirst(), byte != 0x22 {
          bytes.append(byte == 0x5C ? rest.popFirst() ?? 0 : byte)
        }
        fields[key] = String(validating: bytes, as: UTF8.self)
      } else {
        guard let text = token([0x2C, 0x20]) else { return nil }
        fields[key] = Int64(text.dropLast()) == nil || !text.hasSuffix("i") ? number(text) : text
      }
    } while take(0x2C)
    guard take(0x20), let time = Int64(String(decoding: rest, as: UTF8.self)) else { return nil }
    timeNs = time
  }

  private func number(_ text: String) -> String { Double(text).map { "\($0)" } ?? text }
}
