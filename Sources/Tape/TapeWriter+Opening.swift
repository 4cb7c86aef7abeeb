import Core
import Glibc

extension TapeWriter {
  static func takeLock(_ folder: String) throws(TapeError) -> OpenFile {
    try onTape { () throws(FileError) in try Files.makeFolder(folder) }
    let lock = try onTape { () throws(FileError) in try OpenFile(folder + "/.lock", .append) }
    while flock(lock.file.descriptor, LOCK_EX | LOCK_NB) != 0 {
      if errno == EINTR { continue }
      if errno == EWOULDBLOCK { throw .locked(folder: folder, process: lockHolder(folder)) }
      throw .file(FileError("lock", folder + "/.lock"))
    }
    // The lock is the system's and ends with the process, however that ends. The number is only for the message.
    var text = ByteWriter(capacity: 16)
    text.append("\(getpid())\n")
    try? lock.file.truncate(to: 0)
    try? lock.file.write(text.bytes)
    return lock
  }

  /// The process that wrote its number into the lock file.
  private static func lockHolder(_ folder: String) -> Int32? {
    guard let bytes = try? Files.read(folder + "/.lock", bytesMax: 64) else { return nil }
    return Int32(String(decoding: bytes.prefix { $0 != 0x0A }, as: UTF8.self))
  }

  /// Completes what a crash interrupted, then takes up the last segment.
  mutating func openTape() throws(TapeError) {
    try removeTemporaryFiles()
    var found = TapeRepair()
    var segments = try SegmentFiles.list(folder)
    for index in segments.indices where segments[index].hasPlain && segments[index].hasCompressed {
      try keepOne(&segments[index], &found)
    }
    for files in segments.dropLast() { try close(files, &found) }
    if let last = segments.last {
      if last.hasPlain {
        try continueSegment(last.name, &found)
      } else {
        try close(last, &found)
      }
    }
    if builder.records == 0 {
      let closed = segment == nil ? segments[...] : segments.dropLast()
      try continueNumbers(after: closed)
      // An empty current segment still fixes the hour of what goes into it.
      if let segment { lastReceiveTime = max(lastReceiveTime, segment.start.rawValue) }
    }
    acknowledgedSequence = nextSequence - 1
    totals.lastSequence = nextSequence - 1
    repair = found == TapeRepair() ? nil : found
  }

  private func removeTemporaryFiles() throws(TapeError) {
    try onTape { () throws(FileError) in
      for file in try Files.list(folder) where file.hasSuffix(".tmp") {
        guard let dot = file.firstIndex(of: "."), SegmentName(stem: String(file[..<dot])) != nil else {
          continue
        }
        try Files.remove("\(folder)/\(file)")
      }
    }
  }

  /// A crash between renaming a compressed segment and removing the plain one leaves both.
  private mutating func keepOne(_ files: inout SegmentFiles, _ found: inout TapeRepair) throws(TapeError) {
    let name = files.name
    if !files.hasSeal { try seal(files, &found) }
    files.hasSeal = true
    let seal = TapeSeal.read("\(folder)/\(name.seal)")
    let useless: String
    if let seal, CompressionJob.isIntact(folder: folder, name: name, seal: seal) {
      files.hasPlain = false
      useless = name.plain
    } else {
      files.hasCompressed = false
      useless = name.compressed
    }
    try onTape { () throws(FileError) in try Files.remove("\(folder)/\(useless)") }
  }

  /// A segment with later ones behind it must be sealed, and is compressed if it is not.
  private mutating func close(_ files: SegmentFiles, _ found: inout TapeRepair) throws(TapeError) {
    if !files.hasSeal || TapeSeal.read("\(folder)/\(files.name.seal)") == nil { try seal(files, &found) }
    if files.hasPlain, options.compressClosedSegments { compressionQueue.append(files.name) }
  }

  private func seal(_ files: SegmentFiles, _ found: inout TapeRepair) throws(TapeError) {
    let name = files.name
    let scan: SegmentScan
    if files.hasPlain {
      var cut = 0
      scan = try SegmentScan.repairing("\(folder)/\(name.plain)", cut: &cut)
      note(cut, name, &found)
    } else {
      scan = try SegmentScan("\(folder)/\(name.compressed)", compressed: true)
    }
    found.damagedLines += scan.damagedLines
    if scan.damage != nil {
      found.segmentsDamaged.append(name.compressed)
      return
    }
    guard scan.builder.records > 0 else { return }
    var seal = scan.builder.seal(name)
    if !files.hasPlain { seal.compressed = try TapeSeal.measure("\(folder)/\(name.compressed)") }
    try seal.write("\(folder)/\(name.seal)")
    found.segmentsSealed.append(name.plain)
  }

  private func note(_ cut: Int, _ name: SegmentName, _ found: inout TapeRepair) {
    guard cut > 0 else { return }
    found.bytesCut += cut
    found.segment = name.plain
  }

  /// Takes up a plain segment as the current one.
  mutating func continueSegment(_ name: SegmentName) throws(TapeError) {
    var found = TapeRepair()
    try continueSegment(name, &found)
  }

  private mutating func continueSegment(_ name: SegmentName, _ found: inout TapeRepair) throws(TapeError) {
    let path = "\(folder)/\(name.plain)"
    var cut = 0
    let scan = try SegmentScan.repairing(path, cut: &cut)
    note(cut, name, &found)
    found.damagedLines += scan.damagedLines
    if let seal = TapeSeal.read("\(folder)/\(name.seal)"), seal.content != scan.builder.seal(name) {
      found.segmentsDamaged.append(name.plain)
    }
    file = try onTape { () throws(FileError) in
      // Durable before the first new record: a seal that came back would call the segment damaged.
      if Files.exists("\(folder)/\(name.seal)") {
        try Files.remove("\(folder)/\(name.seal)")
        if options.fsync != .none { try Files.syncFolder(folder) }
      }
      return try OpenFile(path, .append)
    }
    writtenBytes = scan.goodBytes
    if scan.builder.records > 0 {
      nextSequence = scan.builder.lastSequence + 1
      lastReceiveTime = scan.builder.lastReceiveTime
    }
    builder = scan.builder
    segment = name
    segmentEnd = name.end.rawValue
    totals.segments += 1
  }

  /// The numbers after the last closed segment that has records.
  private mutating func continueNumbers(after segments: ArraySlice<SegmentFiles>) throws(TapeError) {
    for files in segments.reversed() {
      var last: (sequence: Int64, receiveTime: Int64)?
      if let seal = TapeSeal.read("\(folder)/\(files.name.seal)") {
        last = (seal.lastSequence, seal.lastReceiveTime.rawValue)
      } else {
        let path = "\(folder)/\(files.hasPlain ? files.name.plain : files.name.compressed)"
        let scan = try SegmentScan(path, compressed: !files.hasPlain)
        if scan.builder.records > 0 { last = (scan.builder.lastSequence, scan.builder.lastReceiveTime) }
      }
      if let last {
        nextSequence = last.sequence + 1
        lastReceiveTime = last.receiveTime
        return
      }
    }
  }
}
