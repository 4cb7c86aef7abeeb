import CZlib

/// Compresses messages one after the other (RFC 7692, 7.2.1).
final class MessageDeflater {
  /// What a message can grow by when it cannot be compressed, for accounting.
  static func growthMax(_ length: Int) -> Int { (length >> 8) + 64 }

  private let stream: UnsafeMutablePointer<z_stream>
  private let keepsContext: Bool

  /// - Parameter windowBits: 9...15.
  init(level: Int32, windowBits: Int, keepsContext: Bool) {
    self.keepsContext = keepsContext
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // A small window with a large hash would be memory for nothing.
    let memoryLevel = Int32(max(1, min(8, windowBits - 6)))
    let result = weir_deflate_start(stream, max(1, min(9, level)), Int32(windowBits), memoryLevel)
    precondition(result == Z_OK, "deflate cannot start: zlib says \(result)")
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
  }

  /// Appends the compressed message to a queue, without the four bytes that end every flush.
  ///
  /// - Parameter message: not empty; zlib has nothing to say about no bytes.
  func append(_ message: UnsafeRawBufferPointer, to queue: ByteQueue) {
    assert(!message.isEmpty && message.count <= Int(UInt32.max))
    // zlib only reads from here; its interface doesn't say so.
    stream.pointee.next_in = UnsafeMutablePointer(
      mutating: message.baseAddress!.assumingMemoryBound(to: UInt8.self))
    stream.pointee.avail_in = UInt32(message.count)
    repeat {
      let place = queue.room(max(256, Int(stream.pointee.avail_in) / 2))
      let room = min(queue.roomLeft, Int(UInt32.max))
      stream.pointee.next_out = place.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_out = UInt32(room)
      let result = deflate(stream, Z_SYNC_FLUSH)
      assert(result == Z_OK || result == Z_BUF_ERROR)
      queue.commit(room - Int(stream.pointee.avail_out))
      // Room left over means that the flush is complete.
    } while stream.pointee.avail_out == 0
    queue.removeLast(4)
    if !keepsContext { deflateReset(stream) }
  }
}
