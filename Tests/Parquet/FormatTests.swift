import Core
import Testing

@testable import Parquet
@testable import Tables

@Suite("Parquet format")
struct FormatTests {
  private let folder = TemporaryFolder()

  // MARK: Thrift

  private func value(_ random: inout SeededRandom, depth: Int) -> ThriftValue {
    switch random.below(depth > 0 ? 8 : 6) {
    case 0: .bool(random.bernoulli(0.5))
    case 1: .int8(Int8(truncatingIfNeeded: random.next()))
    case 2: .int16(Int16(truncatingIfNeeded: random.next()))
    case 3: .int32(random.bernoulli(0.2) ? .min : Int32(truncatingIfNeeded: random.next()))
    case 4: .int64(random.bernoulli(0.2) ? .min : Int64(bitPattern: random.next()))
    case 5: .binary((0..<random.below(40)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    case 6: .list(of: .int64, (0..<random.below(40)).map { _ in .int64(Int64(bitPattern: random.next())) })
    default: structure(&random, depth: depth - 1)
    }
  }

  private func structure(_ random: inout SeededRandom, depth: Int) -> ThriftValue {
    var id: Int16 = 0
    return .structure(
      (0..<random.below(6)).map { _ in
        id += Int16(1 + random.below(random.bernoulli(0.2) ? 300 : 4))
        return .init(id: id, value: value(&random, depth: depth))
      })
  }

  @Test func valuesComeBack() throws {
    let seed = UInt64.random(in: 0..<1 << 32)
    print("thrift: seed \(seed)")
    var random = SeededRandom(seed: seed)
    for _ in 0..<500 {
      let tree = structure(&random, depth: 3)
      var writer = ByteWriter()
      tree.write(into: &writer)
      #expect(ThriftValue(structureIn: writer.bytes) == tree)
      // Cut short it is none, and flipped bytes trap nothing.
      let cut = random.below(writer.count)
      #expect(ThriftValue(structureIn: UnsafeRawBufferPointer(rebasing: writer.bytes[..<cut])) == nil)
      var bytes = Array(writer.bytes)
      bytes[random.below(bytes.count)] ^= UInt8(1 + random.below(255))
      _ = bytes.withUnsafeBytes { ThriftValue(structureIn: $0) }
    }
  }

  // MARK: Packed integers

  @Test(arguments: [1, 2, 3, 7, 8, 13, 16, 31, 32, 33, 63, 64])
  func packedBitsComeBack(width: Int) {
    var random = SeededRandom(seed: UInt64(width))
    let values = (0..<77).map { _ in width == 64 ? random.next() : random.next() & (1 << UInt64(width) - 1) }
    var bytes = [UInt8](repeating: 0, count: (77 * width + 63) / 64 * 8)
    bytes.withUnsafeMutableBytes { pack(values, 77, width: width, to: $0.baseAddress!) }
    for (index, value) in values.enumerated() {
      var found: UInt64 = 0
      for bit in 0..<width {
        let place = index * width + bit
        found |= UInt64(bytes[place / 8] >> UInt8(place % 8) & 1) << UInt64(bit)
      }
      #expect(found == value)
    }
  }

  // MARK: Files

  private func file(_ name: String, _ kind: TableKind = .trade) throws -> String {
    var random = SeededRandom(seed: 9)
    let batch = TableBatch.random(kind, messages: 40, rowsMax: 1, .market, &random)
    let path = "\(folder.path)/\(name)"
    let writer = ParquetFileWriter(
      path, schema: batch.schema, metadata: [(key: "weir.segment", value: "2024-07-18T23")],
      encoder: ParquetEncoder(level: 1))
    try writer.append(batch)
    try writer.append(batch)
    try writer.finish(durable: true)
    #expect(writer.byteCount == (try Files.read(path)).count)
    return path
  }

  @Test func footersSayWhatIsThere() throws {
    let footer = try ParquetFooter(try file("a"))
    #expect(footer.rows == 80)
    #expect(footer.rowGroups.map(\.rows) == [40, 40])
    #expect(footer.columns == TableSchema.of(.trade).columns.map(\.name))
    let metadata = Dictionary(uniqueKeysWithValues: footer.metadata.map { ($0.key, $0.value) })
    #expect(metadata["weir.segment"] == "2024-07-18T23")
    #expect(metadata["weir.kind"] == "trade")
    #expect(metadata["weir.schema_version"] == "\(TableSchema.version)")
  }

  @Test func theSameRowsAreTheSameBytes() throws {
    #expect(try Files.read(try file("a")) == Files.read(try file("b")))
  }

  @Test func halfWrittenFilesAreNamed() throws {
    let bytes = try Files.read(try file("a"))
    let path = folder.path + "/cut"
    for length in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 97)) {
      try bytes[..<length].withUnsafeBytes { try Files.writeAtomically(path, $0) }
      #expect {
        _ = try ParquetFooter(path)
      } throws: {
        "\($0)".contains(path)
      }
    }
  }

  @Test func filesOfOtherColumnsAreNotJoined() throws {
    let target = folder.path + "/joined"
    #expect(throws: ParquetError.self) {
      _ = try ParquetFiles.concatenate([try file("a"), try file("b", .bookTicker)], to: target)
    }
    #expect(try Files.list(folder.path) == ["a", "b"])
  }
}
