import Configuration

extension WeirConfiguration {
  public struct ParquetSettings: Equatable, Sendable {
    public var level = 1
    public var rowGroupRows = 500_000
    public var memoryMiBMax = 256
  }

  static let parquetKeys: [ConfigKey<WeirConfiguration>] = [
    .integer("storage.parquet_level", \.parquet.level, 1...19, "zstd level of Parquet files"),
    .integer(
      "storage.parquet_row_group_rows", \.parquet.rowGroupRows, 1000...2_000_000, "rows of a row group"),
    .integer(
      "storage.parquet_memory_mib_max", \.parquet.memoryMiBMax, 16...65_536,
      "rows that wait for their row group; the largest goes out when it is reached"),
  ]

  /// How a tape is converted.
  public func convertOptions(tape: String, output: String) -> ConvertOptions {
    var options = ConvertOptions(tape: tape, output: output)
    options.level = parquet.level
    options.rowGroupRows = parquet.rowGroupRows
    options.memoryBytesMax = parquet.memoryMiBMax << 20
    return options
  }
}
