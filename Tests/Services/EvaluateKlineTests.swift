import CZlib
import Core
import Evaluation
import Testing

@testable import Services

private let klineHeader =
  "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
private let firstMinuteMs: Int64 = 1_693_526_400_000

private func klineLine(
  _ minute: Int64, close: String = "10.5", volume: String = "4", takerBuy: String = "3"
) -> String {
  let open = firstMinuteMs + minute * 60_000
  return "\(open),10,11,9,\(close),\(volume),\(open + 59_999),40,7,\(takerBuy),30,0"
}

@Suite("Kline series")
struct KlineSeriesTests {
  @Test(arguments: ["csv", "crlf", "headless", "gz", "zip", "stored zip", "streamed zip"])
  func aFileInEachForm(form: String) throws {
    let folder = ImportFolder()
    let lines =
      (form == "headless" ? [] : [klineHeader]) + [
        klineLine(0), klineLine(1, close: "10.25", takerBuy: "1"),
        klineLine(4, close: "9.75", volume: "0", takerBuy: "0"),
      ]
    let text = Array((lines.joined(separator: form == "crlf" ? "\r\n" : "\n") + "\n").utf8)
    let path =
      switch form {
      case "gz": try folder.write("AVAXUSDT-1m-2023-09.csv.gz", gzip(text))
      case "zip": try folder.write("AVAXUSDT-1m-2023-09.zip", zip(text))
      case "stored zip": try folder.write("AVAXUSDT-1m-2023-09.zip", zip(text, isPacked: false))
      case "streamed zip": try folder.write("AVAXUSDT-1m-2023-09.zip", zip(text, isStreamed: true))
      default: try folder.write("AVAXUSDT-1m-2023-09.csv", text)
      }
    let series = try #require(try KlineSeries.load(path).first)
    #expect(series.symbol == "AVAXUSDT" && series.stepNs == 60 * Nanoseconds.second)
    #expect(series.startNs == (firstMinuteMs + 60_000) * 1_000_000)
    #expect(series.mids.count == 5 && series.microprices.count == 5)
    #expect(series.mids[0] == 10.5 && series.mids[1] == 10.25 && series.mids[4] == 9.75)
    #expect(series.mids[2].isNaN && series.mids[3].isNaN)
    #expect(series.spreadsBps.allSatisfy { $0.isNaN })
    #expect(series.rows.map(\.index) == [0, 1, 4])
    #expect(series.rows.map { $0.timeNs - series.startNs } == [0, 60, 240].map { $0 * Nanoseconds.second })
    #expect(series.rows[0].score == 0.5 && series.rows[1].score == -0.5 && series.rows[2].score.isNaN)
  }

  @Test func monthsOfASymbolAreOneSeries() throws {
    let folder = ImportFolder()
    let one = try folder.write("AUSDT-1m-1.csv", [klineLine(0), klineLine(1)])
    let two = try folder.write("AUSDT-1m-2.csv", [klineLine(3)])
    let other = try folder.write("BUSDT-1m-1.csv", [klineLine(0)])
    let series = try KlineSeries.load([two, other, one])
    #expect(series.map(\.symbol) == ["AUSDT", "BUSDT"])
    #expect(series[0].mids.count == 4 && series[0].rows.map(\.index) == [0, 1, 3])
    let again = try folder.write("AUSDT-1m-3.csv", [klineLine(1)])
    #expect(throws: KlineError.self) { try KlineSeries.load([one, again]) }
  }

  @Test(arguments: [
    ("1,2,3", "has 3 fields"), (klineLine(1) + ",9", "has 13 fields"), ("", "has 1 fields"),
    (klineLine(0), "not later"), (klineLine(1, close: "x"), "close is \"x\""),
    (klineLine(1, close: "-1"), "close is \"-1\""),
    (klineLine(1, close: "1e1"), "close is"), (klineLine(1, close: "12"), "contradict"),
    (klineLine(1, takerBuy: "5"), "taker_buy_volume exceeds"), (klineLine(1, volume: "nan"), "volume is"),
    (klineLine(1).replacing("1693526460000", with: "1693526460001"), "full minute"),
    (klineLine(1).replacing("1693526519999", with: "1693526519998"), "close_time"),
    (klineLine(40_000_000), "minutes behind the first"), (klineHeader, "open_time is"),
    ("\u{0}\u{1}", "has 1 fields"),
  ])
  func aMalformedLineIsNamed(line: String, problem: String) throws {
    let folder = ImportFolder()
    let path = try folder.write(
      "AVAXUSDT-1m-2023-09.csv", [klineHeader, klineLine(0), line])
    do {
      _ = try KlineSeries.load(path)
      Issue.record("\(line) was taken")
    } catch let error as KlineError {
      #expect(error.line == 3 && "\(error)".hasPrefix(path + ":3: "))
      #expect(error.problem.contains(problem), "\(error)")
    }
  }

  @Test(arguments: [
    "flipped", "cut", "trailing", "two", "encrypted", "method", "empty", "foreign name", "gz cut",
  ])
  func aDamagedFileIsNamed(damage: String) throws {
    let folder = ImportFolder()
    let text = Array((0..<2000).map { klineLine(Int64($0)) }.joined(separator: "\n").utf8)
    var bytes = damage == "gz cut" ? gzip(text) : zip(text)
    switch damage {
    case "flipped": bytes[bytes.count / 2] ^= 0x10
    case "cut", "gz cut": bytes.removeLast(bytes.count / 2)
    case "trailing": bytes = Array(bytes[..<20])
    case "two":
      let second = bytes.indices.dropFirst().first { bytes[$0...].starts(with: [0x50, 0x4B, 1, 2]) }!
      bytes.insert(contentsOf: bytes[..<second], at: second)
    case "encrypted": bytes[6] |= 1
    case "method": bytes[8] = 12
    case "empty": bytes = []
    default: break
    }
    let name = damage == "foreign name" ? "klines.zip" : "AVAXUSDT-1m-2023-09.zip"
    let path = try folder.write(name, bytes)
    do {
      _ = try KlineSeries.load(path)
      Issue.record("\(damage) was taken")
    } catch let error as KlineError {
      #expect(error.path == path)
    }
  }

  /// Random damage anywhere is an error or a whole series, never a trap or a hang.
  @Test func noDamageTraps() throws {
    let folder = ImportFolder()
    let seed: UInt64 = 3
    var random = SeededRandom(seed: seed)
    let text = Array((0..<300).map { klineLine(Int64($0)) }.joined(separator: "\n").utf8)
    for round in 0..<120 {
      var bytes = [text, gzip(text), zip(text), zip(text, isStreamed: true)][round % 4]
      for _ in 0...random.below(4) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
      if random.bernoulli(0.3) { bytes.removeLast(random.below(bytes.count)) }
      let path = try folder.write("AVAXUSDT-1m-2023-09.zip", bytes)
      do { _ = try KlineSeries.load(path) } catch is KlineError {} catch is FileError {}
    }
  }

  /// An archive of one member, as `zip` writes it.
  private func zip(_ bytes: [UInt8], isPacked: Bool = true, isStreamed: Bool = false) -> [UInt8] {
    func number(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(value >> (8 * $0) & 0xFF) } }
    // The raw stream of a gzip member lies between its ten bytes of header and its eight of trailer.
    let packed = isPacked ? Array(gzip(bytes).dropFirst(10).dropLast(8)) : bytes
    let sum = bytes.withUnsafeBytes {
      Int(crc32_z(0, $0.bindMemory(to: UInt8.self).baseAddress, $0.count))
    }
    let name = Array("a.csv".utf8)
    let sizes = number(sum, 4) + number(packed.count, 4) + number(bytes.count, 4)
    let common =
      number(isStreamed ? 8 : 0, 2) + number(isPacked ? 8 : 0, 2) + number(0, 4)
      + (isStreamed ? number(0, 12) : sizes) + number(name.count, 2) + number(0, 2)
    let local = number(0x0403_4B50, 4) + number(20, 2) + common + name + packed
    let descriptor = isStreamed ? number(0x0807_4B50, 4) + sizes : []
    let central =
      number(0x0201_4B50, 4) + number(20, 2) + number(20, 2) + common + number(0, 14) + name
    return local + descriptor + central
      + number(0x0605_4B50, 4) + number(0, 4) + number(1, 2) + number(1, 2) + number(central.count, 4)
      + number(local.count + descriptor.count, 4) + number(0, 2)
  }
}

@Suite(
  "Klines of the exchange",
  .enabled(
    if: Files.isFolder(recordingsFolder + "/klines_um_1m"), "the recordings are not here; set WEIR_DATA"))
struct RecordedKlineTests {
  /// The imbalance goes with the return of its own minute and hardly with the next one's.
  @Test func theNextMinuteIsHardlyKnown() throws {
    let folder = recordingsFolder + "/klines_um_1m"
    for name in try Files.list(folder) where name.hasSuffix(".csv.gz") {
      let series = try #require(try KlineSeries.load(folder + "/" + name).first)
      #expect(series.rows.count == series.mids.count && series.mids.count >= 43_200)
      // Rows and prices stand side by side: no minute is missing.
      let scores = series.rows.map(\.score)
      let moves = [.nan] + zip(series.mids, series.mids.dropFirst()).map { $1 / $0 - 1 } + [.nan]
      func correlation(ahead: Int) -> Double {
        let known = scores.indices.filter { scores[$0].isFinite && moves[$0 + ahead].isFinite }
        return Statistics.correlation(known.map { scores[$0] }, known.map { moves[$0 + ahead] }) ?? .nan
      }
      let same = correlation(ahead: 0)
      let next = correlation(ahead: 1)
      // On closes alone; from open to close the least is .31.
      #expect((0.305...0.565).contains(same), "\(name): \(same)")
      #expect((-0.06...0.03).contains(next), "\(name): \(next)")
    }
  }
}
