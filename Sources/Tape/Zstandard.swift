import CZstd
import Core

/// Compresses a stream into one zstd frame at level 1, with a content checksum.
struct ZstandardCompressor: ~Copyable {
  private let context: OpaquePointer

  init(contentBytes: Int) {
    guard let context = ZSTD_createCCtx() else { preconditionFailure("out of memory") }
    self.context = context
    _ = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1)
    _ = ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    _ = ZSTD_CCtx_setPledgedSrcSize(context, UInt64(contentBytes))
  }

  deinit { ZSTD_freeCCtx(context) }

  /// Appends the compressed form of `input` to `output`; with `last` the frame is closed.
  ///
  /// - Returns: nil, or zstd's complaint.
  mutating func compress(
    _ input: UnsafeRawBufferPointer, last: Bool, scratch: UnsafeMutableRawBufferPointer,
    into output: inout ByteWriter
  ) -> String? {
    var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
    while true {
      var sink = ZSTD_outBuffer(dst: scratch.baseAddress, size: scratch.count, pos: 0)
      let left = ZSTD_compressStream2(context, &sink, &source, last ? ZSTD_e_end : ZSTD_e_continue)
      if ZSTD_isError(left) != 0 { return String(cString: ZSTD_getErrorName(left)) }
      output.append(bytes: UnsafeRawBufferPointer(start: scratch.baseAddress, count: sink.pos))
      if last ? left == 0 : source.pos == source.size { return nil }
    }
  }
}

/// Reads the plain bytes of a zstd file, frame after frame.
struct ZstandardReader: ~Copyable {
  private let context: OpaquePointer
  private let input: UnsafeMutableRawBufferPointer
  private var inputStart = 0
  private var inputEnd = 0
  private var insideFrame = false
  /// Why reading stopped early.
  private(set) var damage: String?

  init() {
    guard let context = ZSTD_createDCtx() else { preconditionFailure("out of memory") }
    self.context = context
    input = .allocate(byteCount: ZSTD_DStreamInSize(), alignment: 64)
  }

  deinit {
    ZSTD_freeDCtx(context)
    input.deallocate()
  }

  /// Fills the buffer as far as the file reaches.
  ///
  /// - Returns: the number of bytes; 0 at the end or at damage (see `damage`).
  mutating func read(from file: borrowing File, into buffer: UnsafeMutableRawBufferPointer) throws(FileError)
    -> Int
  {
    var sink = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
    while sink.pos < sink.size, damage == nil {
      if inputStart == inputEnd {
        inputStart = 0
        inputEnd = try file.read(into: input)
        // Output may still be waiting inside the decoder when its input has ended.
        if inputEnd == 0, !insideFrame { break }
      }
      var source = ZSTD_inBuffer(src: input.baseAddress, size: inputEnd, pos: inputStart)
      let before = sink.pos
      let left = ZSTD_decompressStream(context, &sink, &source)
      if ZSTD_isError(left) != 0 {
        damage = String(cString: ZSTD_getErrorName(left))
        break
      }
      insideFrame = left != 0
      inputStart = source.pos
      if inputEnd == 0, sink.pos == before {
        if insideFrame { damage = "the file ends inside a zstd frame" }
        break
      }
    }
    return sink.pos
  }
}
