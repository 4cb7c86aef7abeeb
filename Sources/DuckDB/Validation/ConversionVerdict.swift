import Core
import Tables

/// What comparing converted files with their tape found.
public struct ConversionVerdict: Sendable {
  public struct Difference: Equatable, Sendable {
    /// Relative to the folder of the tables, or a segment of the tape.
    public var file: String
    public var column: String?
    public var what: String
  }

  /// Differences told apart; later ones are only counted.
  public static let differencesMax = 1000

  /// By kind of table.
  public internal(set) var rowsTape: [TableKind: Int64] = [:]
  public internal(set) var rowsParquet: [TableKind: Int64] = [:]
  /// By kind and column, as the files have them; columns that may be null.
  public internal(set) var nulls: [TableKind: [Int64]] = [:]
  /// `trade.price` of any file that lacks it.
  public internal(set) var missingFields: [String] = []
  /// Versions that records and files name.
  public internal(set) var schemaVersions: Set<String> = []
  public internal(set) var differences: [Difference] = []
  public internal(set) var differenceCount = 0
  /// SHA-256 over the content of all parts (segment, kind, symbol), as the tape and as the files have it.
  public internal(set) var contentHashTape = ""
  public internal(set) var contentHashParquet = ""
  public internal(set) var segments = 0
  /// Segments that are not closed and not converted; nothing is said about them.
  public internal(set) var segmentsOpen = 0
  public internal(set) var files = 0

  public var isHashEqual: Bool { contentHashTape == contentHashParquet }
  public var isMatch: Bool { differenceCount == 0 && isHashEqual && rowsTape == rowsParquet }

  mutating func note(_ file: String, column: String? = nil, _ what: String) {
    differenceCount += 1
    if differences.count < ConversionVerdict.differencesMax {
      differences.append(Difference(file: file, column: column, what: what))
    }
  }

  mutating func noteMissing(_ kind: TableKind, _ column: String) {
    let name = "\(kind.name).\(column)"
    if !missingFields.contains(name) { missingFields.append(name) }
  }

  public var json: JSONValue {
    func counts(_ rows: [TableKind: Int64]) -> JSONValue {
      .object(TableKind.allCases.map { .init($0.name, .integer(rows[$0] ?? 0)) })
    }
    let version = schemaVersions.count == 1 ? schemaVersions.first.flatMap { Int64($0) } : nil
    return .object([
      "match": .bool(isMatch), "rows_tape": counts(rowsTape), "rows_parquet": counts(rowsParquet),
      "hash_equal": .bool(isHashEqual), "content_hash": .string(contentHashParquet),
      "content_hash_tape": .string(contentHashTape),
      "missing_fields": .array(missingFields.map { .string($0) }),
      "schema_version": version.map { .integer($0) } ?? .null,
      "nulls": .object(
        TableKind.allCases.compactMap { kind in nulls[kind].map { .init(kind.name, columns(kind, $0)) } }),
      "differences": .array(
        differences.map { difference in
          .object(
            [JSONValue.Member("file", .string(difference.file))]
              + (difference.column.map { [.init("column", .string($0))] } ?? [])
              + [.init("what", .string(difference.what))])
        }),
      "differences_total": .integer(differenceCount), "segments": .integer(segments),
      "segments_open": .integer(segmentsOpen), "files": .integer(files),
    ])
  }

  private func columns(_ kind: TableKind, _ nulls: [Int64]) -> JSONValue {
    .object(
      zip(TableSchema.of(kind).columns, nulls).compactMap { column, count in
        column.isNullable || count > 0 ? .init(column.name, .integer(count)) : nil
      })
  }
}
