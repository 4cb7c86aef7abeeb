import Binance
import Core
import Tape

/// What `weir export` is asked to do.
public struct MarketExportOptions: Sendable {
  public enum Format: String, CaseIterable, Sendable {
    /// One `.npz` of events, as hftbacktest 2.4 reads it.
    case hftbacktest
    /// A NautilusTrader 1.221 data catalog of Parquet files.
    case nautilus
  }

  public var tape: String
  public var format: Format
  public var symbol: String
  /// A file for hftbacktest, a folder for Nautilus.
  public var out: String
  /// Receive times of what is exported.
  public var range: Range<Int64>
  /// hftbacktest: added to every receive time where the clocks have to be brought together.
  public var baseLatencyNs: Int64
  /// hftbacktest: of deflate.
  public var compressionLevel: Int32
  public var configuration: WeirConfiguration

  public init(
    tape: String, format: Format, symbol: String, out: String, range: Range<Int64> = 0..<(.max),
    baseLatencyNs: Int64 = 0, compressionLevel: Int32 = 1, configuration: WeirConfiguration
  ) {
    self.tape = tape
    self.format = format
    self.symbol = symbol
    self.out = out
    self.range = range
    self.baseLatencyNs = baseLatencyNs
    self.compressionLevel = compressionLevel
    self.configuration = configuration
  }
}

/// Why a market was not exported.
public enum MarketExportError: Error, Equatable, CustomStringConvertible {
  case emptyTape(String)
  case nothingOfSymbol(String, tape: String)
  case tooLong(levelsMax: Int)
  case outputExists(String)

  public var description: String {
    switch self {
    case .emptyTape(let path):
      "\(path) holds no tape; make one with 'weir import' or 'weir venue generate'"
    case .nothingOfSymbol(let symbol, let tape):
      "\(tape) has no book or trade of \(symbol) in that time; check --symbol, --from and --to"
    case .tooLong(let levelsMax):
      "this is more than \(levelsMax) levels, which hftbacktest would have to hold at once; "
        + "export shorter files with --from and --to: each begins with the whole book"
    case .outputExists(let path):
      "\(path) holds data already, which new data may overlap; choose another --out, or remove it"
    }
  }
}

/// A format that a market is written in.
protocol MarketSink: ~Copyable {
  var hasMessages: Bool { get }
  mutating func take(_ messages: [MarketMessage], _ levels: [MarketLevel], _ instrument: Instrument) throws
  /// Completes the output.
  ///
  /// - Returns: its part of the export's JSON.
  mutating func finish(_ instrument: Instrument) throws -> [JSONValue.Member]
}

/// Tape → one symbol's market in another tool's format: the shell around ``MarketReplay``.
public enum MarketExport {
  /// - Parameter progress: called with the records read, about once a block.
  /// - Returns: what `weir export --json` prints.
  /// - Throws: ``MarketExportError``, `TapeError`, `FileError`
  /// - Complexity: O(records of all symbols); memory see ``HFTBacktestFile`` and ``NautilusCatalog``.
  public static func run(
    _ options: MarketExportOptions, progress: (Int64) -> Void = { _ in }
  ) throws -> JSONValue {
    switch options.format {
    case .hftbacktest:
      var file = HFTBacktestFile(options)
      return try run(options, &file, progress)
    case .nautilus:
      var catalog = try NautilusCatalog(options)
      do {
        return try run(options, &catalog, progress)
      } catch {
        catalog.discard()
        throw error
      }
    }
  }

  private static func run<Sink: MarketSink & ~Copyable>(
    _ options: MarketExportOptions, _ sink: inout Sink, _ progress: (Int64) -> Void
  ) throws -> JSONValue {
    let started = ProcessUsage.now()
    var replay = MarketReplay(
      symbol: options.symbol, instruments: options.configuration.instrumentTable, range: options.range)
    var reader = try TapeReader(folder: options.tape)
    guard var block = try reader.nextBlock() else { throw MarketExportError.emptyTape(options.tape) }
    while true {
      replay.take(block)
      if let instrument = replay.instrument {
        try sink.take(replay.messages, replay.levels, instrument)
      }
      replay.removeAll()
      progress(replay.counts.records)
      guard !replay.isOver, let next = try reader.nextBlock() else { break }
      block = next
    }
    guard let instrument = replay.instrument, sink.hasMessages else {
      throw MarketExportError.nothingOfSymbol(options.symbol, tape: options.tape)
    }
    let facts = try sink.finish(instrument)
    let usage = ProcessUsage.now() - started
    let counts = replay.counts
    return .object(
      [
        .init("format", .string(options.format.rawValue)), .init("symbol", .string(options.symbol)),
        .init("out", .string(options.out)), .init("messages", .integer(counts.records)),
        .init("depth_messages", .integer(counts.depth)), .init("snapshots", .integer(counts.snapshots)),
        .init("levels", .integer(counts.levels)), .init("trades", .integer(counts.trades)),
        .init("quotes", .integer(counts.quotes)), .init("gaps", .integer(counts.gaps)),
        .init("trades_repeated", .integer(counts.tradesRepeated)),
        .init("trades_excluded", .integer(counts.tradesExcluded)),
        .init("unreadable", .integer(counts.unreadable)),
        .init("damaged_segments", .array(reader.report.damagedSegments.map { .string($0) })),
        .init("cvd", .decimal(counts.cumulativeVolumeDelta, instrument.quantityScale)),
        .init("price_decimals", .integer(instrument.priceScale.decimals)),
        .init("quantity_decimals", .integer(instrument.quantityScale.decimals)),
      ] + facts + [
        .init("seconds", .rounded(usage.wallSeconds, 3)), .init("cpu_s", .rounded(usage.cpuSeconds, 3)),
        .init("max_rss_mb", .rounded(usage.maxRSSMiB, 1)),
      ])
  }
}
