import CZstd

/// Compresses pages with zstd, each with a checksum of its content, so that every reader notices a flipped
/// byte.
final class PageCompressor {
  private let context: OpaquePointer
  private(set) var buffer = PageBuffer()

  init(level: Int) {
    guard let context = ZSTD_createCCtx() else { preconditionFailure("out of memory") }
    self.context = context
    _ = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level))
    _ = ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
  }

  deinit { ZSTD_freeCCtx(context) }

  /// Leaves the compressed form in ``buffer``.
  func compress(_ bytes: UnsafeRawBufferPointer) throws(ParquetError) {
    buffer.removeAll()
    let bound = ZSTD_compressBound(bytes.count)
    let count = ZSTD_compress2(context, buffer.room(bound), bound, bytes.baseAddress, bytes.count)
    if ZSTD_isError(count) != 0 { throw .compression(String(cString: ZSTD_getErrorName(count))) }
    buffer.advance(count)
  }
}
