import Core
import Glibc

/// A segment of a tape as it lies on the disk, for readers that take a tape hour by hour.
public struct TapeSegment: Sendable {
  public let folder: String
  /// The hour it covers: `2024-07-18T23`.
  public let stem: String
  let files: SegmentFiles

  /// `2024-07-18`
  public var day: String { String(stem.prefix(10)) }
  /// `23`
  public var hour: String { String(stem.suffix(2)) }
  /// The first moment after its hour.
  public var end: UnixNanos { files.name.end }
  /// Nothing will be added to it, unless its tape is continued within the hour.
  public var isSealed: Bool { files.hasSeal }
  /// Its file as it was when the tape was listed.
  public var path: String { "\(folder)/\(files.hasPlain ? files.name.plain : files.name.compressed)" }

  /// - Throws: ``TapeError/damaged(path:reason:)`` when there is a seal that cannot be understood.
  public func seal() throws(TapeError) -> TapeSeal? {
    guard files.hasSeal else { return nil }
    let path = "\(folder)/\(files.name.seal)"
    guard let seal = TapeSeal.read(path) else {
      throw .damaged(path: path, reason: "this seal cannot be understood")
    }
    return seal
  }

  /// The `seq` of the first line that is a record.
  public func firstSequence() throws(TapeError) -> Int64? {
    var reader = try TapeSegmentReader(self, hashes: false)
    while let block = try reader.nextBlock() {
      var first: Int64?
      forEachLine(block) { line, _ in
        first = RecordHead(anyLayout: line)?.sequence
        return first == nil
      }
      if let first { return first }
    }
    return nil
  }
}

extension Tape {
  /// The segments of a tape in the order of time.
  public static func segments(_ folder: String) throws(TapeError) -> [TapeSegment] {
    try SegmentFiles.list(folder).map { TapeSegment(folder: folder, stem: $0.name.stem, files: $0) }
  }

  /// Whether a writer has the tape open now.
  public static func isBeingWritten(_ folder: String) -> Bool {
    guard let file = try? File(folder + "/.lock", .read) else { return false }
    if flock(file.descriptor, LOCK_SH | LOCK_NB) != 0 { return errno == EWOULDBLOCK }
    flock(file.descriptor, LOCK_UN)
    return false
  }
}

/// Reads one segment, plain or compressed, in blocks of whole lines, and hashes it on the way.
public struct TapeSegmentReader: ~Copyable {
  private let folder: String
  private let name: SegmentName
  private var blocks = SegmentBlocks()
  private var hash = SHA256Stream()
  private let hashes: Bool
  private let mark: Int
  /// The hash of the first bytes up to the mark; nil before it is reached, or where it is within a line.
  public private(set) var markedSHA256: String?
  /// Plain bytes handed out.
  public private(set) var byteCount = 0

  /// - Parameters:
  ///   - hashes: the content's hash is wanted.
  ///   - mark: so many first bytes are hashed for themselves, too.
  public init(_ segment: TapeSegment, hashes: Bool = true, mark: Int = 0) throws(TapeError) {
    folder = segment.folder
    name = segment.files.name
    self.hashes = hashes
    self.mark = mark
    let plain = "\(folder)/\(name.plain)"
    // Compressing a closed segment takes away the plain file, perhaps since the folder was listed.
    if segment.files.hasPlain, Files.exists(plain) {
      do {
        try blocks.open(plain, compressed: false)
        return
      } catch {
        guard !Files.exists(plain) else { throw error }
      }
    }
    try blocks.open("\(folder)/\(name.compressed)", compressed: true)
  }

  /// The next whole lines, valid until the next call, followed by ``Tape/blockPaddingBytes`` readable zero
  /// bytes; nil at the end, or where the file is damaged.
  public mutating func nextBlock() throws(TapeError) -> UnsafeRawBufferPointer? {
    guard let block = try blocks.next() else { return nil }
    let end = byteCount + block.count
    if hashes {
      if mark > byteCount, mark <= end {
        hash.update(slice(block, 0, mark - byteCount))
        markedSHA256 = hash.hexadecimal()
        hash.update(slice(block, mark - byteCount, block.count))
      } else {
        hash.update(block)
      }
    }
    byteCount = end
    return block
  }

  /// Of the bytes handed out.
  public func sha256() -> String { hash.hexadecimal() }

  /// Why it could not be read to its end.
  public var damage: String? {
    if let damage = blocks.damage { return damage }
    return blocks.overlongLines > 0
      ? "\(blocks.overlongLines) lines are longer than \(Tape.recordBytesMax) bytes" : nil
  }

  /// Bytes of an unfinished line at the end; they are not handed out.
  public var tornBytes: Int { blocks.tornBytes }
}
