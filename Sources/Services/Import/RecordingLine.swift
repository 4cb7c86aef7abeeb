import Core
import Tape

/// Why a line did not enter the tape. The raw values are the report's names.
enum SkipReason: String, CaseIterable {
  case blank
  case tooLong = "too_long"
  case noTime = "no_time"
  case badTime = "bad_time"
  case notJSON = "not_json"
  case notObject = "not_object"
  case cutOff = "cut_off"
  case noEventTime = "no_event_time"
  case exchangeInfo = "exchange_info"
  case configuration
  case sent
  case otherRequest = "other_request"
  case otherSymbol = "other_symbol"
  case snapshotSymbolUnknown = "snapshot_symbol_unknown"
}

/// What one line of a recording holds. The payloads point into the line.
enum RecordingLine {
  case frame(time: Int64, TapePayload)
  /// `symbol` is nil where only the file's frames tell.
  case snapshot(time: Int64, symbol: String?, UnsafeRawBufferPointer)
  case open(time: Int64, url: String)
  case skip(SkipReason)

  /// Whether the line is in the format at all, used or not.
  var isRecognised: Bool {
    switch self {
    case .frame, .snapshot, .open, .skip(.exchangeInfo), .skip(.otherRequest), .skip(.sent): true
    case .skip: false
    }
  }
}

/// Reads the lines of one format. For `frames` it carries the last event time on to frames without one.
struct RecordingLineReader {
  let format: ImportFormat
  /// `frames` only.
  var lastEventTime: Int64?
  var framesWithoutEventTime = 0

  init(_ format: ImportFormat) {
    precondition(format != .auto)
    self.format = format
  }

  mutating func read(_ line: UnsafeRawBufferPointer) -> RecordingLine {
    var start = 0
    while start < line.count, isBlankByte(line[start]) { start += 1 }
    if start == line.count { return .skip(.blank) }
    let text = UnsafeRawBufferPointer(rebasing: line[start...])
    switch format {
    case .receiveLines: return receiveLine(text)
    case .epochLines: return epochLine(text)
    default: return bareFrame(text)
    }
  }

  private func receiveLine(_ text: UnsafeRawBufferPointer) -> RecordingLine {
    let digits = digitCount(text, from: 0)
    guard digits > 0, digits < text.count, isBlankByte(text[digits]) else { return .skip(.noTime) }
    guard let time = RecordingTime.byDigits(UnsafeRawBufferPointer(rebasing: text[..<digits])) else {
      return .skip(.badTime)
    }
    return payload(text, from: digits, time: time)
  }

  private func epochLine(_ text: UnsafeRawBufferPointer) -> RecordingLine {
    if hasURL(text) { return captureLine(text) }
    if startsWith(text, "configuration: ") { return .skip(.configuration) }
    var end = digitCount(text, from: 0)
    if end > 0, end < text.count, text[end] == 0x2E { end += 1 + digitCount(text, from: end + 1) }
    guard end > 0, end < text.count, text[end] == 0x3A else { return .skip(.noTime) }
    guard let time = RecordingTime.seconds(UnsafeRawBufferPointer(rebasing: text[..<end])) else {
      return .skip(.badTime)
    }
    return payload(text, from: end + 1, time: time)
  }

  /// `URL <-> epoch` or `URL -> epoch: body`.
  private func captureLine(_ text: UnsafeRawBufferPointer) -> RecordingLine {
    guard let space = text.firstIndex(of: 0x20) else { return .skip(.noTime) }
    let url = String(decoding: text[..<space], as: UTF8.self)
    let rest = UnsafeRawBufferPointer(rebasing: text[space...])
    if startsWith(rest, " <-> ") {
      let stamp = trimmedEnd(UnsafeRawBufferPointer(rebasing: rest[5...]))
      guard let time = RecordingTime.seconds(stamp) else { return .skip(.badTime) }
      return .open(time: time, url: url)
    }
    guard startsWith(rest, " -> ") else { return .skip(.noTime) }
    guard let colon = rest.firstIndex(of: 0x3A),
      let time = RecordingTime.seconds(UnsafeRawBufferPointer(rebasing: rest[4..<colon]))
    else { return .skip(.badTime) }
    if url.hasPrefix("ws") { return .skip(.sent) }
    let request = CapturedRequest(url)
    if request.path.hasSuffix("/exchangeInfo") { return .skip(.exchangeInfo) }
    guard request.path.hasSuffix("/depth") else { return .skip(.otherRequest) }
    guard let symbol = request.symbol else { return .skip(.snapshotSymbolUnknown) }
    let body = trimmed(UnsafeRawBufferPointer(rebasing: rest[(colon + 1)...]))
    guard case .object = TapePayload(body).form else {
      return .skip(isJSON(body) ? .notObject : .notJSON)
    }
    return isSnapshot(body) ? .snapshot(time: time, symbol: symbol, body) : .skip(.otherRequest)
  }

  private mutating func bareFrame(_ text: UnsafeRawBufferPointer) -> RecordingLine {
    let line = payload(text, from: 0, time: 0)
    let data: UnsafeRawBufferPointer
    switch line {
    case .frame(_, let payload): data = innerData(payload)
    case .snapshot(_, _, let body): data = body
    default: return line
    }
    if let time = RecordingTime.event(data) {
      lastEventTime = time
    } else {
      guard lastEventTime != nil else { return .skip(.noEventTime) }
      framesWithoutEventTime += 1
    }
    switch line {
    case .frame(_, let payload): return .frame(time: lastEventTime!, payload)
    case .snapshot(_, let symbol, let body): return .snapshot(time: lastEventTime!, symbol: symbol, body)
    default: return line
    }
  }

  private func payload(_ text: UnsafeRawBufferPointer, from start: Int, time: Int64) -> RecordingLine {
    let bytes = trimmed(UnsafeRawBufferPointer(rebasing: text[start...]))
    let payload = TapePayload(bytes)
    switch payload.form {
    case .combined: return .frame(time: time, payload)
    case .object:
      return isSnapshot(bytes) ? .snapshot(time: time, symbol: nil, bytes) : .frame(time: time, payload)
    case .otherJSON: return .skip(.notObject)
    case .text, .binary:
      // An object that the tape must escape, such as one with a carriage return between its tokens.
      guard payload.form == .text, isJSON(bytes) else { return .skip(.notJSON) }
      return bytes[0] == 0x7B ? .frame(time: time, payload) : .skip(.notObject)
    }
  }
}

/// The data of a frame: of a combined one in any layout its `data`, else the whole.
func innerData(_ payload: TapePayload) -> UnsafeRawBufferPointer {
  if case .combined = payload.form { return payload.data }
  var cursor = JSONCursor(payload.bytes)
  guard cursor.consume(0x7B) else { return payload.bytes }
  while let key = cursor.key() {
    let isData = key.elementsEqual("data".utf8)
    _ = cursor.peek()
    let start = cursor.offset
    // A raw frame begins with its event's name and has no inner data.
    if key.count == 1 { return payload.bytes }
    guard cursor.skipValue() else { break }
    if isData { return UnsafeRawBufferPointer(rebasing: payload.bytes[start..<cursor.offset]) }
    guard cursor.continues(until: 0x7D) == true else { break }
  }
  return payload.bytes
}

/// An object with `lastUpdateId` at its top is a REST depth snapshot.
func isSnapshot(_ object: UnsafeRawBufferPointer) -> Bool {
  var cursor = JSONCursor(object)
  guard cursor.consume(0x7B) else { return false }
  while let key = cursor.key() {
    if key.elementsEqual("lastUpdateId".utf8) { return true }
    // Raw frames begin with `e`, spot book tickers with `u`.
    if key.count == 1 && (key[0] == 0x65 || key[0] == 0x75) { return false }
    guard cursor.skipValue(), cursor.continues(until: 0x7D) == true else { return false }
  }
  return false
}

/// The request behind a captured REST body.
struct CapturedRequest {
  var path: String
  /// Upper case.
  var symbol: String?

  init(_ url: String) {
    let parts = url.split(separator: "?", maxSplits: 1)
    path = parts.first.map(String.init) ?? ""
    guard parts.count == 2 else { return }
    for parameter in parts[1].split(separator: "&") where parameter.hasPrefix("symbol=") {
      let name = parameter.dropFirst(7).uppercased()
      if !name.isEmpty { symbol = name }
    }
  }
}

@inline(__always)
func isBlankByte(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

private func digitCount(_ text: UnsafeRawBufferPointer, from start: Int) -> Int {
  var index = start
  while index < text.count, text[index] &- 0x30 < 10 { index += 1 }
  return index - start
}

private func startsWith(_ text: UnsafeRawBufferPointer, _ prefix: StaticString) -> Bool {
  let length = prefix.utf8CodeUnitCount
  guard text.count >= length else { return false }
  for index in 0..<length where text[index] != prefix.utf8Start[index] { return false }
  return true
}

private func hasURL(_ text: UnsafeRawBufferPointer) -> Bool {
  startsWith(text, "http://") || startsWith(text, "https://") || startsWith(text, "ws://")
    || startsWith(text, "wss://")
}

private func isJSON(_ bytes: UnsafeRawBufferPointer) -> Bool {
  var cursor = JSONCursor(bytes)
  return cursor.skipValue() && cursor.isAtEnd()
}

private func trimmed(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
  var start = 0
  while start < text.count, isBlankByte(text[start]) { start += 1 }
  return trimmedEnd(UnsafeRawBufferPointer(rebasing: text[start...]))
}

private func trimmedEnd(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
  var end = text.count
  while end > 0, isBlankByte(text[end - 1]) { end -= 1 }
  return UnsafeRawBufferPointer(rebasing: text[..<end])
}
