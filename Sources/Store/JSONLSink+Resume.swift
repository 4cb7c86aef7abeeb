import Core

extension JSONLSink {
  /// Finds where an earlier run left off: repairs its open part, and recalls each symbol's last row.
  ///
  /// A part older than the newest file is one whose renaming failed; it is finished here.
  /// - Returns: the hour of an open part that has rows, to be continued.
  mutating func resume(from place: Place?) throws(SignalStoreError) -> Int64? {
    var newestHour: Int64?
    var isNewestOpen = false
    var paths = try SignalFiles.list(jsonlFolder: folder)
    while let path = paths.popLast() {
      let isPart = path.hasSuffix(SignalFiles.openSuffix)
      if newestHour != nil, !isPart { continue }
      let isPlaces = place.map { Files.name(path).hasPrefix(SignalFiles.hourName(UnixNanos($0.hour)) + ".") }
      let scan = try JSONLSink.scan(path, mayBeTorn: isPart, from: isPlaces == true ? place : nil)
      if isPart {
        try JSONLSink.cut(path, scan)
        if recovery == nil {
          recovery = Recovery(path: path, rowsKept: scan.rows, bytesCut: scan.size - scan.bytesKept)
        }
      }
      if scan.bytesKept == 0 { continue }
      if newestHour != nil {
        try storing { () throws(FileError) in try Files.rename(path, String(path.dropLast(5))) }
        continue
      }
      resumed = scan.positions
      floor = SignalFiles.hourStart(scan.lastTime)
      lastReceiveTime = UnixNanos(scan.lastTime)
      fileBytes = scan.bytesKept
      let expected = SignalFiles.hourName(UnixNanos(scan.lastTime))
      guard Files.name(path).hasPrefix(expected + ".") else {
        throw .corruptLine(
          path: path, line: scan.rows, problem: "the row belongs to the hour of \(expected), not to this file"
        )
      }
      newestHour = floor
      isNewestOpen = isPart
    }
    return isNewestOpen ? newestHour : nil
  }

  struct Scan {
    var rows = 0
    var size = 0
    var bytesKept = 0
    var lastTime = Int64.min
    var positions: [String: Position] = [:]
  }

  /// Reads a file to its end. In a part, unreadable lines at the very end count as torn; anywhere else they
  /// are damage that no interruption explains.
  private static func scan(
    _ path: String, mayBeTorn: Bool, from place: Place?
  ) throws(SignalStoreError) -> Scan {
    let lines = try storing { () throws(FileError) in try LineReader(path, from: place?.bytes ?? 0) }
    var scan = Scan()
    if let place {
      scan.size = place.bytes
      scan.bytesKept = place.bytes
      scan.lastTime = place.lastTime
      scan.positions = place.positions
    }
    var row = StoredRow()
    var damage: (line: Int, problem: String)?
    while true {
      let next: LineReader.Found?
      do throws(FileError) { next = try lines.next() } catch { throw .file(error) }
      guard let found = next else { break }
      scan.size = found.offset + found.length
      let problem =
        switch found.kind {
        case .whole: row.read(lines.line)
        case .torn: "the last line has no end"
        case .tooLong: "a line longer than any row"
        }
      if let problem {
        if damage == nil { damage = (found.number, problem) }
        continue
      }
      if let damage { throw .corruptLine(path: path, line: damage.line, problem: damage.problem) }
      scan.rows += 1
      scan.bytesKept = scan.size
      scan.lastTime = max(scan.lastTime, row.receiveTime.rawValue)
      let mask = 1 << (row.trigger?.rawValue ?? 0) as UInt8
      var last = scan.positions[row.symbolName] ?? Position()
      if row.receiveTime.rawValue > last.time {
        last = Position(time: row.receiveTime.rawValue, triggers: mask)
      } else if row.receiveTime.rawValue == last.time {
        last.triggers |= mask
      }
      scan.positions[row.symbolName] = last
    }
    if let damage, !mayBeTorn {
      throw .corruptLine(path: path, line: damage.line, problem: damage.problem)
    }
    return scan
  }

  /// Shortens a part to its whole rows; one without rows is removed, so that names always hold rows.
  private static func cut(_ path: String, _ scan: Scan) throws(SignalStoreError) {
    do throws(FileError) {
      if scan.bytesKept == 0 { return try Files.remove(path) }
      if scan.bytesKept == scan.size { return }
      let file = try File(path, .append)
      try file.truncate(to: scan.bytesKept)
      try file.sync()
    } catch {
      throw .file(error)
    }
  }
}
