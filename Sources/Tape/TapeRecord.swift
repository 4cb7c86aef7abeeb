import Core

/// One line of a tape, read generically: keys in any order, unknown keys ignored.
///
/// `stream` and `data` point into the line and live as long as its buffer.
public struct TapeRecord {
  public let sequence: Int64
  public let receiveTime: UnixNanos
  public let connection: Int32
  public let kind: RecordKind
  /// The name's raw bytes between its quotes, or nil for null.
  public let stream: UnsafeRawBufferPointer?
  /// The value's raw bytes, without blanks around it.
  public let data: UnsafeRawBufferPointer
  private let dataWithBlanks: UnsafeRawBufferPointer

  /// - Parameter line: with or without its newline.
  /// - Returns: nil unless the line is one JSON object with all six keys, each once and of the right type.
  public init?(parsing line: UnsafeRawBufferPointer) {
    var cursor = JSONCursor(line)
    guard cursor.consume(0x7B) else { return nil }
    var sequence: Int64?
    var receiveTime: Int64?
    var connection: Int32?
    var kind: RecordKind?
    var stream: UnsafeRawBufferPointer??
    var data: UnsafeRawBufferPointer?
    var dataWithBlanks = line
    while true {
      guard let key = cursor.key() else { return nil }
      var dataStart: Int?
      if equal(key, "seq") {
        guard sequence == nil, cursor.peek() != 0x22, let value = cursor.integer() else { return nil }
        sequence = value
      } else if equal(key, "recv_ns") {
        guard receiveTime == nil, cursor.peek() != 0x22, let value = cursor.integer() else { return nil }
        receiveTime = value
      } else if equal(key, "conn") {
        guard connection == nil, cursor.peek() != 0x22, let value = cursor.integer(),
          let narrow = Int32(exactly: value)
        else { return nil }
        connection = narrow
      } else if equal(key, "kind") {
        guard kind == nil, let name = cursor.rawString(), let value = RecordKind(name: name) else {
          return nil
        }
        kind = value
      } else if equal(key, "stream") {
        guard stream == nil else { return nil }
        if cursor.peek() == 0x22 {
          guard let name = cursor.rawString() else { return nil }
          stream = .some(name)
        } else {
          guard cursor.peek() == 0x6E, cursor.skipValue() else { return nil }
          stream = .some(nil)
        }
      } else if equal(key, "data") {
        guard data == nil else { return nil }
        dataStart = cursor.offset
        _ = cursor.peek()
        let start = cursor.offset
        guard let end = endOfJSONValue(in: line, from: start, containersMax: JSONCursor.depthMax - 1) else {
          return nil
        }
        data = slice(line, start, end)
        cursor = JSONCursor(base: cursor.base, offset: end, end: cursor.end)
      } else {
        guard cursor.skipValue(depth: 1) else { return nil }
      }
      guard let more = cursor.continues(until: 0x7D) else { return nil }
      if let dataStart { dataWithBlanks = slice(line, dataStart, cursor.offset - 1) }
      if !more { break }
    }
    guard cursor.isAtEnd(), let sequence, let receiveTime, let connection, let kind, let stream, let data
    else { return nil }
    self.sequence = sequence
    self.receiveTime = UnixNanos(receiveTime)
    self.connection = connection
    self.kind = kind
    self.stream = stream
    self.data = data
    self.dataWithBlanks = dataWithBlanks
  }

  /// What came over the wire, byte for byte: a frame's message, or the bytes given as another kind's data.
  public func wireBytes() -> [UInt8] {
    guard kind == .frame, let stream else { return TapePayload.decode(data: dataWithBlanks) }
    var writer = ByteWriter(capacity: stream.count + data.count + 24)
    writer.append("{\"stream\":\"")
    writer.append(bytes: stream)
    writer.append("\",\"data\":")
    writer.append(bytes: data)
    writer.append(byte: 0x7D)
    return Array(writer.bytes)
  }
}

/// The fields at the front of a record as the writer lays it out, found without reading its data.
struct RecordHead {
  var sequence: Int64
  var receiveTime: Int64
  var kind: RecordKind
  var stream: UnsafeRawBufferPointer?
  var dataOffset: Int

  /// - Parameter line: without its newline.
  /// - Returns: nil when the line is laid out differently; ``TapeRecord`` may still read it.
  @inline(__always)
  init?(_ line: UnsafeRawBufferPointer) {
    var scanner = HeadScanner(line)
    guard scanner.expect("{\"seq\":"), let sequence = scanner.digits(),
      scanner.expect(",\"recv_ns\":"), let receiveTime = scanner.digits(), scanner.expect(",\"conn\":")
    else { return nil }
    if scanner.offset < line.count, line[scanner.offset] == 0x2D { scanner.offset += 1 }
    guard scanner.digits() != nil, scanner.expect(",\"kind\":\""), let name = scanner.text(),
      let kind = RecordKind(name: name), scanner.expect(",\"stream\":")
    else { return nil }
    var stream: UnsafeRawBufferPointer?
    if !scanner.expect("null") {
      guard scanner.expect("\""), let name = scanner.text() else { return nil }
      stream = name
    }
    guard scanner.expect(",\"data\":"), scanner.offset < line.count, line[line.count - 1] == 0x7D else {
      return nil
    }
    self.sequence = sequence
    self.receiveTime = receiveTime
    self.kind = kind
    self.stream = stream
    dataOffset = scanner.offset
  }

  /// As the writer lays it out, else by the generic reader.
  init?(anyLayout line: UnsafeRawBufferPointer) {
    if let head = RecordHead(line) {
      self = head
    } else if let record = TapeRecord(parsing: line) {
      sequence = record.sequence
      receiveTime = record.receiveTime.rawValue
      kind = record.kind
      stream = record.stream
      dataOffset = record.data.baseAddress! - line.baseAddress!
    } else {
      return nil
    }
  }

  private struct HeadScanner {
    let line: UnsafeRawBufferPointer
    var offset = 0

    init(_ line: UnsafeRawBufferPointer) { self.line = line }

    @inline(__always)
    mutating func expect(_ text: StaticString) -> Bool {
      guard hasPrefix(slice(line, offset, line.count), text) else { return false }
      offset += text.utf8CodeUnitCount
      return true
    }

    @inline(__always)
    mutating func digits() -> Int64? {
      let start = offset
      var value: Int64 = 0
      while offset < line.count {
        let digit = line[offset] &- 0x30
        if digit > 9 { break }
        value = value &* 10 &+ Int64(digit)
        offset += 1
      }
      // Up to 18 digits cannot overflow; a 19-digit receive time may, and then reads negative.
      return offset > start && offset - start <= 19 && value >= 0 ? value : nil
    }

    /// Up to the closing quote, which is consumed; names with escapes are left to the generic reader.
    @inline(__always)
    mutating func text() -> UnsafeRawBufferPointer? {
      let start = offset
      while offset < line.count {
        let byte = line[offset]
        if byte == 0x22 {
          offset += 1
          return slice(line, start, offset - 1)
        }
        if byte == 0x5C { return nil }
        offset += 1
      }
      return nil
    }
  }
}
