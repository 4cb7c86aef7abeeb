import Core
import Tables
import Tape

/// A database with the views over one source of market data and one run: what `weir sql` asks.
public struct MarketDatabase {
  /// Where the tables come from.
  public enum Source: Equatable, Sendable {
    /// Converted files.
    case parquet(folder: String)
    /// A tape, read into memory: at most ``rowsMax`` rows.
    case tape(folder: String)
    /// All tables are empty.
    case none
  }

  /// JSON lines of a run as a view.
  public struct Lines: Sendable {
    public var view: String
    public var columns: [(name: String, type: String)]
    /// Never null in a whole line.
    public var key: String
    public var files: [String]

    public init(view: String, columns: [(name: String, type: String)], key: String, files: [String]) {
      self.view = view
      self.columns = columns
      self.key = key
      self.files = files
    }
  }

  public enum Failure: Error, Equatable, CustomStringConvertible {
    case noTables(folder: String)
    case tooManyRows(tape: String)

    public var description: String {
      switch self {
      case .noTables(let folder):
        "\(folder) holds no tables (no folder kind=…); make them by weir convert TAPE --out \(folder)"
      case .tooManyRows(let tape):
        "\(tape) has more than \(MarketDatabase.rowsMax) rows, too many for memory; convert it by weir convert "
          + "\(tape) --out DIR and ask --data DIR"
      }
    }
  }

  /// Rows that a tape may have to be asked directly; some 100 bytes each.
  public static let rowsMax = 20_000_000

  public let database: DuckDBDatabase

  /// - Parameters:
  ///   - question: tables that it cannot mean stay empty, and their files unopened; nil for all tables.
  ///   - progress: told the records read so far.
  /// - Throws: ``Failure``, ``DuckDBError``, `TapeError`
  public init(
    _ source: Source, lines: [Lines] = [], question: String? = nil, options: DuckDBOptions = DuckDBOptions(),
    progress: (Int64) -> Void = { _ in }
  ) throws {
    var options = options
    var parquet: ParquetFolder?
    if case .parquet(let folder) = source {
      guard let found = ParquetFolder(folder) else { throw Failure.noTables(folder: folder) }
      parquet = found
      options.folders = (options.folders ?? []) + [found.root]
    }
    for path in lines.flatMap(\.files) {
      guard let slash = path.lastIndex(of: "/") else { continue }
      let folder = String(path[..<slash])
      if options.folders?.contains(folder) == false { options.folders?.append(folder) }
    }
    database = try DuckDBDatabase(options)
    if case .tape(let folder) = source {
      try load(folder, Set(TableKind.allCases.filter { MarketDatabase.canMean($0, question) }), progress)
    } else {
      for kind in TableKind.allCases {
        let view = MarketDatabase.canMean(kind, question) ? parquet.map { MarketViews.raw(kind, $0) } : nil
        try database.run(view ?? MarketViews.empty(kind.name, MarketViews.columns(kind)))
      }
    }
    for statement in MarketViews.derived { try database.run(statement) }
    for view in lines {
      try database.run(MarketViews.lines(view.view, view.columns, key: view.key, files: view.files))
    }
    try database.lock()
  }

  /// Whether a statement can mean a table or a view over it: one that does not have the name in it cannot,
  /// unless it makes names out of texts (`query_table`, `query`) or escapes (`U&"…"`).
  static func canMean(_ kind: TableKind, _ question: String?) -> Bool {
    guard let question = question?.lowercased() else { return true }
    let names =
      switch kind {
      case .trade: ["trade", "bars_"]
      case .bookTicker: ["book_", "bars_"]
      default: [kind.name]
      }
    return (names + ["query", "u&\""]).contains { question.contains($0) }
  }

  private func load(_ tape: String, _ kinds: Set<TableKind>, _ progress: (Int64) -> Void) throws {
    var appenders: [TableKind: TableAppender] = [:]
    for kind in TableKind.allCases {
      let appender = try TableAppender(database, .of(kind), table: kind.name)
      if kinds.contains(kind) { appenders[kind] = appender }
    }
    var reader = try TapeReader(folder: tape)
    var projection = TapeProjection(grouping: .together)
    var segments = 0
    var rows = 0
    while let block = try reader.nextBlock() {
      if reader.report.segments != segments {
        segments = reader.report.segments
        projection.beginSegment()
      }
      projection.take(block)
      for batch in projection.batches {
        if let appender = appenders[batch.schema.kind] {
          rows += batch.rowCount
          guard rows <= MarketDatabase.rowsMax else { throw Failure.tooManyRows(tape: tape) }
          try appender.append(batch)
        }
        batch.removeAll()
      }
      progress(projection.recordCount)
    }
    for appender in appenders.values { try appender.finish() }
  }
}
