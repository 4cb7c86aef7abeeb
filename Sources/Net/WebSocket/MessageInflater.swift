import CZlib

/// Decompresses messages one after the other (RFC 7692, 7.2.2), piece by piece as frames come.
final class MessageInflater {
  enum Outcome { case complete, tooLarge, corrupt }

  private let stream: UnsafeMutablePointer<z_stream>
  private let keepsContext: Bool

  init(windowBits: Int, keepsContext: Bool) {
    self.keepsContext = keepsContext
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    let result = weir_inflate_start(stream, Int32(max(9, windowBits)))
    precondition(result == Z_OK, "inflate cannot start: zlib says \(result)")
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Appends what a frame's payload decompresses to. The queue never holds more than `bytesMax` + 1 bytes,
  /// however much the payload would expand to.
  func append(
    _ payload: UnsafeRawBufferPointer, isLast: Bool, to queue: ByteQueue, bytesMax: Int
  ) -> Outcome {
    var outcome = feed(payload, to: queue, bytesMax: bytesMax)
    guard outcome == .complete, isLast else { return outcome }
    // The end of the flush, which the sender has left out.
    outcome = withUnsafeBytes(of: UInt32(littleEndian: 0xFFFF_0000)) {
      feed($0, to: queue, bytesMax: bytesMax)
    }
    if !keepsContext { inflateReset(stream) }
    return outcome
  }

  private func feed(_ bytes: UnsafeRawBufferPointer, to queue: ByteQueue, bytesMax: Int) -> Outcome {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return .complete }
    assert(bytes.count <= Int(UInt32.max))
    stream.pointee.next_in = UnsafeMutablePointer(mutating: base.assumingMemoryBound(to: UInt8.self))
    stream.pointee.avail_in = UInt32(bytes.count)
    while true {
      let place = queue.room(4096)
      let room = min(queue.roomLeft, bytesMax &+ 1 &- queue.count, Int(UInt32.max))
      stream.pointee.next_out = place.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_out = UInt32(room)
      let result = inflate(stream, Z_SYNC_FLUSH)
      let left = Int(stream.pointee.avail_out)
      queue.commit(room - left)
      if queue.count > bytesMax { return .tooLarge }
      switch result {
      case Z_OK: if stream.pointee.avail_in == 0, left > 0 { return .complete }
      // No progress is possible: all input is used up.
      case Z_BUF_ERROR: return stream.pointee.avail_in == 0 ? .complete : .corrupt
      // A block marked as the last ends no stream here, only itself (RFC 7692, 7.2.3.4); the window stays.
      case Z_STREAM_END:
        inflateResetKeep(stream)
        if stream.pointee.avail_in == 0 { return .complete }
      default: return .corrupt
      }
    }
  }
}
