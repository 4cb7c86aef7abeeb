import CZlib
import CZstd

/// How an insert's body is compressed on its way.
enum Compression {
  /// `Content-Encoding`, and the bytes in it, at the fastest level.
  static func compress(_ bytes: ArraySlice<UInt8>, for dialect: ClickHouseDialect) -> (String, [UInt8]) {
    switch dialect {
    case .modern: ("zstd", zstd(bytes))
    // Versions before 20 understand no zstd.
    case .legacy: ("gzip", gzip(bytes))
    }
  }

  private static func zstd(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    bytes.withUnsafeBytes { input in
      let bound = ZSTD_compressBound(input.count)
      return [UInt8](unsafeUninitializedCapacity: bound) { output, count in
        count = ZSTD_compress(output.baseAddress, bound, input.baseAddress, input.count, 1)
        precondition(ZSTD_isError(count) == 0, "the bound was zstd's own")
      }
    }
  }

  private static func gzip(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var stream = z_stream()
    // zlib: 15 for the window and 16 for gzip's head; the shim negates what it is given.
    let started = weir_deflate_start(&stream, 1, -(15 + 16), 8)
    precondition(started == Z_OK, "out of memory")
    defer { deflateEnd(&stream) }
    return bytes.withUnsafeBytes { input in
      let bound = Int(deflateBound(&stream, uLong(input.count)))
      return [UInt8](unsafeUninitializedCapacity: bound) { output, count in
        stream.next_in = UnsafeMutablePointer(
          mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.avail_in = UInt32(input.count)
        stream.next_out = output.baseAddress
        stream.avail_out = UInt32(bound)
        let code = deflate(&stream, Z_FINISH)
        precondition(code == Z_STREAM_END, "the bound was zlib's own")
        count = bound - Int(stream.avail_out)
      }
    }
  }
}
