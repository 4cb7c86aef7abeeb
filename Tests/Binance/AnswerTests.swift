import Core
import Testing

@testable import Binance

@Suite("REST answers")
struct AnswerTests {
  private func decode(
    _ text: String, instrument: Instrument? = nil
  ) -> (outcome: FrameDecoder.Outcome, trades: [AnsweredTrade], instrument: Instrument?) {
    var decoder = FrameDecoder(
      instruments: InstrumentTable(configured: instrument.map { ["XUSDT": $0] } ?? [:]))
    var trades = [
      AnsweredTrade(id: 1, price: 1, quantity: 1, transactionTimeMs: 1, aggressor: .buyer)
    ]
    let bytes = Array(text.utf8) + [UInt8](repeating: 0, count: FrameDecoder.paddingBytes)
    let outcome = bytes.withUnsafeBytes {
      decoder.decodeTrades(
        base: $0.baseAddress!, start: 0, end: text.utf8.count, symbolName: "XUSDT", into: &trades)
    }
    let id = decoder.instruments.symbols.find("XUSDT")!
    return (outcome, trades, decoder.instruments[id])
  }

  @Test func tradesAreRead() {
    let text =
      "[{\"a\":26129,\"p\":\"0.0163\",\"q\":\"4.70\",\"f\":27781,\"l\":27781,\"T\":1498793709153,\"m\":true,\"new\":[1]},"
      + " {\"m\":false, \"T\":1498793709154, \"q\":\"1.00\", \"p\":\"1.0000\", \"a\":26130}]"
    let found = decode(text)
    #expect(found.outcome == .frame)
    #expect(
      found.trades == [
        .init(id: 26129, price: 163, quantity: 470, transactionTimeMs: 1_498_793_709_153, aggressor: .seller),
        .init(
          id: 26130, price: 10_000, quantity: 100, transactionTimeMs: 1_498_793_709_154, aggressor: .buyer),
      ])
    #expect(
      found.instrument == Instrument(priceScale: DecimalScale(4), quantityScale: DecimalScale(2)))
  }

  @Test(arguments: [
    ("", DecodeError.malformed), ("{}", .malformed), ("[", .malformed), ("[]x", .malformed),
    ("[1]", .malformed),
    ("[{}]", .malformed), ("[{\"a\":1}]", .missingField),
    ("[{\"a\":\"x\",\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}]", .wrongType),
    ("[{\"a\":1,\"p\":\"x\",\"q\":\"1\",\"T\":1,\"m\":true}]", .wrongType),
    ("[{\"a\":1,\"p\":\"0\",\"q\":\"1\",\"T\":1,\"m\":true}]", .invalidValue),
    ("[{\"a\":-1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}]", .invalidValue),
    ("[{\"a\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":1}]", .wrongType),
    ("[{\"a\":1,\"p\":\"99999999999999999999\",\"q\":\"1\",\"T\":1,\"m\":true}]", .overflow),
    ("[{\"a\":1,\"p\":\"1\",\"q\":\"1\",\"T\":9102444800000,\"m\":true}]", .invalidValue),
  ])
  func badAnswersAreRefusedWhole(_ text: String, _ error: DecodeError) {
    let found = decode(text)
    #expect(found.outcome == .failed(error))
    // Nor do they teach anything.
    #expect(found.trades.isEmpty && found.instrument == nil)
  }

  @Test func knownDecimalsAreKeptTo() {
    let instrument = Instrument(priceScale: DecimalScale(1), quantityScale: DecimalScale(0))
    let off = "[{\"a\":1,\"p\":\"1.05\",\"q\":\"1\",\"T\":1,\"m\":true}]"
    #expect(decode(off, instrument: instrument).outcome == .failed(.offGrid))
    #expect(decode("[]", instrument: instrument).outcome == .frame)
  }

  @Test func listedSymbolsAreRead() {
    func names(_ text: String) -> [String]? { Array(text.utf8).withUnsafeBytes { listedSymbols($0) } }
    #expect(
      names(
        "{\"a\":{\"symbols\":1},\"symbols\":[{\"x\":[{}],\"symbol\":\"A\"},{\"symbol\":\"B\",\"y\":null}],\"z\":0}"
      )
        == ["A", "B"])
    #expect(names("{\"symbols\":[]}") == [])
    for bad in ["", "{}", "[]", "{\"symbols\":[{}]}", "{\"symbols\":[{\"symbol\":1}]}", "{\"symbols\":[]"] {
      #expect(names(bad) == nil, "\(bad)")
    }
  }
}
