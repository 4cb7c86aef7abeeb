import Core
import Glibc

/// Wakes a reader when a tape grows (inotify), so that tailing never polls.
///
/// Make it before the reader's first block: growth between reading to the end and waiting is then not missed.
/// ```
/// var tailer = try TapeTailer(folder: folder)
/// var reader = try TapeReader(folder: folder)
/// while running {
///   while let block = try reader.nextBlock() { … }
///   _ = try tailer.waitForGrowth(timeoutMs: 1000)
///   try reader.refresh()
/// }
/// ```
public struct TapeTailer: ~Copyable {
  public let folder: String
  /// Readable when the folder has changed; for an event loop that waits on many things. Drain it with
  /// ``waitForGrowth(timeoutMs:)`` and a timeout of 0.
  public let descriptor: Int32
  private let events: UnsafeMutableRawBufferPointer

  public init(folder: String) throws(TapeError) {
    self.folder = folder
    descriptor = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
    events = .allocate(byteCount: 16 << 10, alignment: 16)
    guard descriptor >= 0 else { throw .file(FileError("watch", folder)) }
    if inotify_add_watch(descriptor, folder, UInt32(IN_MODIFY | IN_CREATE | IN_MOVED_TO)) < 0 {
      throw .file(FileError("watch", folder))
    }
  }

  deinit {
    if descriptor >= 0 { Glibc.close(descriptor) }
    events.deallocate()
  }

  /// Waits until a plain segment was created or written to.
  ///
  /// - Returns: false when the time ran out or a signal came first.
  public mutating func waitForGrowth(timeoutMs: Int) throws(TapeError) -> Bool {
    let deadline = PaceClock.milliseconds() + Int64(timeoutMs)
    while true {
      if try drain() { return true }
      let left = max(0, deadline - PaceClock.milliseconds())
      var descriptors = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let ready = poll(&descriptors, 1, Int32(clamping: left))
      if ready == 0 { return false }
      if ready < 0 {
        if errno == EINTR { return false }
        throw .file(FileError("wait for changes of", folder))
      }
    }
  }

  /// Takes all events; true when one was about a segment.
  private func drain() throws(TapeError) -> Bool {
    var hasGrown = false
    while true {
      let count = read(descriptor, events.baseAddress, events.count)
      if count < 0 {
        if errno == EINTR { continue }
        if errno == EAGAIN { return hasGrown }
        throw .file(FileError("wait for changes of", folder))
      }
      var offset = 0
      let head = MemoryLayout<inotify_event>.size
      while offset + head <= count {
        let event = UnsafeRawPointer(events.baseAddress! + offset).loadUnaligned(as: inotify_event.self)
        // An overflown queue has lost events, so growth must be assumed.
        if event.mask & UInt32(IN_Q_OVERFLOW) != 0 { hasGrown = true }
        let name = UnsafeRawPointer(events.baseAddress! + offset + head).assumingMemoryBound(to: CChar.self)
        if event.len > 0, String(cString: name).hasSuffix(".ndjson") { hasGrown = true }
        offset += head + Int(event.len)
      }
    }
  }
}
