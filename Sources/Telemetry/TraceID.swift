import Core

/// Names one frame's way through the pipeline: the tape's `seq` of the frame, as 16 hexadecimal digits.
public struct TraceID: RawRepresentable, Hashable, Sendable, LosslessStringConvertible {
  public var rawValue: UInt64

  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public init(tapeSequence: Int64) { rawValue = UInt64(bitPattern: tapeSequence) }

  /// Reads exactly 16 hexadecimal digits; `nil` for anything else.
  public init?(_ text: String) {
    guard text.utf8.count == 16 else { return nil }
    var value: UInt64 = 0
    for byte in text.utf8 {
      guard let digit = hexValue(byte) else { return nil }
      value = value << 4 | UInt64(digit)
    }
    rawValue = value
  }

  public var tapeSequence: Int64 { Int64(bitPattern: rawValue) }

  public var description: String {
    var writer = ByteWriter(capacity: 64)
    append(to: &writer)
    return writer.string()
  }

  public func append(to writer: inout ByteWriter) { writer.append(hex: rawValue, digits: 16) }
}
