/// What can go wrong with DuckDB.
public enum DuckDBError: Error, Equatable, CustomStringConvertible {
  /// It is not installed, or what was found is no usable library.
  case unavailable(reason: String)
  /// A statement was refused or failed; the message is DuckDB's own, with its place in the statement.
  case statement(message: String, sql: String)
  /// The statement was stopped from outside.
  case interrupted(sql: String)
  /// Rows could not be taken into a table.
  case append(message: String, table: String)
  /// The database could not be opened as asked.
  case open(message: String)

  public var description: String {
    switch self {
    case .unavailable(let reason): "DuckDB is not available: \(reason); run make setup"
    case .statement(let message, _): message
    case .interrupted: "interrupted"
    case .append(let message, let table): "rows cannot be added to the table \(table): \(message)"
    case .open(let message): "DuckDB cannot be opened: \(message)"
    }
  }

  /// What DuckDB says of a statement; an interruption may meet it while it is prepared, too.
  init(_ message: String, sql: String) {
    self = message.hasPrefix("INTERRUPT") ? .interrupted(sql: sql) : .statement(message: message, sql: sql)
  }
}
