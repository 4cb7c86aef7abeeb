import Core
import Glibc
import Tape

/// What the first lines of a recording tell: its format, where its time begins, and whose frames it holds.
struct RecordingProbe {
  /// Lines looked at for symbols after the first usable one.
  private static let lineCount = 2000

  var format: ImportFormat
  /// Of the first line that enters the tape; nil when none does.
  var firstTime: Int64?
  var firstSymbol: String?
  /// The symbols seen, with the time of their first frame.
  var symbolTimes: [String: Int64] = [:]
  var bytes: Int

  /// - Throws: ``ImportError/nothingToImport(file:reason:)`` when no line is in the format.
  init(_ path: String, format wanted: ImportFormat) throws(ImportError) {
    let lines = try onImport { () throws(FileError) in try LineSource(path) }
    let formats: [ImportFormat] = wanted == .auto ? [.receiveLines, .epochLines, .frames] : [wanted]
    var readers = formats.map { RecordingLineReader($0) }
    var chosen: Int?
    var left = RecordingProbe.lineCount
    bytes = 0
    format = formats[0]
    while firstTime == nil || left > 0,
      let line = try onImport({ () throws(FileError) in try lines.next() })
    {
      left -= 1
      if chosen == nil {
        chosen = readers.indices.first { readers[$0].read(line).isRecognised }
      }
      if let chosen { note(readers[chosen].read(line)) }
    }
    var status = stat()
    if stat(path, &status) == 0 { bytes = Int(status.st_size) }
    guard let chosen else {
      throw .nothingToImport(file: path, reason: RecordingProbe.reason(lines, wanted))
    }
    format = formats[chosen]
  }

  private mutating func note(_ line: RecordingLine) {
    switch line {
    case .frame(let time, let payload):
      if firstTime == nil { firstTime = time }
      guard let name = frameSymbol(stream: payload.stream, data: innerData(payload)) else { return }
      let symbol = String(decoding: name, as: UTF8.self).uppercased()
      if firstSymbol == nil { firstSymbol = symbol }
      if symbolTimes[symbol] == nil { symbolTimes[symbol] = time }
    case .snapshot(let time, _, _), .open(let time, _): if firstTime == nil { firstTime = time }
    case .skip: break
    }
  }

  private static func reason(_ lines: LineSource, _ wanted: ImportFormat) -> String {
    let damage = lines.damage.map { "; \($0)" } ?? ""
    if lines.lineNumber == 0 { return "it is empty" + damage }
    let expected =
      switch wanted {
      case .auto: "`<receive time> {frame}`, `<epoch>: {frame}` or a bare frame"
      case .receiveLines: "`<receive time> {frame}` with 19, 16 or 13 digits"
      case .epochLines: "`<epoch>: {frame}` or `URL -> <epoch>: body`"
      case .frames: "a bare frame, and gives an event time `E`"
      }
    return "none of its \(lines.lineNumber) lines is \(expected)\(damage)"
  }
}

/// Tells files apart however they are named.
struct FileIdentity: Hashable {
  private let device: UInt64
  private let node: UInt64

  init?(_ path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    device = UInt64(status.st_dev)
    node = UInt64(status.st_ino)
  }
}
