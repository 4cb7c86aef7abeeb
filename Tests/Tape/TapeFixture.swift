import Core
import Glibc
import Synchronization
import Testing

@testable import Tape

/// A folder under /tmp that goes with the value that holds it.
final class TemporaryFolder: Sendable {
  private static let counter = Atomic<Int>(0)
  let path: String

  init() {
    let number = TemporaryFolder.counter.add(1, ordering: .relaxed).newValue
    path = "/tmp/weir-tape-tests-\(getpid())-\(number)"
    try! Files.makeFolder(path)
  }

  deinit { TemporaryFolder.remove(path) }

  private static func remove(_ path: String) {
    for name in (try? Files.list(path)) ?? [] {
      let inner = path + "/" + name
      if Files.isFolder(inner) { remove(inner) } else { unlink(inner) }
    }
    rmdir(path)
  }

  func path(_ name: String) -> String { path + "/" + name }

  /// The files but the lock.
  func names(_ folder: String = "tape") -> [String] {
    ((try? Files.list(path(folder))) ?? []).filter { $0 != ".lock" }
  }

  func copy(_ from: String, to: String) throws {
    try Files.makeFolder(path(to))
    for name in try Files.list(path(from)) {
      try write(path(to) + "/" + name, try Files.read(path(from) + "/" + name))
    }
  }
}

func write(_ path: String, _ bytes: [UInt8]) throws {
  let file = try File(path, .write)
  try bytes.withUnsafeBytes { try file.write($0) }
}

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// 2024-07-18T23:57:01Z
let evening: Int64 = 1_721_347_021_000_000_000

/// Small and fast: nothing is synced.
var quick: TapeWriter.Options {
  TapeWriter.Options(fsync: .none, diskFreeMinBytes: 1 << 20)
}

/// The n-th frame of a made-up feed.
func frame(_ number: Int) -> [UInt8] {
  Array(
    """
    {"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":\(1_721_347_021_000 + number),"s":"BTCUSDT",\
    "a":\(number),"p":"63943.\(number % 90 + 10)","q":"0.\(number % 9 + 1)","m":\(number % 2 == 0)}}
    """.utf8)
}

extension TapeWriter {
  mutating func append(_ payload: [UInt8], at time: Int64, connection: Int32 = 0) throws(TapeError) {
    var failure: TapeError?
    payload.withUnsafeBytes {
      do throws(TapeError) {
        try append(frame: $0, receiveTime: UnixNanos(time), connection: connection)
      } catch { failure = error }
    }
    if let failure { throw failure }
  }

  mutating func append(_ kind: RecordKind, _ stream: String?, _ data: String, at time: Int64)
    throws(TapeError)
  {
    var failure: TapeError?
    Array(data.utf8).withUnsafeBytes {
      do throws(TapeError) {
        try append(kind, stream: stream, data: $0, receiveTime: UnixNanos(time), connection: 0)
      } catch { failure = error }
    }
    if let failure { throw failure }
  }
}

/// A record with its own copy of the bytes.
struct Read: Equatable {
  var sequence: Int64
  var receiveTime: Int64
  var kind: RecordKind
  var stream: String?
  var data: String
  var wire: [UInt8]
}

extension TapeReader {
  /// Everything up to the end, checking each block's shape.
  mutating func rest() throws -> [Read] {
    var found: [Read] = []
    while let block = try nextBlock() {
      #expect(block.count > 0 && block[block.count - 1] == 0x0A)
      let padding = UnsafeRawBufferPointer(
        start: block.baseAddress! + block.count, count: Tape.blockPaddingBytes)
      #expect(padding.allSatisfy { $0 == 0 })
      forEachLine(block) { line, _ in
        guard let record = TapeRecord(parsing: line) else {
          Issue.record("not a record: \(String(decoding: line, as: UTF8.self))")
          return true
        }
        found.append(
          Read(
            sequence: record.sequence, receiveTime: record.receiveTime.rawValue, kind: record.kind,
            stream: record.stream.map { String(decoding: $0, as: UTF8.self) },
            data: String(decoding: record.data, as: UTF8.self), wire: record.wireBytes()))
        return true
      }
    }
    return found
  }
}

func readTape(_ folder: String, from position: TapePosition = .start) throws -> [Read] {
  var reader = try TapeReader(folder: folder, from: position)
  return try reader.rest()
}

/// Writes frames `numbers` with the given times into a tape and finishes it.
@discardableResult
func makeTape(_ folder: String, count: Int, stepNs: Int64 = 1_000_000, from start: Int64 = evening) throws
  -> TapeTotals
{
  var writer = try TapeWriter(folder: folder, options: quick)
  for number in 0..<count { try writer.append(frame(number), at: start + Int64(number) * stepNs) }
  return try writer.finish()
}
