/// Close codes (RFC 6455, 7.4).
public enum WebSocketCloseCode {
  public static let normal: UInt16 = 1000
  public static let goingAway: UInt16 = 1001
  public static let protocolError: UInt16 = 1002
  public static let unsupportedData: UInt16 = 1003
  /// Reported only, never sent: a close frame without a code.
  public static let absent: UInt16 = 1005
  /// Reported only, never sent: no close frame.
  public static let abnormal: UInt16 = 1006
  public static let invalidData: UInt16 = 1007
  public static let policyViolation: UInt16 = 1008
  public static let tooLarge: UInt16 = 1009
  public static let internalError: UInt16 = 1011
  public static let serviceRestart: UInt16 = 1012
  public static let tryAgainLater: UInt16 = 1013

  /// Whether a close frame may carry the code: those of the register that are not reserved for local use, and
  /// the ranges for libraries and applications.
  public static func isSendable(_ code: UInt16) -> Bool {
    switch code {
    case 1000...1003, 1007...1014, 3000...4999: true
    default: false
    }
  }
}
