import Core
import Tables

/// What a folder holds of a tape after a conversion, and what this conversion did.
public struct ConvertResult: Sendable {
  /// Records of the tape, also of segments that had been converted before; so are rows and bytes.
  public private(set) var records: Int64 = 0
  public private(set) var rows: [TableKind: Int64] = [:]
  /// Plain bytes of the tape, and bytes of the files.
  public private(set) var bytesIn = 0
  public private(set) var bytesOut = 0
  public private(set) var unreadableLines: Int64 = 0
  /// Converted now.
  public private(set) var segments = 0
  public private(set) var convertedRecords: Int64 = 0
  public private(set) var convertedRows: [TableKind: Int64] = [:]
  public private(set) var convertedBytesOut = 0
  /// Passed, because they had been converted.
  public private(set) var skippedSegments = 0
  /// Passed, because they are being written.
  public internal(set) var openSegments: [String] = []
  /// Of an unfinished record at the end of a tape that was not closed in order.
  public internal(set) var tornBytes = 0
  public internal(set) var damagedSegments: [String] = []
  /// A sentence for each of them.
  public internal(set) var damage: [String] = []

  public init() {}

  mutating func add(_ record: ConversionRecord, isNew: Bool) {
    records += record.records
    unreadableLines += record.unreadableLines
    bytesIn += record.bytes
    let bytes = record.files.reduce(0) { $0 + $1.bytes }
    bytesOut += bytes
    for (kind, count) in record.rows { rows[kind, default: 0] += count }
    if isNew {
      segments += 1
      convertedRecords += record.records
      convertedBytesOut += bytes
      for (kind, count) in record.rows { convertedRows[kind, default: 0] += count }
    } else {
      skippedSegments += 1
    }
  }

  /// Part of the tape is missing in the files.
  public var isDamaged: Bool { unreadableLines > 0 || !damage.isEmpty }

  public var warnings: [String] {
    var found = damage
    if unreadableLines > 0 { found.append("\(unreadableLines) lines of the tape are no records") }
    if tornBytes > 0 {
      found.append("the tape ends in \(tornBytes) bytes of an unfinished record, which were left out")
    }
    for segment in openSegments {
      found.append("segment \(segment) is being written; it is converted once it is closed")
    }
    return found
  }

  func json(_ usage: ProcessUsage) -> JSONValue {
    let rate = Double(convertedRecords) / max(usage.cpuSeconds, 1e-9)
    return .object([
      "messages": .integer(records),
      "rows": .object(TableKind.allCases.map { .init($0.name, .integer(rows[$0] ?? 0)) }),
      "messages_per_cpu_s": convertedRecords > 0 ? .double(rate.rounded()) : .null,
      "bytes_in": .integer(bytesIn), "bytes_out": .integer(bytesOut),
      "max_rss_mb": .double((usage.maxRSSMiB * 10).rounded() / 10),
      "segments": .integer(segments), "skipped_segments": .integer(skippedSegments),
      "open_segments": .integer(openSegments.count), "damaged_segments": .integer(damagedSegments.count),
      "converted_messages": .integer(convertedRecords),
      "seconds": .double((usage.wallSeconds * 1000).rounded() / 1000),
      "cpu_s": .double((usage.cpuSeconds * 1000).rounded() / 1000),
      "unreadable_lines": .integer(unreadableLines), "torn_bytes": .integer(tornBytes),
      "warnings": .array(warnings.map { .string($0) }),
    ])
  }
}

/// Converts a tape and measures it.
///
/// - Parameter progress: gets the number of records so far.
public func convertTape(
  _ options: ConvertOptions, progress: (Int64) -> Void
) throws -> (result: ConvertResult, json: JSONValue) {
  let start = ProcessUsage.now()
  let converter = try TapeConverter(options)
  try converter.convert { progress($0) }
  return (converter.result, converter.result.json(ProcessUsage.now() - start))
}
