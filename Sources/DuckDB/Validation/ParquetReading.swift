import Core
import Tables

/// One file read by DuckDB, which has nothing in common with its writer: its columns, its version, and a
/// digest of each of its parts.
struct ParquetReading {
  /// Columns of the schema that the file lacks.
  var missing: [String] = []
  /// Columns of another type, or ones that the schema has not.
  var wrong: [(column: String, what: String)] = []
  var isReordered = false
  /// What `weir.schema_version` says.
  var schemaVersion: String?
  /// Rows beyond the last part.
  var rowsBeyond: Int64 = 0
  var parts: [TableDigest.Summary] = []
  var rows: Int64 { parts.reduce(rowsBeyond) { $0 + $1.rows } }

  /// - Parameters:
  ///   - partRows: how many rows each part of the file is expected to have, in order.
  /// - Throws: ``DuckDBError`` when DuckDB cannot read the file.
  init(
    _ database: DuckDBDatabase, path: String, schema: TableSchema, partRows: [Int64]
  ) throws(DuckDBError) {
    let file = SQLText.literal(SQLText.pattern(ofPath: path))
    schemaVersion = try database.value(
      "SELECT decode(value) FROM parquet_kv_metadata(\(file)) WHERE decode(key) = 'weir.schema_version'")?
      .text

    let source = "read_parquet(\(file), hive_partitioning = false)"
    let found = try database.rows("DESCRIBE SELECT * FROM \(source)").map {
      ($0[0].text ?? "", $0[1].text ?? "")
    }
    var readable: [Int] = []
    for (index, column) in schema.columns.enumerated() {
      guard let type = found.first(where: { $0.0 == column.name })?.1 else {
        missing.append(column.name)
        continue
      }
      let expected = column.type == .decimal ? "DECIMAL(18,\(ColumnType.scale))" : column.type.sqlName
      if type == expected {
        readable.append(index)
      } else {
        wrong.append((column.name, "its type is \(type) instead of \(expected)"))
      }
    }
    for (name, _) in found where schema.index(of: name) == nil {
      wrong.append((name, "the schema has no such column"))
    }
    isReordered = missing.isEmpty && wrong.isEmpty && found.map(\.0) != schema.columns.map(\.name)

    // Without columns the rows can still be counted.
    let names = readable.map { SQLText.identifier(schema.columns[$0].name) }
    let result = try database.query(
      "SELECT \(names.isEmpty ? "true" : names.joined(separator: ", ")) FROM \(source)")
    var part = 0
    var digest = TableDigest(schema)
    var left = partRows.first ?? 0
    while let chunk = try result.next() {
      var row = 0
      while row < chunk.rowCount {
        while left == 0, part < partRows.count {
          parts.append(digest.finish())
          digest = TableDigest(schema)
          part += 1
          left = part < partRows.count ? partRows[part] : 0
        }
        if part == partRows.count {
          rowsBeyond += Int64(chunk.rowCount - row)
          break
        }
        let count = Int(min(left, Int64(chunk.rowCount - row)))
        digest.addRows(count)
        for (place, column) in readable.enumerated() {
          digest.add(column, schema.columns[column].type, chunk.column(place), row..<row + count)
        }
        row += count
        left -= Int64(count)
      }
    }
    while part < partRows.count {
      parts.append(digest.finish())
      digest = TableDigest(schema)
      part += 1
    }
  }
}

extension TableDigest {
  /// Adds rows of a vector, a run of equal neighbours at a time.
  fileprivate mutating func add(
    _ column: Int, _ type: ColumnType, _ vector: DuckDBVector, _ rows: Range<Int>
  ) {
    var row = rows.lowerBound
    while row < rows.upperBound {
      if vector.hasNulls, vector.isNull(row) {
        let start = row
        while row < rows.upperBound, vector.isNull(row) { row += 1 }
        addNull(column, repeated: Int64(row - start))
        continue
      }
      let end =
        vector.hasNulls
        ? (row..<rows.upperBound).first { vector.isNull($0) } ?? rows.upperBound : rows.upperBound
      switch type {
      case .integer, .decimal: addRuns(column, vector.data, row..<end, as: Int64.self)
      case .boolean: addRuns(column, vector.data, row..<end, as: UInt8.self)
      case .name, .text: addTexts(column, vector, row..<end)
      }
      row = end
    }
  }

  private mutating func addRuns<Value: FixedWidthInteger>(
    _ column: Int, _ data: UnsafeRawPointer, _ rows: Range<Int>, as _: Value.Type
  ) {
    let values = data.assumingMemoryBound(to: Value.self)
    var row = rows.lowerBound
    while row < rows.upperBound {
      let value = values[row]
      let start = row
      row += 1
      while row < rows.upperBound, values[row] == value { row += 1 }
      add(column, Int64(value), repeated: Int64(row - start))
    }
  }

  private mutating func addTexts(_ column: Int, _ vector: DuckDBVector, _ rows: Range<Int>) {
    // Texts whose 16 bytes in the vector are equal are equal: short ones lie there, long ones by their address.
    let values = vector.data.assumingMemoryBound(to: (UInt64, UInt64).self)
    var row = rows.lowerBound
    while row < rows.upperBound {
      let value = values[row]
      let start = row
      row += 1
      while row < rows.upperBound, values[row] == value { row += 1 }
      add(column, text: vector.text(start), repeated: Int64(row - start))
    }
  }
}
