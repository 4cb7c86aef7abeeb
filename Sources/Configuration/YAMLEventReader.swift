import CYAML

/// libyaml's stream of events as Swift values.
struct YAMLEventReader: ~Copyable {
  struct Event {
    enum Kind: Equatable {
      case streamEnd, documentStart, documentEnd
      case scalar(String, isPlain: Bool)
      case sequenceStart, sequenceEnd, mappingStart, mappingEnd, alias
    }

    var kind: Kind
    var position: YAMLNode.Position
    /// The name behind `&`, or behind `*` in an alias.
    var anchor: String?
    var tag: String?
  }

  private let parser: UnsafeMutablePointer<yaml_parser_t>
  /// libyaml keeps pointers into its input, so the reader owns a copy that doesn't move.
  private let input: UnsafeMutableBufferPointer<UInt8>

  /// - Precondition: `bytes` is not empty.
  init(_ bytes: [UInt8]) {
    precondition(!bytes.isEmpty)
    input = .allocate(capacity: bytes.count)
    _ = input.initialize(from: bytes)
    parser = .allocate(capacity: 1)
    precondition(yaml_parser_initialize(parser) == 1, "out of memory")
    // Without this, a leading FF FE would switch to UTF-16.
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    yaml_parser_set_input_string(parser, input.baseAddress!, input.count)
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
    input.deallocate()
  }

  func next() throws(YAMLProblem) -> Event {
    while true {
      var raw = yaml_event_t()
      guard yaml_parser_parse(parser, &raw) == 1 else { throw problem() }
      let event = convert(raw)
      yaml_event_delete(&raw)
      if let event { return event }
    }
  }

  /// - Returns: `nil` for the start of the stream, which carries nothing.
  private func convert(_ raw: yaml_event_t) -> Event? {
    let position = position(raw.start_mark)
    switch raw.type {
    case YAML_STREAM_END_EVENT: return Event(kind: .streamEnd, position: position)
    case YAML_DOCUMENT_START_EVENT: return Event(kind: .documentStart, position: position)
    case YAML_DOCUMENT_END_EVENT: return Event(kind: .documentEnd, position: position)
    case YAML_SEQUENCE_END_EVENT: return Event(kind: .sequenceEnd, position: position)
    case YAML_MAPPING_END_EVENT: return Event(kind: .mappingEnd, position: position)
    case YAML_ALIAS_EVENT:
      return Event(kind: .alias, position: position, anchor: text(raw.data.alias.anchor))
    case YAML_SCALAR_EVENT:
      let scalar = raw.data.scalar
      let value = String(
        decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
      return Event(
        kind: .scalar(value, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE), position: position,
        anchor: text(scalar.anchor), tag: text(scalar.tag))
    case YAML_SEQUENCE_START_EVENT:
      let sequence = raw.data.sequence_start
      return Event(
        kind: .sequenceStart, position: position, anchor: text(sequence.anchor), tag: text(sequence.tag))
    case YAML_MAPPING_START_EVENT:
      let mapping = raw.data.mapping_start
      return Event(
        kind: .mappingStart, position: position, anchor: text(mapping.anchor), tag: text(mapping.tag))
    default: return nil
    }
  }

  private func text(_ bytes: UnsafeMutablePointer<yaml_char_t>?) -> String? {
    bytes.map { printable(String(cString: $0)) }
  }

  private func position(_ mark: yaml_mark_t) -> YAMLNode.Position {
    YAMLNode.Position(line: mark.line + 1, column: mark.column + 1)
  }

  private func problem() -> YAMLProblem {
    let state = parser.pointee
    let reason = state.problem.map { String(cString: $0) } ?? "not valid YAML"
    switch state.error {
    case YAML_MEMORY_ERROR: preconditionFailure("out of memory")
    case YAML_READER_ERROR:
      // The reader knows only the byte; line and column are counted from the start.
      let place = position(byte: min(state.problem_offset, input.count))
      return YAMLProblem(place, "\(reason); write the file as UTF-8 text")
    default:
      var message = reason
      if let context = state.context.map({ String(cString: $0) }) {
        message += ", \(context)"
        if state.context_mark.line != state.problem_mark.line {
          message += " that begins on line \(state.context_mark.line + 1)"
        }
      }
      let place = position(state.problem_mark)
      return YAMLProblem(place, message + hint(line: place.line))
    }
  }

  private func hint(line: Int) -> String {
    let lines = input.split(separator: 0x0A, maxSplits: line, omittingEmptySubsequences: false)
    guard lines.indices.contains(line - 1) else { return "" }
    let indent = lines[line - 1].prefix { $0 == 0x20 || $0 == 0x09 }
    if indent.contains(0x09) { return "; a tab cannot indent, use spaces" }
    return ""
  }

  private func position(byte offset: Int) -> YAMLNode.Position {
    var place = YAMLNode.Position(line: 1, column: 1)
    for byte in input[..<offset] {
      if byte == 0x0A {
        place.line += 1
        place.column = 1
      } else if byte & 0xC0 != 0x80 {
        place.column += 1
      }
    }
    return place
  }
}
