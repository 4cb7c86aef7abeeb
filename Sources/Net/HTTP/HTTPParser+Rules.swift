import CHTTP
import CSystem
import Glibc

extension HTTPFailure {
  init(_ status: Int, _ message: String) { self.init(status: status, message: message) }

  static let bareLineEnd = HTTPFailure(400, "a line must end in CR LF")
  static let foldedField = HTTPFailure(400, "a header field must be on one line")
  static let headTooLarge = HTTPFailure(431, "the header fields are too large")
  static let tooManyFields = HTTPFailure(431, "there are more than \(HTTPHead.fieldsMax) header fields")
  static let targetTooLong = HTTPFailure(414, "the request target is too long")
  static let bodyTooLarge = HTTPFailure(413, "the body is too large")
}

/// What llhttp lets pass and RFC 9112 (or this implementation) doesn't.
extension HTTPParser {
  /// Refuses a start line as soon as it is there: method, one space, target, one space, version.
  func checkStartLine(_ line: UnsafeRawBufferPointer) throws(HTTPFailure) {
    guard kind == .request else { return }
    let base = line.baseAddress!
    guard let space = memchr(base, 0x20, line.count) else { throw HTTPFailure(400, "no request line") }
    let methodEnd = UnsafeRawPointer(space) - base
    guard HTTPText.isToken(line[0..<methodEnd]) else { throw HTTPFailure(400, "no request line") }
    guard let targetEnd = line[(methodEnd + 1)...].lastIndex(of: 0x20) else {
      throw HTTPFailure(400, "the request has no version; HTTP/0.9 is not spoken here")
    }
    let target = UnsafeRawBufferPointer(rebasing: line[(methodEnd + 1)..<targetEnd])
    let version = UnsafeRawBufferPointer(rebasing: line[(targetEnd + 1)...])
    guard let first = target.first, first != 0x20, target.last != 0x20 else {
      throw HTTPFailure(400, "one space on each side of the request target")
    }
    let isHTTP = version.count == 8 && memcmp(version.baseAddress!, "HTTP/", 5) == 0
    guard isHTTP else { throw HTTPFailure(400, "not HTTP") }
    guard memcmp(version.baseAddress!, "HTTP/1.1", 8) == 0 || memcmp(version.baseAddress!, "HTTP/1.0", 8) == 0
    else { throw HTTPFailure(505, "the version spoken here is HTTP/1.1") }
    guard target.count <= HTTPParser.targetBytesMax else { throw .targetTooLong }
  }

  func checkHeadResult(_ code: llhttp_errno_t) throws(HTTPFailure) {
    switch state.pointee.problem {
    case .tooManyFields: throw .tooManyFields
    case .nameless: throw HTTPFailure(400, "a header field has no name")
    case .bodyTooLarge, .extensions, .none: break
    }
    if code == HPE_OK || code == HPE_PAUSED || code == HPE_PAUSED_UPGRADE { return }
    // The request line was found well-formed before.
    if code == HPE_INVALID_METHOD { throw HTTPFailure(501, "the method is unknown here") }
    let reason = llhttp_get_error_reason(parser).map { String(cString: $0) } ?? ""
    if code == HPE_INVALID_CONTENT_LENGTH, reason.contains("overflow") { throw .bodyTooLarge }
    throw HTTPFailure(400, reason.isEmpty ? "bad request" : reason)
  }

  func chunkFailure(_ code: llhttp_errno_t) -> HTTPFailure {
    switch state.pointee.problem {
    case .bodyTooLarge: return .bodyTooLarge
    case .extensions: return HTTPFailure(400, "the chunks' extensions are too large")
    case .nameless: return HTTPFailure(400, "a header field has no name")
    case .tooManyFields, .none: break
    }
    let reason = llhttp_get_error_reason(parser).map { String(cString: $0) } ?? ""
    return HTTPFailure(400, reason.isEmpty ? "the body's chunks are broken" : reason)
  }

  /// Decides how the message ends.
  func checkHead(_ expectsContinue: inout Bool) throws(HTTPFailure) -> Framing {
    var hosts = 0
    var codings = 0
    for index in 0..<head.fieldCount {
      let field = head.fields[index]
      // By length first: most fields are none of these.
      switch field.name.count {
      case 4 where kind == .request && HTTPText.same(head.bytes(field.name), "host"):
        hosts += 1
        try checkHost(head.bytes(field.value))
      case 6 where kind == .request && HTTPText.same(head.bytes(field.name), "expect"):
        guard HTTPText.same(head.bytes(field.value), "100-continue") else {
          throw HTTPFailure(417, "only 100-continue can be expected")
        }
        expectsContinue = !isVersion10
      case 17 where HTTPText.same(head.bytes(field.name), "transfer-encoding"):
        codings += 1
        try checkCoding(head.bytes(field.value))
      default: break
      }
    }
    guard codings <= 1 else { throw HTTPFailure(400, "Transfer-Encoding is given more than once") }
    if codings > 0, isVersion10 { throw HTTPFailure(400, "HTTP/1.0 has no Transfer-Encoding") }
    let flags = Int32(state.pointee.flags)
    let hasLength = flags & Int32(F_CONTENT_LENGTH.rawValue) != 0
    if codings > 0, hasLength {
      throw HTTPFailure(400, "Content-Length and Transfer-Encoding exclude each other")
    }
    if kind == .request {
      try checkRequest(hosts: hosts)
    } else if state.pointee.major != 1 {
      throw HTTPFailure(505, "the answer is not of HTTP/1.1")
    } else if status < 100 {
      throw HTTPFailure(400, "the status has less than three digits")
    } else if answersHead || status / 100 == 1 || status == 204 || status == 304 {
      return .none
    }
    if codings > 0 { return .chunked }
    if hasLength {
      guard state.pointee.contentLength <= UInt64(bodyBytesMax) else { throw .bodyTooLarge }
      return state.pointee.contentLength == 0 ? .none : .length(Int(state.pointee.contentLength))
    }
    return kind == .request ? .none : .untilEnd
  }

  private func checkRequest(hosts: Int) throws(HTTPFailure) {
    guard hosts == 1 || hosts == 0 && isVersion10 else {
      throw HTTPFailure(400, "a request names its Host once")
    }
    let target = head.bytes(head.target)
    // A byte that begins none of the forms was refused by llhttp.
    switch target.first {
    case 0x2F: break
    case 0x2A:
      guard target.count == 1, method == "OPTIONS" else {
        throw HTTPFailure(400, "the target * is for OPTIONS")
      }
    default:
      if method == "CONNECT" { throw HTTPFailure(501, "this is no proxy") }
      guard HTTPRequest.pathStart(target) != nil else {
        throw HTTPFailure(400, "the request target must be a path or an http address")
      }
    }
    if method == "CONNECT" { throw HTTPFailure(501, "this is no proxy") }
    if memchr(target.baseAddress!, 0x23, target.count) != nil {
      throw HTTPFailure(400, "a request target has no fragment")
    }
    if memchr(target.baseAddress!, 0x25, target.count) != nil {
      let path = target[..<(target.firstIndex(of: 0x3F) ?? target.endIndex)]
      guard PercentCoding.decode(path) != nil else {
        throw HTTPFailure(400, "the request target has a broken escape")
      }
    }
  }

  private func checkHost(_ value: UnsafeRawBufferPointer) throws(HTTPFailure) {
    let isPlain = value.allSatisfy {
      switch $0 {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x3A, 0x5B, 0x5D, 0x5F, 0x7E, 0x25: true
      default: false
      }
    }
    guard isPlain else { throw HTTPFailure(400, "the Host is not a name with a port") }
  }

  private func checkCoding(_ value: UnsafeRawBufferPointer) throws(HTTPFailure) {
    if HTTPText.same(value, "chunked") { return }
    let text = String(decoding: value, as: UTF8.self).lowercased()
    let codings = text.split(separator: ",", omittingEmptySubsequences: false).map { HTTPHeaders.trim($0) }
    let known = ["gzip", "deflate", "compress", "x-gzip", "x-compress"]
    guard codings.count > 1, codings.last == "chunked", codings.dropLast().allSatisfy(known.contains) else {
      throw HTTPFailure(400, "the Transfer-Encoding is not chunked")
    }
    throw HTTPFailure(501, "of the transfer codings only chunked is known here")
  }
}
