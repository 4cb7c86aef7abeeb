import CHTTP
import Glibc

/// What llhttp's callbacks write. It is plain memory beside the parser, so that no object is touched in them.
struct HTTPParserState {
  enum Problem: UInt8 { case none, tooManyFields, nameless, bodyTooLarge, extensions }

  var fields: UnsafeMutablePointer<HTTPHead.Field>
  var fieldCount = 0
  var target = HTTPHead.Part()
  /// Start of the head in the input; parts are counted from here.
  var base: UnsafePointer<CChar>?
  /// Where the next bytes of a chunked body go, and how many may.
  var body: UnsafeMutablePointer<CChar>!
  var bodyRoom = 0
  var extensionBytes = 0
  var contentLength: UInt64 = 0
  var flags: UInt16 = 0
  var status: UInt16 = 0
  var method: UInt8 = 0
  var major: UInt8 = 0
  var minor: UInt8 = 0
  var keepsAlive = false
  var upgrade = false
  var isHeadComplete = false
  var isTrailer = false
  var problem = Problem.none

  init(fields: UnsafeMutablePointer<HTTPHead.Field>) { self.fields = fields }

  /// Names by llhttp's number.
  static let methods: [String] = (0...45).map {
    String(cString: llhttp_method_name(llhttp_method_t(rawValue: $0)))
  }

  private mutating func part(_ place: UnsafePointer<CChar>, _ length: Int) -> HTTPHead.Part {
    HTTPHead.Part(start: Int32(place - base!), count: Int32(length))
  }

  fileprivate mutating func fail(_ problem: Problem) -> Int32 {
    self.problem = problem
    return Int32(bitPattern: HPE_USER.rawValue)
  }

  private mutating func name(_ place: UnsafePointer<CChar>, _ length: Int) -> Int32 {
    if isTrailer { return length == 0 ? fail(.nameless) : 0 }
    guard fieldCount < HTTPHead.fieldsMax else { return fail(.tooManyFields) }
    guard length > 0 else { return fail(.nameless) }
    fields[fieldCount] = HTTPHead.Field(name: part(place, length))
    fieldCount += 1
    return 0
  }

  private mutating func value(_ place: UnsafePointer<CChar>, _ length: Int) -> Int32 {
    if isTrailer { return 0 }
    var count = length
    while count > 0, place[count - 1] == 0x20 || place[count - 1] == 0x09 { count -= 1 }
    fields[fieldCount - 1].value = part(place, count)
    return 0
  }

  private mutating func content(_ place: UnsafePointer<CChar>, _ length: Int) -> Int32 {
    guard length <= bodyRoom else { return fail(.bodyTooLarge) }
    // Earlier in the same memory: what is overwritten has been parsed.
    memmove(body, place, length)
    body += length
    bodyRoom -= length
    return 0
  }

  private mutating func chunkExtension(_ length: Int) -> Int32 {
    extensionBytes += length + 1
    return extensionBytes > HTTPParser.extensionBytesMax ? fail(.extensions) : 0
  }

  private mutating func headComplete(_ parser: UnsafeMutablePointer<llhttp_t>) {
    isHeadComplete = true
    contentLength = parser.pointee.content_length
    flags = parser.pointee.flags
    status = parser.pointee.status_code
    method = parser.pointee.method
    major = parser.pointee.http_major
    minor = parser.pointee.http_minor
    upgrade = parser.pointee.upgrade != 0
    keepsAlive = llhttp_should_keep_alive(parser) != 0
  }

  private static func of(_ parser: UnsafeMutablePointer<llhttp_t>?) -> UnsafeMutablePointer<HTTPParserState> {
    parser!.pointee.data.assumingMemoryBound(to: HTTPParserState.self)
  }

  /// Written once, before anybody can see it, and only read afterwards: safe to share.
  nonisolated(unsafe) static let settings: UnsafeMutablePointer<llhttp_settings_t> = {
    let settings = UnsafeMutablePointer<llhttp_settings_t>.allocate(capacity: 1)
    llhttp_settings_init(settings)
    settings.pointee.on_url = { parser, place, length in
      let state = of(parser)
      // A target reaches llhttp in one piece: its line is fed whole.
      state.pointee.target = state.pointee.part(place!, length)
      return 0
    }
    settings.pointee.on_header_field = { of($0).pointee.name($1!, $2) }
    settings.pointee.on_header_value = { of($0).pointee.value($1!, $2) }
    settings.pointee.on_headers_complete = {
      of($0).pointee.headComplete($0!)
      return 0
    }
    settings.pointee.on_body = { of($0).pointee.content($1!, $2) }
    settings.pointee.on_chunk_extension_name = { parser, _, length in
      of(parser).pointee.chunkExtension(length)
    }
    settings.pointee.on_chunk_extension_value = { parser, _, length in
      of(parser).pointee.chunkExtension(length)
    }
    settings.pointee.on_chunk_header = { parser in
      let length = parser!.pointee.content_length
      // The last chunk: the trailer section is cut into lines before llhttp sees it.
      if length == 0 { return Int32(bitPattern: HPE_PAUSED.rawValue) }
      let state = of(parser)
      return length > UInt64(state.pointee.bodyRoom) ? state.pointee.fail(.bodyTooLarge) : 0
    }
    settings.pointee.on_message_complete = { _ in Int32(bitPattern: HPE_PAUSED.rawValue) }
    return settings
  }()
}
