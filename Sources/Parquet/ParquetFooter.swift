import Core

/// What a Parquet file says of itself at its end.
public struct ParquetFooter {
  public struct RowGroup: Equatable, Sendable {
    public var rows: Int64
    /// Where its pages lie in the file.
    public var offset: Int
    public var bytes: Int
  }

  /// The largest footer that is read.
  public static let bytesMax = 256 << 20

  let tree: ThriftValue
  public let rows: Int64
  public let rowGroups: [RowGroup]
  /// Names of the columns, in order.
  public let columns: [String]
  public let metadata: [(key: String, value: String)]

  /// Reads a file's footer.
  ///
  /// - Throws: ``ParquetError/damaged(path:reason:)`` when the file does not begin and end as one, or its row
  ///   groups do not lie within it.
  public init(_ path: String) throws(ParquetError) {
    let content = try ParquetFooter.footerBytes(path)
    let tree = content.footer.withUnsafeBytes { ThriftValue(structureIn: $0) }
    guard let tree, let schema = tree[2]?.elements, let groups = tree[4]?.elements,
      let rows = tree[3]?.integer
    else { throw .damaged(path: path, reason: "its footer cannot be understood") }
    self.tree = tree
    self.rows = rows
    columns = schema.dropFirst().compactMap { $0[4]?.string }
    metadata = (tree[5]?.elements ?? []).compactMap { pair in
      pair[1]?.string.map { ($0, pair[2]?.string ?? "") }
    }
    var found: [RowGroup] = []
    for group in groups {
      guard let rows = group[3]?.integer, let span = ParquetFooter.span(of: group),
        span.lowerBound >= 4, span.upperBound <= content.dataEnd
      else { throw .damaged(path: path, reason: "a row group does not lie within the file") }
      found.append(RowGroup(rows: rows, offset: span.lowerBound, bytes: span.count))
    }
    guard found.reduce(0, { $0 &+ $1.rows }) == rows else {
      throw .damaged(path: path, reason: "its row groups do not add up to its rows")
    }
    rowGroups = found
  }

  /// From the first page of a row group's columns to behind the last.
  private static func span(of group: ThriftValue) -> Range<Int>? {
    var start = Int.max
    var end = 0
    for chunk in group[1]?.elements ?? [] {
      guard let entry = chunk[3], let data = entry[9]?.integer, let bytes = entry[7]?.integer, bytes >= 0
      else { return nil }
      let from = Int(min(data, entry[11]?.integer ?? data))
      let (to, overflow) = from.addingReportingOverflow(Int(bytes))
      guard from >= 0, !overflow else { return nil }
      start = min(start, from)
      end = max(end, to)
    }
    return start <= end ? start..<end : nil
  }

  private static func footerBytes(_ path: String) throws(ParquetError) -> (footer: [UInt8], dataEnd: Int) {
    func damaged(_ reason: String) -> ParquetError { .damaged(path: path, reason: reason) }
    let file = try ParquetError.onFile { () throws(FileError) in try File(path, .read) }
    let size = try ParquetError.onFile { () throws(FileError) in try file.size() }
    guard size >= 12 else { throw damaged("it is too short") }
    let head = try read(file, at: 0, 4)
    let tail = try read(file, at: size - 8, 8)
    guard head == Format.magic, Array(tail[4...]) == Format.magic else {
      throw damaged("it does not begin and end with PAR1")
    }
    let length = tail[..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= size - 12, length <= bytesMax else { throw damaged("its footer is longer than the file") }
    return (try read(file, at: size - 8 - length, length), size - 8 - length)
  }

  static func read(_ file: borrowing File, at offset: Int, _ count: Int) throws(ParquetError) -> [UInt8] {
    do throws(FileError) { try file.seek(to: offset) } catch { throw .file(error) }
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      var failure: FileError?
      var got = 0
      bytes.withUnsafeMutableBytes { buffer in
        do throws(FileError) {
          got = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
        } catch { failure = error }
      }
      if let failure { throw .file(failure) }
      if got == 0 { throw .damaged(path: file.path, reason: "it ends early") }
      done += got
    }
    return bytes
  }
}

extension ParquetFooter {
  static func make(
    columns: [ThriftValue], rows: Int64, rowGroups: [ThriftValue], metadata: [(key: String, value: String)]
  ) -> ThriftValue {
    let root: ThriftValue = .fields([4: .text("schema"), 5: .int32(Int32(columns.count))])
    let pairs = metadata.map { ThriftValue.fields([1: .text($0.key), 2: .text($0.value)]) }
    // Bounds are ordered as the type says.
    let order: ThriftValue = .fields([1: .structure([])])
    return .fields([
      1: .int32(2), 2: .list(of: .structure, [root] + columns), 3: .int64(rows),
      4: .list(of: .structure, rowGroups), 5: .list(of: .structure, pairs), 6: .text(Format.createdBy),
      7: .list(of: .structure, columns.map { _ in order }),
    ])
  }

  /// The footer with its length and the closing mark.
  static func append(_ footer: ThriftValue, to writer: inout ByteWriter) {
    let start = writer.count
    footer.write(into: &writer)
    writer.append(littleEndian: UInt32(writer.count - start))
    Format.magic.withUnsafeBytes { writer.append(bytes: $0) }
  }
}
