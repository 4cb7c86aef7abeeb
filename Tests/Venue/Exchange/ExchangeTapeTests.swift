import Core
import Glibc
import Synchronization
import Tape
import Testing

@testable import Venue

/// A generated tape under /tmp that goes with the value that holds it.
final class GeneratedTape: Sendable {
  private static let counter = Atomic<Int>(0)
  let folder: String
  /// By stream: the frames as they came over the wire.
  let frames: [String: [String]]
  let truth: JSONValue

  /// - Parameters:
  ///   - rawFrames: bare objects without a stream's name among the frames.
  ///   - partialFromMs: from this moment on, partial depth of the first symbol as if it had been recorded.
  init(_ options: MarketOptions, rawFrames: Int = 0, partialFromMs: Int64 = .max) throws {
    let number = GeneratedTape.counter.add(1, ordering: .relaxed).newValue
    folder = "/tmp/weir-venue-tests-\(getpid())-\(number)"
    var writer = try TapeWriter(
      folder: folder, options: TapeWriter.Options(fsync: .none, diskFreeMinBytes: 1 << 20))
    var generator = MarketGenerator(options)
    var frames: [String: [String]] = [:]
    var raw = 0
    while let frame = generator.next() {
      let name = options.symbols[frame.symbolIndex].lowercased()
      switch frame.kind {
      case .frame:
        _ = try writer.append(
          frame: frame.payload, receiveTime: frame.receiveTime, connection: frame.connection)
        frames["\(name)@\(frame.stream.suffix)", default: []].append(
          String(decoding: frame.payload, as: UTF8.self))
      case .snapshot:
        _ = try writer.append(
          .snapshot, stream: name + "@snapshot", data: frame.payload, receiveTime: frame.receiveTime,
          connection: 0)
      }
      let sinceMs = (frame.receiveTime.rawValue - options.start.rawValue) / Nanoseconds.millisecond
      if frame.symbolIndex == 0, frame.kind == .frame, frame.stream == .depth, sinceMs >= partialFromMs {
        let text =
          #"{"stream":"\#(name)@depth5@100ms","data":{"e":"depthUpdate","E":1,"T":1,"#
          + #""s":"\#(options.symbols[0])","U":1,"u":2,"pu":0,"b":[["1.00","1.000"]],"a":[["2.00","1.000"]]}}"#
        let bytes = Array(text.utf8)
        _ = try bytes.withUnsafeBytes {
          try writer.append(frame: $0, receiveTime: frame.receiveTime, connection: frame.connection)
        }
        frames["\(name)@depth5@100ms", default: []].append(text)
      }
      if raw < rawFrames {
        raw += 1
        let bytes = Array(#"{"e":"other","n":1}"#.utf8)
        _ = try bytes.withUnsafeBytes {
          try writer.append(frame: $0, receiveTime: frame.receiveTime, connection: 0)
        }
      }
    }
    _ = try writer.finish()
    self.frames = frames
    truth = generator.truth
  }

  deinit {
    for name in (try? Files.list(folder)) ?? [] { unlink("\(folder)/\(name)") }
    unlink("\(folder)/.lock")
    rmdir(folder)
  }
}

@Suite("Exchange, a tape as the source")
struct ExchangeTapeTests {
  private func options(gaps: Int = 0) throws -> MarketOptions {
    try MarketOptions(seed: 4, symbols: ["BTCUSDT", "SOLUSDT"], minutes: 0.4, gaps: gaps)
  }

  private func harness(_ tape: GeneratedTape, speed: Double = 1) throws -> ExchangeHarness {
    try ExchangeHarness(ExchangeOptions(source: .tape(folder: tape.folder, speed: speed)))
  }

  @Test(arguments: [1.0, 20])
  func framesAreVerbatim(_ speed: Double) throws {
    let tape = try GeneratedTape(options(), rawFrames: 5)
    let harness = try harness(tape, speed: speed)
    let streams = tape.frames.keys.sorted()
    #expect(streams.count >= 10)
    harness.open(1, "/stream?streams=\(streams.joined(separator: "/"))")
    harness.open(2, "/ws/\(streams.joined(separator: "/"))")
    harness.run(ms: Int64(30_000 / speed) + 1500)
    #expect(harness.exchange.isOver)
    let combined = harness.messages[1]!
    #expect(combined.count == tape.frames.values.reduce(0) { $0 + $1.count })
    for stream in streams {
      #expect(combined.filter { $0.hasPrefix("{\"stream\":\"\(stream)\"") } == tape.frames[stream]!)
    }
    // The raw form is the combined frame's data, in the same order.
    #expect(
      harness.messages[2]!
        == combined.map { text in
          String(text.dropFirst(text.range(ofData: "\"data\":")).dropLast())
        })
    let truth = harness.exchange.truth
    #expect(truth["raw_frames_skipped"]?.integer == 5 && truth["lines_unreadable"]?.integer == 0)
    for symbol in ["BTCUSDT", "SOLUSDT"] {
      let counts = truth["symbols"]![symbol]!["frames"]!["depth@100ms"]!
      #expect(counts["published"]?.integer == Int64(tape.frames["\(symbol.lowercased())@depth@100ms"]!.count))
      #expect(counts["sent"]?.integer == 2 * counts["published"]!.integer!)
      for key in ["last_u", "bids", "asks", "cvd"] {
        #expect(truth["symbols"]![symbol]![key] == tape.truth["symbols"]![symbol]![key], "\(symbol) \(key)")
      }
    }
  }

  @Test func framesKeepTheirRhythm() throws {
    let tape = try GeneratedTape(options())
    let harness = try harness(tape, speed: 2)
    harness.open(1, "/public/ws/btcusdt@depth@100ms")
    var times: [Int64] = []
    var stamps: [Int64] = []
    harness.onMessage = { [unowned harness] _, text in
      times.append(harness.timeMs)
      stamps.append(try! JSONValue(parsing: text)["E"]!.integer!)
    }
    harness.run(ms: 6000)
    // Ten frames a second at double speed, after one second of quiet.
    try #require(abs(times.count - 100) <= 3)
    #expect(times.first! >= ExchangeHarness.epoch / 1_000_000 + 1000)
    let span = Double(stamps.last! - stamps.first!)
    #expect(abs(Double(times.last! - times.first!) * 2 - span) < 130)
  }

  @Test func theClockWaitsForSubscriptions() throws {
    let tape = try GeneratedTape(options())
    let harness = try harness(tape)
    harness.run(ms: 60_000)
    harness.open(1, "/public/ws")
    harness.run(ms: 5000)
    let frozen = harness.get("/fapi/v1/time")["serverTime"]!.integer!
    #expect(harness.exchange.nextTime.rawValue > harness.now + 60 * Nanoseconds.second)
    harness.write(1, #"{"method":"SUBSCRIBE","params":["btcusdt@bookTicker"],"id":1}"#)
    for number in 0..<30 {
      harness.run(ms: 500)
      harness.write(1, #"{"method":"SUBSCRIBE","params":["n\#(number)@x"],"id":1}"#)
      let isRunning = harness.get("/fapi/v1/time")["serverTime"]!.integer! > frozen
      // Each change puts the start off, for ten seconds at most.
      #expect(isRunning == (number >= 20))
    }
    #expect(harness.take(1).contains { $0["e"]?.text == "bookTicker" })
  }

  @Test(arguments: [0, 4])
  func theOfficialProcedureWorksOnATape(_ gaps: Int) throws {
    let tape = try GeneratedTape(options(gaps: gaps))
    let harness = try harness(tape)
    var reader = WireReader(priceDecimals: 2, quantityDecimals: 3)
    harness.onMessage = { _, text in
      let data = try! JSONValue(parsing: text)
      reader.depth(
        WireReader.Diff(
          first: data["U"]!.integer!, last: data["u"]!.integer!, previous: data["pu"]!.integer!,
          bids: reader.levels(data["b"]), asks: reader.levels(data["a"])), time: 0)
    }
    harness.open(1, "/public/ws/btcusdt@depth@100ms")
    // Before the tape has run the first snapshot is served verbatim.
    let first = harness.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000")
    #expect(first["bids"]!.elements!.count > 100)
    reader.takeSnapshot(first)
    for _ in 0..<30 {
      harness.run(ms: 1000)
      if !reader.isSynchronised {
        reader.takeSnapshot(harness.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000"))
      }
    }
    let truth = harness.truth()
    #expect(reader.isSynchronised)
    #expect(reader.lastUpdateID == truth["last_u"]!.integer)
    let bids = reader.levels(truth["bids"])
    #expect(bids.prefix(300).map(\.0) == Array(reader.bids.keys.sorted(by: >).prefix(300)))
    #expect(bids.prefix(300).allSatisfy { reader.bids[$0.0] == $0.1 })
  }

  @Test(arguments: [("depth5@100ms", 5, 1), ("depth20", 20, 2), ("depth10@500ms", 10, 5)])
  func partialDepthIsMadeFromATapesBook(_ suffix: String, _ levels: Int, _ windows: Int) throws {
    let tape = try GeneratedTape(options())
    let harness = try harness(tape)
    var check = PartialDepthCheck()
    var diffs = 0
    harness.onMessage = { session, text in
      let data = try! JSONValue(parsing: text)
      if session == 1 {
        diffs += 1
        check.take(diff: data)
      } else {
        #expect(data.members!.map(\.key) == ["e", "E", "T", "s", "U", "u", "pu", "b", "a"])
        check.take(partial: data, levels: levels)
      }
    }
    harness.open(1, "/public/ws/btcusdt@depth@100ms")
    harness.open(2, "/public/ws/btcusdt@\(suffix)")
    check.reader.takeSnapshot(harness.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000"))
    harness.run(ms: 30_000)
    // Nothing is told before the tape's first snapshot; then one frame in so many of the tape's.
    #expect(diffs > 200 && check.frames > diffs / (windows + 1) - 10 && check.frames <= diffs / windows + 2)
    #expect(check.compared > check.frames - 10 && check.differing == 0 && check.chainBreaks == 0)
    #expect(harness.truth()["frames"]?[suffix]?["published"]?.integer == Int64(check.frames))
  }

  @Test func singleTradesAreMadeFromATapesAggregates() throws {
    let tape = try GeneratedTape(options())
    let harness = try harness(tape, speed: 10)
    harness.open(1, "/public/ws/btcusdt@trade")
    harness.open(2, "/market/ws/btcusdt@aggTrade")
    harness.run(ms: 5000)
    let trades = harness.take(1)
    let scale = DecimalScale(3)
    var next = 0
    for aggregate in harness.take(2) {
      var lots: Int64 = 0
      for id in aggregate["f"]!.integer!...aggregate["l"]!.integer! {
        try #require(next < trades.count)
        let trade = trades[next]
        #expect(trade["t"]?.integer == id && trade["p"] == aggregate["p"] && trade["m"] == aggregate["m"])
        #expect(trade["E"] == aggregate["E"] && trade["T"] == aggregate["T"] && trade["X"]?.text == "MARKET")
        lots += scale.parse(trade["q"]!.text!)!
        next += 1
      }
      #expect(scale.text(lots) == aggregate["q"]?.text)
    }
    #expect(next == trades.count && next > 100)
  }

  /// A tape's own partial depth goes out verbatim, is no change to the book, and ends a derived stream.
  @Test(arguments: [true, false])
  func aTapesOwnFramesGoFirst(_ isSeenAhead: Bool) throws {
    let tape = try GeneratedTape(options(), partialFromMs: 12_000)
    let harness = try harness(tape)
    let name = "btcusdt@depth5@100ms"
    if !isSeenAhead { harness.exchange.tape!.streamsOnTape.remove(name) }
    harness.open(1, "/public/stream?streams=\(name)")
    harness.run(ms: 30_000)
    let frames = harness.messages[1]!
    let own = tape.frames[name]!
    #expect(own.count > 80 && Array(frames.suffix(own.count)) == own)
    let derived = frames.dropLast(own.count)
    #expect(isSeenAhead ? derived.isEmpty : derived.count > 80)
    #expect(derived.allSatisfy { $0.hasPrefix("{\"stream\":\"\(name)\"") && !$0.contains(#""u":2,"#) })
    for key in ["last_u", "bids", "asks"] {
      #expect(harness.truth()[key] == tape.truth["symbols"]!["BTCUSDT"]![key], "\(key)")
    }
  }

  @Test func restOnATape() throws {
    let tape = try GeneratedTape(options())
    let harness = try harness(tape, speed: 10)
    let information = harness.get("/fapi/v1/exchangeInfo")["symbols"]!.elements!
    #expect(information.map { $0["symbol"]!.text! }.sorted() == ["BTCUSDT", "SOLUSDT"])
    #expect(information.first { $0["symbol"]?.text == "BTCUSDT" }?["pricePrecision"]?.integer == 2)
    harness.open(1, "/market/ws/btcusdt@aggTrade")
    harness.run(ms: 5000)
    let streamed = harness.take(1)
    let trades = harness.get("/fapi/v1/aggTrades?symbol=BTCUSDT&limit=1000").elements!
    #expect(trades.count == min(1000, streamed.count) && trades.count > 100)
    #expect(trades.map { $0["q"]! } == streamed.suffix(trades.count).map { $0["q"]! })
    #expect(harness.get("/fapi/v1/depth?symbol=BTCUSDT&limit=20")["asks"]!.elements!.count == 20)
    let ticker = harness.get("/fapi/v1/ticker/bookTicker?symbol=BTCUSDT")
    #expect(ticker["bidPrice"] == harness.truth()["bids"]![0]![0])
    #expect(harness.get("/fapi/v1/depth?symbol=NOUSDT")["code"]?.integer == -1121)
    #expect(harness.get("/fapi/v1/klines?symbol=BTCUSDT&interval=1m")["code"]?.integer == -1000)
    let order = harness.signed("POST", "/fapi/v1/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1")
    #expect(order["code"]?.integer == -2010 && order["msg"]!.text!.contains("tape"))
    #expect(harness.signed("GET", "/fapi/v2/balance")[0]?["balance"]?.text == "10000.00000000")
    #expect(harness.signed("GET", "/fapi/v2/account")["positions"]?.elements?.isEmpty == true)
  }

  @Test func faultsStrikeATapesStreamsToo() throws {
    let tape = try GeneratedTape(options())
    let harness = try harness(tape)
    harness.open(1, "/public/ws/btcusdt@depth@100ms")
    try harness.exchange.inject(.drop(stream: "btcusdt@depth@100ms", count: 7), now: UnixNanos(harness.now))
    harness.run(ms: 40_000)
    #expect(harness.take(1).count == tape.frames["btcusdt@depth@100ms"]!.count - 7)
    #expect(harness.exchange.truth["faults"]?[0]?["struck"]?.integer == 7)
  }

  @Test func aTapeThatCannotBeServedSaysWhy() throws {
    for (folder, speed) in [("/tmp/weir-no-such-tape", 1.0), ("/tmp", 0), ("/tmp", .infinity)] {
      #expect(throws: ExchangeOptionsError.self) {
        _ = try ExchangeHarness(ExchangeOptions(source: .tape(folder: folder, speed: speed)))
      }
    }
  }
}

extension String {
  /// Characters up to and including the first occurrence of a text.
  fileprivate func range(ofData text: String) -> Int {
    let bytes = Array(utf8)
    let wanted = Array(text.utf8)
    return (0...(bytes.count - wanted.count)).first { bytes[$0..<$0 + wanted.count].elementsEqual(wanted) }!
      + wanted.count
  }
}
