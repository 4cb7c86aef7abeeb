import Core
import Tables

/// Converted tables on disk: `kind=…/date=…/symbol=…/hour=HH.parquet`, or `day.parquet` for a compacted day.
public struct ParquetFolder: Sendable {
  /// The folder with the `kind=…` folders.
  public let root: String

  /// - Parameter folder: that folder, or the one with a folder `parquet` in it.
  /// - Returns: nil when neither holds a table.
  public init?(_ folder: String) {
    let candidates = [folder, folder + "/parquet"]
    guard
      let root = candidates.first(where: { root in
        TableKind.allCases.contains { Files.isFolder("\(root)/kind=\($0.name)") }
          || Files.isFolder(root + "/_conversion")
      })
    else { return nil }
    self.root = root
  }

  /// A pattern of all files of a kind, for DuckDB.
  func pattern(_ kind: TableKind) -> String {
    SQLText.pattern(ofPath: "\(root)/kind=\(kind.name)") + "/*/*/*.parquet"
  }

  /// Whether there is a file of that kind.
  func holds(_ kind: TableKind) -> Bool { first(in: "\(root)/kind=\(kind.name)", depth: 2) }

  private func first(in folder: String, depth: Int) -> Bool {
    guard let names = try? Files.list(folder) else { return false }
    if depth == 0 { return names.contains { $0.hasSuffix(".parquet") } }
    return names.contains { first(in: "\(folder)/\($0)", depth: depth - 1) }
  }

  /// Paths of all Parquet files below the kinds' folders, relative to the root, sorted.
  func files() throws(FileError) -> [String] {
    var found: [String] = []
    for name in try Files.list(root) where name.hasPrefix("kind=") {
      try collect(name, depth: 3, &found)
    }
    return found
  }

  private func collect(_ path: String, depth: Int, _ found: inout [String]) throws(FileError) {
    if path.hasSuffix(".parquet"), !Files.isFolder("\(root)/\(path)") {
      found.append(path)
    } else if depth > 0, Files.isFolder("\(root)/\(path)") {
      for name in try Files.list("\(root)/\(path)") {
        try collect("\(path)/\(name)", depth: depth - 1, &found)
      }
    }
  }

  /// The path of an hour's file, relative to the root.
  static func path(kind: TableKind, symbol: String?, segment: SegmentStem) -> String {
    "\(folder(kind: kind, symbol: symbol, date: segment.date))/hour=\(segment.hour).parquet"
  }

  static func folder(kind: TableKind, symbol: String?, date: String) -> String {
    "kind=\(kind.name)/date=\(date)/symbol=\(symbol.map(escaped) ?? "__HIVE_DEFAULT_PARTITION__")"
  }

  /// Percent-encoded where not a letter, digit, `_` or `-`.
  static func escaped(_ symbol: String) -> String {
    var writer = ByteWriter(capacity: 64)
    for byte in symbol.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F, 0x2D: writer.append(byte: byte)
      default:
        writer.append(byte: 0x25)
        for nibble in [byte >> 4, byte & 15] {
          writer.append(byte: nibble < 10 ? 0x30 + nibble : 0x37 + nibble)
        }
      }
    }
    return writer.string()
  }
}

/// The hour of a tape's segment, as its file is called: `2024-07-18T23`.
struct SegmentStem: Hashable, Comparable, Sendable {
  let text: String
  var date: String { String(text.prefix(10)) }
  var hour: String { String(text.suffix(2)) }

  init?(_ text: String) {
    let parts = text.split(separator: "T", omittingEmptySubsequences: false)
    guard parts.count == 2, CalendarDay(String(parts[0])) != nil, parts[1].utf8.count == 2,
      let hour = UInt8(parts[1]), hour < 24
    else { return nil }
    self.text = text
  }

  static func < (a: SegmentStem, b: SegmentStem) -> Bool { a.text < b.text }
}
