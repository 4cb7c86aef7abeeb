import CZlib
import Core
import Glibc

/// A NumPy `.npz` of one one-dimensional structured array, written as a stream.
///
/// The file is a ZIP archive (ZIP64, deflate) with one entry `<name>.npy`: NumPy's format 1.0, a text header padded to
/// 64 bytes and then the rows. It appears under its name when it is whole.
/// Sources: NumPy's format specification (`numpy.lib.format`), PKWARE's APPNOTE 6.3.
final class NumPyArchiveWriter {
  let path: String
  private let file: File
  private let entry: String
  private let stream: UnsafeMutablePointer<z_stream>
  private let output: UnsafeMutableRawBufferPointer
  private var crc: UInt
  private var plainBytes = 0
  private var compressedBytes = 0

  /// - Parameters:
  ///   - fields: names and NumPy types (`<u8`), packed in this order.
  ///   - rows: that will be appended.
  init(
    _ path: String, name: String, fields: KeyValuePairs<StaticString, StaticString>, rows: Int, level: Int32
  ) throws(FileError) {
    self.path = path
    entry = name + ".npy"
    file = try File(path + ".tmp", .write)
    crc = crc32(0, nil, 0)
    output = .allocate(byteCount: 1 << 18, alignment: 16)
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    let result = weir_deflate_start(stream, level, 15, 8)
    precondition(result == Z_OK, "deflate cannot start: zlib says \(result)")
    try writeLocalHeader()
    var header = "{'descr': ["
    header += fields.map { "('\($0.key)', '\($0.value)')" }.joined(separator: ", ")
    header += "], 'fortran_order': False, 'shape': (\(rows),), }"
    while (10 + header.utf8.count + 1) % 64 != 0 { header += " " }
    var bytes = ByteWriter(capacity: 1024)
    for byte: UInt8 in [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0] { bytes.append(byte: byte) }
    bytes.append(little: UInt16(header.utf8.count + 1))
    bytes.append(header + "\n")
    try append(bytes.bytes)
  }

  deinit {
    // What was not finished is no archive.
    unlink(path + ".tmp")
    deflateEnd(stream)
    stream.deallocate()
    output.deallocate()
  }

  /// Appends rows.
  func append(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    // zlib counts in 32 bits.
    var offset = 0
    while offset < bytes.count {
      let count = min(bytes.count - offset, 1 << 30)
      let part = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
      let start = part.baseAddress!.assumingMemoryBound(to: UInt8.self)
      crc = crc32(crc, start, UInt32(count))
      plainBytes += count
      stream.pointee.next_in = UnsafeMutablePointer(mutating: start)
      stream.pointee.avail_in = UInt32(count)
      try deflateAll(Z_NO_FLUSH)
      offset += count
    }
  }

  private func deflateAll(_ flush: Int32) throws(FileError) {
    repeat {
      stream.pointee.next_out = output.baseAddress!.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_out = UInt32(output.count)
      _ = deflate(stream, flush)
      let count = output.count - Int(stream.pointee.avail_out)
      compressedBytes += count
      try file.write(UnsafeRawBufferPointer(rebasing: output[..<count]))
    } while stream.pointee.avail_out == 0
  }

  /// Completes the archive and puts it in place, durably.
  ///
  /// - Returns: its bytes.
  func finish() throws(FileError) -> Int {
    try deflateAll(Z_FINISH)
    let directoryAt = localHeaderBytes + compressedBytes
    var tail = ByteWriter(capacity: 512)
    appendDirectory(to: &tail, at: directoryAt)
    try file.write(tail.bytes)
    try file.seek(to: 0)
    try writeLocalHeader()
    try file.sync()
    try Files.rename(path + ".tmp", path)
    return directoryAt + tail.count
  }

  private var localHeaderBytes: Int { 30 + entry.utf8.count + 20 }

  private func writeLocalHeader() throws(FileError) {
    var header = ByteWriter(capacity: 128)
    header.append(little: 0x0403_4B50 as UInt32)
    appendFileFacts(to: &header)
    header.append(little: 20 as UInt16)
    header.append(entry)
    header.append(little: 1 as UInt16)
    header.append(little: 16 as UInt16)
    header.append(little: UInt64(plainBytes))
    header.append(little: UInt64(compressedBytes))
    try file.write(header.bytes)
  }

  /// From the version needed to the length of the name, as both headers have it.
  private func appendFileFacts(to writer: inout ByteWriter) {
    writer.append(little: 45 as UInt16)
    writer.append(little: 0 as UInt16)
    writer.append(little: 8 as UInt16)
    // No time: the same tape gives the same bytes. The first day that the format knows, 1980-01-01.
    writer.append(little: 0 as UInt16)
    writer.append(little: 0x21 as UInt16)
    writer.append(little: UInt32(truncatingIfNeeded: crc))
    writer.append(little: UInt32.max)
    writer.append(little: UInt32.max)
    writer.append(little: UInt16(entry.utf8.count))
  }

  private func appendDirectory(to writer: inout ByteWriter, at offset: Int) {
    let start = writer.count
    writer.append(little: 0x0201_4B50 as UInt32)
    writer.append(little: (3 << 8 | 45) as UInt16)
    appendFileFacts(to: &writer)
    writer.append(little: 20 as UInt16)
    for _ in 0..<3 { writer.append(little: 0 as UInt16) }
    writer.append(little: UInt32(0o100644) << 16)
    writer.append(little: 0 as UInt32)
    writer.append(entry)
    writer.append(little: 1 as UInt16)
    writer.append(little: 16 as UInt16)
    writer.append(little: UInt64(plainBytes))
    writer.append(little: UInt64(compressedBytes))
    let length = writer.count - start
    // ZIP64 end of central directory, its locator, and the end that all readers look for.
    writer.append(little: 0x0606_4B50 as UInt32)
    writer.append(little: 44 as UInt64)
    for version: UInt16 in [3 << 8 | 45, 45] { writer.append(little: version) }
    for _ in 0..<2 { writer.append(little: 0 as UInt32) }
    for count in [1, 1, length, offset] { writer.append(little: UInt64(count)) }
    writer.append(little: 0x0706_4B50 as UInt32)
    writer.append(little: 0 as UInt32)
    writer.append(little: UInt64(offset + length))
    writer.append(little: 1 as UInt32)
    writer.append(little: 0x0605_4B50 as UInt32)
    for count: UInt16 in [0, 0, 1, 1] { writer.append(little: count) }
    writer.append(little: UInt32(length))
    writer.append(little: UInt32.max)
    writer.append(little: 0 as UInt16)
  }
}

extension ByteWriter {
  mutating func append(little value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { append(bytes: $0) }
  }
}
