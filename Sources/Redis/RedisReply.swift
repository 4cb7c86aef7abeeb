import CRedis
import Core

/// A server's answer, copied out of the library's memory.
public enum RedisReply: Equatable, Sendable {
  case null
  case integer(Int64)
  case bytes([UInt8])
  case status(String)
  case error(String)
  case array([RedisReply])

  init(_ reply: UnsafePointer<redisReply>) {
    func text() -> [UInt8] {
      [UInt8](UnsafeRawBufferPointer(start: reply.pointee.str, count: reply.pointee.len))
    }
    switch reply.pointee.type {
    case REDIS_REPLY_STRING: self = .bytes(text())
    case REDIS_REPLY_INTEGER: self = .integer(Int64(reply.pointee.integer))
    case REDIS_REPLY_STATUS: self = .status(String(decoding: text(), as: UTF8.self))
    case REDIS_REPLY_ERROR: self = .error(String(decoding: text(), as: UTF8.self))
    case REDIS_REPLY_ARRAY:
      self = .array(
        (0..<reply.pointee.elements).map { index in
          reply.pointee.element[index].map { RedisReply($0) } ?? .null
        })
    default: self = .null
    }
  }

  public var elements: [RedisReply]? {
    if case .array(let elements) = self { return elements }
    return nil
  }

  public var bytes: [UInt8]? {
    if case .bytes(let bytes) = self { return bytes }
    return nil
  }

  /// Bulk strings and status lines as text.
  public var text: String? {
    switch self {
    case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
    case .status(let text): text
    default: nil
    }
  }

  public var integer: Int64? {
    switch self {
    case .integer(let value): value
    case .bytes(let bytes): Int64(String(decoding: bytes, as: UTF8.self))
    default: nil
    }
  }

  /// The value behind a name in a flat list of names and values, as `XINFO` answers.
  public subscript(name: String) -> RedisReply? {
    guard let elements else { return nil }
    for index in stride(from: 0, to: elements.count - 1, by: 2) where elements[index].text == name {
      return elements[index + 1]
    }
    return nil
  }
}
