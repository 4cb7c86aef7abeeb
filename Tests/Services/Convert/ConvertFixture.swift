import Core
import Glibc
import Services
import Synchronization
import Tables
import Tape
import Testing

/// A folder under /tmp that goes with the value that holds it, for tapes and their conversions.
final class ConvertFolder: Sendable {
  private static let counter = Atomic<Int>(0)
  let path: String

  init() {
    let number = ConvertFolder.counter.add(1, ordering: .relaxed).newValue
    path = "/tmp/weir-convert-tests-\(getpid())-\(number)"
    try! Files.makeFolder(path)
  }

  deinit { ConvertFolder.remove(path) }

  static func remove(_ path: String) {
    for name in (try? Files.list(path)) ?? [] {
      let inner = path + "/" + name
      if Files.isFolder(inner) { remove(inner) } else { unlink(inner) }
    }
    rmdir(path)
  }

  var tape: String { path + "/tape" }

  /// Every file below a folder with its content; the locks are left out.
  func content(_ name: String) throws -> [String: [UInt8]] {
    var found: [String: [UInt8]] = [:]
    func visit(_ folder: String, _ prefix: String) throws {
      for name in try Files.list(folder) where name != "lock" {
        let inner = folder + "/" + name
        if Files.isFolder(inner) {
          try visit(inner, prefix + name + "/")
        } else {
          found[prefix + name] = try Files.read(inner)
        }
      }
    }
    try visit(path + "/" + name, "")
    return found
  }

  func options(_ output: String = "parquet") -> ConvertOptions {
    ConvertOptions(tape: tape, output: path + "/" + output)
  }

  /// Converts and returns what came of it.
  @discardableResult
  func convert(_ options: ConvertOptions? = nil, sealedOnly: Bool = false) throws -> ConvertResult {
    let converter = try TapeConverter(options ?? self.options())
    try converter.convert(sealedOnly: sealedOnly)
    return converter.result
  }
}

/// 2024-07-18T22:59:00Z
let convertStartNs: Int64 = 1_721_343_540_000_000_000

extension ConvertFolder {
  /// Appends so many records of some symbols; at the step given, 600 an hour.
  func write(
    _ count: Int, from first: Int = 0, symbols: Int = 2, stepNs: Int64 = 6 * Nanoseconds.second,
    finish: Bool = true, compress: Bool = true, price: Int = 64_000, startNs: Int64 = convertStartNs
  ) throws {
    var writer = try TapeWriter(
      folder: tape,
      options: TapeWriter.Options(fsync: .none, compressClosedSegments: compress, diskFreeMinBytes: 1 << 20))
    for index in first..<first + count {
      let time = UnixNanos(startNs + Int64(index) * stepNs)
      let symbol = "S\(index % symbols)USDT"
      let stream = symbol.lowercased()
      let ms = time.rawValue / 1_000_000
      let frame: String
      switch index % 3 {
      case 0:
        frame =
          "{\"stream\":\"\(stream)@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":\(ms),\"T\":\(ms - 3),\"s\":\"\(symbol)\",\"U\":\(index * 10 + 10),\"u\":\(index * 10 + 19),\"pu\":\(index * 10 + 9),\"b\":[[\"\(price + index % 50).10\",\"1.500\"],[\"\(price).00\",\"0.000\"]],\"a\":[[\"\(price + 60).40\",\"0.00\(1 + index % 9)\"]]}}"
      case 1:
        frame =
          "{\"stream\":\"\(stream)@aggTrade\",\"data\":{\"e\":\"aggTrade\",\"E\":\(ms),\"s\":\"\(symbol)\",\"a\":\(index),\"p\":\"\(price).50\",\"q\":\"0.100\",\"f\":\(index),\"l\":\(index),\"T\":\(ms - 1),\"m\":\(index % 2 == 0)}}"
      default:
        frame =
          "{\"stream\":\"\(stream)@bookTicker\",\"data\":{\"e\":\"bookTicker\",\"u\":\(index),\"s\":\"\(symbol)\",\"b\":\"\(price).10\",\"B\":\"1.000\",\"a\":\"\(price).20\",\"A\":\"2.000\",\"T\":\(ms),\"E\":\(ms)}}"
      }
      try Array(frame.utf8).withUnsafeBytes { bytes in
        _ = try writer.append(frame: bytes, receiveTime: time, connection: 1)
      }
    }
    if finish { _ = try writer.finish() } else { try writer.flush() }
  }
}
