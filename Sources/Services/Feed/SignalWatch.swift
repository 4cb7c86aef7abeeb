import Core
import Glibc
import Net
import Store

/// Wakes a follower when a run's signals may have grown: by inotify for JSON lines, every 200 ms for a
/// database, which tells nobody.
final class SignalWatch: EventSource {
  static let pollNs = 200 * Nanoseconds.millisecond

  private let grown: () -> Void
  private let events = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)

  /// Begins to watch. While there is no folder to watch, or no watch to be had, it asks as with a database.
  static func start(
    on loop: EventLoop, runFolder: String, source: SignalFeed.Source, grown: @escaping () -> Void
  ) {
    let folder = SignalFiles.jsonlFolder(runFolder)
    if source == .jsonl, Files.isFolder(folder), let watch = try? SignalWatch(folder, grown),
      (try? loop.add(watch, interest: .read)) != nil
    {
      // What was written before the watch began.
      return grown()
    }
    loop.after(pollNs) {
      grown()
      start(on: loop, runFolder: runFolder, source: source, grown: grown)
    }
  }

  private init(_ folder: String, _ grown: @escaping () -> Void) throws(FileError) {
    self.grown = grown
    super.init(descriptor: inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC)))
    guard descriptor >= 0,
      inotify_add_watch(
        descriptor, folder, UInt32(IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE)) >= 0
    else { throw FileError("watch", folder) }
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
    events.deallocate()
  }

  /// What changed does not matter: the feed looks for itself.
  override func ready(_ interest: Interest) {
    while read(descriptor, events.baseAddress, events.count) > 0 {}
    grown()
  }
}
