import Net

/// What went wrong with a ClickHouse server, and what to do about it.
public enum ClickHouseError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The way to the server failed before or after it did what was asked: nobody knows which.
  case transport(String)
  /// The server refused, with its code (0 where it names none), the HTTP status and its message. The status
  /// is 200 where the exception came after the answer had begun.
  case server(code: Int, status: Int, String)
  /// An answer that is none to what was asked.
  case answer(String)
  /// The tables are not those of this version.
  case schema(String)
  /// The state folder, the tape and the server do not belong together.
  case position(String)
  /// A setting that cannot be used.
  case setting(String)

  /// Whether the same request may succeed later, without anybody doing anything.
  public var isTransient: Bool {
    switch self {
    case .transport: true
    case .server(let code, let status, _):
      code == 0 ? status >= 500 || status == 408 || status == 429 : ClickHouseError.healing.contains(code)
    case .answer, .schema, .position, .setting: false
    }
  }

  /// Codes of states that pass: busy, out of quota or memory, read-only, without keeper, shutting down.
  ///
  /// Source: ClickHouse, src/Common/ErrorCodes.cpp.
  private static let healing: Set<Int> = [
    159, 160, 201, 202, 203, 209, 210, 216, 225, 236, 241, 242, 243, 244, 252, 279, 285, 286, 319, 341, 364,
    394, 439, 473, 499, 569, 574, 659, 677, 722, 733, 745, 999, 1000, 1001, 1002,
  ]

  public var description: String {
    switch self {
    case .transport(let what): what
    case .server(let code, let status, let message):
      "ClickHouse refused (\(code == 0 ? "HTTP status \(status)" : "code \(code)")): \(message)"
        + advice(code)
    case .answer(let what): "ClickHouse's answer cannot be used: \(what)"
    case .schema(let what): "\(what); run: weir clickhouse init, or name another clickhouse.database"
    case .position(let what), .setting(let what): what
    }
  }

  private func advice(_ code: Int) -> String {
    switch code {
    case 60, 81: "; run: weir clickhouse init"
    case 192, 193, 194, 516:
      "; check clickhouse.user, and CLICKHOUSE_PASSWORD or clickhouse.password_file"
    default: ""
    }
  }
}

extension ClickHouseError {
  /// The exception in an answer, if there is one: the whole body after a status other than 200, the end of
  /// the body when it came after rows had been sent (`Code: 395, e.displayText() = DB::Exception: …`, from
  /// 20.10 on
  /// `Code: 395. DB::Exception: …`).
  static func found(in response: HTTPResponse) -> ClickHouseError? {
    response.withBody { body in
      let tail = UnsafeRawBufferPointer(rebasing: body[max(0, body.count - exceptionBytesMax)...])
      if response.status == 200 {
        guard let start = exceptionStart(tail) else { return nil }
        return exception(UnsafeRawBufferPointer(rebasing: tail[start...]), 200, nil)
      }
      let code = response.headers["X-ClickHouse-Exception-Code"].flatMap { Int($0) }
      let head = UnsafeRawBufferPointer(rebasing: body[..<min(body.count, exceptionBytesMax)])
      return exception(head, response.status, code)
    }
  }

  private static let exceptionBytesMax = 16 << 10

  private static func exceptionStart(_ bytes: UnsafeRawBufferPointer) -> Int? {
    let code = Array("Code: ".utf8)
    guard bytes.count > code.count else { return nil }
    for start in stride(from: bytes.count - code.count, through: 0, by: -1)
    where bytes[start] == code[0] && bytes[start..<(start + code.count)].elementsEqual(code) {
      let line = String(decoding: bytes[start...].prefix { $0 != 0x0A }, as: UTF8.self)
      if line.contains("DB::Exception"), number(line) != nil { return start }
    }
    return nil
  }

  private static func number(_ text: String) -> Int? {
    guard text.hasPrefix("Code: ") else { return nil }
    return Int(text.dropFirst(6).prefix { $0.isNumber })
  }

  private static func exception(_ bytes: UnsafeRawBufferPointer, _ status: Int, _ code: Int?)
    -> ClickHouseError
  {
    let line = String(decoding: bytes.prefix { $0 != 0x0A }.prefix(1000), as: UTF8.self)
    let found = code ?? number(line) ?? 0
    var message = Substring(line)
    if let mark = message.range(of: "DB::Exception: ") { message = message[mark.upperBound...] }
    if let end = message.range(of: ", e.what()") { message = message[..<end.lowerBound] }
    let text = message.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : Character($0) }
    return .server(code: found, status: status, String(text))
  }
}

extension Substring {
  fileprivate func range(of text: String) -> Range<Index>? { firstRange(of: text) }
}
