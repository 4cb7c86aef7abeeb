import Glibc

/// Cuts a stream of bytes into lines of at most `lineBytesMax` bytes.
///
/// Of a longer line its beginning is given out at once, marked as cut, and the rest up to its end is dropped.
struct LineSplitter {
  struct Line {
    /// Without the line break.
    var bytes: [UInt8]
    var isCut = false
  }

  let lineBytesMax: Int
  private var partial: [UInt8] = []
  private var isDropping = false

  init(lineBytesMax: Int) { self.lineBytesMax = lineBytesMax }

  /// - Returns: the lines that these bytes complete.
  mutating func take(_ bytes: UnsafeRawBufferPointer) -> [Line] {
    var lines: [Line] = []
    var rest = bytes[...]
    while let first = rest.first {
      let end = first == 0x0A ? rest.startIndex : rest.firstIndex(of: 0x0A)
      add(rest[rest.startIndex..<(end ?? rest.endIndex)], to: &lines)
      guard let end else { break }
      if !isDropping { lines.append(takePartial()) }
      isDropping = false
      rest = rest[(end + 1)...]
    }
    return lines
  }

  /// The stream has ended: what came after the last line break.
  mutating func finish() -> Line? {
    isDropping = false
    return partial.isEmpty ? nil : takePartial()
  }

  private mutating func add(_ piece: Slice<UnsafeRawBufferPointer>, to lines: inout [Line]) {
    guard !isDropping else { return }
    let room = lineBytesMax - partial.count
    partial.append(contentsOf: piece.prefix(room))
    guard piece.count > room else { return }
    var line = takePartial()
    line.isCut = true
    lines.append(line)
    isDropping = true
  }

  private mutating func takePartial() -> Line {
    defer { partial = [] }
    return Line(bytes: partial)
  }
}
