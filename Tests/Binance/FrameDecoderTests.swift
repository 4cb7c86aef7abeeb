import Binance
import Core
import Testing

/// Bytes with the room behind them that the scanner may read.
final class PaddedBytes {
  let base: UnsafeMutableRawPointer
  let count: Int

  init(_ text: String) {
    let bytes = Array(text.utf8)
    count = bytes.count
    base = .allocate(byteCount: count + FrameDecoder.paddingBytes, alignment: 16)
    base.initializeMemory(as: UInt8.self, repeating: 0, count: count + FrameDecoder.paddingBytes)
    base.copyMemory(from: bytes, byteCount: count)
  }

  deinit { base.deallocate() }
}

/// A decoder behind a reference, because expectations copy what they test.
final class TestDecoder {
  private var decoder = FrameDecoder()

  /// The generic path on a whole frame; combined canonical frames are learnt.
  func decode(_ text: String, learning: Bool = true) -> FrameDecoder.Outcome {
    let bytes = PaddedBytes(text)
    let isCanonical = learning && text.hasPrefix("{\"stream\":\"")
    return decoder.decodeGenerically(
      base: bytes.base, start: 0, end: bytes.count, learnAt: isCanonical ? 11 : -1, learnEnd: bytes.count)
  }

  /// The template path; true when it took the whole frame.
  func scans(_ text: String) -> Bool {
    let bytes = PaddedBytes(text)
    return decoder.scan(bytes.base, 11) == bytes.count
  }

  var kind: FrameKind { decoder.frame.kind }
  var depthIDs: DepthIDs { decoder.frame.depthIDs }
  var bidCount: Int { decoder.frame.bidCount }
  var symbols: [String] { decoder.instruments.symbols.names }
  func price(_ index: Int) -> Int64 { decoder.frame.prices[index] }
  func quantity(_ index: Int) -> Int64 { decoder.frame.quantities[index] }
  func value(_ field: DecodedFrame.Field) -> Int64? { decoder.frame.has(field) ? decoder.frame[field] : nil }

  /// Everything the frame says, as one list.
  var values: [Int64?] {
    var result: [Int64?] = [
      Int64(decoder.frame.kind.rawValue), Int64(decoder.frame.symbol.rawValue),
      decoder.frame.isExcludedTrade ? 1 : 0,
    ]
    for field in DecodedFrame.Field.allCases { result.append(value(field)) }
    guard kind == .depthUpdate else { return result }
    result.append(Int64(bidCount))
    for index in 0..<(bidCount + decoder.frame.askCount) { result += [price(index), quantity(index)] }
    return result
  }
}

@Suite("Frame decoder")
struct FrameDecoderTests {
  static let depth = """
    {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1721347022504,"T":1721347022503,\
    "s":"BTCUSDT","U":4984028367545,"u":4984028370730,"pu":4984028367494,\
    "b":[["1000.00","569.567"],["63943.90","2.024"]],"a":[["64020.40","0.000"]]}}
    """
  static let trade = """
    {"stream":"btcusdt@trade","data":{"e":"trade","E":1721347022956,"T":1721347022955,"s":"BTCUSDT",\
    "t":5182005737,"p":"63943.90","q":"0.003","X":"MARKET","m":true}}
    """
  static let ticker = """
    {"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":4984028370881,"s":"BTCUSDT",\
    "b":"63943.90","B":"46.371","a":"63944.00","A":"0.095","T":1721347022507,"E":1721347022508}}
    """
  static let aggregate = """
    {"stream":"ethusdt@aggTrade","data":{"e":"aggTrade","E":1785048482856,"a":181556408,"s":"ETHUSDT",\
    "p":"1882.58","q":"12.363","nq":"12.363","f":307384337,"l":307384338,"T":1785048482852,"m":true,"st":1}}
    """
  static let spotTicker = """
    {"stream":"nexousdt@bookTicker","data":{"u":134180603,"s":"NEXOUSDT","b":"1.21400000",\
    "B":"63.38000000","a":"1.21600000","A":"62.53000000"}}
    """
  static let spotDepth = """
    {"stream":"nexousdt@depth@100ms","data":{"e":"depthUpdate","E":1721750401385,"s":"NEXOUSDT",\
    "U":134183194,"u":134183195,"b":[],"a":[["1.21500000","125.93000000"],["12.00000000","1234567.00000001"]]}}
    """

  @Test(arguments: [depth, trade, ticker, aggregate, spotTicker, spotDepth])
  func bothPathsAgree(_ text: String) {
    let decoder = TestDecoder()
    #expect(!decoder.scans(text))
    #expect(decoder.decode(text) == .frame)
    let generic = decoder.values
    #expect(decoder.scans(text))
    #expect(decoder.values == generic)
  }

  @Test func fieldsAreExact() {
    let decoder = TestDecoder()
    #expect(decoder.decode(FrameDecoderTests.depth) == .frame)
    #expect(
      decoder.depthIDs
        == DepthIDs(first: 4_984_028_367_545, final: 4_984_028_370_730, previousFinal: 4_984_028_367_494))
    #expect(decoder.bidCount == 2)
    #expect(decoder.price(1) == 6_394_390)
    #expect(decoder.quantity(0) == 569_567)
    #expect(decoder.quantity(2) == 0)
    #expect(decoder.decode(FrameDecoderTests.spotDepth) == .frame)
    #expect(decoder.depthIDs.previousFinal == nil)
    #expect(decoder.quantity(1) == 123_456_700_000_001)
  }

  /// Frames with random numbers, decimals, key orders, unknown fields and blanks: the template path either
  /// declines or gives exactly what the generic path gives.
  @Test(arguments: [11, 12, 13, 14] as [UInt64])
  func randomFramesAgree(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let decoder = TestDecoder()
    var scanned = 0
    let priceScale = DecimalScale(random.below(9))
    let quantityScale = DecimalScale(random.below(9))
    // The first frame teaches the scales.
    #expect(
      decoder.decode(
        "{\"e\":\"trade\",\"E\":1,\"T\":1,\"s\":\"XUSDT\",\"t\":1,\"p\":\"\(priceScale.text(12345))\",\"q\":\"\(quantityScale.text(7))\",\"m\":true}"
      ) == .frame)
    for round in 0..<4000 {
      func decimal(_ scale: DecimalScale) -> String {
        scale.text(1 + Int64(random.next() >> UInt64(17 + random.below(46))))
      }
      func levels() -> String {
        let count = random.below(6)
        return "["
          + (0..<count).map { _ in "[\"\(decimal(priceScale))\",\"\(decimal(quantityScale))\"]" }
          .joined(separator: ",") + "]"
      }
      let time = 1_700_000_000_000 + Int64(random.below(1 << 40))
      let id = Int64(random.below(1 << 45))
      var members: [String]
      var stream = "xusdt@depth@100ms"
      switch random.below(3) {
      case 0:
        members = [
          "\"e\":\"depthUpdate\"", "\"E\":\(time)", "\"T\":\(time - 3)", "\"s\":\"XUSDT\"", "\"U\":\(id)",
          "\"u\":\(id + 5)", "\"pu\":\(id - 1)", "\"b\":\(levels())", "\"a\":\(levels())",
        ]
      case 1:
        stream = "xusdt@bookTicker"
        members = [
          "\"e\":\"bookTicker\"", "\"u\":\(id)", "\"s\":\"XUSDT\"", "\"b\":\"\(decimal(priceScale))\"",
          "\"B\":\"\(decimal(quantityScale))\"", "\"a\":\"\(decimal(priceScale))\"",
          "\"A\":\"\(decimal(quantityScale))\"", "\"T\":\(time)", "\"E\":\(time)",
        ]
      default:
        stream = "xusdt@aggTrade"
        members = [
          "\"e\":\"aggTrade\"", "\"E\":\(time)", "\"a\":\(id)", "\"s\":\"XUSDT\"",
          "\"p\":\"\(decimal(priceScale))\"", "\"q\":\"\(decimal(quantityScale))\"", "\"f\":\(id)",
          "\"l\":\(id + 1)", "\"T\":\(time)", "\"m\":\(random.bernoulli(0.5))",
        ]
      }
      if random.bernoulli(0.1) { members.insert("\"zz\":{\"a\":[1,\"]\"]}", at: random.below(members.count)) }
      if random.bernoulli(0.1) { members.shuffle(using: &random) }
      let blank = random.bernoulli(0.1) ? " " : ""
      let text = "{\"stream\":\"\(stream)\",\"data\":{\(members.joined(separator: "," + blank))}}"
      let fast = decoder.scans(text)
      let fastValues = fast ? decoder.values : []
      guard decoder.decode(text) == .frame else {
        Issue.record("seed \(seed) round \(round): generic path refused \(text)")
        continue
      }
      if fast {
        scanned += 1
        #expect(fastValues == decoder.values, "seed \(seed) round \(round) \(text)")
      }
    }
    #expect(scanned > 2000, "the template path must carry most frames, it took \(scanned)")
  }

  /// A reordered or spaced stream is learnt too: only its first frame is slow.
  @Test func changedShapesAreLearnt() {
    let decoder = TestDecoder()
    _ = decoder.decode(FrameDecoderTests.ticker)
    func reordered(_ id: Int) -> String {
      "{\"stream\":\"btcusdt@bookTicker\",\"data\":{\"A\": \"0.095\", \"s\": \"BTCUSDT\", \"u\": \(id), \"E\": 1721347022508, \"a\": \"63944.00\", \"b\": \"63943.90\", \"B\": \"46.371\", \"e\": \"bookTicker\", \"ps\": \"BTCUSDT\"}}"
    }
    #expect(!decoder.scans(reordered(1)))
    #expect(decoder.decode(reordered(1)) == .frame)
    #expect(decoder.scans(reordered(123_456_789)))
    #expect(decoder.value(.finalUpdateID) == 123_456_789)
    #expect(decoder.value(.transactionTime) == nil)
  }

  @Test(
    arguments: [
      ("{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":1,\"b\":[],\"a\":[]}", .missingField),
      (
        "{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":1,\"u\":2,\"b\":[],\"a\":[[\"1.00\"]]}",
        .wrongType
      ),
      ("{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":9,\"u\":2,\"b\":[],\"a\":[]}", .invalidValue),
      (
        "{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":1,\"u\":2,\"b\":[[\"63943.905\",\"1.000\"]],\"a\":[]}",
        .offGrid
      ),
      (
        "{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":1,\"u\":2,\"b\":[[\"99999999999999999999.90\",\"1.000\"]],\"a\":[]}",
        .overflow
      ),
      (
        "{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":1,\"u\":2,\"b\":[[\"-1.00\",\"1.000\"]],\"a\":[]}",
        .invalidValue
      ),
      (
        "{\"e\":\"depthUpdate\",\"E\":99999999999999999999,\"s\":\"BTCUSDT\",\"U\":1,\"u\":2,\"b\":[],\"a\":[]}",
        .overflow
      ),
      (
        "{\"e\":\"depthUpdate\",\"E\":9000000000000000,\"s\":\"BTCUSDT\",\"U\":1,\"u\":2,\"b\":[],\"a\":[]}",
        .invalidValue
      ),
      (
        "{\"e\":\"bookTicker\",\"u\":1,\"s\":\"BTCUSDT\",\"b\":63943.90,\"B\":\"x\",\"a\":\"1.00\",\"A\":\"1.000\"}",
        .wrongType
      ),
      (
        "{\"e\":\"trade\",\"E\":1,\"T\":1,\"s\":\"BTCUSDT\",\"t\":1,\"p\":\"1.00\",\"q\":\"1.000\",\"m\":\"true\"}",
        .wrongType
      ),
      (
        "{\"e\":\"trade\",\"E\":1,\"T\":1,\"s\":5,\"t\":1,\"p\":\"1.00\",\"q\":\"1.000\",\"m\":true}",
        .wrongType
      ),
      ("{\"e\":\"trade\",\"E\":1,\"T\":1,\"s\":\"BTC", .malformed),
      ("{\"stream\":\"btcusdt@trade\",\"data\":{]}", .malformed),
      ("", .malformed),
      ("[]", .malformed),
      ("{\"a\":1}}", .malformed),
    ] as [(String, DecodeError)])
  func badFramesAreNamed(_ text: String, _ error: DecodeError) {
    let decoder = TestDecoder()
    #expect(decoder.decode(FrameDecoderTests.ticker) == .frame)
    #expect(decoder.decode(text) == .failed(error))
  }

  /// Any byte changed, any length cut: never a trap, and the template path never accepts what the generic
  /// path reads differently.
  @Test(arguments: [depth, trade, ticker, aggregate, spotDepth])
  func mutationsNeverTrap(_ text: String) {
    let decoder = TestDecoder()
    _ = decoder.decode(text)
    var random = SeededRandom(seed: 99)
    let original = Array(text.utf8)
    for _ in 0..<3000 {
      var bytes = original
      for _ in 0...random.below(3) {
        bytes[11 + random.below(bytes.count - 11)] = UInt8(32 + random.below(95))
      }
      if random.bernoulli(0.2) { bytes.removeLast(random.below(bytes.count - 11)) }
      let mutated = String(decoding: bytes, as: UTF8.self)
      if decoder.scans(mutated) {
        let fast = decoder.values
        #expect(decoder.decode(mutated, learning: false) == .frame, "\(mutated)")
        #expect(decoder.values == fast, "\(mutated)")
      } else {
        _ = decoder.decode(mutated, learning: false)
      }
    }
  }

  /// A malformed first frame must not settle the instrument's decimals.
  @Test func badFirstFrameTeachesNothing() {
    let decoder = TestDecoder()
    let bad = FrameDecoderTests.trade.replacing("\"m\":true", with: "\"m\":1")
      .replacing("63943.90", with: "63943").replacing("0.003", with: "1")
    #expect(decoder.decode(bad) == .failed(.wrongType))
    #expect(decoder.decode(FrameDecoderTests.ticker) == .frame)
    #expect(decoder.value(.bidPrice) == 6_394_390)
  }

  @Test func kindsWithoutBookOrTradeAreKnown() {
    let decoder = TestDecoder()
    for (text, kind) in [
      (
        "{\"e\":\"markPriceUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"p\":\"1\",\"i\":\"2\",\"r\":\"0\",\"T\":3}",
        FrameKind.markPrice
      ),
      (
        "{\"stream\":\"btcusdt@kline_1m\",\"data\":{\"e\":\"kline\",\"E\":1785048483771,\"s\":\"BTCUSDT\",\"k\":{\"t\":1, \"o\":\"2\"}}}",
        .kline
      ),
      (
        "{\"stream\":\"!forceOrder@arr\",\"data\":{\"e\":\"forceOrder\",\"E\":1,\"o\":{\"s\":\"IOTXUSDT\",\"S\":\"SELL\"}}}",
        .liquidation
      ),
      ("{\"e\":\"ORDER_TRADE_UPDATE\",\"T\":1,\"E\":1,\"o\":{\"s\":\"BTCUSDT\"}}", .other),
      ("{\"result\":null,\"id\":1}", .other),
    ] {
      #expect(decoder.decode(text) == .frame)
      #expect(decoder.kind == kind)
    }
    #expect(decoder.symbols == ["BTCUSDT", "IOTXUSDT"])
  }
}
