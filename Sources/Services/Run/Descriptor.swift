import CSystem
import Glibc

/// A descriptor that is closed unless it is given away.
struct Descriptor: ~Copyable {
  let number: Int32

  init(_ number: Int32) { self.number = number }

  deinit { close(number) }

  consuming func take() -> Int32 {
    let taken = number
    discard self
    return taken
  }

  /// A process that was started without standard input has descriptor 0 to give away, and a child's own
  /// would be put over it.
  fileprivate consuming func aboveStandard() throws(RunError) -> Descriptor {
    if number > 2 { return self }
    let moved = fcntl(number, F_DUPFD_CLOEXEC, 3)
    guard moved >= 0 else { throw .system("move a descriptor", errno) }
    return Descriptor(moved)
  }
}

/// Both ends of a pipe, closed on exec.
struct Pipe: ~Copyable {
  enum End { case reading, writing }

  let reading: Descriptor
  let writing: Descriptor

  /// - Parameter ours: the end that stays with this process and doesn't block.
  init(ours: End) throws(RunError) {
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC) == 0 else { throw .system("make a pipe", errno) }
    let own = ends[ours == .reading ? 0 : 1]
    _ = fcntl(own, F_SETFL, fcntl(own, F_GETFL) | O_NONBLOCK)
    let first = Descriptor(ends[0])
    let second = Descriptor(ends[1])
    let reading = try first.aboveStandard()
    let writing = try second.aboveStandard()
    self.reading = reading
    self.writing = writing
  }
}
