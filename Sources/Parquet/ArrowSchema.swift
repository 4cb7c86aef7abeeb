import Tables

/// The columns as Arrow's readers should see them: an IPC schema message, which Parquet files carry in base64
/// under the key `ARROW:schema`.
///
/// Without it `symbol` is a string in the files, but a dictionary in the folders' names (`symbol=BTCUSDT`),
/// and pandas refuses to read a folder whose two disagree. Source: Apache Arrow, `Schema.fbs`, `Message.fbs`,
/// "IPC".
enum ArrowSchema {
  static let key = "ARROW:schema"

  private enum TypeNumber {
    static let int: UInt8 = 2
    static let utf8: UInt8 = 5
    static let bool: UInt8 = 6
    static let decimal: UInt8 = 7
    static let fixedSizeBinary: UInt8 = 15
  }

  static func base64(_ columns: [ParquetColumn]) -> String { encodeBase64(message(columns)) }

  private static func message(_ columns: [ParquetColumn]) -> [UInt8] {
    var builder = FlatBufferBuilder()
    var dictionaries: Int64 = 0
    let fields = columns.map { field($0, &builder, &dictionaries) }
    let schema = builder.table([1: .part(builder.vector(fields))])
    // Version 5 of the metadata, header of type Schema.
    let message = builder.table([3: .int64(0), 2: .part(schema), 0: .int16(4), 1: .int8(1)])
    let metadata = builder.finish(message)
    var bytes: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]
    withUnsafeBytes(of: UInt32(metadata.count).littleEndian) { bytes.append(contentsOf: $0) }
    return bytes + metadata
  }

  private static func field(
    _ column: ParquetColumn, _ builder: inout FlatBufferBuilder, _ dictionaries: inout Int64
  ) -> FlatBufferBuilder.Part {
    func integer(_ bits: Int32, signed: Bool) -> FlatBufferBuilder.Part {
      builder.table([0: .int32(bits), 1: .int8(signed ? 1 : 0)])
    }
    var dictionary: FlatBufferBuilder.Part?
    let type: (number: UInt8, part: FlatBufferBuilder.Part)
    switch column.type {
    case .int64: type = (TypeNumber.int, integer(64, signed: true))
    case .uint64: type = (TypeNumber.int, integer(64, signed: false))
    case .uint8: type = (TypeNumber.int, integer(8, signed: false))
    case .decimal:
      let part = builder.table([0: .int32(18), 1: .int32(Int32(ColumnType.scale)), 2: .int32(128)])
      type = (TypeNumber.decimal, part)
    case .boolean: type = (TypeNumber.bool, builder.table([:]))
    case .string: type = (TypeNumber.utf8, builder.table([:]))
    case .name:
      type = (TypeNumber.utf8, builder.table([:]))
      dictionary = builder.table([0: .int64(dictionaries), 1: .part(integer(32, signed: true))])
      dictionaries += 1
    case .fixed(let count):
      type = (TypeNumber.fixedSizeBinary, builder.table([0: .int32(Int32(count))]))
    }
    let name = builder.string(column.name)
    let children = builder.vector([])
    let nullable: UInt8 = column.isNullable ? 1 : 0
    guard let dictionary else {
      return builder.table([
        0: .part(name), 3: .part(type.part), 5: .part(children), 1: .int8(nullable), 2: .int8(type.number),
      ])
    }
    return builder.table([
      0: .part(name), 3: .part(type.part), 4: .part(dictionary), 5: .part(children), 1: .int8(nullable),
      2: .int8(type.number),
    ])
  }

  private static func encodeBase64(_ bytes: [UInt8]) -> String {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let count = min(3, bytes.count - start)
      var group = 0
      for index in 0..<3 { group = group << 8 | (index < count ? Int(bytes[start + index]) : 0) }
      for index in 0..<4 {
        text.append(index <= count ? digits[(group >> (18 - 6 * index)) & 63] : 0x3D)
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
