import Core
import Testing

@testable import Venue

@Suite("Exchange, injected faults")
struct ExchangeFaultTests {
  private let depth = "btcusdt@depth@100ms"

  private func market(seed: UInt64 = 1) throws -> ExchangeHarness {
    let harness = try ExchangeHarness.market(seed: seed)
    harness.open(1, "/public/ws/btcusdt@depth@100ms")
    harness.run(ms: 1000)
    _ = harness.take(1)
    return harness
  }

  private func inject(_ harness: ExchangeHarness, _ json: String) throws {
    try harness.exchange.inject(Fault(json: JSONValue(parsing: json)), now: UnixNanos(harness.now))
    harness.drain()
  }

  private func struck(_ harness: ExchangeHarness) -> [Int64] {
    harness.exchange.truth["faults"]!.elements!.map { $0["struck"]!.integer! }
  }

  /// Breaks in the chain of `pu`, repeats, and swaps among depth frames.
  private func shape(_ frames: [JSONValue]) -> (breaks: Int, repeats: Int, swaps: Int) {
    var result = (breaks: 0, repeats: 0, swaps: 0)
    for (one, other) in zip(frames, frames.dropFirst()) {
      if other["u"]!.integer! == one["u"]!.integer! {
        result.repeats += 1
      } else if other["u"]!.integer! < one["u"]!.integer! {
        result.swaps += 1
      } else if other["pu"] != one["u"] {
        result.breaks += 1
      }
    }
    return result
  }

  @Test func everyKindHasAJSONForm() throws {
    for text in [
      #"{"fault":"drop","stream":"a@b","count":3}"#, #"{"fault":"duplicate","stream":"a@b","count":1}"#,
      #"{"fault":"reorder","stream":"a@b","count":2}"#,
      #"{"fault":"delay","stream":"a@b","ms":5,"duration_ms":9}"#,
      #"{"fault":"silence","stream":"a@b","duration_ms":9}"#,
      #"{"fault":"cut","sessions":"all","manner":"close","code":1006,"reason":"x"}"#,
      #"{"fault":"cut","sessions":2,"manner":"abort"}"#, #"{"fault":"cut","sessions":"public","manner":"stall"}"#,
      #"{"fault":"refuse_connections","duration_ms":9}"#, #"{"fault":"clock_skew","ms":-9}"#,
      #"{"fault":"slow_snapshot","delay_ms":9,"count":1}"#, #"{"fault":"stale_snapshot","count":1}"#,
      #"{"fault":"wrong_snapshot","count":1}"#, #"{"fault":"rate_limit","duration_ms":9,"retry_after_s":2}"#,
      #"{"fault":"ban","duration_ms":9}"#, #"{"fault":"rest_error","count":1}"#, #"{"fault":"rest_drop","count":1}"#,
    ] {
      #expect(try Fault(json: JSONValue(parsing: text)).json.text() == text)
    }
  }

  @Test(arguments: [
    ("{}", "fault is a JSON object"), ("[]", "fault is a JSON object"), (#"{"fault":"dropp"}"#, "choose one of drop"),
    (#"{"fault":"drop"}"#, "needs \"stream\""), (#"{"fault":"drop","stream":"a","count":0}"#, "count is 0"),
    (#"{"fault":"drop","stream":"a","cuont":1}"#, "no \"cuont\""), (#"{"fault":"silence","stream":"a"}"#, "duration_ms"),
    (#"{"fault":"cut","sessions":"some"}"#, "names no sessions"), (#"{"fault":"cut","manner":"gently"}"#, "close, abort or stall"),
    (#"{"fault":"cut","code":99}"#, "code is 99"), (#"{"fault":"cut","sessions":-1}"#, "sessions is -1"),
    (#"{"fault":"clock_skew","ms":1e3}"#, "whole number"), (#"{"fault":"ban","duration_ms":99999999999999}"#, "duration_ms"),
    (#"{"fault":"drop","stream":"nousdt@depth@100ms"}"#, "does not exist"),
  ])
  func badFaultsSayWhatWouldDo(_ text: String, _ part: String) throws {
    let harness = try market()
    let error = #expect(throws: FaultError.self) { try inject(harness, text) }
    #expect("\(error!)".contains(part))
    #expect(struck(harness).isEmpty)
  }

  @Test func drop() throws {
    let harness = try market()
    try inject(harness, #"{"fault":"drop","stream":"\#(depth)","count":3}"#)
    let before = harness.truth()["depth_frames"]!.integer!
    harness.run(ms: 2000)
    let frames = harness.take(1)
    #expect(frames.count == 17 && shape(frames) == (0, 0, 0))
    #expect(harness.truth()["depth_frames"]!.integer! == before + 20)
    #expect(frames.last!["u"]!.integer == harness.truth()["last_u"]!.integer)
    #expect(struck(harness) == [3])
    let counts = harness.truth()["frames"]![depth.split(separator: "@", maxSplits: 1)[1].description]!
    #expect(counts["published"]!.integer! - counts["sent"]!.integer! == 3)
  }

  @Test func duplicateAndReorder() throws {
    let harness = try market()
    try inject(harness, #"{"fault":"duplicate","stream":"\#(depth)","count":4}"#)
    harness.run(ms: 2000)
    let doubled = harness.take(1)
    #expect(doubled.count == 24 && shape(doubled).repeats == 4 && shape(doubled).swaps == 0)
    try inject(harness, #"{"fault":"reorder","stream":"\#(depth)","count":2}"#)
    harness.run(ms: 2000)
    let swapped = harness.take(1)
    #expect(swapped.count == 20 && shape(swapped).swaps == 2)
    #expect(Set(swapped.map { $0["u"]!.integer! }).count == 20)
    #expect(struck(harness) == [4, 2])
    harness.run(ms: 1000)
    #expect(shape(harness.take(1)) == (0, 0, 0))
  }

  @Test func delayKeepsOrderAndLosesNothing() throws {
    let harness = try market()
    harness.open(2, "/public/ws/btcusdt@depth@100ms")
    try inject(harness, #"{"fault":"delay","stream":"\#(depth)","ms":700,"duration_ms":1000}"#)
    harness.run(ms: 690)
    #expect(harness.take(1).isEmpty)
    harness.run(ms: 410)
    let early = harness.take(1)
    #expect(early.count >= 3 && early.count <= 5)
    // Frames made after the fault wait behind the delayed ones.
    harness.run(ms: 1900)
    let all = early + harness.take(1)
    #expect(all.count == 30 && shape(all) == (0, 0, 0))
    #expect(harness.take(2) == all)
    #expect(harness.exchange.delayed.count == 0 && harness.exchange.delayedFrames.isEmpty)
    #expect(struck(harness) == [10])
  }

  @Test func silenceOfOneStream() throws {
    let harness = try market()
    harness.open(2, "/market/ws/btcusdt@aggTrade")
    try inject(harness, #"{"fault":"silence","stream":"\#(depth)","duration_ms":1500}"#)
    harness.run(ms: 1500)
    #expect(harness.take(1).isEmpty && !harness.take(2).isEmpty)
    harness.run(ms: 500)
    #expect(harness.take(1).count == 5 && struck(harness) == [15])
  }

  @Test(arguments: [
    (#""all""#, #""manner":"abort""#, [1, 2, 3] as [Int32], CloseManner.abort),
    (#""public""#, #""manner":"stall""#, [1], .stall), (#""market""#, #""code":1012,"reason":"r""#, [2], .code(1012, "r")),
    ("2", #""manner":"close""#, [3], .code(1001, "")), ("7", #""manner":"close""#, [], .abort),
  ])
  func cuts(_ sessions: String, _ manner: String, _ hit: [Int32], _ expected: CloseManner) throws {
    let harness = try market()
    harness.open(2, "/market/ws/btcusdt@aggTrade")
    harness.open(3, "/private/ws")
    try inject(harness, #"{"fault":"cut","sessions":\#(sessions),\#(manner)}"#)
    #expect(harness.closes.keys.sorted() == hit)
    #expect(harness.closes.values.allSatisfy { $0 == expected })
    #expect(struck(harness) == [Int64(hit.count)])
    _ = harness.take(1)
    harness.run(ms: 1000)
    #expect(harness.take(1).isEmpty == hit.contains(1))
  }

  @Test func refusedConnections() throws {
    let harness = try market()
    try inject(harness, #"{"fault":"refuse_connections","duration_ms":1000}"#)
    #expect(harness.open(5, "/public/ws").status == 503)
    harness.run(ms: 1000)
    #expect(harness.open(5, "/public/ws").status == 101)
    #expect(struck(harness) == [1])
  }

  @Test func clockSkew() throws {
    let harness = try market()
    try inject(harness, #"{"fault":"clock_skew","ms":-1500}"#)
    #expect(harness.get("/fapi/v1/time")["serverTime"]!.integer == harness.timeMs - 1500)
    harness.run(ms: 1000)
    let frame = harness.take(1).last!
    #expect(abs(frame["E"]!.integer! - (harness.timeMs - 1500)) <= 100)
    try inject(harness, #"{"fault":"clock_skew","ms":0}"#)
    #expect(harness.get("/fapi/v1/time")["serverTime"]!.integer == harness.timeMs)
  }

  @Test func snapshots() throws {
    let harness = try market()
    let target = "/fapi/v1/depth?symbol=BTCUSDT&limit=100"
    try inject(harness, #"{"fault":"slow_snapshot","delay_ms":250,"count":1}"#)
    #expect(harness.request("GET", target).delayNs == 250_000_000)
    #expect(harness.request("GET", target).delayNs == 0)
    let right = harness.get(target)
    try inject(harness, #"{"fault":"stale_snapshot"}"#)
    let stale = harness.get(target)
    #expect(stale["lastUpdateId"]!.integer! < right["lastUpdateId"]!.integer! - 1_000_000)
    #expect(stale["bids"]![0]![0] == right["bids"]![0]![0] && stale["bids"]![0]![1] != right["bids"]![0]![1])
    #expect(harness.get(target) == right)
    try inject(harness, #"{"fault":"wrong_snapshot","count":2}"#)
    let first = harness.request("GET", target)
    let second = harness.request("GET", target)
    #expect(first.status == 200 && first.body != second.body)
    for response in [first, second] {
      let json = harness.json(response)
      #expect(json == .null || json["bids"]?[0]?[0]?.double == nil)
    }
    #expect(harness.get(target) == right)
    #expect(struck(harness) == [1, 1, 2])
  }

  @Test func requestsFail() throws {
    let harness = try market()
    try inject(harness, #"{"fault":"rest_error","count":2}"#)
    #expect((0..<3).map { _ in harness.request("GET", "/fapi/v1/time").status } == [503, 503, 200])
    try inject(harness, #"{"fault":"rest_drop","count":1}"#)
    let dropped = harness.signedResponse("POST", "/fapi/v1/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01")
    #expect(dropped.isDropped)
    #expect(harness.signed("GET", "/fapi/v1/allOrders", "symbol=BTCUSDT").elements!.isEmpty)
    try inject(harness, #"{"fault":"rate_limit","duration_ms":3000,"retry_after_s":3}"#)
    let limited = harness.request("GET", "/fapi/v1/time")
    #expect(limited.status == 429 && limited.header("Retry-After") == "3")
    harness.run(ms: 3000)
    #expect(harness.request("GET", "/fapi/v1/time").status == 200)
    try inject(harness, #"{"fault":"ban","duration_ms":2000}"#)
    #expect(harness.request("GET", "/fapi/v1/time").header("Retry-After") == "2")
    #expect(harness.request("GET", "/fapi/v1/time").status == 418)
    harness.run(ms: 2000)
    #expect(harness.request("GET", "/fapi/v1/time").status == 200)
    #expect(struck(harness) == [2, 1, 1, 2])
  }

  @Test func timedFaultsStartOnTime() throws {
    let harness = try ExchangeHarness.market {
      $0.faults = [
        TimedFault(atMs: 2000, fault: .cut(.root("market"), .abort)),
        TimedFault(atMs: 1000, fault: .silence(stream: "btcusdt@depth@100ms", durationMs: 500)),
      ]
      $0.adminToken = "t"
    }
    harness.open(1, "/public/ws/btcusdt@depth@100ms")
    harness.open(2, "/market/ws")
    harness.run(ms: 1000)
    #expect(harness.take(1).count == 10)
    harness.run(ms: 500)
    #expect(harness.take(1).isEmpty)
    harness.run(ms: 499)
    #expect(harness.closes.isEmpty)
    harness.run(ms: 1)
    #expect(harness.closes == [2: .abort])
    let list = #"[{"fault":"rest_error"},{"fault":"rest_error","at_ms":9000}]"#
    #expect(harness.request("POST", "/venue/faults", body: list, authorization: "Bearer t").status == 200)
    #expect(harness.request("GET", "/fapi/v1/time").status == 503)
    #expect(harness.request("GET", "/fapi/v1/time").status == 200)
    harness.run(ms: 7000)
    #expect(harness.request("GET", "/fapi/v1/time").status == 503)
    // A list with a bad one is refused whole.
    let bad = #"[{"fault":"rest_error"},{"fault":"drop"}]"#
    #expect(harness.request("POST", "/venue/faults", body: bad, authorization: "Bearer t").status == 400)
    #expect(harness.request("GET", "/fapi/v1/time").status == 200)
  }

  /// A client that follows the official procedure through faults ends with the truth.
  @Test(arguments: [1, 2, 3] as [UInt64])
  func aFaithfulClientRecovers(_ seed: UInt64) throws {
    let harness = try ExchangeHarness.market(seed: seed)
    var reader = WireReader(priceDecimals: 2, quantityDecimals: 3)
    harness.onMessage = { _, text in
      let data = try! JSONValue(parsing: text)
      reader.depth(
        WireReader.Diff(
          first: data["U"]!.integer!, last: data["u"]!.integer!, previous: data["pu"]!.integer!,
          bids: reader.levels(data["b"]), asks: reader.levels(data["a"])), time: 0)
    }
    harness.open(1, "/public/ws/btcusdt@depth@100ms")
    var random = SeededRandom(seed: seed)
    let faults = [
      #"{"fault":"drop","stream":"\#(depth)","count":2}"#, #"{"fault":"duplicate","stream":"\#(depth)","count":2}"#,
      #"{"fault":"reorder","stream":"\#(depth)"}"#, #"{"fault":"stale_snapshot","count":1}"#,
      #"{"fault":"delay","stream":"\#(depth)","ms":300,"duration_ms":500}"#,
      #"{"fault":"silence","stream":"\#(depth)","duration_ms":400}"#,
    ]
    for _ in 0..<12 {
      try inject(harness, faults[random.below(faults.count)])
      for _ in 0..<4 {
        harness.run(ms: 400)
        if !reader.isSynchronised {
          reader.takeSnapshot(harness.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000"))
        }
      }
    }
    harness.run(ms: 2000)
    if !reader.isSynchronised { reader.takeSnapshot(harness.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000")) }
    harness.run(ms: 1000)
    let truth = harness.truth()
    #expect(reader.isSynchronised, "seed \(seed)")
    #expect(reader.lastUpdateID == truth["last_u"]!.integer, "seed \(seed)")
    #expect(reader.levels(truth["bids"]).map(\.0) == reader.bids.keys.sorted(by: >))
    #expect(reader.levels(truth["bids"]).allSatisfy { reader.bids[$0.0] == $0.1 })
    #expect(reader.levels(truth["asks"]).allSatisfy { reader.asks[$0.0] == $0.1 })
  }
}
