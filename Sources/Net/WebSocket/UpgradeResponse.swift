import CHTTP

/// Reads the server's answer to an upgrade request: its head, and the first bytes of the body when it refuses.
///
/// llhttp does the reading. Interim answers (1xx other than 101) are passed over.
final class UpgradeResponse {
  static let headBytesMax = 16 << 10
  static let bodyBytesMax = 512

  enum Outcome: Equatable {
    case incomplete
    /// The switch; the head ended after so many of the bytes last given.
    case switched(Int)
    /// Any other answer, as far as it is wanted.
    case refused
    case tooLarge
    case malformed(String)
  }

  private(set) var status = 0
  /// Whether the answer is of HTTP/1.1, the only version that a websocket's handshake has (RFC 6455, 4.1).
  private(set) var isVersion11 = false
  private(set) var headers = HTTPHeaders()
  private(set) var body: [UInt8] = []

  private let parser = UnsafeMutablePointer<llhttp_t>.allocate(capacity: 1)
  private let settings = UnsafeMutablePointer<llhttp_settings_t>.allocate(capacity: 1)
  private var name: [UInt8] = []
  private var value: [UInt8] = []
  private var headBytes = 0
  private var isHeadComplete = false
  private var isComplete = false

  init() {
    settings.initialize(to: llhttp_settings_t())
    llhttp_settings_init(settings)
    settings.pointee.on_header_field = { UpgradeResponse.of($0).take(name: UpgradeResponse.bytes($1, $2)) }
    settings.pointee.on_header_value = { UpgradeResponse.of($0).take(value: UpgradeResponse.bytes($1, $2)) }
    settings.pointee.on_header_value_complete = { UpgradeResponse.of($0).endField() }
    settings.pointee.on_headers_complete = { UpgradeResponse.of($0).endHead() }
    settings.pointee.on_body = { UpgradeResponse.of($0).take(body: UpgradeResponse.bytes($1, $2)) }
    settings.pointee.on_message_complete = { UpgradeResponse.of($0).endMessage() }
    parser.initialize(to: llhttp_t())
    llhttp_init(parser, HTTP_RESPONSE, settings)
    // Not retained: the parser calls back only while this object calls it.
    parser.pointee.data = Unmanaged.passUnretained(self).toOpaque()
  }

  deinit {
    parser.deallocate()
    settings.deallocate()
  }

  /// Reads on. All bytes have been used unless the outcome is ``Outcome/switched(_:)``.
  func read(_ bytes: UnsafeRawBufferPointer) -> Outcome {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return .incomplete }
    let start = base.assumingMemoryBound(to: CChar.self)
    // The bound is on bytes fed, so that a head that never ends is never held.
    let allowed =
      isHeadComplete ? bytes.count : min(bytes.count, UpgradeResponse.headBytesMax - headBytes + 1)
    let result = llhttp_execute(parser, start, allowed)
    if isHeadComplete, status == 101 {
      let end = llhttp_get_error_pos(parser).map { $0 - start } ?? 0
      guard result == HPE_PAUSED_UPGRADE, end > 0, end <= allowed else {
        return .malformed("the answer 101 has a body")
      }
      return .switched(end)
    }
    if isHeadComplete, isComplete || body.count >= UpgradeResponse.bodyBytesMax || result != HPE_OK {
      return .refused
    }
    guard result == HPE_OK else {
      return .malformed(String(cString: llhttp_get_error_reason(parser)))
    }
    if isHeadComplete { return .incomplete }
    headBytes += allowed
    return headBytes > UpgradeResponse.headBytesMax ? .tooLarge : .incomplete
  }

  /// Whether the head is there, so that the end of the connection only cuts the body.
  var hasStatus: Bool { isHeadComplete }

  // MARK: What the parser finds

  private static func of(_ parser: UnsafeMutablePointer<llhttp_t>?) -> UpgradeResponse {
    Unmanaged<UpgradeResponse>.fromOpaque(parser!.pointee.data).takeUnretainedValue()
  }

  private static func bytes(_ start: UnsafePointer<CChar>?, _ count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: start, count: count)
  }

  private func endField() -> Int32 {
    headers.add(
      String(decoding: name, as: UTF8.self), HTTPHeaders.trim(String(decoding: value, as: UTF8.self)))
    name.removeAll()
    value.removeAll()
    return 0
  }

  private func endHead() -> Int32 {
    status = Int(llhttp_get_status_code(parser))
    isVersion11 = llhttp_get_http_major(parser) == 1 && llhttp_get_http_minor(parser) == 1
    let isInterim = (100..<200).contains(status) && status != 101
    if isInterim {
      headers = HTTPHeaders()
    } else {
      isHeadComplete = true
    }
    // 2: what follows is another protocol.
    return status == 101 ? 2 : 0
  }

  private func take(name bytes: UnsafeRawBufferPointer) -> Int32 {
    name += bytes
    return 0
  }

  private func take(value bytes: UnsafeRawBufferPointer) -> Int32 {
    value += bytes
    return 0
  }

  private func take(body bytes: UnsafeRawBufferPointer) -> Int32 {
    body += bytes.prefix(UpgradeResponse.bodyBytesMax - body.count)
    return 0
  }

  private func endMessage() -> Int32 {
    if isHeadComplete { isComplete = true }
    return 0
  }
}
