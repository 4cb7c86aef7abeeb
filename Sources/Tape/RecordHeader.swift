import Core

/// The fixed start of a frame record in the form the writer gives it.
@frozen
public struct RecordHeader: Sendable {
  public var sequence: Int64
  public var receiveNs: Int64
  public var connection: Int32
  /// Offset of the stream name's first character, just behind `"stream":"`.
  public var streamStart: Int

  /// Scans `{"seq":S,"recv_ns":R,"conn":C,"kind":"frame","stream":"` at `offset`.
  ///
  /// The hot path's way into a record; `nil` for every other kind or form, which ``TapeRecord`` parses.
  /// 128 readable bytes must follow the buffer's end.
  @inlinable @inline(__always)
  public init?(scanning base: UnsafeRawPointer, _ offset: Int) {
    self.init(scanningFrame: base, offset)
    // "stream":"
    guard load8(base, streamStart &- 1) == 0x22 else { return nil }
  }

  /// The same for a frame without a stream name: ``streamStart`` is then behind `"stream":`, where `null` stands.
  @inlinable @inline(__always)
  public init?(scanningFrame base: UnsafeRawPointer, _ offset: Int) {
    // {"seq":
    guard load64(base, offset) & 0xFF_FFFF_FFFF_FFFF == 0x3A_2271_6573_227B else { return nil }
    let sequence = scanUnsigned(base, offset &+ 7)
    guard sequence.end >= 0 else { return nil }
    // ,"recv_n  s":
    guard load64(base, sequence.end) == 0x6E5F_7663_6572_222C,
      load64(base, sequence.end &+ 8) & 0xFF_FFFF == 0x3A_2273
    else { return nil }
    // Stamps of the years 2001 to 2255 have 19 digits; others take the generic way.
    guard let receiveNs = scanNanoseconds(base, sequence.end &+ 11) else { return nil }
    // ,"conn":
    guard load64(base, sequence.end &+ 30) == 0x3A22_6E6E_6F63_222C else { return nil }
    // Mostly one digit and a comma.
    let pair = load64(base, sequence.end &+ 38)
    let digit = (pair & 0xFF) &- 0x30
    let connection =
      pair & 0xFF00 == 0x2C00 && digit <= 9
      ? Scanned(Int64(truncatingIfNeeded: digit), sequence.end &+ 39) : scanUnsigned(base, sequence.end &+ 38)
    guard connection.end >= 0, connection.value <= Int64(Int32.max) else { return nil }
    // ,"kind":  "frame",  "stream"  :
    guard load64(base, connection.end) == 0x3A22_646E_696B_222C,
      load64(base, connection.end &+ 8) == 0x2C22_656D_6172_6622,
      load64(base, connection.end &+ 16) == 0x226D_6165_7274_7322,
      load8(base, connection.end &+ 24) == 0x3A
    else { return nil }
    self.sequence = sequence.value
    self.receiveNs = receiveNs
    self.connection = Int32(truncatingIfNeeded: connection.value)
    streamStart = connection.end &+ 26
  }

  /// The payload of the scanned record, whose line ends at `lineEnd` (its newline): the stream's name, if it has
  /// one, and where the data lie. The writer closes a record right behind its data, so nothing is searched for.
  @inlinable
  public func payload(
    _ base: UnsafeRawPointer, lineEnd: Int
  ) -> (stream: UnsafeRawBufferPointer?, start: Int, end: Int)? {
    guard lineEnd > streamStart, load8(base, lineEnd &- 1) == 0x7D else { return nil }
    var cursor = streamStart
    var name: UnsafeRawBufferPointer?
    if load8(base, cursor &- 1) == 0x22 {
      while cursor < lineEnd, load8(base, cursor) != 0x22 {
        if load8(base, cursor) == 0x5C { return nil }
        cursor &+= 1
      }
      name = UnsafeRawBufferPointer(start: base + streamStart, count: cursor &- streamStart)
      cursor &+= 1
    } else {
      // null, of which the first letter has been stepped over
      guard load64(base, cursor) & 0xFF_FFFF == 0x6C_6C75 else { return nil }
      cursor &+= 3
    }
    // ,"data":
    guard load64(base, cursor) == 0x3A22_6174_6164_222C else { return nil }
    return (name, cursor &+ 8, lineEnd &- 1)
  }
}
