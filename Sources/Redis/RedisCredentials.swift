import Core
import Glibc

/// What proves to a server who we are. It shows itself nowhere: description and mirror hide it.
public struct RedisCredentials: Sendable, CustomStringConvertible, CustomReflectable {
  /// Why the password cannot be had, and what to do.
  public struct Problem: Error, Equatable, CustomStringConvertible {
    public let description: String
  }

  let user: String?
  let password: String?

  public static let none = RedisCredentials(user: nil, password: nil)

  /// - Parameter user: of an ACL; nil for the default user.
  public init(user: String? = nil, password: String?) {
    self.user = user
    self.password = password
  }

  /// `REDIS_PASSWORD` (with `REDIS_USER` where the server knows users), else the file's first line.
  ///
  /// - Parameter passwordFile: empty for none.
  /// - Throws: ``Problem`` for a file that others may read, or with nothing in it.
  public static func load(
    environment: [String: String], passwordFile: String
  ) throws(Problem) -> RedisCredentials {
    let user = environment["REDIS_USER"].flatMap { $0.isEmpty ? nil : $0 }
    if let password = environment["REDIS_PASSWORD"], !password.isEmpty {
      return RedisCredentials(user: user, password: password)
    }
    guard !passwordFile.isEmpty else { return .none }
    return RedisCredentials(user: user, password: try read(passwordFile))
  }

  private static let fileBytesMax = 4096

  /// Asks the opened file, so that it cannot be changed for another in between, and never waits for a pipe.
  private static func read(_ path: String) throws(Problem) -> String {
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw Problem(description: "\(FileError("open", path))") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw Problem(description: "\(path) is no regular file; name one that holds the password")
    }
    if status.st_mode & 0o077 != 0 {
      let mode = String(status.st_mode & 0o777, radix: 8)
      throw Problem(
        description: "\(path) holds a password and others may use it (mode 0\(mode)); do: chmod 600 \(path)")
    }
    var buffer = [UInt8](repeating: 0, count: fileBytesMax)
    let count = Glibc.read(descriptor, &buffer, buffer.count)
    guard count >= 0 else { throw Problem(description: "\(FileError("read", path))") }
    let line = String(decoding: buffer[..<count], as: UTF8.self).split { $0.isNewline }.first ?? ""
    if line.isEmpty { throw Problem(description: "\(path) is empty; write the password into it") }
    return String(line)
  }

  public var description: String { password == nil ? "none" : user == nil ? "password" : "user and password" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
