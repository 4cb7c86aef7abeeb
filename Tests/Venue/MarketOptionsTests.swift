import Core
import Testing

@testable import Venue

@Suite("Generated market, options and plan")
struct MarketOptionsTests {
  private func failure(
    symbols: [String] = ["BTCUSDT"], minutes: Double = 1, gaps: Int = 0, duplicates: Int = 0,
    reorders: Int = 0, skewMs: Int64 = 0, framesPerSecond: Double? = nil
  ) -> MarketOptionsError? {
    do throws(MarketOptionsError) {
      _ = try MarketOptions(
        seed: 1, symbols: symbols, minutes: minutes, gaps: gaps, duplicates: duplicates, reorders: reorders,
        skewMs: skewMs, framesPerSecond: framesPerSecond)
      return nil
    } catch { return error }
  }

  @Test func symbols() {
    #expect(failure() == nil)
    #expect(failure(symbols: []) == .noSymbols)
    #expect(failure(symbols: ["BTCUSDT", ""]) == .emptySymbol(position: 2))
    #expect(failure(symbols: ["btcusdt"]) == .unknownSymbol("btcusdt"))
    #expect(failure(symbols: ["BTC-USDT"]) == .unknownSymbol("BTC-USDT"))
    #expect(failure(symbols: ["BTCUSDT", "ETHUSDT", "BTCUSDT"]) == .duplicateSymbol("BTCUSDT"))
    #expect(failure(symbols: (0...200).map { "S\($0)" }) == .tooManySymbols(201))
    #expect(failure(symbols: ["BTCUSDT_260925"]) == nil)
  }

  @Test(arguments: [0, -1, 1e9, .nan, .infinity] as [Double])
  func minutes(_ minutes: Double) {
    guard case .minutesOutOfRange = failure(minutes: minutes) else {
      Issue.record("\(minutes) minutes were accepted")
      return
    }
  }

  @Test func rateSkewAndCounts() {
    #expect(failure(framesPerSecond: 15) != nil)
    #expect(failure(framesPerSecond: .nan) != nil)
    #expect(failure(framesPerSecond: 1e6) != nil)
    #expect(failure(framesPerSecond: 16) == nil)
    #expect(failure(skewMs: 3_600_001) == .skewOutOfRange(3_600_001))
    #expect(failure(skewMs: .min) == .skewOutOfRange(.min))
    #expect(failure(gaps: -1) == .negativeDefects(-1))
    #expect(failure(gaps: 12) == .tooManyDefects(asked: 12, fitting: 11))
    #expect(failure(gaps: 5, duplicates: 5, reorders: 1) == nil)
    #expect(failure(gaps: .max, duplicates: .max) == .tooManyDefects(asked: .max, fitting: 11))
    #expect(failure(minutes: 0.2, gaps: 1) == .tooManyDefects(asked: 1, fitting: 0))
    let some = MarketOptions.defectsDefault
    #expect(failure(gaps: some, duplicates: some, reorders: some) == nil)
  }

  @Test func errorsSayWhatToDo() {
    #expect(failure(symbols: ["btcusdt"])!.description.contains("upper-case"))
    #expect(failure(gaps: 12)!.description.contains("room for 11"))
    #expect(failure(framesPerSecond: 15)!.description.contains("give 16 to 10000"))
  }

  @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
  func defectsStandApart(_ seed: UInt64) throws {
    let minutes = Double(seed)
    let each = (DefectPlan.capacity(seconds: minutes * 60) * 3) / 3
    let options = try MarketOptions(
      seed: seed, symbols: ["AUSDT", "BUSDT", "CUSDT"], minutes: minutes, gaps: each, duplicates: each,
      reorders: each)
    let plan = DefectPlan(options: options, random: SeededRandom(seed: seed))
    #expect(plan.defects.map(\.count) == [each, each, each])
    let all = plan.defects.flatMap { $0 }
    #expect(all.count { $0.kind == .reorder } == each)
    for defects in plan.defects {
      #expect(defects.first!.afterMs >= 5000)
      // The longest defect, five frames and a snapshot 800 ms after the next, is over in 1.5 s.
      #expect(defects.last!.afterMs + 1500 <= Int64(minutes * 60_000) - 5000)
      for (one, next) in zip(defects, defects.dropFirst()) {
        #expect(next.afterMs - one.afterMs >= 4500)
      }
    }
  }

  @Test func inventedInstrumentsAreTheirNames() {
    #expect(Instrument(symbol: "NEWUSDT") == Instrument(symbol: "NEWUSDT"))
    #expect(Instrument(symbol: "NEWUSDT") != Instrument(symbol: "OTHERUSDT"))
    let bitcoin = Instrument(symbol: "BTCUSDT")
    #expect(bitcoin.priceScale.text(bitcoin.tickUnits) == "0.10")
    #expect(bitcoin.quantityScale.decimals == 3)
    let solana = Instrument(symbol: "SOLUSDT")
    #expect(solana.priceScale.text(Int64(solana.startTicks) * solana.tickUnits) == "150.2300")
  }
}
