import Core
import Glibc

/// ``SignalFeed`` over JSON lines.
final class LineFeed: FeedReader {
  private(set) var rowsRead: Int64
  private(set) var newestTime: UnixNanos?
  private(set) var linesUnreadable = 0
  private(set) var firstBadLine: JSONLReader.BadLine?

  private let folder: String
  private let confirmedOnly: Bool
  /// The hour being read, without suffix; empty before the first.
  private var name: String
  /// Of the next line's first byte.
  private var offset: Int
  private var descriptor: Int32 = -1
  private let buffer: UnsafeMutableRawBufferPointer
  /// The bytes read and not taken: `buffer[start..<end]`, at `offset + skipped` in the file.
  private var start = 0
  private var end = 0
  /// Bytes of an overlong line that were dropped.
  private var skipped = 0
  /// A later file was seen; what is here now is all there will be.
  private var isComplete = false

  init(runFolder: String, confirmedOnly: Bool, from position: SignalPosition) {
    folder = SignalFiles.jsonlFolder(runFolder)
    self.confirmedOnly = confirmedOnly
    buffer = .allocate(byteCount: 4 * LineReader.lineBytesMax, alignment: 16)
    if case .line(let file, let offset) = position.place {
      name = file
      self.offset = offset
      rowsRead = position.rows
    } else {
      name = ""
      offset = 0
      rowsRead = 0
    }
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
    buffer.deallocate()
  }

  var position: SignalPosition {
    name.isEmpty ? SignalPosition() : SignalPosition(.line(file: name, offset: offset), rows: rowsRead)
  }

  func step(isLast: Bool) throws(SignalStoreError) -> SignalFeed.Step {
    while true {
      if descriptor < 0, try !open() { return .idle }
      if let newline = memchr(buffer.baseAddress! + start, 0x0A, end - start) {
        return take(UnsafeRawPointer(newline) - UnsafeRawPointer(buffer.baseAddress!))
      }
      if end - start > LineReader.lineBytesMax {
        skipped += end - start
        start = 0
        end = 0
      }
      if try fill() { continue }
      forget()
      if isComplete {
        try leave()
      } else if try next(after: name) != nil {
        isComplete = true
      } else {
        dropIfRemoved()
        return .idle
      }
    }
  }

  // MARK: Lines

  private func take(_ newline: Int) -> SignalFeed.Step {
    let line = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[start..<newline])
    let isTooLong = skipped > 0 || line.count > LineReader.lineBytesMax
    let lineOffset = offset
    offset += skipped + line.count + 1
    start = newline + 1
    skipped = 0
    if isTooLong { return unreadable(at: lineOffset, "a line longer than any row") }
    if confirmedOnly, !LineFeed.contains(line, "\"confirm\":true") {
      rowsRead += 1
      if let time = LineFeed.receiveTime(line) { newestTime = time }
      return .passed
    }
    var row = StoredRow()
    if let problem = row.read(line) { return unreadable(at: lineOffset, problem) }
    rowsRead += 1
    newestTime = row.receiveTime
    return confirmedOnly && !row.isConfirmed ? .passed : .row(row)
  }

  private func unreadable(at lineOffset: Int, _ problem: String) -> SignalFeed.Step {
    linesUnreadable += 1
    if firstBadLine == nil {
      firstBadLine = JSONLReader.BadLine(
        path: folder + "/" + name + SignalFiles.finishedSuffix, line: 0,
        problem: "byte \(lineOffset): \(problem)")
    }
    return .passed
  }

  /// A key with its quotes cannot occur within a string, where quotes are escaped.
  private static func contains(_ line: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
    place(line, text) != nil
  }

  private static func place(_ line: UnsafeRawBufferPointer, _ text: StaticString) -> Int? {
    let length = text.utf8CodeUnitCount
    let first = Int32(text.utf8Start[0])
    var from = 0
    while line.count - from >= length,
      let found = memchr(line.baseAddress! + from, first, line.count - from - length + 1)
    {
      let place = UnsafeRawPointer(found) - line.baseAddress!
      if memcmp(found, text.utf8Start, length) == 0 { return place }
      from = place + 1
    }
    return nil
  }

  private static func receiveTime(_ line: UnsafeRawBufferPointer) -> UnixNanos? {
    let key: StaticString = "\"recv_ns\":"
    guard let place = place(line, key) else { return nil }
    var cursor = JSONCursor(line)
    cursor.move(to: place + key.utf8CodeUnitCount)
    return cursor.integer().map { UnixNanos($0) }
  }

  // MARK: Bytes

  /// - Returns: false at the end of the file.
  private func fill() throws(SignalStoreError) -> Bool {
    let left = end - start
    if start > 0, left > 0 {
      buffer.baseAddress!.copyMemory(from: buffer.baseAddress! + start, byteCount: left)
    }
    start = 0
    end = left
    while true {
      let count = pread(
        descriptor, buffer.baseAddress! + end, buffer.count - end, off_t(offset + skipped + left))
      if count < 0 {
        if errno == EINTR { continue }
        throw .file(FileError("read", folder + "/" + name))
      }
      end += count
      return count > 0
    }
  }

  private func forget() {
    start = 0
    end = 0
    skipped = 0
  }

  // MARK: Files

  /// Opens the current hour's file, or the first one after it.
  private func open() throws(SignalStoreError) -> Bool {
    if name.isEmpty || !isThere(name) {
      guard let next = try next(after: name) else { return false }
      name = next
      offset = 0
    }
    // A rename between two of these may hide it once.
    for suffix in [SignalFiles.finishedSuffix, SignalFiles.openSuffix, SignalFiles.finishedSuffix] {
      descriptor = Glibc.open(folder + "/" + name + suffix, O_RDONLY | O_CLOEXEC)
      if descriptor >= 0 { break }
      if errno != ENOENT { throw .file(FileError("open", folder + "/" + name + suffix)) }
    }
    forget()
    isComplete = false
    return descriptor >= 0
  }

  private func isThere(_ name: String) -> Bool {
    [SignalFiles.finishedSuffix, SignalFiles.openSuffix, SignalFiles.finishedSuffix].contains {
      Files.exists(folder + "/" + name + $0)
    }
  }

  /// On to the next hour.
  private func leave() throws(SignalStoreError) {
    guard let next = try next(after: name) else {
      isComplete = false
      return
    }
    close(descriptor)
    descriptor = -1
    name = next
    offset = 0
  }

  /// A part without rows is removed when its writer resumes: then the name comes back as another file.
  private func dropIfRemoved() {
    var status = stat()
    if fstat(descriptor, &status) == 0, status.st_nlink > 0 { return }
    close(descriptor)
    descriptor = -1
  }

  /// The first hour after one that has a file.
  ///
  /// A listing may miss a file that is renamed meanwhile. So what one listing finds is looked for again in a
  /// second: a file before it was renamed before it was made, thus before the second listing.
  private func next(after name: String) throws(SignalStoreError) -> String? {
    guard try hours().first(where: { $0 > name }) != nil else { return nil }
    return try hours().first { $0 > name }
  }

  private func hours() throws(SignalStoreError) -> [String] {
    if !Files.isFolder(folder) { return [] }
    let names = try storing { () throws(FileError) in try Files.list(folder) }
    return names.compactMap { name -> String? in
      guard name.hasPrefix("signals-") else { return nil }
      for suffix in [SignalFiles.openSuffix, SignalFiles.finishedSuffix] where name.hasSuffix(suffix) {
        return String(name.dropLast(suffix.utf8.count))
      }
      return nil
    }
  }

  var bytesBehind: Int {
    var sum = 0
    for hour in (try? hours()) ?? [] where hour >= name {
      for suffix in [SignalFiles.finishedSuffix, SignalFiles.openSuffix] {
        var status = stat()
        if stat(folder + "/" + hour + suffix, &status) == 0 {
          sum += Int(status.st_size)
          break
        }
      }
    }
    return max(0, sum - offset)
  }
}
