import Core
import Testing

@testable import Tape

@Suite("Verbatim rule")
struct PayloadTests {
  static let payloads: [(String, TapePayload.Form)] = [
    (
      #"{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","b":[["1.0","2"]]}}"#,
      .combined(nameBytes: 17)
    ),
    (#"{"stream":"x","data":{}}"#, .combined(nameBytes: 1)),
    (#"{"stream":"","data":{"a": 1, "b" : [ ] }}"#, .combined(nameBytes: 0)),
    (#"{"stream":"日本@depth","data":{"s":"日本"}}"#, .combined(nameBytes: 12)),
    (#"{"stream":"x", "data":{}}"#, .object),
    (#"{"stream":"x","data":{} }"#, .object),
    (#"{"stream":"x","data":{}} "#, .object),
    (#"{"stream":"x","data":[]}"#, .object),
    (#"{"stream":"x","data":{},"more":1}"#, .object),
    (#"{"stream":"a\"b","data":{}}"#, .object),
    (#"{"data":{},"stream":"x"}"#, .object),
    (#"{"stream":null,"data":{}}"#, .object),
    (#"{"e":"aggTrade","s":"BTCUSDT"}"#, .object),
    ("  \t{\"e\":1}  ", .object),
    ("[1,2,{\"a\":null}]", .otherJSON),
    ("-1.5e+3", .otherJSON),
    ("true", .otherJSON),
    (" null ", .otherJSON),
    (#""a string""#, .text),
    (#"  "a string with base64""#, .text),
    (#"{"base64":"aGVsbG8="}"#, .text),
    (#" { "base64" : 1}"#, .text),
    ("", .text),
    ("   ", .text),
    ("{", .text),
    (#"{"stream":"x","data":{"#, .text),
    (#"{"stream":"x","data":{}}}"#, .text),
    ("{\"a\":\n1}", .text),
    ("{\"a\":\r1}", .text),
    ("{\"stream\":\"x\",\"data\":{\"a\":1}}\n", .text),
    ("not json \u{0} \u{7F} \\ \" \u{1F}", .text),
    ("01", .text),
    (String(repeating: "[", count: 40) + String(repeating: "]", count: 40), .otherJSON),
    (String(repeating: "[", count: 63) + String(repeating: "]", count: 63), .otherJSON),
    (String(repeating: "[", count: 64) + String(repeating: "]", count: 64), .text),
  ]

  @Test(arguments: payloads)
  func formAndRoundTrip(_ payload: String, _ form: TapePayload.Form) throws {
    let bytes = Array(payload.utf8)
    bytes.withUnsafeBytes { #expect(TapePayload($0).form == form) }
    try expectRoundTrip(bytes)
  }

  @Test(
    arguments: [
      [0xFF], [0x80, 0x41], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xE2, 0x82],
      [0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D],
    ] as [[UInt8]])
  func notUTF8(_ bytes: [UInt8]) throws {
    bytes.withUnsafeBytes { #expect(TapePayload($0).form == .binary) }
    try expectRoundTrip(bytes)
  }

  /// Bytes at random, and valid frames with a few bytes changed, come back as they went in.
  @Test func randomPayloads() throws {
    let folder = TemporaryFolder()
    let seed: UInt64 = 20_240_718
    var random = SeededRandom(seed: seed)
    var payloads: [[UInt8]] = []
    for _ in 0..<2000 {
      if random.bernoulli(0.3) {
        payloads.append((0..<random.below(80)).map { _ in UInt8(random.below(256)) })
      } else {
        let source = PayloadTests.payloads[random.below(PayloadTests.payloads.count)].0
        var bytes = Array(source.utf8)
        for _ in 0..<random.below(4) where !bytes.isEmpty {
          let at = random.below(bytes.count)
          switch random.below(3) {
          case 0: bytes[at] = UInt8(random.below(256))
          case 1: bytes.remove(at: at)
          default: bytes.insert(Array("{}[]\",: \\\r\n\u{1}x".utf8)[random.below(13)], at: at)
          }
        }
        payloads.append(bytes)
      }
    }
    var writer = try TapeWriter(folder: folder.path("tape"), options: quick)
    for payload in payloads { try writer.append(payload, at: evening) }
    _ = try writer.finish()
    let records = try readTape(folder.path("tape"))
    #expect(records.count == payloads.count)
    for (record, payload) in zip(records, payloads) {
      #expect(record.wire == payload, "seed \(seed), record \(record.sequence)")
    }
    // Every line is JSON for a reader that knows nothing of the tape.
    let file = try Files.read(folder.path("tape/2024-07-18T23.ndjson"))
    for line in file.split(separator: 0x0A) {
      #expect(throws: Never.self) { try JSONValue(parsing: text(Array(line))) }
    }
  }

  @Test func combinedFrameIsSpliced() throws {
    let folder = TemporaryFolder()
    var writer = try TapeWriter(folder: folder.path("tape"), options: quick)
    try writer.append(
      Array(#"{"stream":"btcusdt@depth@0ms","data":{"u":1}}"#.utf8), at: evening, connection: -3)
    try writer.append(Array(#"{"e":"trade"}"#.utf8), at: evening + 1)
    try writer.append(.snapshot, "btcusdt@snapshot", #"{"lastUpdateId": 7}"#, at: evening + 2)
    try writer.append(.note, nil, "{\n}", at: evening + 2)
    _ = try writer.finish()
    #expect(
      text(try Files.read(folder.path("tape/2024-07-18T23.ndjson"))) == """
        {"seq":1,"recv_ns":1721347021000000000,"conn":-3,"kind":"frame","stream":"btcusdt@depth@0ms","data":\
        {"u":1}}
        {"seq":2,"recv_ns":1721347021000000001,"conn":0,"kind":"frame","stream":null,"data":{"e":"trade"}}
        {"seq":3,"recv_ns":1721347021000000002,"conn":0,"kind":"snapshot","stream":"btcusdt@snapshot","data":\
        {"lastUpdateId": 7}}
        {"seq":4,"recv_ns":1721347021000000002,"conn":0,"kind":"note","stream":null,"data":"{\\n}"}

        """)
  }

  @Test(arguments: RecordKind.allCases)
  func kindsHaveNames(_ kind: RecordKind) {
    let name = "\(kind.name)"
    Array(name.utf8).withUnsafeBytes { #expect(RecordKind(name: $0) == kind) }
    Array((name + "s").utf8).withUnsafeBytes { #expect(RecordKind(name: $0) == nil) }
    Array(name.dropLast().utf8).withUnsafeBytes { #expect(RecordKind(name: $0) == nil) }
  }

  @Test(arguments: [
    #"{"recv_ns":5,"data":{"a":1},"seq":9,"kind":"frame","conn":-2,"stream":"x@y"}"#,
    #" { "seq" : 9 , "recv_ns" : 5 , "new" : [1], "conn" : -2 , "kind" : "frame" , "#
      + #""stream" : "x@y" , "data" :{"a":1} } "#,
  ])
  func recordsInAnyLayout(_ line: String) throws {
    try Array(line.utf8).withUnsafeBytes { bytes in
      let record = try #require(TapeRecord(parsing: bytes))
      #expect(record.sequence == 9 && record.receiveTime == UnixNanos(5) && record.connection == -2)
      #expect(text(record.wireBytes()) == #"{"stream":"x@y","data":{"a":1}}"#)
      let head = try #require(RecordHead(anyLayout: bytes))
      #expect(head.sequence == 9 && head.receiveTime == 5 && head.kind == .frame)
    }
  }

  @Test(arguments: [
    "", "{}", "[]", #"{"seq":1,"recv_ns":1,"conn":0,"kind":"frame","stream":null}"#,
    #"{"seq":1,"recv_ns":1,"conn":0,"kind":"frame","stream":null,"data":}"#,
    #"{"seq":1,"recv_ns":1,"conn":0,"kind":"frame","stream":null,"data":1"#,
    #"{"seq":1,"recv_ns":1,"conn":0,"kind":"frames","stream":null,"data":1}"#,
    #"{"seq":1,"recv_ns":1,"conn":3000000000,"kind":"frame","stream":null,"data":1}"#,
    #"{"seq":"1","recv_ns":1,"conn":0,"kind":"frame","stream":null,"data":1}"#,
    #"{"seq":1.5,"recv_ns":1,"conn":0,"kind":"frame","stream":null,"data":1}"#,
    #"{"seq":1,"recv_ns":1,"conn":0,"kind":"frame","stream":1,"data":1}"#,
    #"{"seq":1,"seq":1,"recv_ns":1,"conn":0,"kind":"frame","stream":null,"data":1}"#,
    #"{"seq":1,"recv_ns":1,"conn":0,"kind":"frame","stream":null,"data":1}}"#,
  ])
  func notRecords(_ line: String) {
    Array(line.utf8).withUnsafeBytes { #expect(TapeRecord(parsing: $0) == nil) }
  }

  @Test func headEqualsRecord() throws {
    let folder = TemporaryFolder()
    try makeTape(folder.path("tape"), count: 50)
    let bytes = try Files.read(folder.path("tape/2024-07-18T23.ndjson"))
    bytes.withUnsafeBytes { block in
      forEachLine(block) { line, _ in
        let head = RecordHead(line)
        let record = TapeRecord(parsing: line)
        #expect(head?.sequence == record?.sequence && head?.receiveTime == record?.receiveTime.rawValue)
        #expect(head.map { line.count - $0.dataOffset - 1 } == record?.data.count)
        return true
      }
    }
  }

  @Test func base64OfEveryLength() {
    for length in 0..<70 {
      let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ length) }
      let encoded = bytes.withUnsafeBytes { Base64.encode($0) }
      #expect(encoded.withUnsafeBytes { Base64.decode($0) } == bytes)
    }
    #expect(Array("aGk=".utf8).withUnsafeBytes { Base64.decode($0) } == Array("hi".utf8))
    for bad in ["a", "ab=c", "a===", "a=b=", "ab==cd==", "a*bc"] {
      #expect(Array(bad.utf8).withUnsafeBytes { Base64.decode($0) } == nil)
    }
  }

  private func expectRoundTrip(_ bytes: [UInt8]) throws {
    let folder = TemporaryFolder()
    var writer = try TapeWriter(folder: folder.path("tape"), options: quick)
    try writer.append(bytes, at: evening)
    bytes.withUnsafeBytes { buffer in
      #expect(throws: Never.self) {
        try writer.append(
          .snapshot, stream: "a\"b@snapshot", data: buffer, receiveTime: UnixNanos(evening), connection: 1)
      }
    }
    _ = try writer.finish()
    let records = try readTape(folder.path("tape"))
    #expect(records.map(\.wire) == [bytes, bytes])
    #expect(records.map(\.kind) == [.frame, .snapshot])
    let verification = try verifyTape(folder.path("tape"))
    #expect(verification.problems == [])
  }
}
