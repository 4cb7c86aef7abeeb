import Core

/// The walk over an exposition's bytes; see ``Exposition``.
struct ExpositionReader {
  private let base: UnsafeRawPointer
  private let end: Int
  private let limits: Exposition.Limits
  private var position = 0
  private var line = 1
  private var lineStart = 0

  private(set) var families: [Exposition.Family] = []
  private(set) var samples: [MetricSample] = []
  private var places: [String: Place] = [:]
  /// The name of the sample before, which most samples share, and where it stands.
  private var name = ""
  private var nameStart = 0

  private struct Place {
    var index: Int
    var hasHelp = false
    var hasType = false
  }

  init(base: UnsafeRawPointer, count: Int, limits: Exposition.Limits) {
    self.base = base
    end = count
    self.limits = limits
  }

  mutating func readAll() throws(ExpositionError) {
    guard byte(end - 1) == 0x0A else {
      while position < end {
        if byte(position) == 0x0A {
          line += 1
          lineStart = position + 1
        }
        position += 1
      }
      throw failure(.cutShort)
    }
    while position < end {
      lineStart = position
      skipBlanks()
      switch byte(position) {
      case 0x0A: break
      case 0x23: try readComment()
      default: try readSample()
      }
      position += 1
      line += 1
    }
  }

  // MARK: Lines; each is left at its line feed

  private mutating func readSample() throws(ExpositionError) {
    guard samples.count < limits.samplesMax else {
      throw failure(.tooMany("samples", max: limits.samplesMax))
    }
    let start = position
    try skipName("a metric name", colonAllowed: true)
    let length = position - start
    if length != name.utf8.count || !isSame(start, nameStart, length) {
      name = String(decoding: bytes(from: start), as: UTF8.self)
      nameStart = start
    }
    skipBlanks()
    let labels = byte(position) == 0x7B ? try readLabels() : []
    skipBlanks()
    let value = try readValue()
    skipBlanks()
    if byte(position) != 0x0A { try skipTimestamp() }
    samples.append(MetricSample(name, labels, value))
  }

  private mutating func readComment() throws(ExpositionError) {
    position += 1
    skipBlanks()
    let start = position
    skipToken()
    let isHelp = isToken(from: start, "HELP")
    guard isHelp || isToken(from: start, "TYPE") else {
      skipLine()
      return
    }
    skipBlanks()
    let nameStart = position
    try skipName("a metric name", colonAllowed: true)
    let name = String(decoding: bytes(from: nameStart), as: UTF8.self)
    guard isBlank(byte(position)) || byte(position) == 0x0A else { throw expected("a blank") }
    skipBlanks()
    var place = places[name] ?? Place(index: families.count)
    if place.index == families.count {
      guard families.count < limits.familiesMax else {
        throw failure(.tooMany("metrics", max: limits.familiesMax))
      }
      families.append(Exposition.Family(name: name))
    }
    if isHelp {
      if place.hasHelp { throw failure(.repeated("HELP of \(name)")) }
      place.hasHelp = true
      families[place.index].help = try readText("a help text", until: 0x0A)
    } else {
      if place.hasType { throw failure(.repeated("TYPE of \(name)")) }
      place.hasType = true
      families[place.index].type = try readType()
    }
    places[name] = place
  }

  private mutating func readType() throws(ExpositionError) -> MetricType {
    let start = position
    skipToken()
    guard let type = MetricType(rawValue: String(decoding: bytes(from: start), as: UTF8.self)) else {
      position = start
      throw expected("counter, gauge, histogram, summary or untyped")
    }
    skipBlanks()
    guard byte(position) == 0x0A else { throw expected("the line's end") }
    return type
  }

  // MARK: Parts of a sample

  private mutating func readLabels() throws(ExpositionError) -> [MetricSample.Label] {
    var labels: [MetricSample.Label] = []
    position += 1
    while true {
      skipBlanks()
      if byte(position) == 0x7D { break }
      let start = position
      try skipName("a label name", colonAllowed: false)
      let name = String(decoding: bytes(from: start), as: UTF8.self)
      guard labels.count < limits.labelsPerSampleMax else {
        throw failure(.tooMany("labels", max: limits.labelsPerSampleMax))
      }
      if labels.contains(where: { $0.name == name }) { throw failure(.repeated("label \(name)")) }
      skipBlanks()
      guard byte(position) == 0x3D else { throw expected("an equals sign") }
      position += 1
      skipBlanks()
      guard byte(position) == 0x22 else { throw expected("a quotation mark") }
      position += 1
      labels.append(MetricSample.Label(name, try readText("the label's value", until: 0x22)))
      position += 1
      skipBlanks()
      if byte(position) == 0x2C {
        position += 1
      } else if byte(position) != 0x7D {
        throw expected("a comma or }")
      }
    }
    position += 1
    return labels
  }

  /// Everything up to `close`, at which it stops, escapes resolved.
  private mutating func readText(_ what: String, until close: UInt8) throws(ExpositionError) -> String {
    let start = position
    while byte(position) != close, byte(position) != 0x5C, byte(position) != 0x0A { position += 1 }
    if byte(position) == close {
      guard let text = String(validating: bytes(from: start), as: UTF8.self) else {
        throw failure(.badText(what))
      }
      return text
    }
    var text = Array(bytes(from: start))
    while byte(position) != close {
      switch byte(position) {
      case 0x0A: throw expected("a quotation mark")
      case 0x5C:
        position += 1
        switch byte(position) {
        case 0x5C: text.append(0x5C)
        case 0x6E: text.append(0x0A)
        case 0x22 where close == 0x22: text.append(0x22)
        default: throw expected(close == 0x22 ? "\\, n or a quotation mark after \\" : "\\ or n after \\")
        }
      default: text.append(byte(position))
      }
      position += 1
    }
    guard let text = String(validating: text, as: UTF8.self) else { throw failure(.badText(what)) }
    return text
  }

  private mutating func readValue() throws(ExpositionError) -> Double {
    let start = position
    let isNegative = byte(position) == 0x2D
    if isNegative || byte(position) == 0x2B { position += 1 }
    var mantissa: Int64 = 0
    var digits = 0
    var decimals = 0
    var hasPoint = false
    while digits <= 15 {
      let next = byte(position)
      if next &- 0x30 <= 9 {
        mantissa = mantissa * 10 + Int64(next &- 0x30)
        digits += 1
        if hasPoint { decimals += 1 }
      } else if next == 0x2E, !hasPoint {
        hasPoint = true
      } else {
        break
      }
      position += 1
    }
    if digits > 0, digits <= 15, byte(position) == 0x0A || isBlank(byte(position)) {
      let magnitude = Double(mantissa) / Double(powerOfTen(decimals))
      return isNegative ? -magnitude : magnitude
    }
    skipToken()
    let token = bytes(from: start)
    if let value = Double(String(decoding: token, as: UTF8.self)) {
      // An infinity that was not written as one is a number beyond a double's range.
      if value.isFinite || !token.contains(where: { $0 &- 0x30 <= 9 }) { return value }
    }
    position = start
    throw expected("a number")
  }

  private mutating func skipTimestamp() throws(ExpositionError) {
    let start = position
    skipToken()
    guard Int64(String(decoding: bytes(from: start), as: UTF8.self)) != nil else {
      position = start
      throw expected("a time stamp or the line's end")
    }
    skipBlanks()
    guard byte(position) == 0x0A else { throw expected("the line's end") }
  }

  // MARK: Bytes

  @inline(__always)
  private func byte(_ offset: Int) -> UInt8 { base.load(fromByteOffset: offset, as: UInt8.self) }

  private func bytes(from start: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base + start, count: position - start)
  }

  private func isSame(_ first: Int, _ second: Int, _ length: Int) -> Bool {
    for index in 0..<length where byte(first + index) != byte(second + index) { return false }
    return true
  }

  private func isToken(from start: Int, _ word: StaticString) -> Bool {
    guard position - start == word.utf8CodeUnitCount else { return false }
    for index in 0..<word.utf8CodeUnitCount where byte(start + index) != word.utf8Start[index] {
      return false
    }
    return true
  }

  @inline(__always)
  private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

  private mutating func skipBlanks() {
    while isBlank(byte(position)) { position += 1 }
  }

  private mutating func skipToken() {
    while byte(position) != 0x0A, !isBlank(byte(position)) { position += 1 }
  }

  private mutating func skipLine() {
    while byte(position) != 0x0A { position += 1 }
  }

  private mutating func skipName(_ what: String, colonAllowed: Bool) throws(ExpositionError) {
    let start = position
    while MetricName.isNameByte(byte(position), isFirst: position == start, colonAllowed: colonAllowed) {
      position += 1
    }
    if position == start { throw expected(what) }
  }

  // MARK: Errors

  private func failure(_ problem: ExpositionError.Problem) -> ExpositionError {
    ExpositionError(line: line, column: position - lineStart + 1, problem)
  }

  /// What stands here instead, up to 24 bytes of it.
  private func expected(_ what: String) -> ExpositionError {
    var stop = position
    while stop - position < 24, byte(stop) != 0x0A { stop += 1 }
    var found = ByteWriter(capacity: 64)
    let text = UnsafeRawBufferPointer(start: base + position, count: stop - position)
    found.append(printable: String(decoding: text, as: UTF8.self))
    return failure(.expected(what, found: stop == position ? "the line's end" : found.string()))
  }
}
