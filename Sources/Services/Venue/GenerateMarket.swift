import Core
import Tape
import Venue

/// What a generated tape holds.
public struct GenerationReport: Sendable {
  public var output: String
  public var frames: Int64 = 0
  public var snapshots: Int64 = 0
  public var firstReceiveTime = UnixNanos(0)
  public var lastReceiveTime = UnixNanos(0)
  public var truth: JSONValue = .null

  public var json: JSONValue {
    .object([
      "tape": .string(output), "frames": .integer(frames), "snapshots": .integer(snapshots),
      "first_recv_ns": .integer(firstReceiveTime.rawValue),
      "last_recv_ns": .integer(lastReceiveTime.rawValue),
    ])
  }
}

/// A tape folder that already holds records is not mixed with a generated market.
public struct GenerationTargetInUse: Error, CustomStringConvertible {
  public var path: String
  public var description: String {
    "\(path) already holds a tape; choose another folder with --out, or remove it"
  }
}

/// Runs the seeded market and records it as a harvester would.
///
/// - Parameter compresses: closed hours become zstd, as in a harvest. A generated tape is mostly read once and
///   can be made again, so by default it is not made to pay for that.
public func generateMarket(
  _ options: MarketOptions, output: String, tape: TapeWriter.Options, compresses: Bool = false,
  progress: (Int64) -> Void = { _ in }
) throws -> GenerationReport {
  var tape = tape
  tape.compressClosedSegments = compresses
  // A generated tape can be made again: it is synced once, at its end.
  tape.fsync = .none
  var writer = try TapeWriter(folder: output, options: tape)
  guard writer.nextSequenceNumber == 1 else { throw GenerationTargetInUse(path: output) }
  var generator = MarketGenerator(options)
  var report = GenerationReport(output: output)
  let snapshotStreams = options.symbols.map { $0.lowercased() + "@snapshot" }
  while let frame = generator.next() {
    switch frame.kind {
    case .frame:
      _ = try writer.append(
        frame: frame.payload, receiveTime: frame.receiveTime, connection: frame.connection)
      report.frames += 1
    case .snapshot:
      // A REST answer belongs to the connection whose book it starts.
      _ = try writer.append(
        .snapshot, stream: snapshotStreams[frame.symbolIndex], data: frame.payload,
        receiveTime: frame.receiveTime, connection: MarketFrame.publicConnection)
      report.snapshots += 1
    }
    if report.frames + report.snapshots == 1 { report.firstReceiveTime = frame.receiveTime }
    report.lastReceiveTime = frame.receiveTime
    if report.frames & 0x3FFF == 0 { progress(report.frames) }
  }
  _ = try writer.finish()
  report.truth = generator.truth
  return report
}
