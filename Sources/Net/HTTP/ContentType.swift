/// The type of a body, as its Content-Type field says. It is part of the program, never of somebody's input.
public struct ContentType: Sendable, Equatable, ExpressibleByStringLiteral {
  public let value: String

  public init(stringLiteral value: String) {
    precondition(
      HTTPText.isSendable(HTTPHeaders.Field(name: "Content-Type", value: value)), "no line breaks in a type")
    self.value = value
  }

  public static let json: ContentType = "application/json"
  public static let jsonLines: ContentType = "application/x-ndjson"
  public static let text: ContentType = "text/plain; charset=utf-8"
  public static let html: ContentType = "text/html; charset=utf-8"
  public static let events: ContentType = "text/event-stream"
  public static let bytes: ContentType = "application/octet-stream"

  /// By a file name's ending; ``bytes`` for unknown ones.
  public init(fileName: String) {
    let name = fileName.split(separator: "/").last ?? ""
    let ending = name.lastIndex(of: ".").map { name[name.index(after: $0)...].lowercased() } ?? ""
    self = ContentType.endings[ending] ?? .bytes
  }

  private static let endings: [String: ContentType] = [
    "html": .html, "htm": .html, "txt": .text, "md": .text, "log": .text, "yaml": .text, "yml": .text,
    "json": .json, "map": .json, "jsonl": .jsonLines, "ndjson": .jsonLines,
    "js": "text/javascript; charset=utf-8", "mjs": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8", "csv": "text/csv; charset=utf-8", "svg": "image/svg+xml",
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif",
    "webp": "image/webp", "ico": "image/x-icon", "woff": "font/woff", "woff2": "font/woff2",
    "wasm": "application/wasm", "pdf": "application/pdf", "xml": "application/xml",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "webmanifest": "application/manifest+json",
  ]
}
