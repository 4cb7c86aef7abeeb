import CZlib
import Core
import Glibc
import Synchronization
import Tape
import Testing

@testable import Services

/// A folder under /tmp that goes with the value that holds it.
final class ImportFolder: Sendable {
  private static let counter = Atomic<Int>(0)
  let path: String

  init() {
    let number = ImportFolder.counter.add(1, ordering: .relaxed).newValue
    path = "/tmp/weir-import-tests-\(getpid())-\(number)"
    try! Files.makeFolder(path)
  }

  deinit { ImportFolder.remove(path) }

  private static func remove(_ path: String) {
    for name in (try? Files.list(path)) ?? [] {
      let inner = path + "/" + name
      if Files.isFolder(inner) { remove(inner) } else { unlink(inner) }
    }
    rmdir(path)
  }

  var tape: String { path + "/tape" }

  @discardableResult
  func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    let file = try File(path + "/" + name, .write)
    try bytes.withUnsafeBytes { try file.write($0) }
    return path + "/" + name
  }

  @discardableResult
  func write(_ name: String, _ lines: [String]) throws -> String {
    try write(name, Array(lines.joined(separator: "\n").utf8) + [0x0A])
  }
}

/// One gzip member.
func gzip(_ bytes: [UInt8]) -> [UInt8] {
  var stream = z_stream()
  let begun = deflateInit2_(
    &stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
  precondition(begun == Z_OK)
  var input = bytes
  var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))) + 64)
  let count = input.withUnsafeMutableBytes { source in
    output.withUnsafeMutableBytes { target in
      stream.next_in = source.bindMemory(to: UInt8.self).baseAddress
      stream.avail_in = UInt32(source.count)
      stream.next_out = target.bindMemory(to: UInt8.self).baseAddress
      stream.avail_out = UInt32(target.count)
      let done = deflate(&stream, Z_FINISH)
      precondition(done == Z_STREAM_END)
      return Int(stream.total_out)
    }
  }
  deflateEnd(&stream)
  return Array(output[..<count])
}

/// A file's plain bytes by zlib's own file reader.
func gunzipped(_ path: String) -> [UInt8] {
  guard let file = gzopen(path, "rb") else { return [] }
  defer { gzclose(file) }
  var content: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 1 << 18)
  while true {
    let count = gzread(file, &piece, UInt32(piece.count))
    if count <= 0 { return content }
    content.append(contentsOf: piece[..<Int(count)])
  }
}

struct Imported: Equatable {
  var receiveTime: Int64
  var connection: Int32
  var kind: RecordKind
  var stream: String?
  var wire: String
}

/// A tape's records, checked to be dense and in time order. Record 1, the note, comes first.
func records(_ tape: String) throws -> [Imported] {
  var found: [Imported] = []
  var sequence: Int64 = 0
  var time = Int64.min
  var reader = try TapeReader(folder: tape)
  while let block = try reader.nextBlock() {
    for line in block.split(separator: 0x0A) {
      guard let record = TapeRecord(parsing: UnsafeRawBufferPointer(rebasing: line)) else {
        Issue.record("not a record: \(String(decoding: line, as: UTF8.self))")
        continue
      }
      sequence += 1
      #expect(record.sequence == sequence && record.receiveTime.rawValue >= time)
      time = record.receiveTime.rawValue
      found.append(
        Imported(
          receiveTime: time, connection: record.connection, kind: record.kind,
          stream: record.stream.map { String(decoding: $0, as: UTF8.self) },
          wire: String(decoding: record.wireBytes(), as: UTF8.self)))
    }
  }
  return found
}

/// Where the recordings lie: WEIR_DATA, or beside the repository.
let dataFolder: String = {
  guard let value = getenv("WEIR_DATA") else { return "../shared/data" }
  return String(cString: value)
}()

func hasRecording(_ name: String) -> Bool { Files.isFolder(dataFolder + "/" + name) }
