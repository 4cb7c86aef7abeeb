import Core
import Glibc

/// Standard output has no reader any more, as after `weir … | head`; the command ends without a word.
public struct OutputClosed: Error, Equatable {}

/// A command's standard output and standard error.
///
/// Output is collected and written in pieces of 64 KiB, on a terminal line by line. Not for use from several
/// threads.
public final class Console {
  /// The descriptor of standard error, also for ``Progress``.
  let errorDescriptor: Int32
  public let isOutputTerminal: Bool
  public let isErrorTerminal: Bool
  /// What may be used to stress a word on standard output.
  public let style: TerminalStyle
  private let outputDescriptor: Int32
  private var buffer = ByteWriter(capacity: 1 << 16)
  private var isClosed = false

  private static let bufferBytesMax = 1 << 16

  public init(
    output: Int32 = 1, error: Int32 = 2, environment: [String: String] = ProcessEnvironment.variables()
  ) {
    outputDescriptor = output
    errorDescriptor = error
    let isDumb = environment["TERM"] == "dumb"
    isOutputTerminal = isatty(output) == 1
    isErrorTerminal = isatty(error) == 1 && !isDumb
    style = TerminalStyle(isStyled: isOutputTerminal && !isDumb && (environment["NO_COLOR"] ?? "").isEmpty)
  }

  /// Writes a line to standard output.
  ///
  /// - Throws: ``OutputClosed`` or `FileError`; let both pass.
  public func print(_ line: String) throws { try write(line + "\n") }

  /// Writes a text as it is to standard output; see ``print(_:)``.
  public func write(_ text: String) throws {
    buffer.append(text)
    if isOutputTerminal || buffer.count >= Console.bufferBytesMax { try flush() }
  }

  /// Writes bytes as they are to standard output; see ``print(_:)``.
  public func write(bytes: UnsafeRawBufferPointer) throws {
    buffer.append(bytes: bytes)
    if isOutputTerminal || buffer.count >= Console.bufferBytesMax { try flush() }
  }

  /// Writes a JSON document on a line of its own; see ``print(_:)``.
  public func print(json: JSONValue, pretty: Bool = false) throws { try print(json.text(pretty: pretty)) }

  /// Writes out what was collected.
  public func flush() throws {
    defer { buffer.removeAll() }
    if isClosed { throw OutputClosed() }
    var done = 0
    while done < buffer.count {
      let count = Glibc.write(outputDescriptor, buffer.bytes.baseAddress! + done, buffer.count - done)
      if count > 0 {
        done += count
      } else if count < 0, errno == EPIPE {
        isClosed = true
        throw OutputClosed()
      } else if count < 0, errno == EAGAIN {
        // A terminal shared with a program that made it non-blocking.
        var wait = pollfd(fd: outputDescriptor, events: Int16(POLLOUT), revents: 0)
        poll(&wait, 1, -1)
      } else if count < 0, errno != EINTR {
        isClosed = true
        throw FileError("write", "standard output")
      }
    }
  }

  /// Writes a line to standard error; what cannot be written is lost.
  public func note(_ line: String) { writeError(line + "\n") }

  func writeError(_ text: String) {
    let bytes = Array(text.utf8)
    var done = 0
    bytes.withUnsafeBytes { bytes in
      while done < bytes.count {
        let count = Glibc.write(errorDescriptor, bytes.baseAddress! + done, bytes.count - done)
        if count > 0 { done += count } else if count == 0 || errno != EINTR { return }
      }
    }
  }
}

/// Stress for terminals that want it; plain text elsewhere.
public struct TerminalStyle: Sendable, Equatable {
  public let isStyled: Bool

  public init(isStyled: Bool) { self.isStyled = isStyled }

  public func bold(_ text: String) -> String { isStyled ? "\u{1B}[1m\(text)\u{1B}[0m" : text }
}
