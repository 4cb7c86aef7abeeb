import CSystem
import Core
import Glibc

/// Names of a run's Unix socket, and connections to it.
///
/// A socket's path may have 107 bytes and a run's folder may lie deeper, so the path goes through a
/// descriptor of the folder: `/proc/self/fd/7/weir.sock`.
enum UnixSocket {
  static let fileName = "weir.sock"

  static func folder(_ path: String) throws(FileError) -> Descriptor {
    let opened = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else { throw FileError("open the folder", path) }
    return Descriptor(opened)
  }

  static func make() throws(RunError) -> Descriptor {
    let made = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard made >= 0 else { throw .system("make a socket", errno) }
    return Descriptor(made)
  }

  /// Calls `bind` or `connect` with the address of the socket in a folder.
  ///
  /// - Returns: 0, or `errno`.
  static func call(
    _ function: (Int32, UnsafePointer<sockaddr>?, socklen_t) -> Int32, _ socket: borrowing Descriptor,
    in folder: borrowing Descriptor
  ) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let path = Array("/proc/self/fd/\(folder.number)/\(fileName)".utf8)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
    let number = socket.number
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        function(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 ? 0 : errno
      }
    }
  }

  /// - Parameter timeoutNs: for the connection, and for each sending.
  static func connect(_ path: String, timeoutNs: Int64) throws(RunError) -> Descriptor {
    let folder: Descriptor
    do throws(FileError) { folder = try UnixSocket.folder(path) } catch {
      throw error.code == EACCES ? .notAllowed(folder: path) : .notRunning(folder: path)
    }
    let socket = try make()
    var time = timeval(
      tv_sec: Int(timeoutNs / Nanoseconds.second), tv_usec: Int(timeoutNs % Nanoseconds.second / 1000))
    setsockopt(socket.number, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    switch call(Glibc.connect, socket, in: folder) {
    case 0: return socket
    case ENOENT, ECONNREFUSED, ENOTSOCK: throw .notRunning(folder: path)
    case EACCES, EPERM: throw .notAllowed(folder: path)
    case EAGAIN, EINTR: throw .timeout("connecting to the run in \(path)")
    case let code: throw .system("connect to the run in \(path)", code)
    }
  }
}
