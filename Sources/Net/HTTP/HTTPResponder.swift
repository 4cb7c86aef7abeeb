import Core

/// Answers one request, at once or later, exactly once; a second answer is a bug and traps.
///
/// Later answers go out in the order of the requests. When connection, server or loop are gone, answering
/// does nothing. Dropped unanswered, it answers 500.
public final class HTTPResponder {
  private var owner: HTTPServerConnection?
  private let sequence: Int
  private let head: HTTPHead
  private var isAnswered = false

  init(_ owner: HTTPServerConnection, sequence: Int, head: HTTPHead) {
    self.owner = owner
    self.sequence = sequence
    self.head = head
  }

  deinit {
    if !isAnswered { owner?.fail(sequence, 500, "the request was not answered") }
  }

  /// Whether somebody still waits for the answer.
  public var isOpen: Bool { !isAnswered && owner?.index(of: sequence) != nil }

  private func take() -> HTTPServerConnection? {
    precondition(!isAnswered, "a request is answered once")
    isAnswered = true
    let taken = owner
    owner = nil
    return taken
  }

  // MARK: Whole answers

  /// Answers with a whole body; its length and the date are added, `Connection: close` is honoured.
  ///
  /// - Returns: false when nobody waits any more, or when a field holds a line break or another character
  ///   that may not be sent; the client gets 500 then.
  @discardableResult
  public func respond(
    _ status: Int, headers: HTTPHeaders = [:], type: ContentType? = nil, body: UnsafeRawBufferPointer
  ) -> Bool {
    take()?.answer(sequence, status, headers, type, body) ?? false
  }

  @discardableResult
  public func respond(
    _ status: Int, headers: HTTPHeaders = [:], type: ContentType? = nil, body: [UInt8]
  ) -> Bool {
    body.withUnsafeBytes { respond(status, headers: headers, type: type, body: $0) }
  }

  @discardableResult
  public func respond(
    _ status: Int, headers: HTTPHeaders = [:], type: ContentType? = .text, body: String
  ) -> Bool {
    var body = body
    return body.withUTF8 {
      respond(status, headers: headers, type: type, body: UnsafeRawBufferPointer($0))
    }
  }

  /// Answers without content.
  @discardableResult
  public func respond(_ status: Int, headers: HTTPHeaders = [:]) -> Bool {
    respond(status, headers: headers, type: nil, body: UnsafeRawBufferPointer(start: nil, count: 0))
  }

  @discardableResult
  public func respond(_ status: Int, headers: HTTPHeaders = [:], json: JSONValue) -> Bool {
    var writer = ByteWriter()
    json.write(to: &writer)
    return respond(status, headers: headers, type: .json, body: writer.bytes)
  }

  /// Answers with content that `writing` appends to the connection's output itself: the fast way.
  @discardableResult
  public func respond(
    _ status: Int, headers: HTTPHeaders = [:], type: ContentType?, writing content: (ByteQueue) -> Void
  ) -> Bool {
    take()?.answer(sequence, status, headers, type, writing: content) ?? false
  }

  /// Answers `{"error": message}`.
  @discardableResult
  public func fail(_ status: Int, _ message: String, headers: HTTPHeaders = [:]) -> Bool {
    respond(status, headers: headers, json: .object(["error": .string(message)]))
  }

  // MARK: Other answers

  /// Begins an answer whose body is written bit by bit: in chunks, or undivided when `length` is given.
  public func stream(
    _ status: Int, headers: HTTPHeaders = [:], type: ContentType? = nil, length: Int? = nil
  ) -> HTTPBodyStream {
    HTTPBodyStream(take(), sequence, status, headers, type, length: length, isEvents: false)
  }

  /// Begins a stream of server-sent events.
  public func events(_ options: EventStreamOptions = EventStreamOptions()) -> EventStream {
    let lastEventID = head.value("last-event-id").map { head.text($0) }
    let owner = take()
    let loop = owner?.core?.loop
    let body = HTTPBodyStream(
      owner, sequence, 200, ["Cache-Control": "no-store"], .events, length: nil, isEvents: true)
    return EventStream(body, options, lastEventID: lastEventID, on: loop)
  }

  /// Drops the connection without an answer, as an overloaded or broken server would.
  public func abort() { take()?.abort() }

  /// Like ``abort()``, and the client sees a reset.
  public func reset() { take()?.reset() }

  /// Takes the connection from the server, to go on in another protocol; what the client has sent after the
  /// request is in its input. The caller sets the delegate and must keep an owner of it.
  ///
  /// Nothing has been answered yet. The request's body ends with this call.
  ///
  /// - Returns: nil when the connection is gone, when other requests came before or after this one, or when this
  ///   one is of HTTP/1.0; the request can be answered as usual then.
  public func takeConnection() -> Connection? {
    precondition(!isAnswered, "a request is answered once")
    guard let connection = owner?.take(sequence) else { return nil }
    isAnswered = true
    owner = nil
    return connection
  }
}
