import Core

/// One hour of a tape as it lies on the disk, told by its names and its seal.
public struct StoredSegment: Equatable, Sendable {
  /// The hour: `2024-07-18T23`.
  public var stem: String
  /// The hour's first moment, and the first behind it.
  public var start: UnixNanos
  public var end: UnixNanos
  /// Of records and seal, on the disk.
  public var bytes: Int64
  public var isCompressed: Bool
  /// nil for the segment that is being written, and for one whose seal cannot be understood.
  public var seal: TapeSeal?

  /// A tape's segments in time order.
  ///
  /// - Complexity: one small read a segment
  public static func list(_ folder: String) throws(TapeError) -> [StoredSegment] {
    try SegmentFiles.list(folder).map { files in
      var paths: [String] = []
      if files.hasPlain { paths.append("\(folder)/\(files.name.plain)") }
      if files.hasCompressed { paths.append("\(folder)/\(files.name.compressed)") }
      if files.hasSeal { paths.append("\(folder)/\(files.name.seal)") }
      return StoredSegment(
        stem: files.name.stem, start: files.name.start, end: files.name.end,
        bytes: paths.reduce(0) { $0 + Int64((try? File($1, .read).size()) ?? 0) },
        isCompressed: !files.hasPlain,
        seal: files.hasSeal ? TapeSeal.read("\(folder)/\(files.name.seal)") : nil)
    }
  }
}
