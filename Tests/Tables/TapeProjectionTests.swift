import Core
import Tables
import Tape
import Testing

@Suite("Tables of a tape")
struct TapeProjectionTests {
  /// Records as a tape's lines.
  private func lines(_ records: [String]) -> [UInt8] {
    var bytes: [UInt8] = []
    for (index, record) in records.enumerated() {
      let head = "{\"seq\":\(index + 1),\"recv_ns\":\(1_721_347_020_000_000_000 + Int64(index)),\"conn\":0,"
      bytes += Array((head + record + "}\n").utf8)
    }
    return bytes + [UInt8](repeating: 0, count: Tape.blockPaddingBytes)
  }

  private func project(
    _ records: [String], _ reading: TapeProjection.Reading, times: Int = 1,
    grouping: TapeProjection.Grouping = .together
  ) -> [TableKind: [String]] {
    var projection = TapeProjection(grouping: grouping, reading: reading)
    let bytes = lines(records)
    var result: [TableKind: [String]] = [:]
    for round in 0..<times {
      for batch in projection.batches { batch.removeAll() }
      projection.beginSegment()
      bytes.withUnsafeBytes {
        projection.take(UnsafeRawBufferPointer(rebasing: $0[..<(bytes.count - Tape.blockPaddingBytes)]))
      }
      if round == times - 1 {
        for batch in projection.batches { result[batch.schema.kind, default: []] += rows(batch) }
      }
    }
    return result
  }

  private func rows(_ batch: TableBatch) -> [String] {
    var rows = [String](repeating: "", count: batch.rowCount)
    for (index, column) in batch.schema.columns.enumerated() {
      var row = 0
      for message in 0..<batch.messageCount {
        for _ in 0..<batch.messageRows[message] {
          let value = batch.values(index)[column.isOfMessage ? message : row]
          let text =
            if value == TableBatch.null { "-" } else if column.type == .decimal {
              DecimalScale(8).text(value)
            } else if column.type == .name { batch.names[Int(value)] } else if column.type == .text {
              String(decoding: batch.text(value), as: UTF8.self)
            } else { "\(value)" }
          rows[row] += (index == 0 ? "" : " ") + text
          row += 1
        }
      }
    }
    return rows
  }

  private func frame(_ stream: String, _ data: String) -> String {
    "\"kind\":\"frame\",\"stream\":\"\(stream)\",\"data\":\(data)"
  }

  private var all: [String] {
    [
      frame(
        "btcusdt@depth@100ms",
        #"{"e":"depthUpdate","E":1785048482829,"T":1785048482718,"s":"BTCUSDT","U":5,"u":7,"pu":4,"b":[["64336.00","1.5000"],["64335.90","0.0000"]],"a":[["64346.70","589.8041"]]}"#
      ),
      frame(
        "btcusdt@bookTicker",
        #"{"e":"bookTicker","u":8,"s":"BTCUSDT","b":"64336.00","B":"73.3346","a":"64346.70","A":"589.8026","T":1785048483771,"E":1785048483772}"#
      ),
      frame(
        "ethusdt@aggTrade",
        #"{"e":"aggTrade","E":1785048482856,"a":18,"s":"ETHUSDT","p":"1882.58","q":"12.363","nq":"12.363","f":3,"l":4,"T":1785048482852,"m":true,"st":1}"#
      ),
      frame(
        "ethusdt@trade",
        #"{"e":"trade","E":1785048482856,"T":1785048482852,"s":"ETHUSDT","t":9,"p":"1882.58","q":"1.000","X":"INSURANCE_FUND","m":false}"#
      ),
      frame("nexousdt@bookTicker", #"{"u":1,"s":"NEXOUSDT","b":"1.2","B":"3","a":"1.3","A":"4"}"#),
      frame(
        "btcusdt@markPrice@1s",
        #"{"e":"markPriceUpdate","E":1,"s":"BTCUSDT","p":"1.5","i":"1.25","P":"","r":"-0.0001","T":2}"#),
      frame(
        "btcusdt@kline_1m",
        #"{"e":"kline","E":1785048483771,"s":"BTCUSDT","k":{"t":1785048480000, "T":1785048539999, "s":"BTCUSDT", "i":"1m", "f":-1, "L":12, "o":"64346.70", "c":"64346.70", "h":"64346.70", "l":"64346.70", "v":"0.0502", "n":11, "x":false, "q":"3230.204340", "V":"0.0502", "Q":"3230.204340", "B":"0"}}"#
      ),
      frame(
        "!forceOrder@arr",
        #"{"e":"forceOrder","E":1634653599186,"o":{"s":"IOTXUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"3661","p":"0.06606","ap":"0.06669","X":"FILLED","l":"962","z":"3661","T":1634653599180}}"#
      ),
      "\"kind\":\"snapshot\",\"stream\":\"btcusdt@snapshot\",\"data\":"
        + #"{"lastUpdateId":6,"E":10,"T":9,"bids":[["1.5","2"]],"asks":[["1.6","3"],["1.7","4"]]}"#,
      "\"kind\":\"snapshot\",\"stream\":\"ethusdt@aggTrades\",\"data\":"
        + #"[{"a":17,"p":"1","q":"2","f":1,"l":2,"T":5,"m":false},{"a":18,"p":"1","q":"2","f":1,"l":2,"T":5,"m":true}]"#,
      "\"kind\":\"open\",\"stream\":null,\"data\":{\"reason\":\"start\"}",
      "\"kind\":\"gap\",\"stream\":\"btcusdt@depth@100ms\",\"data\":{\"reason\":\"x\"}",
      frame("btcusdt@depth@100ms", #"{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":1,"b":[],"a":[]}"#),
      "\"kind\":\"frame\",\"stream\":null,\"data\":{\"e\":\"ACCOUNT_UPDATE\",\"E\":1}",
      "\"kind\":\"frame\",\"stream\":null,\"data\":\"junk\"",
      frame(
        "xusdt@trade", #"{"e":"trade","E":1,"T":1,"s":"XUSDT","t":1,"p":"0.123456789","q":"1","m":true}"#),
    ]
  }

  @Test func everyRecordHasItsRows() {
    let t = "17213470200000000"
    let expected: [TableKind: [String]] = [
      .depth: [
        "BTCUSDT 1785048482829000000 1785048482718000000 \(t)00 1 5 7 4 bid 64336.00000000 1.50000000",
        "BTCUSDT 1785048482829000000 1785048482718000000 \(t)00 1 5 7 4 bid 64335.90000000 0.00000000",
        "BTCUSDT 1785048482829000000 1785048482718000000 \(t)00 1 5 7 4 ask 64346.70000000 589.80410000",
      ],
      .bookTicker: [
        "BTCUSDT 1785048483772000000 \(t)01 2 8 64336.00000000 73.33460000 64346.70000000 589.80260000 1785048483771000000",
        "NEXOUSDT - \(t)04 5 1 1.20000000 3.00000000 1.30000000 4.00000000 -",
      ],
      .trade: [
        "ETHUSDT 1785048482856000000 \(t)02 3 18 1882.58000000 12.36300000 1 agg_trade 1785048482852000000 3 4 12.36300000 1",
        "ETHUSDT 1785048482856000000 \(t)03 4 9 1882.58000000 1.00000000 0 trade 1785048482852000000 - - - 0",
        "ETHUSDT - \(t)09 10 17 1.00000000 2.00000000 0 backfill 5000000 1 2 - 1",
        "ETHUSDT - \(t)09 10 18 1.00000000 2.00000000 1 duplicate 5000000 1 2 - 1",
      ],
      .markPrice: ["BTCUSDT 1000000 \(t)05 6 1.50000000 1.25000000 - -0.00010000 2000000"],
      .kline: [
        "BTCUSDT 1785048483771000000 \(t)06 7 1m 1785048480000000000 1785048539999000000 64346.70000000 "
          + "64346.70000000 64346.70000000 64346.70000000 0.05020000 3230.20434000 11 0.05020000 "
          + "3230.20434000 - 12 0"
      ],
      .liquidation: [
        "IOTXUSDT 1634653599186000000 \(t)07 8 1634653599180000000 SELL 0.06606000 0.06669000 3661.00000000 962.00000000 3661.00000000 LIMIT IOC FILLED"
      ],
      .snapshot: [
        "BTCUSDT 10000000 9000000 \(t)08 9 6 bid 1.50000000 2.00000000",
        "BTCUSDT 10000000 9000000 \(t)08 9 6 ask 1.60000000 3.00000000",
        "BTCUSDT 10000000 9000000 \(t)08 9 6 ask 1.70000000 4.00000000",
      ],
      .feed: [
        "- \(t)10 11 0 open - {\"reason\":\"start\"}",
        "BTCUSDT \(t)11 12 0 gap btcusdt@depth@100ms {\"reason\":\"x\"}",
      ],
      .other: [
        "BTCUSDT \(t)12 13 0 no_levels btcusdt@depth@100ms {\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":1,\"u\":1,\"b\":[],\"a\":[]}",
        "- \(t)13 14 0 no_market_data - {\"e\":\"ACCOUNT_UPDATE\",\"E\":1}",
        "- \(t)14 15 0 malformed - \"junk\"",
        "XUSDT \(t)15 16 0 out_of_range xusdt@trade {\"e\":\"trade\",\"E\":1,\"T\":1,\"s\":\"XUSDT\",\"t\":1,\"p\":\"0.123456789\",\"q\":\"1\",\"m\":true}",
      ],
    ]
    // The second round goes through the templates that the first one taught.
    for (reading, times) in [(TapeProjection.Reading.plain, 1), (.scanned, 1), (.scanned, 3)] {
      let found = project(all, reading, times: times)
      for kind in TableKind.allCases { #expect(found[kind] == expected[kind], "\(kind) \(reading) \(times)") }
    }
  }

  /// A frame with more decimals than the ones before it is as exact as they are.
  @Test func decimalsMayGrow() {
    func ticker(_ price: String) -> String {
      frame("ausdt@bookTicker", #"{"u":1,"s":"AUSDT","b":"\#(price)","B":"3","a":"2.5","A":"4"}"#)
    }
    let records = [ticker("1.2"), ticker("1.234"), ticker("1.2"), ticker("99999999.12345678"), ticker("1.2")]
    #expect(project(records, .scanned, times: 2) == project(records, .plain))
    #expect(project(records, .plain)[.bookTicker]?.count == 5)
  }

  @Test func digestsNameTheColumnThatDiffers() {
    func digest(_ records: [String], _ grouping: TapeProjection.Grouping = .together) -> TableDigest.Summary {
      var projection = TapeProjection(grouping: grouping)
      let bytes = lines(records)
      bytes.withUnsafeBytes {
        projection.take(UnsafeRawBufferPointer(rebasing: $0[..<(bytes.count - Tape.blockPaddingBytes)]))
      }
      var digest = TableDigest(.of(.depth))
      for batch in projection.batches where batch.schema.kind == .depth { digest.add(batch) }
      return digest.finish()
    }
    let one = digest(all)
    #expect(one == digest(all, .bySymbol))
    #expect(one.rows == 3)
    var changed = all
    changed[0] = changed[0].replacing("589.8041", with: "589.8042")
    let other = digest(changed)
    let differing = one.hashes.indices.filter { one.hashes[$0] != other.hashes[$0] }
    #expect(differing == [TableSchema.of(.depth).index(of: "quantity")!])
  }

  /// Rows given one by one hash like batches that keep a message's values once.
  @Test func digestsDoNotDependOnHowRowsAreGiven() {
    var random = SeededRandom(seed: 5)
    for _ in 0..<20 {
      var whole = TableDigest(.of(.other))
      var single = TableDigest(.of(.other))
      for _ in 0..<random.below(50) {
        let count = 1 + random.below(4)
        let value = Int64(random.below(3))
        let text = Array("t\(random.below(2))".utf8)
        whole.addRows(count)
        whole.add(1, value, repeated: Int64(count))
        text.withUnsafeBytes { whole.add(6, text: $0, repeated: Int64(count)) }
        for _ in 0..<count {
          single.addRows(1)
          single.add(1, value)
          text.withUnsafeBytes { single.add(6, text: $0) }
        }
      }
      #expect(whole.finish() == single.finish())
    }
  }
}
