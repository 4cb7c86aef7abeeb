import Core
import Glibc

/// Writing answers: heads, whole bodies, chunks.
extension HTTPServerConnection {
  /// How an answer's content is delimited.
  enum Content {
    case length(Int)
    /// The length is not known yet; returned is where it will be written.
    case lengthToCome
    case chunked
    /// The answer ends with the connection: HTTP/1.0 has nothing better for unknown lengths.
    case untilEnd
    /// No content, and no length of any.
    case none
  }

  /// Digits kept free for a length that is not known yet; spaces before a field's value mean nothing.
  static let lengthDigits = 12

  static func hasNoContent(_ status: Int) -> Bool { status / 100 == 1 || status == 204 || status == 304 }

  /// Answers a request whole.
  ///
  /// - Returns: false when the answer cannot be sent any more, or its fields may not be sent: then 500 is.
  func answer(
    _ sequence: Int, _ status: Int, _ headers: HTTPHeaders, _ type: ContentType?,
    _ body: UnsafeRawBufferPointer
  ) -> Bool {
    guard let index = index(of: sequence), let connection else { return false }
    guard isSendable(headers) else {
      fail(sequence, 500, "the answer could not be sent")
      return false
    }
    let output = output(index, connection)
    if HTTPServerConnection.hasNoContent(status) {
      writeHead(index, status, headers, type, .none, output)
    } else {
      writeHead(index, status, headers, type, .length(body.count), output)
      if !exchanges[index].isHead { output.append(body) }
    }
    complete(index)
    return true
  }

  /// Answers with content that is written straight into the output; its length is filled in afterwards.
  func answer(
    _ sequence: Int, _ status: Int, _ headers: HTTPHeaders, _ type: ContentType?,
    writing content: (ByteQueue) -> Void
  ) -> Bool {
    guard let index = index(of: sequence), let connection else { return false }
    guard isSendable(headers), !HTTPServerConnection.hasNoContent(status) else {
      fail(sequence, 500, "the answer could not be sent")
      return false
    }
    let output = output(index, connection)
    let place = writeHead(index, status, headers, type, .lengthToCome, output)
    let start = output.count
    content(output)
    precondition(output.count >= start, "an answer only appends to the output")
    var rest = output.count - start
    var digit = place + HTTPServerConnection.lengthDigits
    repeat {
      digit -= 1
      output.bytes[digit] = 0x30 + UInt8(rest % 10)
      rest /= 10
    } while rest > 0
    if exchanges[index].isHead { output.removeLast(output.count - start) }
    complete(index)
    return true
  }

  /// Answers `{"error": message}`.
  func fail(_ sequence: Int, _ status: Int, _ message: String, _ headers: HTTPHeaders = [:]) {
    var writer = ByteWriter(capacity: 128)
    writer.append("{\"error\":")
    writer.append(jsonString: message)
    writer.append("}\n")
    _ = answer(sequence, status, headers, .json, writer.bytes)
  }

  func isSendable(_ headers: HTTPHeaders) -> Bool { headers.fields.allSatisfy { HTTPText.isSendable($0) } }

  /// Fields that say where the content ends are ours to write; given ones are dropped.
  ///
  /// - Returns: where the length goes, if it is to come.
  @discardableResult
  func writeHead(
    _ index: Int, _ status: Int, _ headers: HTTPHeaders, _ type: ContentType?, _ content: Content,
    _ output: ByteQueue
  ) -> Int {
    HTTPStatus.writeLine(status, to: output)
    core?.appendDate(answerNs, to: output)
    var hasType = false
    for field in headers.fields {
      switch field.name.utf8.count {
      case 10 where HTTPHeaders.same(field.name, "connection"):
        // An upgrade is answered by who takes the connection.
        if HTTPHeaders.same(field.value, "close") { exchanges[index].keepsAlive = false }
        continue
      case 12 where HTTPHeaders.same(field.name, "content-type"): hasType = true
      case 14 where HTTPHeaders.same(field.name, "content-length"): continue
      case 17 where HTTPHeaders.same(field.name, "transfer-encoding"): continue
      default: break
      }
      output.append(field.name)
      output.append(": ")
      output.append(field.value)
      output.append("\r\n")
    }
    if let type, !hasType {
      output.append("Content-Type: ")
      output.append(type.value)
      output.append("\r\n")
    }
    if case .untilEnd = content { exchanges[index].keepsAlive = false }
    if isLastOfStopping(index) { exchanges[index].keepsAlive = false }
    if !exchanges[index].keepsAlive {
      output.append("Connection: close\r\n")
    } else if exchanges[index].isVersion10 {
      output.append("Connection: keep-alive\r\n")
    }
    var place = 0
    switch content {
    case .length(let length):
      output.append("Content-Length: ")
      output.append(integer: length)
      output.append("\r\n\r\n")
    case .lengthToCome:
      output.append("Content-Length: ")
      place = output.count
      output.append("            \r\n\r\n")
    case .chunked: output.append("Transfer-Encoding: chunked\r\n\r\n")
    case .untilEnd, .none: output.append("\r\n")
    }
    return place
  }

  // MARK: Streams

  /// Begins an answer that is written piece by piece.
  ///
  /// - Returns: how the pieces are delimited; nil when there is nobody to answer.
  func beginStream(
    _ sequence: Int, _ status: Int, _ headers: HTTPHeaders, _ type: ContentType?, length: Int?,
    _ stream: HTTPStreamReference
  ) -> Content? {
    guard let index = index(of: sequence), let connection else { return nil }
    guard isSendable(headers) else {
      fail(sequence, 500, "the answer could not be sent")
      return nil
    }
    var content: Content =
      length.map { .length($0) } ?? (exchanges[index].isVersion10 ? .untilEnd : .chunked)
    if HTTPServerConnection.hasNoContent(status) { content = .none }
    writeHead(index, status, headers, type, content, output(index, connection))
    if exchanges[index].isHead { content = .none }
    exchanges[index].stream = stream
    connection.wrote()
    return content
  }

  /// - Returns: false when the bytes were not taken: the output is full.
  func write(_ sequence: Int, _ bytes: UnsafeRawBufferPointer, _ content: Content, bytesMax: Int?) -> Bool {
    guard let index = index(of: sequence), let connection else { return false }
    let output = output(index, connection)
    let bound = bytesMax ?? connection.outputBytesMax
    // A piece larger than the bound passes an empty queue: else it never could.
    if !output.isEmpty, output.count + bytes.count > bound {
      if index == 0 { _ = connection.admits(connection.outputBytesMax + 1) }
      return false
    }
    guard !bytes.isEmpty else { return true }
    switch content {
    case .none: return true
    case .chunked:
      appendHex(bytes.count, to: output)
      output.append("\r\n")
      output.append(bytes)
      output.append("\r\n")
    case .length, .lengthToCome, .untilEnd: output.append(bytes)
    }
    if index == 0 { connection.wrote() }
    return true
  }

  /// The stream is whole.
  func finishStream(_ sequence: Int, _ content: Content) {
    guard let index = index(of: sequence), let connection else { return }
    if case .chunked = content { output(index, connection).append("0\r\n\r\n") }
    complete(index)
  }

  func streamWaitingBytes(_ sequence: Int) -> Int {
    guard let index = index(of: sequence) else { return 0 }
    return index == 0 ? connection?.output.count ?? 0 : exchanges[index].buffer?.count ?? 0
  }

  private func appendHex(_ value: Int, to output: ByteQueue) {
    var shift = max(0, (value.bitWidth - value.leadingZeroBitCount - 1) / 4 * 4)
    while shift >= 0 {
      output.append(byte: hexDigit(UInt8(truncatingIfNeeded: value >> shift) & 15))
      shift -= 4
    }
  }
}
