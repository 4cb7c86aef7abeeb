import Core
import Evaluation

/// The exchange's one-minute klines as series: closes for prices, the takers' imbalance of a minute for its score.
///
/// They are the longest public history there is, and a check on an evaluation: a minute's imbalance goes strongly with
/// the return of the same minute and hardly with the next one's. What finds more leaks.
///
/// A bar belongs to the moment it ends: the price at a grid point is the close of the bar that ends there, and the row
/// there says `(2 · taker buy volume − volume) / volume` of that bar, which is complete by then. A minute without a
/// bar has NaN and no row; a bar without volume has a row without a score. There is no quote, so the spread is NaN.
public enum KlineSeries {
  static let stepNs = Nanoseconds.minute
  /// Minutes from the first bar to the last of a symbol: twenty years.
  static let minutesMax = 20 * 366 * 24 * 60

  /// Reads one file: `BTCUSDT-1m-2023-08.csv`, also as `.gz` or `.zip`, with or without a header line.
  ///
  /// - Returns: one series.
  /// - Throws: ``KlineError`` with file and line, `FileError`.
  public static func load(_ path: String) throws -> [EvaluationSeries] { try load([path]) }

  /// Reads several files; those of one symbol become one series, whatever their order.
  ///
  /// - Returns: by symbol, in order of first appearance.
  /// - Throws: ``KlineError`` with file and line, `FileError`.
  public static func load(_ paths: [String]) throws -> [EvaluationSeries] {
    var names: [String] = []
    var files: [String: [(path: String, bars: [Bar])]] = [:]
    for path in paths {
      let name = try symbol(of: path)
      if files[name] == nil { names.append(name) }
      files[name, default: []].append((path, try bars(of: path)))
    }
    return try names.map { name in
      let sorted = files[name]!.sorted { $0.bars[0].openMinute < $1.bars[0].openMinute }
      for (one, next) in zip(sorted, sorted.dropFirst())
      where next.bars[0].openMinute <= one.bars.last!.openMinute {
        throw KlineError(next.path, "its bars begin before those of \(one.path) end; give each month once")
      }
      return try series(name, sorted.flatMap(\.bars), path: sorted.last!.path)
    }
  }

  /// What is kept of a line.
  struct Bar: Equatable {
    /// Minutes since 1970.
    var openMinute: Int64
    var close: Double
    /// (2 · taker buy volume − volume) / volume; NaN without volume.
    var imbalance: Double
  }

  private static func series(_ name: String, _ bars: [Bar], path: String) throws(KlineError)
    -> EvaluationSeries
  {
    let first = bars[0].openMinute
    let count = Int(bars.last!.openMinute - first) + 1
    guard count <= minutesMax else {
      throw KlineError(path, "lies more than \(minutesMax) minutes behind the first bar of \(name)")
    }
    var series = EvaluationSeries(symbol: name, startNs: (first + 1) * stepNs, stepNs: stepNs)
    series.mids = [Double](repeating: .nan, count: count)
    series.spreadsBps = series.mids
    series.rows.reserveCapacity(bars.count)
    for bar in bars {
      let index = Int(bar.openMinute - first)
      series.mids[index] = bar.close
      series.rows.append(
        EvaluationSeries.Row(
          index: index, timeNs: series.startNs + Int64(index) * stepNs, score: bar.imbalance))
    }
    series.microprices = series.mids
    return series
  }

  /// `BTCUSDT` of `…/BTCUSDT-1m-2023-08.csv.gz`.
  private static func symbol(of path: String) throws(KlineError) -> String {
    let name = Files.name(path)
    guard let end = name.firstIndex(of: "-"), end != name.startIndex, name[end...].hasPrefix("-1m-") else {
      throw KlineError(path, "is not named like BTCUSDT-1m-2023-08.csv, by symbol, 1m and date")
    }
    return String(name[..<end])
  }

  // MARK: Lines

  private static func bars(of path: String) throws -> [Bar] {
    var bars: [Bar] = []
    try KlineFile.forEachLine(path) { line, number in
      if number == 1, line.starts(with: "open_time".utf8) { return }
      let bar: Bar
      do throws(LineProblem) { bar = try Bar(line) } catch {
        throw KlineError(path, line: number, error.text)
      }
      if let last = bars.last, bar.openMinute <= last.openMinute {
        throw KlineError(path, line: number, "open_time is not later than that of the line before")
      }
      guard bar.openMinute - (bars.first ?? bar).openMinute < minutesMax else {
        throw KlineError(path, line: number, "open_time is more than \(minutesMax) minutes behind the first")
      }
      bars.append(bar)
    }
    guard !bars.isEmpty else { throw KlineError(path, "holds no klines") }
    return bars
  }

  /// What is wrong with one line.
  struct LineProblem: Error {
    var text: String
  }
}

extension KlineSeries.Bar {
  private static let columns = [
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
  ]
  /// A line of the twelve columns.
  init(_ line: UnsafeRawBufferPointer) throws(KlineSeries.LineProblem) {
    let columns = KlineSeries.Bar.columns
    var numbers = [KlineNumber?](repeating: nil, count: columns.count)
    var bounds = [(start: Int, end: Int)](repeating: (0, 0), count: columns.count)
    var count = 0
    var start = 0
    while start <= line.count {
      var end = start
      let number = KlineNumber(scanning: line, from: start, &end)
      if count < columns.count {
        numbers[count] = number
        bounds[count] = (start, end)
      }
      count += 1
      start = end + 1
    }
    guard count == columns.count else {
      throw .init(text: "has \(count) fields, a kline has \(columns.count)")
    }
    func refusal(_ column: Int, _ demand: String) -> KlineSeries.LineProblem {
      let bytes = line[bounds[column].start..<bounds[column].end].prefix(40)
      let isPrintable = bytes.allSatisfy { (0x20...0x7E).contains($0) }
      let shown = isPrintable ? "\"" + String(decoding: bytes, as: UTF8.self) + "\"" : "other bytes"
      return .init(text: "\(columns[column]) is \(shown), which is no \(demand)")
    }
    func decimal(_ column: Int) throws(KlineSeries.LineProblem) -> Double {
      guard let number = numbers[column] else { throw refusal(column, "plain decimal number") }
      return number.value
    }
    func time(_ column: Int) throws(KlineSeries.LineProblem) -> Int64 {
      guard let number = numbers[column], number.decimals == 0, let value = number.units else {
        throw refusal(column, "time in milliseconds")
      }
      // Spot files of 2025 and later count microseconds.
      return value >= 100_000_000_000_000 ? value / 1000 : value
    }
    let openMs = try time(0)
    guard openMs % 60_000 == 0 else { throw refusal(0, "full minute") }
    guard try time(6) == openMs + 59_999 else { throw refusal(6, "end of that minute") }
    let (open, high, low) = (try decimal(1), try decimal(2), try decimal(3))
    let close = try decimal(4)
    guard low > 0, low <= min(open, close), high >= max(open, close) else {
      throw .init(text: "open, high, low and close contradict each other")
    }
    let volume = try decimal(5)
    let takerBuy = try decimal(9)
    guard takerBuy <= volume else { throw .init(text: "taker_buy_volume exceeds volume") }
    for column in [7, 8, 10] { _ = try decimal(column) }
    openMinute = openMs / 60_000
    self.close = close
    imbalance = volume == 0 ? .nan : (2 * takerBuy - volume) / volume
  }
}

/// A decimal number of digits and at most one point, the double nearest to it.
private struct KlineNumber {
  var value: Double
  var decimals = 0
  /// All digits as one integer, where they are 18 at most.
  var units: Int64?

  /// Reads up to a comma or the line's end.
  ///
  /// - Returns: nil for anything else; `end` is right all the same.
  init?(scanning line: UnsafeRawBufferPointer, from start: Int, _ end: inout Int) {
    var units: Int64 = 0
    var digits = 0
    var point = -1
    var isPlain = true
    var place = start
    while place < line.count {
      let byte = line[place]
      if byte == 0x2C { break }
      if byte &- 0x30 <= 9 {
        digits += 1
        if digits <= 18 { units = 10 * units + Int64(byte &- 0x30) }
      } else if byte == 0x2E, point < 0 {
        point = place
      } else {
        isPlain = false
      }
      place += 1
    }
    end = place
    guard isPlain, digits > 0, digits < 400 else { return nil }
    decimals = point < 0 ? 0 : place - point - 1
    if digits <= 18 { self.units = units }
    if digits <= 15 {
      // Both are exact, so the division is rounded once.
      value = Double(units) / Double(powerOfTen(decimals))
    } else {
      guard let value = Double(String(decoding: line[start..<place], as: UTF8.self)), value.isFinite else {
        return nil
      }
      self.value = value
    }
  }
}
