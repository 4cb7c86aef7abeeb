import Core

/// Whole-file operations.
public enum ParquetFiles {
  /// Joins files of the same columns, in the order given: row groups are copied as they are, under one footer
  /// with the metadata of the first file.
  ///
  /// The target is written under a temporary name, synced and renamed.
  ///
  /// - Throws: ``ParquetError/differentSchemas(path:other:)``, ``ParquetError/damaged(path:reason:)``
  /// - Complexity: O(bytes), 1 MiB of memory and the footers
  public static func concatenate(
    _ paths: [String], to target: String
  ) throws(ParquetError) -> (rows: Int64, bytes: Int) {
    precondition(!paths.isEmpty, "nothing to join")
    let temporary = target + ".tmp"
    do throws(ParquetError) {
      let result = try write(paths, temporary)
      try ParquetError.onFile { () throws(FileError) in try Files.rename(temporary, target) }
      return result
    } catch {
      try? Files.remove(temporary)
      throw error
    }
  }

  private static func write(_ paths: [String], _ target: String) throws(ParquetError) -> (Int64, Int) {
    let output = try ParquetError.onFile { () throws(FileError) in try File(target, .write) }
    var offset = 0
    func append(_ bytes: UnsafeRawBufferPointer) throws(ParquetError) {
      do throws(FileError) { try output.write(bytes) } catch { throw .file(error) }
      offset += bytes.count
    }
    func append(_ bytes: [UInt8]) throws(ParquetError) {
      var failure: ParquetError?
      bytes.withUnsafeBytes { buffer in
        do throws(ParquetError) { try append(buffer) } catch { failure = error }
      }
      if let failure { throw failure }
    }
    try append(Format.magic)
    let first = try ParquetFooter(paths[0])
    var groups: [ThriftValue] = []
    var rows: Int64 = 0
    for path in paths {
      let footer = try ParquetFooter(path)
      guard footer.tree[2] == first.tree[2] else { throw .differentSchemas(path: path, other: paths[0]) }
      rows += footer.rows
      let file = try ParquetError.onFile { () throws(FileError) in try File(path, .read) }
      for (entry, group) in zip(footer.tree[4]?.elements ?? [], footer.rowGroups) {
        groups.append(moved(entry, by: Int64(offset - group.offset), ordinal: groups.count))
        var done = 0
        while done < group.bytes {
          let piece = try ParquetFooter.read(file, at: group.offset + done, min(1 << 20, group.bytes - done))
          try append(piece)
          done += piece.count
        }
      }
    }
    var footer = first.tree
    footer.update(3) { $0 = .int64(rows) }
    footer.update(4) { $0 = .list(of: .structure, groups) }
    var writer = ByteWriter()
    ParquetFooter.append(footer, to: &writer)
    try append(writer.bytes)
    do throws(FileError) { try output.sync() } catch { throw .file(error) }
    return (rows, offset)
  }

  /// A row group's entry with its places shifted.
  private static func moved(_ group: ThriftValue, by distance: Int64, ordinal: Int) -> ThriftValue {
    func shift(_ value: inout ThriftValue) {
      if let offset = value.integer { value = .int64(offset + distance) }
    }
    var moved = group
    moved.update(1) { chunks in
      chunks.updateElements { chunk in
        chunk.update(3) { entry in
          for field: Int16 in [9, 10, 11] { entry.update(field, shift) }
        }
      }
    }
    moved.update(5, shift)
    moved.update(7) { $0 = .int16(Int16(clamping: ordinal)) }
    return moved
  }
}
