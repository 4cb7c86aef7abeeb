import Core

/// A value of Thrift's compact protocol, as far as Parquet uses it: its footers and page headers.
///
/// Trees instead of generated structures: a footer that is read, moved to another place in a file and written
/// again keeps every field, known or not. Source: Apache Thrift, "Thrift Compact protocol encoding".
enum ThriftValue: Equatable {
  case bool(Bool)
  case int8(Int8)
  case int16(Int16)
  case int32(Int32)
  case int64(Int64)
  /// As its eight bytes.
  case double(UInt64)
  case binary([UInt8])
  /// Elements are of one type, which an empty list still has.
  case list(of: Kind, [ThriftValue])
  /// Fields in the order of their numbers.
  case structure([Field])

  struct Field: Equatable {
    var id: Int16
    var value: ThriftValue
  }

  enum Kind: UInt8 {
    case boolTrue = 1
    case boolFalse, int8, int16, int32, int64, double, binary, list, set, map, structure
  }

  /// Deeper values are refused.
  static let depthMax = 16

  static func text(_ text: String) -> ThriftValue { .binary(Array(text.utf8)) }

  static func fields(_ fields: KeyValuePairs<Int16, ThriftValue?>) -> ThriftValue {
    .structure(fields.compactMap { id, value in value.map { Field(id: id, value: $0) } })
  }

  subscript(_ id: Int16) -> ThriftValue? {
    guard case .structure(let fields) = self else { return nil }
    return fields.first { $0.id == id }?.value
  }

  var integer: Int64? {
    switch self {
    case .int8(let value): Int64(value)
    case .int16(let value): Int64(value)
    case .int32(let value): Int64(value)
    case .int64(let value): value
    default: nil
    }
  }

  var elements: [ThriftValue]? {
    if case .list(_, let elements) = self { elements } else { nil }
  }

  var string: String? {
    if case .binary(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil }
  }

  /// Changes a field that is there.
  mutating func update(_ id: Int16, _ change: (inout ThriftValue) -> Void) {
    guard case .structure(var fields) = self, let index = fields.firstIndex(where: { $0.id == id }) else {
      return
    }
    change(&fields[index].value)
    self = .structure(fields)
  }

  mutating func updateElements(_ change: (inout ThriftValue) -> Void) {
    guard case .list(let kind, var elements) = self else { return }
    for index in elements.indices { change(&elements[index]) }
    self = .list(of: kind, elements)
  }

  private var kind: Kind {
    switch self {
    case .bool(let value): value ? .boolTrue : .boolFalse
    case .int8: .int8
    case .int16: .int16
    case .int32: .int32
    case .int64: .int64
    case .double: .double
    case .binary: .binary
    case .list: .list
    case .structure: .structure
    }
  }
}

extension ThriftValue {
  func write(into writer: inout ByteWriter) {
    switch self {
    case .bool(let value): writer.append(byte: value ? 1 : 2)
    case .int8(let value): writer.append(byte: UInt8(bitPattern: value))
    case .int16(let value): writer.append(varint: zigzag(Int64(value)))
    case .int32(let value): writer.append(varint: zigzag(Int64(value)))
    case .int64(let value): writer.append(varint: zigzag(value))
    case .double(let bits): withUnsafeBytes(of: bits.littleEndian) { writer.append(bytes: $0) }
    case .binary(let bytes):
      writer.append(varint: UInt64(bytes.count))
      bytes.withUnsafeBytes { writer.append(bytes: $0) }
    case .list(let kind, let elements):
      if elements.count < 15 {
        writer.append(byte: UInt8(elements.count) << 4 | kind.rawValue)
      } else {
        writer.append(byte: 0xF0 | kind.rawValue)
        writer.append(varint: UInt64(elements.count))
      }
      for element in elements { element.write(into: &writer) }
    case .structure(let fields):
      var last: Int16 = 0
      for field in fields {
        let step = Int(field.id) - Int(last)
        if 1...15 ~= step {
          writer.append(byte: UInt8(step) << 4 | field.value.kind.rawValue)
        } else {
          writer.append(byte: field.value.kind.rawValue)
          writer.append(varint: zigzag(Int64(field.id)))
        }
        last = field.id
        // A boolean field's value is in its type.
        if case .bool = field.value { continue }
        field.value.write(into: &writer)
      }
      writer.append(byte: 0)
    }
  }

  /// Reads one structure from the front of bytes.
  ///
  /// - Returns: nil when the bytes are not one, are cut short, or hold maps.
  init?(structureIn bytes: UnsafeRawBufferPointer) {
    var reader = ThriftReader(bytes: bytes)
    guard let value = reader.value(.structure, depth: 0) else { return nil }
    self = value
  }
}

private struct ThriftReader {
  let bytes: UnsafeRawBufferPointer
  var offset = 0

  mutating func byte() -> UInt8? {
    guard offset < bytes.count else { return nil }
    defer { offset += 1 }
    return bytes[offset]
  }

  mutating func varint() -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard let byte = byte() else { return nil }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    return nil
  }

  mutating func integer<T: FixedWidthInteger>(_ type: T.Type) -> T? {
    varint().flatMap { T(exactly: unzigzag($0)) }
  }

  mutating func value(_ kind: ThriftValue.Kind, depth: Int) -> ThriftValue? {
    guard depth < ThriftValue.depthMax else { return nil }
    switch kind {
    case .boolTrue: return .bool(true)
    case .boolFalse: return .bool(false)
    case .int8: return byte().map { .int8(Int8(bitPattern: $0)) }
    case .int16: return integer(Int16.self).map { .int16($0) }
    case .int32: return integer(Int32.self).map { .int32($0) }
    case .int64: return integer(Int64.self).map { .int64($0) }
    case .double:
      var bits: UInt64 = 0
      for shift in stride(from: UInt64(0), to: 64, by: 8) {
        guard let byte = byte() else { return nil }
        bits |= UInt64(byte) << shift
      }
      return .double(bits)
    case .binary:
      guard let count = varint(), count <= UInt64(bytes.count - offset) else { return nil }
      defer { offset += Int(count) }
      return .binary(Array(bytes[offset..<offset + Int(count)]))
    case .list, .set: return list(depth)
    case .structure: return structure(depth)
    case .map: return nil
    }
  }

  private mutating func list(_ depth: Int) -> ThriftValue? {
    guard let head = byte(), let kind = ThriftValue.Kind(rawValue: head & 15) else { return nil }
    let count = head >> 4 == 15 ? varint() : UInt64(head >> 4)
    // Each element takes at least a byte.
    guard let count, count <= UInt64(bytes.count - offset) else { return nil }
    var elements: [ThriftValue] = []
    elements.reserveCapacity(Int(count))
    for _ in 0..<count {
      if kind == .boolTrue || kind == .boolFalse {
        guard let byte = byte() else { return nil }
        elements.append(.bool(byte == 1))
      } else {
        guard let element = value(kind, depth: depth + 1) else { return nil }
        elements.append(element)
      }
    }
    return .list(of: kind, elements)
  }

  private mutating func structure(_ depth: Int) -> ThriftValue? {
    var fields: [ThriftValue.Field] = []
    var last: Int16 = 0
    while let head = byte() {
      if head == 0 { return .structure(fields) }
      guard let kind = ThriftValue.Kind(rawValue: head & 15) else { return nil }
      let step = head >> 4
      let (next, overflow) = last.addingReportingOverflow(Int16(step))
      guard let id = step == 0 ? integer(Int16.self) : overflow ? nil : next,
        let value = value(kind, depth: depth + 1)
      else { return nil }
      fields.append(.init(id: id, value: value))
      last = id
    }
    return nil
  }
}

func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: (value << 1) ^ (value >> 63)) }
func unzigzag(_ value: UInt64) -> Int64 { Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }

extension ByteWriter {
  mutating func append(varint value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      append(byte: UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(byte: UInt8(rest))
  }

  mutating func append(littleEndian value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { append(bytes: $0) }
  }
}
