import Core
import Tables
import Tape
import Testing

@Suite("Bars of a tape")
struct BarTests {
  private func bars(_ records: [String], widthNs: Int64, _ grouping: TapeProjection.Grouping = .together)
    -> [Bar]
  {
    var projection = TapeProjection(grouping: grouping)
    var bytes: [UInt8] = []
    for (index, record) in records.enumerated() {
      bytes += Array(
        "{\"seq\":\(index + 1),\"recv_ns\":7000000000,\"conn\":0,\"kind\":\"frame\",\(record)}\n".utf8)
    }
    let count = bytes.count
    bytes += [UInt8](repeating: 0, count: Tape.blockPaddingBytes)
    bytes.withUnsafeBytes { projection.take(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    var builder = BarBuilder(widthNs: widthNs)
    for batch in projection.batches { builder.add(batch) }
    return builder.result
  }

  private func trade(_ id: Int, _ ms: Int, _ price: String, _ size: String, _ maker: Bool, _ type: String)
    -> String
  {
    "\"stream\":\"ausdt@trade\",\"data\":{\"e\":\"trade\",\"E\":1,\"T\":\(ms),\"s\":\"AUSDT\",\"t\":\(id),"
      + "\"p\":\"\(price)\",\"q\":\"\(size)\",\"X\":\"\(type)\",\"m\":\(maker)}"
  }

  private func quote(_ ms: Int?, _ bid: String, _ bidSize: String, _ ask: String, _ askSize: String)
    -> String
  {
    let time = ms.map { ",\"T\":\($0),\"E\":\($0)" } ?? ""
    return "\"stream\":\"ausdt@bookTicker\",\"data\":{\"u\":1,\"s\":\"AUSDT\",\"b\":\"\(bid)\","
      + "\"B\":\"\(bidSize)\",\"a\":\"\(ask)\",\"A\":\"\(askSize)\"\(time)}"
  }

  @Test(arguments: [TapeProjection.Grouping.together, .bySymbol])
  func tradesAndQuotes(_ grouping: TapeProjection.Grouping) {
    let records = [
      trade(1, 1999, "2.0", "1.0", false, "MARKET"),
      // Later on the tape, earlier in time: its bucket is that of its time, its turn that of the tape.
      trade(2, 1000, "3.0", "2.0", true, "MARKET"),
      trade(3, 1500, "9.0", "7.0", true, "INSURANCE_FUND"),
      trade(4, 2000, "1.0", "4.0", false, "MARKET"),
      quote(1100, "2.0", "5", "2.5", "6"),
      quote(1200, "2.1", "3", "2.5", "4"),
      quote(nil, "2.0", "1", "2.6", "2"),
    ]
    let unit: Int64 = 100_000_000
    let expected = [
      Bar(
        symbol: "AUSDT", startNs: 1_000_000_000, open: 2 * unit, high: 3 * unit, low: 2 * unit,
        close: 3 * unit, trades: 2, volume: Int128(3 * unit), buyVolume: Int128(unit),
        sellVolume: Int128(2 * unit), quotes: 2,
        // The bid rose: +3. The ask stayed: −4 + 6.
        ofi: Int128(5 * unit)),
      Bar(
        symbol: "AUSDT", startNs: 2_000_000_000, open: unit, high: unit, low: unit, close: unit, trades: 1,
        volume: Int128(4 * unit), buyVolume: Int128(4 * unit)),
      // Without times of its own: when it was received. The bid fell: −3. The ask rose: +4.
      Bar(symbol: "AUSDT", startNs: 7_000_000_000, quotes: 1, ofi: Int128(unit)),
    ]
    #expect(bars(records, widthNs: Nanoseconds.second, grouping) == expected)
    let minute = bars(records, widthNs: Nanoseconds.minute, grouping)
    #expect(minute.count == 1)
    #expect(minute.first?.close == unit)
    #expect(minute.first?.cvd == Int128(3 * unit))
    #expect(minute.first?.ofi == Int128(6 * unit))
  }

  @Test func digestsSeeEveryField() {
    let bar = Bar(symbol: "A", startNs: 0, open: 1, high: 1, low: 1, close: 1, trades: 1, volume: 1)
    var other = bar
    other.ofi = 1
    #expect(Bar.digest([bar]) == Bar.digest([bar]))
    #expect(Bar.digest([bar]) != Bar.digest([other]))
    var later = bar
    later.startNs = 1
    #expect(Bar.digest([bar, later]) == Bar.digest([later, bar]))
  }
}
