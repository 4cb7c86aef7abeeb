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
  /// Rows held back, in order, from ``head`` on; those before it were given out.
  private var window: [StoredRow] = []
  private var head = 0

  /// - Throws: ``SignalStoreError``
  public init(runFolder: String) throws(SignalStoreError) {
    paths = Array(try SignalFiles.list(jsonlFolder: SignalFiles.jsonlFolder(runFolder)).reversed())
  }

  /// - Returns: `nil` after the last row.
  /// - Complexity: O(line) for rows in order, else O(line + ``windowRowsMax``)
  public mutating func next() throws(SignalStoreError) -> StoredRow? {
    while window.count - head < JSONLReader.windowRowsMax, let row = try read() {
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

  /// Rows come nearly in order, so the place is nearly always the end.
  private mutating func push(_ row: StoredRow) {
    guard let last = window.last, head < window.count, StoredRow.isOrdered(row, before: last) else {
      window.append(row)
      return
    }
    var low = head
    var high = window.count - 1
    while low < high {
      let middle = (low + high) / 2
      if StoredRow.isOrdered(row, before: window[middle]) { high = middle } else { low = middle + 1 }
    }
    window.insert(row, at: low)
  }

  private mutating func pop() -> StoredRow? {
    guard head < window.count else { return nil }
    let first = window[head]
    head += 1
    if head == JSONLReader.windowRowsMax || head == window.count {
      window.removeFirst(head)
      head = 0
    }
    return first
  }
}
