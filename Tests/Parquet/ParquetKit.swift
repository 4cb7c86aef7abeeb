import Core
import Glibc
import Synchronization
import Testing

@testable import Tables

/// A folder under /tmp that goes with the value that holds it.
final class TemporaryFolder: Sendable {
  private static let counter = Atomic<Int>(0)
  let path: String

  init() {
    let number = TemporaryFolder.counter.add(1, ordering: .relaxed).newValue
    path = "/tmp/weir-parquet-tests-\(getpid())-\(number)"
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
}

/// How random the values of a batch are.
enum Spread: CaseIterable {
  /// Like a market's: rising ids, few prices.
  case market
  /// Anything that the type holds.
  case wild
  /// One value, or none, throughout.
  case constant
}

extension TableBatch {
  /// A batch of random rows.
  static func random(
    _ kind: TableKind, messages: Int, rowsMax: Int, _ spread: Spread, _ random: inout SeededRandom
  ) -> TableBatch {
    let batch = TableBatch(.of(kind), symbol: "BTCUSDT")
    let texts = ["", "x", "BTCUSDT", "ünïcödé €", String(repeating: "long ", count: 2000)]
    let constants = batch.schema.columns.map { _ in random.next() }
    let isNull = batch.schema.columns.map { $0.isNullable && random.bernoulli(0.4) }
    for message in 0..<messages {
      let rows = 1 + random.below(rowsMax)
      let place = batch.begin(rows: rows)
      for (index, column) in batch.schema.columns.enumerated() {
        let count = column.isOfMessage ? 1 : rows
        for row in 0..<count {
          let value: Int64
          if column.isNullable, spread == .constant ? isNull[index] : random.bernoulli(0.3) {
            value = TableBatch.null
          } else {
            let bits = spread == .constant ? constants[index] : random.next()
            switch column.type {
            case .integer:
              value = spread == .market ? 1_721_347_020_000_000_000 + Int64(message) * 1000 : integer(bits)
            case .decimal: value = spread == .market ? Int64(bits % 200) * 10_000_000 : decimal(bits)
            case .boolean: value = Int64(bits & 1)
            case .name: value = batch.index(ofName: ["bid", "ask", "BTCUSDT", "x y"][Int(bits % 4)])
            case .text:
              value = Array(texts[Int(bits % UInt64(texts.count))].utf8).withUnsafeBytes {
                batch.append(text: $0)
              }
            }
          }
          batch.column(index)[(column.isOfMessage ? place.message : place.row) + row] = value
        }
      }
    }
    return batch
  }

  private static func integer(_ bits: UInt64) -> Int64 {
    switch bits % 7 {
    case 0: .max
    case 1: .min + 1
    case 2: 0
    case 3: -1
    default: max(.min + 1, Int64(bitPattern: bits))
    }
  }

  private static func decimal(_ bits: UInt64) -> Int64 {
    switch bits % 7 {
    case 0: ColumnType.decimalUnitsMax
    case 1: -ColumnType.decimalUnitsMax
    case 2: 0
    default: Int64(bitPattern: bits) % ColumnType.decimalUnitsMax
    }
  }

  /// Its rows as lines of JSON arrays of texts.
  func lines() -> String {
    var starts = [0]
    for message in 0..<messageCount { starts.append(starts[message] + Int(messageRows[message])) }
    var text = ByteWriter()
    for message in 0..<messageCount {
      for row in starts[message]..<starts[message + 1] {
        for (index, column) in schema.columns.enumerated() {
          text.append(index == 0 ? "[" : ",")
          let value = values(index)[column.isOfMessage ? message : row]
          if value == TableBatch.null { text.append("null") } else {
            switch column.type {
            case .decimal: text.append(jsonString: DecimalScale(8).text(value))
            case .name: text.append(jsonString: names[Int(value)])
            case .text: text.append(jsonString: self.text(value))
            default: text.append(jsonString: "\(value)")
            }
          }
        }
        text.append("]\n")
      }
    }
    return text.string()
  }
}
