import CommandLineKit
import Core
import DuckDB

/// An answer on its way to standard output.
struct SQLOutput {
  enum Format: String {
    case csv, json, table
  }

  /// Rows that a table for people shows; it has to know all of them to set its columns.
  static let tableRowsMax = 1000

  private let format: Format
  private let console: Console

  init(_ format: Format, _ console: Console) {
    self.format = format
    self.console = console
  }

  func write(_ result: DuckDBResult) throws {
    switch format {
    case .csv: try writeCSV(result)
    case .json: try writeJSON(result)
    case .table: try writeTable(result)
    }
  }

  /// RFC 4180 with line feeds; null is empty, an empty text is `""`.
  private func writeCSV(_ result: DuckDBResult) throws {
    try console.print(result.columns.map { SQLOutput.field($0.name) }.joined(separator: ","))
    while let chunk = try result.next() {
      for row in 0..<chunk.rowCount {
        let cells = result.columns.indices.map { column in
          chunk.value(row: row, column: column).text.map(SQLOutput.field) ?? ""
        }
        try console.print(cells.joined(separator: ","))
      }
    }
  }

  static func field(_ text: String) -> String {
    let isPlain =
      !text.isEmpty && text.utf8.allSatisfy { $0 != 0x22 && $0 != 0x2C && $0 != 0x0A && $0 != 0x0D }
    return isPlain ? text : "\"" + text.replacing("\"", with: "\"\"") + "\""
  }

  /// One array of objects, a row a line; a repeated column name gets a number.
  private func writeJSON(_ result: DuckDBResult) throws {
    var names: [String] = []
    for column in result.columns {
      var name = column.name
      var number = 2
      while names.contains(name) {
        name = "\(column.name)_\(number)"
        number += 1
      }
      names.append(name)
    }
    try console.write("[")
    var isFirst = true
    while let chunk = try result.next() {
      for row in 0..<chunk.rowCount {
        let members = names.enumerated().map { column, name in
          JSONValue.Member(name, chunk.value(row: row, column: column).json)
        }
        try console.write((isFirst ? "\n" : ",\n") + JSONValue.object(members).text())
        isFirst = false
      }
    }
    try console.print(isFirst ? "]" : "\n]")
  }

  private func writeTable(_ result: DuckDBResult) throws {
    if result.columns.isEmpty { return }
    var table = TextTable(result.columns.map(\.name))
    var rows = 0
    while let chunk = try result.next() {
      for row in 0..<chunk.rowCount {
        rows += 1
        if rows > SQLOutput.tableRowsMax { continue }
        table.add(result.columns.indices.map { chunk.value(row: row, column: $0).text ?? "–" })
      }
    }
    try console.write(table.text(console.style))
    if rows > SQLOutput.tableRowsMax {
      console.note("\(rows - SQLOutput.tableRowsMax) further rows are not shown; --format csv prints all")
    }
  }
}
