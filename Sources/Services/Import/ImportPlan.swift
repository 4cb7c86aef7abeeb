import Core
import Tape

/// Which files are read, as what, and on which connection; settled before anything is written.
///
/// Files that continue one another (the same first symbol) are one connection; a capture tool's websocket
/// file is one of its own. A snapshot belongs to the connection that carries its symbol.
struct ImportPlan {
  private(set) var sources: [RecordingSource] = []
  private(set) var bytesTotal = 0
  private(set) var formats: [ImportFormat] = []
  /// Files named more than once, which are read once.
  private(set) var repeated: [String] = []

  private let options: ImportOptions
  private var seen: Set<FileIdentity> = []
  private var connections: [String: Int32] = [:]
  private var firstSymbols: [String: Int32] = [:]
  private var connectionCount: Int32 = 0
  private var symbolTimes: [String: Int64] = [:]
  private var firstTime: Int64?
  /// Captures found beside a recording, whose snapshots are all taken.
  private var beside: [(path: String, connection: Int32)] = []

  init(_ options: ImportOptions) throws(ImportError) {
    self.options = options
    for path in options.files { try addRecording(path) }
    for capture in beside { try addBeside(capture.path, capture.connection) }
    try addSnapshots()
    guard sources.contains(where: { $0.start != .max }) else {
      throw .nothingToImport(
        file: options.files.joined(separator: ", "), reason: "there is no frame and no snapshot in it")
    }
  }

  private mutating func addRecording(_ path: String) throws(ImportError) {
    guard isNew(path) else {
      repeated.append(path)
      return
    }
    let probe = try RecordingProbe(path, format: options.format)
    let connection = connection(of: probe)
    for (symbol, time) in probe.symbolTimes {
      if connections[symbol] == nil { connections[symbol] = connection }
      symbolTimes[symbol] = min(time, symbolTimes[symbol] ?? time)
    }
    let alone = probe.symbolTimes.count == 1 ? probe.firstSymbol : nil
    append(
      RecordingSource(
        path: path, order: sources.count, connection: connection, probe: probe,
        inlineSymbol: options.symbol?.uppercased() ?? alone), probe)
    if probe.format == .epochLines {
      for capture in ImportPlan.captures(beside: path) { beside.append((capture, connection)) }
    }
  }

  private mutating func connection(of probe: RecordingProbe) -> Int32 {
    if probe.format != .epochLines, let symbol = probe.firstSymbol, let known = firstSymbols[symbol] {
      return known
    }
    // A file of REST bodies alone is no connection.
    if probe.format == .epochLines, probe.symbolTimes.isEmpty { return 0 }
    let connection = connectionCount
    connectionCount += 1
    if probe.format != .epochLines, let symbol = probe.firstSymbol { firstSymbols[symbol] = connection }
    return connection
  }

  private mutating func append(_ source: RecordingSource, _ probe: RecordingProbe) {
    sources.append(source)
    bytesTotal += probe.bytes
    if !formats.contains(probe.format) { formats.append(probe.format) }
    if let time = probe.firstTime { firstTime = min(time, firstTime ?? time) }
  }

  private mutating func isNew(_ path: String) -> Bool {
    guard let identity = FileIdentity(path) else { return true }
    return seen.insert(identity).inserted
  }

  /// `X.http.*` in the folder of `X.ws.N.M`.
  private static func captures(beside path: String) -> [String] {
    let name = Files.name(path)
    let folder = path.utf8.count > name.utf8.count ? String(path.dropLast(name.count)) : ""
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard let marker = parts.lastIndex(of: "ws"), marker > 0,
      let names = try? Files.list(folder.isEmpty ? "." : folder)
    else { return [] }
    let prefix = parts[..<marker].joined(separator: ".") + ".http."
    return names.filter { $0.hasPrefix(prefix) }.map { folder + $0 }
  }

  /// A capture nobody asked for is no reason to fail.
  private mutating func addBeside(_ path: String, _ connection: Int32) throws(ImportError) {
    guard isNew(path) else { return }
    let probe: RecordingProbe
    do { probe = try RecordingProbe(path, format: .epochLines) } catch {
      if case .nothingToImport = error { return }
      throw error
    }
    append(
      RecordingSource(
        path: path, order: sources.count, connection: connection, probe: probe, inlineSymbol: nil,
        isBeside: true), probe)
  }

  private mutating func addSnapshots() throws(ImportError) {
    var captures: [(path: String, symbols: Set<String>)] = []
    var done: [ImportOptions.Snapshot] = []
    for snapshot in options.snapshots where !done.contains(snapshot) {
      done.append(snapshot)
      let symbol = snapshot.symbol.uppercased()
      let content = try SnapshotFile(snapshot.file, symbol)
      switch content {
      case .capture:
        if let index = captures.firstIndex(where: { FileIdentity($0.path) == FileIdentity(snapshot.file) }) {
          captures[index].symbols.insert(symbol)
        } else if isNew(snapshot.file) {
          captures.append((snapshot.file, [symbol]))
        }
      // A capture that is read already, whole, holds this symbol's bodies too.
      case .body(let bytes, let eventTime):
        guard let time = eventTime ?? symbolTimes[symbol] ?? firstTime else {
          throw .badSnapshot(
            file: snapshot.file, symbol: symbol, reason: "it has no time of its own and there are no frames")
        }
        sources.append(
          RecordingSource(
            path: snapshot.file, order: sources.count, connection: connections[symbol] ?? 0, symbol: symbol,
            body: bytes, time: time))
      }
    }
    for capture in captures {
      let probe = try RecordingProbe(capture.path, format: .epochLines)
      let connection = capture.symbols.compactMap { connections[$0] }.min() ?? 0
      append(
        RecordingSource(
          path: capture.path, order: sources.count, connection: connection, probe: probe, inlineSymbol: nil,
          onlySymbols: capture.symbols), probe)
    }
  }

  /// The connection a snapshot is written under.
  func connection(of symbol: String, default connection: Int32) -> Int32 {
    connections[symbol] ?? connection
  }
}

/// What a file given as a symbol's snapshot is.
enum SnapshotFile {
  /// `URL -> epoch: body` lines.
  case capture
  /// One REST body, its line ends replaced by blanks, and its event time if it has one.
  case body([UInt8], eventTime: Int64?)

  init(_ path: String, _ symbol: String) throws(ImportError) {
    let lines = try onImport { () throws(FileError) in try LineSource(path) }
    var content: [UInt8] = []
    while let line = try onImport({ () throws(FileError) in try lines.next() }) {
      if content.isEmpty, line.starts(with: "http".utf8) {
        self = .capture
        return
      }
      if !content.isEmpty { content.append(0x20) }
      content.append(contentsOf: line)
      if lines.isOverlong || content.count > Tape.recordBytesMax / 2 {
        throw .badSnapshot(file: path, symbol: symbol, reason: "it is too long")
      }
    }
    while content.last == 0x20 { content.removeLast() }
    if let damage = lines.damage { throw .badSnapshot(file: path, symbol: symbol, reason: damage) }
    var eventTime: Int64?
    let isBody = content.withUnsafeBytes { bytes in
      guard case .object = TapePayload(bytes).form, isSnapshot(bytes) else { return false }
      eventTime = RecordingTime.event(bytes)
      return true
    }
    guard isBody else {
      throw .badSnapshot(file: path, symbol: symbol, reason: "it is no JSON object with lastUpdateId")
    }
    self = .body(content, eventTime: eventTime)
  }
}
