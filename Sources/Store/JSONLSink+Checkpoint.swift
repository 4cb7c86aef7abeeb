import Core

extension JSONLSink {
  /// A place between two rows at which a later sink can go on without reading what stands before it.
  public struct Place: Equatable, Sendable {
    /// The newest file's.
    var hour: Int64
    var bytes: Int
    /// Of what stands before the place; see `FileTail`.
    var fingerprint: UInt64
    /// The newest row's tape time.
    var lastTime: Int64
    /// By symbol name.
    var positions: [String: Position]
  }

  /// The place behind the last row; nil while there is none.
  ///
  /// - Precondition: flushed.
  public func place(_ symbols: SymbolTable) throws(SignalStoreError) -> Place? {
    precondition(buffer.count == 0, "rows are flushed before a checkpoint")
    guard let lastReceiveTime else { return nil }
    var known = resumed
    for (index, position) in positions.enumerated() where position != Position() {
      known[symbols[SymbolID(index)]] = position
    }
    let path = folder + "/" + SignalFiles.hourName(UnixNanos(floor))
    let suffix =
      Files.exists(path + SignalFiles.openSuffix) ? SignalFiles.openSuffix : SignalFiles.finishedSuffix
    let bytes = fileBytes
    let fingerprint = try storing { () throws(FileError) in
      try FileTail.fingerprint(try File(path + suffix, .read), before: bytes)
    }
    return Place(
      hour: floor, bytes: bytes, fingerprint: fingerprint, lastTime: lastReceiveTime.rawValue,
      positions: known)
  }

  /// Whether a run folder's files reach a place and what stands before it is what stood there.
  public static func reaches(_ place: Place, runFolder: String) -> Bool {
    let path = SignalFiles.jsonlFolder(runFolder) + "/" + SignalFiles.hourName(UnixNanos(place.hour))
    return [SignalFiles.openSuffix, SignalFiles.finishedSuffix].contains {
      FileTail.matches(path + $0, before: place.bytes, place.fingerprint)
    }
  }
}

extension JSONLSink.Place {
  func save(to writer: inout CheckpointWriter) {
    writer.append(hour)
    writer.append(Int64(bytes))
    writer.append(fingerprint)
    writer.append(lastTime)
    writer.append(UInt32(positions.count))
    for (name, position) in positions.sorted(by: { $0.key < $1.key }) {
      writer.append(name)
      writer.append(position.time)
      writer.append(position.triggers)
    }
  }

  init(from reader: inout CheckpointReader) throws(CheckpointError) {
    hour = try reader.integer(in: 0...Int64.max)
    bytes = Int(try reader.integer(in: 0...Int64.max))
    fingerprint = try reader.integer()
    lastTime = try reader.integer(in: 0...Int64.max)
    positions = [:]
    for _ in 0..<(try reader.count(bytesEach: 13, max: SymbolTable.countMax)) {
      let name = try reader.text()
      positions[name] = JSONLSink.Position(time: try reader.integer(), triggers: try reader.integer())
    }
  }
}
