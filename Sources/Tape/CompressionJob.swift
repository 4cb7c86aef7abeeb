import Core
import Glibc

/// Compresses one sealed segment a piece at a time.
///
/// An hour of a busy tape is gigabytes; compressing it at once would stop the feed for seconds at each full
/// hour. So the writer gives the job a number of bytes with every flush. Steps: write `X.ndjson.zst.tmp`,
/// sync it, read it back and compare its hash with the seal, note the compressed file's own hash in the
/// seal, rename the file, and only then remove the plain one. Interrupted anywhere it is simply begun again:
/// the plain segment and its seal are still whole.
final class CompressionJob {
  enum Progress: Equatable {
    case working
    case done
    /// The plain segment stays; the tape is whole.
    case abandoned(String)
  }

  private enum Phase {
    case compressing, verifying
  }

  let name: SegmentName
  private let folder: String
  private var seal: TapeSeal
  private var phase = Phase.compressing
  private var source: OpenFile
  private var target: OpenFile
  private var compressor: ZstandardCompressor
  private var reader = ZstandardReader()
  private var hash = SHA256Stream()
  private var targetHash = SHA256Stream()
  private var targetBytes = 0
  private var plainBytes = 0
  private var unsyncedBytes = 0
  private var output = ByteWriter(capacity: CompressionJob.pieceBytes)
  private let piece: UnsafeMutableRawBufferPointer
  private let scratch: UnsafeMutableRawBufferPointer

  private static let pieceBytes = 128 << 10
  /// Syncing as it goes keeps the sync at the end short.
  private static let unsyncedBytesMax = 8 << 20

  private var temporary: String { "\(folder)/\(name.compressed).tmp" }

  init(folder: String, name: SegmentName, seal: TapeSeal) throws(TapeError) {
    self.folder = folder
    self.name = name
    self.seal = seal
    source = try onTape { () throws(FileError) in try OpenFile("\(folder)/\(name.plain)", .read) }
    target = try onTape { () throws(FileError) in try OpenFile("\(folder)/\(name.compressed).tmp", .write) }
    compressor = ZstandardCompressor(contentBytes: seal.bytes)
    piece = .allocate(byteCount: CompressionJob.pieceBytes, alignment: 64)
    scratch = .allocate(byteCount: CompressionJob.pieceBytes, alignment: 64)
  }

  deinit {
    piece.deallocate()
    scratch.deallocate()
  }

  /// Works through about `bytes` plain bytes.
  func step(bytes: Int) -> Progress {
    var left = bytes
    while left > 0 {
      left -= CompressionJob.pieceBytes
      do throws(FileError) {
        let progress = phase == .compressing ? try compressPiece() : try verifyPiece()
        if case .abandoned = progress { try? Files.remove(temporary) }
        if progress != .working { return progress }
      } catch {
        try? Files.remove(temporary)
        return .abandoned(error.description)
      }
    }
    return .working
  }

  private func compressPiece() throws(FileError) -> Progress {
    let count = try source.file.read(into: piece)
    plainBytes += count
    if plainBytes > seal.bytes || count == 0 && plainBytes != seal.bytes {
      return .abandoned("\(folder)/\(name.plain) has changed since it was sealed")
    }
    output.removeAll()
    let bytes = UnsafeRawBufferPointer(start: piece.baseAddress, count: count)
    if let complaint = compressor.compress(bytes, last: count == 0, scratch: scratch, into: &output) {
      return .abandoned("zstd: \(complaint)")
    }
    try target.file.write(output.bytes)
    targetHash.update(output.bytes)
    targetBytes += output.count
    unsyncedBytes += output.count
    if unsyncedBytes >= CompressionJob.unsyncedBytesMax || count == 0 {
      try target.file.sync()
      unsyncedBytes = 0
    }
    if count == 0 {
      source = try OpenFile(temporary, .read)
      phase = .verifying
    }
    return .working
  }

  private func verifyPiece() throws(FileError) -> Progress {
    let count = try reader.read(from: source.file, into: piece)
    if count > 0 {
      hash.update(UnsafeRawBufferPointer(start: piece.baseAddress, count: count))
      return .working
    }
    if let damage = reader.damage { return .abandoned("reading \(temporary) back: \(damage)") }
    guard hash.hexadecimal() == seal.sha256 else {
      return .abandoned("\(temporary) read back does not match its seal")
    }
    seal.compressed = .init(bytes: targetBytes, sha256: targetHash.hexadecimal())
    try Files.writeAtomically("\(folder)/\(name.seal)", seal.text)
    try Files.rename(temporary, "\(folder)/\(name.compressed)")
    try Files.syncFolder(folder)
    try Files.remove("\(folder)/\(name.plain)")
    return .done
  }

  /// Whether a compressed segment's content is the sealed one.
  static func isIntact(folder: String, name: SegmentName, seal: TapeSeal) -> Bool {
    guard let file = try? File("\(folder)/\(name.compressed)", .read) else { return false }
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 64)
    defer { piece.deallocate() }
    var reader = ZstandardReader()
    var hash = SHA256Stream()
    while true {
      guard let count = try? reader.read(from: file, into: piece) else { return false }
      if count == 0 { break }
      hash.update(UnsafeRawBufferPointer(start: piece.baseAddress, count: count))
    }
    return reader.damage == nil && hash.hexadecimal() == seal.sha256
  }

  /// Brings a compressed segment back as a plain one, to be continued; its seal goes.
  static func restore(folder: String, name: SegmentName) throws(TapeError) {
    let plain = "\(folder)/\(name.plain)"
    let compressed = "\(folder)/\(name.compressed)"
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 64)
    defer { piece.deallocate() }
    var reader = ZstandardReader()
    do throws(FileError) {
      let source = try File(compressed, .read)
      let target = try File(plain + ".tmp", .write)
      while true {
        let count = try reader.read(from: source, into: piece)
        if count == 0 { break }
        try target.write(UnsafeRawBufferPointer(start: piece.baseAddress, count: count))
      }
      try target.sync()
    } catch {
      throw .file(error)
    }
    if let damage = reader.damage { throw .damaged(path: compressed, reason: damage) }
    try onTape { () throws(FileError) in
      try Files.remove("\(folder)/\(name.seal)")
      try Files.rename(plain + ".tmp", plain)
      try Files.syncFolder(folder)
      try Files.remove(compressed)
    }
  }
}
