import Broker
import Core
import Glibc

/// What can be wrong with a run's orders.
public enum OrderJournalError: Error, Equatable, CustomStringConvertible {
  case corruptLine(path: String, line: Int)
  case doesNotAddUp(path: String, line: Int)

  public var description: String {
    switch self {
    case .corruptLine(let path, let line):
      "\(path):\(line): no order, with good orders after it; move the folder away, and the broker makes it "
        + "again from the run's signals"
    case .doesNotAddUp(let path, let line):
      "\(path):\(line): position or profit do not follow from the orders before; move the folder away, and "
        + "the broker makes it again from the run's signals"
    }
  }
}

/// `RUN/orders/orders.jsonl`: the truth about a run's orders.
///
/// A line is written by one call and before the order is booked, so whatever instant the process dies at, the
/// file holds whole orders and at most one torn line at its end, which opening cuts off: that order was not
/// booked, and its signal is found again. Unreadable lines anywhere else are damage and end the start.
struct OrderJournal: ~Copyable {
  /// An order takes about 500 bytes.
  private static let lineBytesMax = 64 << 10

  let path: String
  private(set) var bytes: Int
  /// Cut off at the start.
  let bytesCut: Int
  private let file: File
  private var line = ByteWriter(capacity: 1024)

  static func folder(_ runFolder: String) -> String { runFolder + "/orders" }

  /// Opens or creates the journal.
  ///
  /// - Parameter restore: books an order of an earlier run; false when it does not add up.
  /// - Throws: ``OrderJournalError``, `FileError`
  init(runFolder: String, restore: (PaperOrder) -> Bool) throws {
    let path = OrderJournal.folder(runFolder) + "/orders.jsonl"
    let file = try File(path, .append)
    let kept = try OrderJournal.scan(file, path, restore)
    let size = try file.size()
    if kept < size {
      try file.truncate(to: kept)
      try file.sync()
    }
    self.path = path
    self.file = file
    bytes = kept
    bytesCut = size - kept
  }

  /// Writes one order, whole or not at all.
  mutating func append(_ order: PaperOrder) throws(FileError) {
    line.removeAll()
    order.append(to: &line)
    do throws(FileError) {
      try file.write(line.bytes)
    } catch {
      // A disk that is full may have taken a part of the line.
      try? file.truncate(to: bytes)
      throw error
    }
    bytes += line.count
  }

  func sync() throws(FileError) { try file.sync() }

  /// - Returns: the length of the whole orders.
  private static func scan(
    _ file: borrowing File, _ path: String, _ restore: (PaperOrder) -> Bool
  ) throws -> Int {
    try file.seek(to: 0)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 * lineBytesMax, alignment: 16)
    defer { buffer.deallocate() }
    var (held, kept, number) = (0, 0, 0)
    var badLine: Int?
    var skips = false
    while true {
      let count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[held...]))
      if count == 0 { return kept }
      held += count
      var start = 0
      while let found = memchr(buffer.baseAddress! + start, 0x0A, held - start) {
        let end = UnsafeRawPointer(found) - UnsafeRawPointer(buffer.baseAddress!)
        number += 1
        let order =
          skips
          ? nil
          : PaperOrder(line: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[start..<end]))
        if let order {
          if let badLine { throw OrderJournalError.corruptLine(path: path, line: badLine) }
          guard restore(order) else { throw OrderJournalError.doesNotAddUp(path: path, line: number) }
          kept += end + 1 - start
        } else if badLine == nil {
          badLine = number
        }
        skips = false
        start = end + 1
      }
      held -= start
      buffer.baseAddress!.copyMemory(from: buffer.baseAddress! + start, byteCount: held)
      if held > lineBytesMax {
        skips = true
        held = 0
      }
    }
  }
}
