import Core

/// What a closed segment holds, so that it can be found and checked without reading it.
public struct TapeSeal: Equatable, Sendable {
  public static let schema = 1

  public struct SymbolCount: Equatable, Sendable {
    public var symbol: String
    public var frames: Int
  }

  /// The plain file's name.
  public var segment: String
  public var records: Int
  /// By ``RecordKind``'s raw value.
  public var kinds: [Int]
  /// Frames by symbol, sorted by name. Frames whose symbol is unknown are not in it.
  public var symbols: [SymbolCount]
  public var firstSequence: Int64
  public var lastSequence: Int64
  public var firstReceiveTime: UnixNanos
  public var lastReceiveTime: UnixNanos
  /// Of the plain segment.
  public var bytes: Int
  /// Of the plain segment's bytes, lower-case hexadecimal.
  public var sha256: String
  /// The compressed file, once there is one. A few of its bits can change without changing what it decodes
  /// to, so the content's hash alone would not notice every change on the disk.
  public var compressed: CompressedFile?

  public struct CompressedFile: Equatable, Sendable {
    public var bytes: Int
    public var sha256: String
  }

  /// The seal of the content alone.
  var content: TapeSeal {
    var copy = self
    copy.compressed = nil
    return copy
  }

  public var json: JSONValue {
    var members: [JSONValue.Member] = contentJSON.members ?? []
    if let compressed {
      members.append(.init("zst_bytes", .integer(compressed.bytes)))
      members.append(.init("zst_sha256", .string(compressed.sha256)))
    }
    return .object(members)
  }

  private var contentJSON: JSONValue {
    .object([
      "schema": .integer(TapeSeal.schema),
      "segment": .string(segment),
      "records": .integer(records),
      "kinds": .object(
        RecordKind.allCases.map { .init("\($0.name)", .integer(kinds[Int($0.rawValue)])) }),
      "symbols": .object(symbols.map { .init($0.symbol, .integer($0.frames)) }),
      "first_seq": .integer(firstSequence),
      "last_seq": .integer(lastSequence),
      "first_recv_ns": .integer(firstReceiveTime.rawValue),
      "last_recv_ns": .integer(lastReceiveTime.rawValue),
      "bytes": .integer(bytes),
      "sha256": .string(sha256),
    ])
  }

  /// - Returns: nil unless the value has every field of schema 1.
  public init?(json: JSONValue) {
    guard json["schema"]?.integer == Int64(TapeSeal.schema), let segment = json["segment"]?.text,
      let records = json["records"]?.integer, let kinds = json["kinds"],
      let symbols = json["symbols"]?.members,
      let firstSequence = json["first_seq"]?.integer, let lastSequence = json["last_seq"]?.integer,
      let firstReceiveTime = json["first_recv_ns"]?.integer,
      let lastReceiveTime = json["last_recv_ns"]?.integer,
      let bytes = json["bytes"]?.integer, let sha256 = json["sha256"]?.text
    else { return nil }
    self.segment = segment
    self.records = Int(records)
    self.kinds = RecordKind.allCases.map { Int(kinds["\($0.name)"]?.integer ?? 0) }
    self.symbols = symbols.map { SymbolCount(symbol: $0.key, frames: Int($0.value.integer ?? 0)) }
    self.firstSequence = firstSequence
    self.lastSequence = lastSequence
    self.firstReceiveTime = UnixNanos(firstReceiveTime)
    self.lastReceiveTime = UnixNanos(lastReceiveTime)
    self.bytes = Int(bytes)
    self.sha256 = sha256
    if let bytes = json["zst_bytes"]?.integer, let sha256 = json["zst_sha256"]?.text {
      compressed = CompressedFile(bytes: Int(bytes), sha256: sha256)
    }
  }

  init(
    segment: String, records: Int, kinds: [Int], symbols: [SymbolCount], firstSequence: Int64,
    lastSequence: Int64,
    firstReceiveTime: UnixNanos, lastReceiveTime: UnixNanos, bytes: Int, sha256: String
  ) {
    self.segment = segment
    self.records = records
    self.kinds = kinds
    self.symbols = symbols
    self.firstSequence = firstSequence
    self.lastSequence = lastSequence
    self.firstReceiveTime = firstReceiveTime
    self.lastReceiveTime = lastReceiveTime
    self.bytes = bytes
    self.sha256 = sha256
  }

  /// The seal in a file; nil when there is none or it cannot be understood.
  static func read(_ path: String) -> TapeSeal? {
    guard let bytes = try? Files.read(path, bytesMax: 1 << 20),
      let json = try? bytes.withUnsafeBytes({ (buffer) throws(JSONValue.ParseError) in
        try JSONValue(parsing: buffer)
      })
    else { return nil }
    return TapeSeal(json: json)
  }

  /// The seal file's content.
  var text: String { json.text(pretty: true) + "\n" }

  /// Size and hash of a file as it stands.
  static func measure(_ path: String) throws(TapeError) -> CompressedFile {
    let source = try SegmentSource(path, compressed: false)
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 << 10, alignment: 64)
    defer { piece.deallocate() }
    var hash = SHA256Stream()
    var bytes = 0
    while true {
      let count = try source.read(into: piece)
      if count == 0 { return CompressedFile(bytes: bytes, sha256: hash.hexadecimal()) }
      hash.update(UnsafeRawBufferPointer(start: piece.baseAddress, count: count))
      bytes += count
    }
  }

  func write(_ path: String) throws(TapeError) {
    try onTape { () throws(FileError) in try Files.writeAtomically(path, text) }
  }
}

/// Builds a seal record by record.
struct SealBuilder: ~Copyable {
  private(set) var records = 0
  private(set) var bytes = 0
  private(set) var lastSequence: Int64 = 0
  private(set) var lastReceiveTime: Int64 = 0
  private var firstSequence: Int64 = 0
  private var firstReceiveTime: Int64 = 0
  private var kinds = [Int](repeating: 0, count: RecordKind.allCases.count)
  private var symbols = SymbolCounter()
  private var hash = SHA256Stream()

  /// Counts a record; `symbolName` is what ``frameSymbol(stream:data:)`` gave for a frame.
  mutating func add(
    sequence: Int64, receiveTime: Int64, kind: RecordKind, symbolName: UnsafeRawBufferPointer?
  ) {
    if records == 0 {
      firstSequence = sequence
      firstReceiveTime = receiveTime
    }
    records += 1
    lastSequence = sequence
    lastReceiveTime = receiveTime
    kinds[Int(kind.rawValue)] += 1
    if kind == .frame, let symbolName { symbols.add(symbolName) }
  }

  /// Hashes bytes as they reach the segment.
  mutating func add(bytes added: UnsafeRawBufferPointer) {
    hash.update(added)
    bytes += added.count
  }

  func seal(_ name: SegmentName) -> TapeSeal {
    TapeSeal(
      segment: name.plain, records: records, kinds: kinds, symbols: symbols.sorted(),
      firstSequence: firstSequence,
      lastSequence: lastSequence, firstReceiveTime: UnixNanos(firstReceiveTime),
      lastReceiveTime: UnixNanos(lastReceiveTime), bytes: bytes, sha256: hash.hexadecimal())
  }
}

/// The part of a frame that names its symbol, in either case: the stream before its `@`, else the data's
/// `s`, else its `o.s` (liquidations and order events). Streams over all symbols (`!forceOrder@arr`) have no
/// symbol in their name.
package func frameSymbol(stream: UnsafeRawBufferPointer?, data: UnsafeRawBufferPointer)
  -> UnsafeRawBufferPointer?
{
  if let stream, stream.count > 0, stream[0] != 0x21 {
    return firstIndex(of: 0x40, in: stream, from: 0).map { slice(stream, 0, $0) }
  }
  var cursor = JSONCursor(data)
  guard cursor.consume(0x7B) else { return nil }
  var inner: UnsafeRawBufferPointer?
  while let key = cursor.key() {
    if equal(key, "s"), cursor.peek() == 0x22 { return cursor.rawString() }
    let isOrder = equal(key, "o") && cursor.peek() == 0x7B
    let start = cursor.offset
    guard cursor.skipValue(depth: 1) else { return nil }
    if isOrder, inner == nil { inner = slice(data, start, cursor.offset) }
    guard cursor.continues(until: 0x7D) == true else { break }
  }
  guard let inner else { return nil }
  cursor = JSONCursor(inner)
  _ = cursor.consume(0x7B)
  while let key = cursor.key() {
    if equal(key, "s"), cursor.peek() == 0x22 { return cursor.rawString() }
    guard cursor.skipValue(depth: 2), cursor.continues(until: 0x7D) == true else { return nil }
  }
  return nil
}

/// Counts by symbol, upper case, without a `String` per event. Names beyond 32 bytes, and symbols beyond
/// ``SymbolTable/countMax``, are not counted.
struct SymbolCounter {
  private static let nameBytesMax = 32
  private static let slotCount = 4 * SymbolTable.countMax

  private var names: [UInt8] = []
  private var lengths: [Int] = []
  private var counts: [Int] = []
  private var slots = [Int32](repeating: -1, count: SymbolCounter.slotCount)

  mutating func add(_ name: UnsafeRawBufferPointer) {
    guard name.count > 0, name.count <= SymbolCounter.nameBytesMax else { return }
    // FNV-1a over the upper-case bytes.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in name { hash = (hash ^ UInt64(upper(byte))) &* 0x100_0000_01B3 }
    var slot = Int(hash >> 32) & (SymbolCounter.slotCount - 1)
    while slots[slot] >= 0 {
      let index = Int(slots[slot])
      if isName(name, at: index) {
        counts[index] += 1
        return
      }
      slot = (slot + 1) & (SymbolCounter.slotCount - 1)
    }
    guard counts.count < SymbolTable.countMax else { return }
    slots[slot] = Int32(counts.count)
    counts.append(1)
    lengths.append(name.count)
    for index in 0..<SymbolCounter.nameBytesMax { names.append(index < name.count ? upper(name[index]) : 0) }
  }

  private func isName(_ name: UnsafeRawBufferPointer, at index: Int) -> Bool {
    guard lengths[index] == name.count else { return false }
    let start = index * SymbolCounter.nameBytesMax
    for position in 0..<name.count where names[start + position] != upper(name[position]) { return false }
    return true
  }

  @inline(__always)
  private func upper(_ byte: UInt8) -> UInt8 { byte >= 0x61 && byte <= 0x7A ? byte & 0xDF : byte }

  func sorted() -> [TapeSeal.SymbolCount] {
    counts.indices.map { index in
      let start = index * SymbolCounter.nameBytesMax
      let name = String(decoding: names[start..<start + lengths[index]], as: UTF8.self)
      return TapeSeal.SymbolCount(symbol: name, frames: counts[index])
    }.sorted { $0.symbol.utf8.lexicographicallyPrecedes($1.symbol.utf8) }
  }
}
