import Core
import Foundation

/// A running `weir` command, for tests and benchmarks that start servers: its ready line, its end, its pid.
public final class WeirProcess {
  public struct Failure: Error, CustomStringConvertible {
    public var description: String
  }

  public let words: [String]
  private let process = Process()
  private let output = Pipe()
  private let input: Pipe?
  private let errorFile: URL
  private var collected = Data()
  private var readLines = 0

  /// - Parameters:
  ///   - hasInput: its standard input is a pipe, for ``say(_:)``; else there is none.
  ///   - binary: `WEIR_BINARY` by default.
  public init(
    _ words: [String], environment: [String: String] = [:], hasInput: Bool = false,
    binary: String? = ProcessInfo.processInfo.environment["WEIR_BINARY"]
  ) throws {
    guard let binary else { throw Failure(description: "WEIR_BINARY names no binary; run make test") }
    self.words = words
    input = hasInput ? Pipe() : nil
    errorFile = URL(fileURLWithPath: NSTemporaryDirectory() + "weir-stderr-" + UUID().uuidString)
    _ = FileManager.default.createFile(atPath: errorFile.path, contents: nil)
    process.executableURL = URL(fileURLWithPath: binary)
    process.arguments = words
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardOutput = output
    process.standardError = try FileHandle(forWritingTo: errorFile)
    process.standardInput = input ?? FileHandle.nullDevice
    try process.run()
  }

  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    try? FileManager.default.removeItem(at: errorFile)
  }

  public var pid: Int32 { process.processIdentifier }
  public var isRunning: Bool { process.isRunning }
  public var errorText: String { (try? String(contentsOf: errorFile, encoding: .utf8)) ?? "" }

  /// Writes a line to its standard input.
  public func say(_ json: JSONValue) throws {
    try input?.fileHandleForWriting.write(contentsOf: Data((json.text() + "\n").utf8))
  }

  /// Ends its standard input.
  public func hangUp() throws { try input?.fileHandleForWriting.close() }

  /// The next line of standard output as JSON, waited for.
  public func nextLine(timeoutSeconds: Double = 60) throws -> JSONValue {
    let deadline = Date().addingTimeInterval(timeoutSeconds)
    while true {
      let lines = collected.split(separator: 0x0A, omittingEmptySubsequences: true)
      let whole = collected.last == 0x0A ? lines.count : lines.count - 1
      if whole > readLines {
        readLines += 1
        return try Array(lines[readLines - 1]).withUnsafeBytes { try JSONValue(parsing: $0) }
      }
      var waiting = pollfd(fd: output.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
      let left = deadline.timeIntervalSinceNow
      guard left > 0, poll(&waiting, 1, Int32(left * 1000) + 1) > 0 else {
        throw Failure(description: "\(words): no line in \(timeoutSeconds) s; \(errorText)")
      }
      let data = output.fileHandleForReading.availableData
      if data.isEmpty { throw Failure(description: "\(words) ended (\(status())): \(errorText)") }
      collected.append(data)
    }
  }

  private func status() -> String {
    process.waitUntilExit()
    return "\(process.terminationReason == .exit ? "exit" : "signal") \(process.terminationStatus)"
  }

  public func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  /// Ends it by SIGTERM and waits.
  ///
  /// - Returns: exit code (128 + number for a signal) and the last line of its output as JSON.
  @discardableResult
  public func stop(_ number: Int32 = SIGTERM) throws -> (code: Int32, last: JSONValue) {
    if process.isRunning { kill(process.processIdentifier, number) }
    return try wait()
  }

  /// Waits for its end.
  public func wait() throws -> (code: Int32, last: JSONValue) {
    collected.append(output.fileHandleForReading.readDataToEndOfFile())
    process.waitUntilExit()
    let code =
      process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    let last = collected.split(separator: 0x0A).last.map { Array($0) } ?? []
    return (code, (try? last.withUnsafeBytes { try JSONValue(parsing: $0) }) ?? .null)
  }

  /// Resident memory now, MiB; processor seconds so far; open files.
  public func usage() -> (rssMiB: Double, cpuSeconds: Double, files: Int) {
    let folder = "/proc/\(pid)"
    let status =
      (try? String(contentsOfFile: folder + "/statm", encoding: .utf8))?.split(separator: " ") ?? []
    let pages = status.count > 1 ? Double(status[1]) ?? 0 : 0
    let stat = (try? String(contentsOfFile: folder + "/stat", encoding: .utf8)) ?? ""
    let fields = stat.split(separator: ")").last?.split(separator: " ") ?? []
    let ticks = fields.count > 12 ? (Double(fields[11]) ?? 0) + (Double(fields[12]) ?? 0) : 0
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/fd"))?.count ?? 0
    return (pages * 4096 / 1_048_576, ticks / Double(sysconf(Int32(_SC_CLK_TCK))), files)
  }
}
