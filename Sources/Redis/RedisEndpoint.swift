/// Where a server listens: `redis://HOST:PORT/DB` or `unix:///path/of.sock?db=DB`.
///
/// An address never holds credentials, because addresses are shown in errors, logs and process lists.
public struct RedisEndpoint: Equatable, Sendable, CustomStringConvertible {
  public enum Place: Equatable, Sendable {
    case host(String, port: UInt16)
    case socket(path: String)
  }

  /// Why an address cannot be used. It never repeats the address, which may hold a password.
  public struct Problem: Error, Equatable, CustomStringConvertible {
    public let description: String
  }

  public var place: Place
  public var database: Int

  public static let databaseMax = 1023

  public init(_ place: Place, database: Int = 0) {
    self.place = place
    self.database = database
  }

  /// - Throws: ``Problem``
  public init(_ url: String) throws(Problem) {
    guard url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw Problem(description: "must be ASCII without spaces")
    }
    if url.hasPrefix("redis://") {
      try self.init(authorityAndPath: url.dropFirst("redis://".utf8.count))
    } else if url.hasPrefix("unix:") {
      try self.init(path: url.dropFirst("unix:".utf8.count))
    } else {
      throw Problem(description: "must be redis://HOST:PORT[/DB] or unix:///PATH[?db=DB]")
    }
  }

  private init(authorityAndPath text: Substring) throws(Problem) {
    let authority = text.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    if authority.contains("@") {
      throw Problem(
        description: "must not hold credentials; give the password by REDIS_PASSWORD or redis.password_file")
    }
    var host = authority
    var port: UInt16 = 6379
    let bracket = authority.lastIndex(of: "]") ?? authority.startIndex
    if let colon = authority[bracket...].lastIndex(of: ":") {
      host = authority[..<colon]
      guard let number = UInt16(authority[authority.index(after: colon)...]), number > 0 else {
        throw Problem(description: "names no port between 1 and 65535")
      }
      port = number
    }
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    guard !host.isEmpty else { throw Problem(description: "names no host") }
    let path = text[authority.endIndex...]
    self.init(
      .host(String(host), port: port),
      database: path.isEmpty || path == "/"
        ? 0 : try RedisEndpoint.database(path.dropFirst()))
  }

  private init(path text: Substring) throws(Problem) {
    var path = text.prefix { $0 != "?" }
    let query = text[path.endIndex...]
    while path.hasPrefix("//") { path = path.dropFirst() }
    // sockaddr_un holds 107 bytes and a zero.
    guard path.hasPrefix("/"), !path.hasSuffix("/"), path.utf8.count <= 107 else {
      throw Problem(description: "must name the socket by its absolute path of at most 107 bytes")
    }
    var database = 0
    if !query.isEmpty {
      guard query.hasPrefix("?db=") else { throw Problem(description: "may only be followed by ?db=DB") }
      database = try RedisEndpoint.database(query.dropFirst(4))
    }
    self.init(.socket(path: String(path)), database: database)
  }

  private static func database(_ text: Substring) throws(Problem) -> Int {
    guard let number = Int(text), (0...databaseMax).contains(number) else {
      throw Problem(description: "must end with a database's number from 0 to \(databaseMax)")
    }
    return number
  }

  /// The address as it can be given again.
  public var description: String {
    switch place {
    case .host(let host, let port):
      let name = host.contains(":") ? "[\(host)]" : host
      return "redis://\(name):\(port)" + (database == 0 ? "" : "/\(database)")
    case .socket(let path): return "unix://\(path)" + (database == 0 ? "" : "?db=\(database)")
    }
  }
}
