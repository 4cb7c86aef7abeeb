import Core

/// Rows of a run's JSON lines in tape order, in bounded memory.
///
/// Lines are given back in ``StoredRow/isOrdered(_:before:)`` order: rows of one moment are sorted by id,
/// which a file need not be. To that end up to ``windowRowsMax`` rows are held back; a row that lies
/// further from its place than that comes late, and is counted either way in ``rowsOutOfOrder``. Lines that
/// are no rows are skipped and counted, with the first of them named: reading never stops at bad input.
public struct JSONLReader: ~Copyable {
  public static let windowRowsMax = 4096

  /// A line that could not be read.
  public struct BadLine: Equatable, Sendable, CustomStringConvertible {
    public var path: String
    public var line: Int
    public var problem: String

    public var description: String { "\(path):\(line): \(problem)" }
  }

  public private(set) var linesUnreadable = 0
  public private(set) var firstBadLine: BadLine?
  /// Rows that came after a row of a later time.
  public private(set) var rowsOutOfOrder = 0

  private var paths: [String]
  private var lines: LineReader?
  private var path = ""
  private var latest = UnixNanos(.min)
  /// A binary heap, the earliest row first.
  private var heap: [StoredRow] = []

  /// - Throws: ``SignalStoreError``
  public init(runFolder: String) throws(SignalStoreError) {
    paths = Array(try SignalFiles.list(jsonlFolder: SignalFiles.jsonlFolder(runFolder)).reversed())
  }

  /// - Returns: `nil` after the last row.
  /// - Complexity: O(line + log(``windowRowsMax``))
  public mutating func next() throws(SignalStoreError) -> StoredRow? {
    while heap.count < JSONLReader.windowRowsMax, let row = try read() {
      if row.receiveTime < latest { rowsOutOfOrder += 1 }
      latest = max(latest, row.receiveTime)
      push(row)
    }
    return pop()
  }

  private mutating func read() throws(SignalStoreError) -> StoredRow? {
    var row = StoredRow()
    while true {
      if lines == nil {
        guard let next = paths.popLast() else { return nil }
        path = next
        do throws(FileError) { lines = try LineReader(next) } catch { throw .file(error) }
      }
      let next: LineReader.Found?
      do throws(FileError) { next = try lines!.next() } catch { throw .file(error) }
      guard let found = next else {
        lines = nil
        continue
      }
      let problem =
        switch found.kind {
        case .whole: row.read(lines!.line)
        case .torn: "the last line has no end"
        case .tooLong: "a line longer than any row"
        }
      guard let problem else { return row }
      linesUnreadable += 1
      if firstBadLine == nil { firstBadLine = BadLine(path: path, line: found.number, problem: problem) }
    }
  }

  private mutating func push(_ row: StoredRow) {
    heap.append(row)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard StoredRow.isOrdered(heap[child], before: heap[parent]) else { break }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func pop() -> StoredRow? {
    guard let last = heap.popLast() else { return nil }
    guard let first = heap.first else { return last }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
        if StoredRow.isOrdered(heap[child], before: heap[least]) { least = child }
      }
      if least == parent { return first }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
