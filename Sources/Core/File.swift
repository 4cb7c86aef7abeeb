import Glibc

/// An operating-system error with what was being done, to which file, and what to do about it.
public struct FileError: Error, Equatable, CustomStringConvertible {
  public var operation: String
  public var path: String
  public var code: Int32

  public init(_ operation: String, _ path: String, code: Int32 = errno) {
    self.operation = operation
    self.path = path
    self.code = code
  }

  public var description: String {
    let reason = String(cString: strerror(code))
    let hint =
      switch code {
      case ENOENT: "; check the path"
      case EACCES, EPERM, EROFS: "; choose a folder you may write to, or change its permissions"
      case ENOSPC, EDQUOT: "; free some space or choose another disk"
      case EISDIR: "; name a file, not a folder"
      case EMFILE, ENFILE: "; raise the limit on open files (ulimit -n)"
      default: ""
      }
    return "cannot \(operation) \(path): \(reason)\(hint)"
  }
}

/// A file descriptor that is closed when it goes out of scope. All calls retry on `EINTR`.
public struct File: ~Copyable {
  public let descriptor: Int32
  public let path: String

  public enum Mode {
    case read
    /// Creates or empties.
    case write
    /// Creates; fails if it exists.
    case create
    /// Creates if absent, positions at the end.
    case append
  }

  public init(_ path: String, _ mode: Mode) throws(FileError) {
    let flags: Int32 =
      switch mode {
      case .read: O_RDONLY
      case .write: O_WRONLY | O_CREAT | O_TRUNC
      case .create: O_RDWR | O_CREAT | O_EXCL
      case .append: O_RDWR | O_CREAT | O_APPEND
      }
    let opened = open(path, flags | O_CLOEXEC, 0o644)
    guard opened >= 0 else { throw FileError(mode == .read ? "open" : "open for writing", path) }
    descriptor = opened
    self.path = path
  }

  deinit { close(descriptor) }

  /// - Returns: the number of bytes read; 0 at the end of the file.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
    while true {
      let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      if count >= 0 { return count }
      if errno != EINTR { throw FileError("read", path) }
    }
  }

  /// Writes all bytes or throws; on a full disk some may have been written.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    var done = 0
    while done < bytes.count {
      let count = Glibc.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
      if count > 0 { done += count } else if count < 0, errno != EINTR { throw FileError("write", path) }
    }
  }

  public func sync() throws(FileError) {
    if fdatasync(descriptor) != 0 { throw FileError("sync", path) }
  }

  public func size() throws(FileError) -> Int {
    var status = stat()
    if fstat(descriptor, &status) != 0 { throw FileError("examine", path) }
    return Int(status.st_size)
  }

  public func truncate(to length: Int) throws(FileError) {
    if ftruncate(descriptor, length) != 0 { throw FileError("shorten", path) }
  }

  public func seek(to offset: Int) throws(FileError) {
    if lseek(descriptor, offset, SEEK_SET) < 0 { throw FileError("seek in", path) }
  }
}

/// Whole-file and folder operations.
public enum Files {
  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  public static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Creates a folder and those above it.
  public static func makeFolder(_ path: String) throws(FileError) {
    var partial = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
      partial += part + "/"
      if mkdir(partial, 0o755) != 0, errno != EEXIST { throw FileError("create the folder", partial) }
    }
    if !isFolder(path) { throw FileError("use as a folder", path, code: ENOTDIR) }
  }

  /// Names in a folder, sorted by their bytes, without `.` and `..`.
  public static func list(_ path: String) throws(FileError) -> [String] {
    guard let folder = opendir(path) else { throw FileError("list", path) }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// The whole content. Files beyond `bytesMax` are refused with `EFBIG`.
  public static func read(_ path: String, bytesMax: Int = 1 << 30) throws(FileError) -> [UInt8] {
    let file = try File(path, .read)
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      var count = 0
      var failure: FileError?
      chunk.withUnsafeMutableBytes { buffer in
        do throws(FileError) { count = try file.read(into: buffer) } catch { failure = error }
      }
      if let failure { throw failure }
      if count == 0 { return content }
      if content.count + count > bytesMax { throw FileError("read whole", path, code: EFBIG) }
      content.append(contentsOf: chunk[0..<count])
    }
  }

  /// Writes a temporary file beside the target, syncs it and renames it, so that a reader sees the old or
  /// the new content and never a part.
  public static func writeAtomically(_ path: String, _ bytes: UnsafeRawBufferPointer) throws(FileError) {
    let temporary = path + ".tmp"
    do {
      let file = try File(temporary, .write)
      try file.write(bytes)
      try file.sync()
    } catch {
      unlink(temporary)
      throw error
    }
    try rename(temporary, path)
  }

  /// See ``writeAtomically(_:_:)-swift.type.method``.
  public static func writeAtomically(_ path: String, _ text: String) throws(FileError) {
    let bytes = Array(text.utf8)
    var failure: FileError?
    bytes.withUnsafeBytes { buffer in
      do throws(FileError) { try writeAtomically(path, buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  public static func remove(_ path: String) throws(FileError) {
    if unlink(path) != 0, errno != ENOENT { throw FileError("remove", path) }
  }

  public static func rename(_ from: String, _ to: String) throws(FileError) {
    if Glibc.rename(from, to) != 0 { throw FileError("rename to", to) }
  }

  /// Makes a rename or creation in a folder durable.
  public static func syncFolder(_ path: String) throws(FileError) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError("open the folder", path) }
    defer { close(descriptor) }
    if fsync(descriptor) != 0 { throw FileError("sync the folder", path) }
  }

  /// The last part of a path.
  public static func name(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }
}
