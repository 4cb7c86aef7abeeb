import Core

/// Why a Parquet file could not be written or read.
public enum ParquetError: Error, Equatable, CustomStringConvertible {
  case file(FileError)
  /// Not a whole Parquet file.
  case damaged(path: String, reason: String)
  /// Files to be joined must have the same columns.
  case differentSchemas(path: String, other: String)
  case compression(String)

  public var description: String {
    switch self {
    case .file(let error): error.description
    case .damaged(let path, let reason):
      "\(path) is no whole Parquet file: \(reason); remove it and convert its hour again"
    case .differentSchemas(let path, let other):
      "\(path) has other columns than \(other); convert both with the same version of weir"
    case .compression(let reason): "zstd refuses to compress: \(reason)"
    }
  }

  static func onFile<Result: ~Copyable>(_ body: () throws(FileError) -> Result) throws(ParquetError) -> Result
  {
    do { return try body() } catch { throw .file(error) }
  }
}
