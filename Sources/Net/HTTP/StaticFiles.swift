import Core
import Glibc

/// Serves the files of a folder to GET and HEAD, with entity tags.
///
/// A path leads to a file in the folder or to nothing: `..`, empty and hidden parts (`.name`), backslashes
/// and links that lead out of the folder answer 404, like what isn't there. Large files are sent as the
/// client takes them. Browsers are asked to check back each time (`no-cache`), which costs them a 304.
public struct StaticFiles: Sendable {
  /// Smaller files are sent in one piece.
  static let wholeBytesMax = 256 << 10

  private let folder: String
  public var indexName = "index.html"
  /// Sent with each file.
  public var headers: HTTPHeaders = ["Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"]

  /// - Throws: `FileError` when there is no such folder.
  public init(folder: String) throws(FileError) {
    guard Files.isFolder(folder), let real = StaticFiles.resolve(folder) else {
      throw FileError("serve the folder", folder, code: errno == 0 ? ENOTDIR : errno)
    }
    self.folder = real
  }

  /// Answers a request.
  ///
  /// - Parameter path: the file's path in the folder, from its slash on; nil for the request's.
  public func respond(_ request: HTTPRequest, _ responder: HTTPResponder, path: String? = nil) {
    guard request.method == "GET" || request.method == "HEAD" else {
      responder.fail(405, "files can only be read", headers: ["Allow": "GET, HEAD"])
      return
    }
    let path = path ?? request.path
    guard var file = find(path) else {
      responder.fail(404, "there is no such file")
      return
    }
    if Files.isFolder(file) {
      guard path.hasSuffix("/") else {
        // Links in the page are relative to the folder. The path has no empty parts, so this stays here.
        let target = path.split(separator: "/").map { PercentCoding.encode(String($0)) }
        let query = request.query.map { "?" + $0 } ?? ""
        responder.respond(
          308, headers: ["Location": "/" + target.joined(separator: "/") + "/" + query])
        return
      }
      guard let index = find(path + indexName) else {
        responder.fail(404, "there is no such file")
        return
      }
      file = index
    }
    send(file, request, responder)
  }

  /// The file's real path, if it is one of the folder's.
  private func find(_ path: String) -> String? {
    guard path.hasPrefix("/") else { return nil }
    var parts = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    if parts.last == "" { parts.removeLast() }
    let isPlain = parts.allSatisfy {
      !$0.isEmpty && !$0.hasPrefix(".") && !$0.utf8.contains(0x5C) && !$0.utf8.contains(0)
    }
    guard isPlain, let real = StaticFiles.resolve(folder + "/" + parts.joined(separator: "/")) else {
      return nil
    }
    return real == folder || real.hasPrefix(folder == "/" ? "/" : folder + "/") ? real : nil
  }

  private func send(_ file: String, _ request: HTTPRequest, _ responder: HTTPResponder) {
    let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    var status = stat()
    guard descriptor >= 0, fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      if descriptor >= 0 { close(descriptor) }
      responder.fail(404, "there is no such file")
      return
    }
    let size = Int(status.st_size)
    var fields = headers
    let tag = StaticFiles.tag(status)
    fields.set("ETag", tag)
    let type = ContentType(fileName: file)
    if ETag.matches(request.value("If-None-Match"), tag) {
      close(descriptor)
      responder.respond(304, headers: fields)
      return
    }
    if size <= StaticFiles.wholeBytesMax {
      defer { close(descriptor) }
      responder.respond(200, headers: fields, type: type) { output in
        let place = output.room(max(1, size))
        var count = 0
        while count < size {
          let read = Glibc.read(descriptor, place + count, size - count)
          if read > 0 { count += read } else if read == 0 || errno != EINTR { break }
        }
        output.commit(count)
      }
      return
    }
    let body = responder.stream(200, headers: fields, type: type, length: size)
    let sender = FileSender(body, descriptor, size)
    if request.method == "HEAD" { return body.finish() }
    sender.start()
  }

  /// From what changes when the content does: size, time of change, and which file it is.
  private static func tag(_ status: stat) -> String {
    var writer = ByteWriter(capacity: 64)
    writer.append(byte: 0x22)
    for part in [Int(status.st_ino), Int(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec] {
      writer.append(hex: UInt64(bitPattern: Int64(part)), digits: 16)
    }
    writer.append(byte: 0x22)
    return writer.string()
  }

  private static func resolve(_ path: String) -> String? {
    errno = 0
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }
}

/// Sends a large file as far as its client takes it. The stream's closures keep it while the stream is open.
private final class FileSender {
  private let body: HTTPBodyStream
  private let descriptor: Int32
  private var position = 0
  private var left: Int

  init(_ body: HTTPBodyStream, _ descriptor: Int32, _ size: Int) {
    self.body = body
    self.descriptor = descriptor
    left = size
  }

  deinit { close(descriptor) }

  func start() {
    guard body.isOpen else { return }
    body.onDrained = { self.goOn() }
    body.onClosed = { self.left = 0 }
    goOn()
  }

  private func goOn() {
    withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { piece in
      while left > 0, body.isOpen {
        let count = pread(descriptor, piece.baseAddress, min(piece.count, left), position)
        if count < 0, errno == EINTR { continue }
        // It became shorter meanwhile: the client must not take this for the whole.
        guard count > 0 else { return body.abort() }
        // Refused bytes are read again when there is room.
        guard body.write(UnsafeRawBufferPointer(rebasing: piece[0..<count])) else { return }
        left -= count
        position += count
      }
    }
    if left == 0 { body.finish() }
  }
}
