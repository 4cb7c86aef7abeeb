import Core

/// A received message and the form in which the tape stores it (the verbatim rule of ``Tape``).
public struct TapePayload {
  public enum Form: Sendable, Equatable {
    /// `{"stream":"NAME","data":OBJECT}` as it stands; NAME's length in bytes.
    case combined(nameBytes: Int)
    /// Any other JSON object, stored as it stands.
    case object
    /// A JSON array, number or literal, stored as it stands.
    case otherJSON
    /// Stored as a JSON string.
    case text
    /// Stored as base64.
    case binary
  }

  public let bytes: UnsafeRawBufferPointer
  public let form: Form

  /// Decides the form. The bytes are kept by reference and must outlive the value.
  ///
  /// - Complexity: O(length), one pass over the bytes and one over the JSON.
  public init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
    form = TapePayload.form(of: bytes)
  }

  /// The stream's name in a combined frame.
  public var stream: UnsafeRawBufferPointer? {
    guard case .combined(let length) = form else { return nil }
    return slice(bytes, TapePayload.nameOffset, TapePayload.nameOffset + length)
  }

  /// The inner object of a combined frame, else the whole payload.
  public var data: UnsafeRawBufferPointer {
    guard case .combined(let length) = form else { return bytes }
    return slice(
      bytes, TapePayload.nameOffset + length + TapePayload.middle.utf8CodeUnitCount, bytes.count - 1)
  }

  private static let opening: StaticString = "{\"stream\":\""
  private static let middle: StaticString = "\",\"data\":"
  private static let nameOffset = 11
  /// Inside the record the payload is one level deeper, and the record must stay readable.
  private static let containersMax = JSONCursor.depthMax - 1

  private static func form(of bytes: UnsafeRawBufferPointer) -> Form {
    let (control, beyondASCII) = byteClasses(bytes)
    if beyondASCII, !isUTF8(bytes) { return .binary }
    if control,
      firstIndex(of: 0x0A, in: bytes, from: 0) != nil || firstIndex(of: 0x0D, in: bytes, from: 0) != nil
    {
      return .text
    }
    if let length = combinedNameLength(bytes) { return .combined(nameBytes: length) }
    guard let end = endOfJSONValue(in: bytes, containersMax: containersMax),
      slice(bytes, end, bytes.count).allSatisfy({ isBlank($0) })
    else { return .text }
    var cursor = JSONCursor(bytes)
    switch cursor.peek() {
    case 0x22: return .text
    case 0x7B:
      _ = cursor.consume(0x7B)
      if cursor.peek() == 0x22, let key = cursor.rawString(), equal(key, "base64") { return .text }
      return .object
    default: return .otherJSON
    }
  }

  private static func combinedNameLength(_ bytes: UnsafeRawBufferPointer) -> Int? {
    guard hasPrefix(bytes, opening), let close = firstIndex(of: 0x22, in: bytes, from: nameOffset) else {
      return nil
    }
    for index in nameOffset..<close where bytes[index] == 0x5C || bytes[index] < 0x20 { return nil }
    let dataOffset = close + middle.utf8CodeUnitCount
    guard dataOffset < bytes.count, hasPrefix(slice(bytes, close, bytes.count), middle),
      bytes[dataOffset] == 0x7B
    else { return nil }
    guard let end = endOfJSONValue(in: bytes, from: dataOffset, containersMax: containersMax),
      end == bytes.count - 1, bytes[end] == 0x7D
    else { return nil }
    return close - nameOffset
  }

  /// Appends `"stream":…,"data":…}` of a frame's record.
  func appendFrame(to writer: inout ByteWriter) {
    if case .combined = form {
      writer.append(bytes: slice(bytes, 1, bytes.count))
    } else {
      writer.append("\"stream\":null,\"data\":")
      appendData(to: &writer)
      writer.append(byte: 0x7D)
    }
  }

  /// Appends the payload as a record's `data` (rules 2 to 4).
  func appendData(to writer: inout ByteWriter) {
    switch form {
    case .combined, .object, .otherJSON: writer.append(bytes: bytes)
    case .text: writer.append(jsonString: bytes)
    case .binary:
      writer.append("{\"base64\":\"")
      Base64.encode(bytes).withUnsafeBytes { writer.append(bytes: $0) }
      writer.append("\"}")
    }
  }

  /// The payload behind a record's `data`, given with the blanks around it.
  static func decode(data: UnsafeRawBufferPointer) -> [UInt8] {
    var start = 0
    while start < data.count, isBlank(data[start]) { start += 1 }
    var end = data.count
    while end > start, isBlank(data[end - 1]) { end -= 1 }
    let value = slice(data, start, end)
    if value.count >= 2, value[0] == 0x22 { return unescapeJSON(slice(value, 1, value.count - 1)) }
    let wrapper: StaticString = "{\"base64\":\""
    if hasPrefix(value, wrapper), value.count >= wrapper.utf8CodeUnitCount + 2 {
      let inner = slice(value, wrapper.utf8CodeUnitCount, value.count - 2)
      if let bytes = Base64.decode(inner) { return bytes }
    }
    return Array(data)
  }
}
