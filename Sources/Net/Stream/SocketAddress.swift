import CSystem
import Core
import Glibc

/// An IPv4 or IPv6 address with a port.
public struct SocketAddress: Sendable, CustomStringConvertible {
  var storage: sockaddr_storage
  var length: socklen_t

  /// A numeric address, or nil.
  public init?(numeric host: String, port: UInt16) {
    storage = sockaddr_storage()
    var four = sockaddr_in()
    if inet_pton(AF_INET, host, &four.sin_addr) == 1 {
      four.sin_family = sa_family_t(AF_INET)
      four.sin_port = port.bigEndian
      length = socklen_t(MemoryLayout<sockaddr_in>.size)
      withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: four, as: sockaddr_in.self) }
      return
    }
    var six = sockaddr_in6()
    guard inet_pton(AF_INET6, host, &six.sin6_addr) == 1 else { return nil }
    six.sin6_family = sa_family_t(AF_INET6)
    six.sin6_port = port.bigEndian
    length = socklen_t(MemoryLayout<sockaddr_in6>.size)
    withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: six, as: sockaddr_in6.self) }
  }

  init(_ info: addrinfo) {
    storage = sockaddr_storage()
    length = info.ai_addrlen
    withUnsafeMutableBytes(of: &storage) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: info.ai_addr, count: Int(info.ai_addrlen)))
    }
  }

  /// The address a socket is bound to (`getsockname`) or connected to (`getpeername`).
  init?(of descriptor: Int32, peer: Bool) {
    storage = sockaddr_storage()
    length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    var size = length
    let result = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        peer ? getpeername(descriptor, $0, &size) : getsockname(descriptor, $0, &size)
      }
    }
    guard result == 0 else { return nil }
    length = size
  }

  public var isIPv6: Bool { storage.ss_family == sa_family_t(AF_INET6) }

  public var port: UInt16 {
    withUnsafeBytes(of: storage) {
      isIPv6
        ? UInt16(bigEndian: $0.load(as: sockaddr_in6.self).sin6_port)
        : UInt16(bigEndian: $0.load(as: sockaddr_in.self).sin_port)
    }
  }

  /// Whether only this machine can reach it.
  public var isLoopback: Bool {
    withUnsafeBytes(of: storage) {
      if !isIPv6 { return UInt32(bigEndian: $0.load(as: sockaddr_in.self).sin_addr.s_addr) >> 24 == 127 }
      let address = $0[8..<24]
      return address.dropLast().allSatisfy { $0 == 0 } && address.last == 1
    }
  }

  public var host: String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
      withUnsafeBytes(of: storage) {
        _ = inet_ntop(
          Int32(storage.ss_family), $0.baseAddress! + (isIPv6 ? 8 : 4), text.baseAddress!, 64)
      }
      return String(cString: text.baseAddress!)
    }
  }

  public var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

  func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    withUnsafePointer(to: storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
    }
  }
}
