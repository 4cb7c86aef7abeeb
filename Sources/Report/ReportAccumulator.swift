import Core
import Store
import Strategy

/// What a report needs to know beside the rows.
public struct ReportOptions: Sendable {
  /// Seconds to add to UTC at a moment to get the report's local time; days are cut at local midnight.
  public var utcOffsetSeconds: @Sendable (UnixNanos) -> Int
  /// The regular grid of the rows, and the windows that OFI and the CVD delta cover: how many rows are one
  /// independent value.
  public var rowStrideMs = 250
  public var ofiWindowMs = 5_000
  public var cvdWindowMs = 10_000
  /// Distance of the samples in which divergences are looked for.
  public var divergenceStrideMs = 1000
  /// Drawn as lines at ± in the charts.
  public var scoreThresholds = [1.5, 2.5]
  public var topSignalsMax = 20
  /// Symbols beyond this many get no chart.
  public var chartSymbolsMax = 100
  /// Days held at once; see ``ReportAccumulator``.
  public var daysMax = 8

  public init(utcOffsetSeconds: @escaping @Sendable (UnixNanos) -> Int = { _ in 0 }) {
    self.utcOffsetSeconds = utcOffsetSeconds
  }
}

/// Sums up signal rows into days while they are made, so that a report needs no second reading.
///
/// Whatever the length of the recording, a day takes one entry a minute, two fixed histograms and at most
/// 1,000 chart cells a symbol, and 20 signals. Days end at midnight of the report's time zone, so a recording
/// over midnight gives two reports. At most ``ReportOptions/daysMax`` days are held: a further one drops the
/// oldest and counts its rows in ``rowsDropped``; a long run takes finished days out before that.
public struct ReportAccumulator: Sendable {
  public let options: ReportOptions
  public private(set) var symbols: SymbolTable
  /// From the oldest to the newest.
  public private(set) var days: [ReportDay] = []
  public private(set) var rowsDropped = 0

  /// The local midnights' cache: the offset is asked for once a minute of tape time.
  private var offsetMinute = Int64.min
  private var offsetNs: Int64 = 0

  public init(symbols: SymbolTable = SymbolTable(), options: ReportOptions = ReportOptions()) {
    self.symbols = symbols
    self.options = options
  }

  /// Takes over the names that a growing symbol table gained.
  public mutating func register(_ table: SymbolTable) { symbols = table }

  /// Adds one row.
  ///
  /// - Complexity: O(1), amortised
  public mutating func add(_ signal: Signal) {
    let minute = floorDivide(signal.receiveTime.rawValue, Nanoseconds.minute)
    if minute != offsetMinute {
      offsetMinute = minute
      offsetNs = Int64(options.utcOffsetSeconds(signal.receiveTime)) * Nanoseconds.second
    }
    let number = floorDivide(signal.receiveTime.rawValue &+ offsetNs, Nanoseconds.day)
    guard let place = place(of: number, signal) else {
      rowsDropped += 1
      return
    }
    days[place].add(signal, options: options, symbols: symbols)
  }

  /// Adds a row read back from a sink; gives the same report as the signal it was made from.
  ///
  /// - Returns: false, and nothing is added, when the row is not one of ours (an unknown kind, say).
  public mutating func add(_ row: StoredRow) -> Bool {
    guard let signal = Signal(row, &symbols) else { return false }
    add(signal)
    return true
  }

  /// Takes out all days but the newest, to be written while the run goes on.
  public mutating func takeFinishedDays() -> [ReportDay] {
    guard days.count > 1 else { return [] }
    defer { days.removeFirst(days.count - 1) }
    return Array(days.dropLast())
  }

  private mutating func place(of number: Int64, _ signal: Signal) -> Int? {
    if let last = days.last, last.number == number { return days.count - 1 }
    var index = days.count
    while index > 0, days[index - 1].number > number { index -= 1 }
    if index > 0, days[index - 1].number == number { return index - 1 }
    if days.count == options.daysMax {
      if index == 0 { return nil }
      rowsDropped += days.removeFirst().counts.rows
      index -= 1
    }
    days.insert(ReportDay(number: number, first: signal.receiveTime), at: index)
    return index
  }
}
