import Core
import Glibc

/// Why an export or an alert's delivery cannot be set up, and what to do.
public struct ExportError: Error, Equatable, Sendable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}

/// What proves to a server who we are. It shows itself nowhere: its description, its mirror and
/// ``redact(_:)`` hide it.
public struct ExportCredentials: Sendable, CustomStringConvertible, CustomReflectable {
  private enum Kind: Sendable {
    case none
    case token(String)
    case user(String, password: String)
  }

  private let kind: Kind

  private init(_ kind: Kind) { self.kind = kind }

  public static let none = ExportCredentials(.none)

  /// - Throws: ``ExportError`` when a header cannot carry it.
  public static func token(_ token: String) throws(ExportError) -> ExportCredentials {
    try check(token, "the token")
    return token.isEmpty ? .none : ExportCredentials(.token(token))
  }

  /// For Basic authentication.
  ///
  /// - Throws: ``ExportError`` when a header cannot carry it.
  public static func user(_ user: String, password: String) throws(ExportError) -> ExportCredentials {
    try check(user, "the user name")
    try check(password, "the password")
    if user.utf8.contains(0x3A) { throw ExportError("the user name must not contain a colon") }
    return ExportCredentials(.user(user, password: password))
  }

  /// `TIMESERIES_TOKEN`, else `TIMESERIES_USER` with `TIMESERIES_PASSWORD`, else the file's first line, which
  /// is the token from its first to its last character.
  ///
  /// - Parameter tokenFile: empty for none.
  /// - Throws: ``ExportError`` for a file that others may read, or with nothing in it.
  public static func load(environment: [String: String], tokenFile: String) throws(ExportError)
    -> ExportCredentials
  {
    if let token = environment["TIMESERIES_TOKEN"], !token.isEmpty { return try self.token(token) }
    if let user = environment["TIMESERIES_USER"], !user.isEmpty {
      return try self.user(user, password: environment["TIMESERIES_PASSWORD"] ?? "")
    }
    return tokenFile.isEmpty ? .none : try token(read(tokenFile))
  }

  private static let fileBytesMax = 4096

  /// Asks the opened file, so that it cannot be changed for another in between, and never waits for a pipe.
  static func read(_ path: String) throws(ExportError) -> String {
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw ExportError("\(FileError("open", path))") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw ExportError("\(path) is no regular file; name one that holds the token")
    }
    if status.st_mode & 0o077 != 0 {
      let mode = String(status.st_mode & 0o777, radix: 8)
      throw ExportError(
        "\(path) holds a token and others may use it (mode 0\(mode)); do: chmod 600 \(path)")
    }
    var buffer = [UInt8](repeating: 0, count: fileBytesMax)
    let count = Glibc.read(descriptor, &buffer, buffer.count)
    guard count >= 0 else { throw ExportError("\(FileError("read", path))") }
    let line = String(decoding: buffer[..<count], as: UTF8.self).split { $0.isNewline }.first ?? ""
    if line.allSatisfy(\.isWhitespace) { throw ExportError("\(path) is empty; write the token into it") }
    return String(line)
  }

  private static func check(_ text: String, _ what: String) throws(ExportError) {
    guard text.utf8.count <= fileBytesMax, text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
      throw ExportError("\(what) must be at most \(fileBytesMax) printable ASCII characters")
    }
  }

  /// The `Authorization` field's value; nil without credentials.
  ///
  /// - Parameter scheme: what stands before a token: `Token` for InfluxDB, `Bearer` elsewhere.
  func authorization(scheme: String) -> String? {
    switch kind {
    case .none: nil
    case .token(let token): "\(scheme) \(token)"
    case .user(let user, let password): "Basic \(ExportCredentials.basic(user, password))"
    }
  }

  private static func basic(_ user: String, _ password: String) -> String {
    ExportText.base64(Array("\(user):\(password)".utf8))
  }

  /// The text with the secrets taken out: a server may send back what it was sent.
  func redact(_ text: String) -> String {
    let secrets: [String] =
      switch kind {
      case .none: []
      case .token(let token): [token]
      case .user(let user, let password): [ExportCredentials.basic(user, password), password]
      }
    return secrets.filter { !$0.isEmpty }.reduce(text) { $0.replacing($1, with: "***") }
  }

  public var description: String {
    switch kind {
    case .none: "none"
    case .token: "token"
    case .user: "user and password"
    }
  }

  public var customMirror: Mirror { Mirror(self, children: []) }
}
