import Core

/// What tells one tape's rows from another's in a table.
public enum TapeIdentity {
  /// 16 hexadecimal digits of the tape's first line, which has its receive time to the nanosecond.
  public static func of(firstLine line: UnsafeRawBufferPointer) -> String {
    var writer = ByteWriter(capacity: 16)
    writer.append(hex: sipHash64(line), digits: 16)
    return writer.string()
  }
}
