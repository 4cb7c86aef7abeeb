import Core
import Services
import Tape

/// A tape in memory, with what a kill would leave of it.
final class MemoryTape {
  struct Entry {
    var sequence: Int64
    var receiveNs: Int64
    var connection: Int32
    var kind: RecordKind
    var stream: String?
    /// The wire bytes of a frame; the data of another record.
    var payload: [UInt8]
  }

  private(set) var entries: [Entry] = []
  /// Entries that are readable; a kill loses those behind.
  private(set) var publishedCount = 0
  private(set) var lastReceiveNs: Int64 = 0

  func append(
    _ kind: RecordKind, _ stream: String?, _ payload: [UInt8], _ receiveNs: Int64, _ connection: Int32
  ) -> Int64 {
    lastReceiveNs = max(lastReceiveNs, receiveNs)
    entries.append(
      Entry(
        sequence: Int64(entries.count + 1), receiveNs: lastReceiveNs, connection: connection, kind: kind,
        stream: stream, payload: payload))
    return Int64(entries.count)
  }

  func publish() { publishedCount = entries.count }

  /// What the process's end leaves; `lost` acknowledged records go too, which must be noticed.
  func kill(losingAcknowledged lost: Int = 0) {
    publishedCount = max(0, publishedCount - lost)
    entries.removeLast(entries.count - publishedCount)
    lastReceiveNs = entries.last?.receiveNs ?? 0
  }

  /// The records as the tape's own bytes, with a reader's padding behind them.
  func bytes(_ range: Range<Int>? = nil) -> [UInt8] {
    var writer = ByteWriter(capacity: 1 << 16)
    for entry in entries[range ?? 0..<entries.count] {
      writer.append("{\"seq\":" as StaticString)
      writer.append(integer: entry.sequence)
      writer.append(",\"recv_ns\":" as StaticString)
      writer.append(integer: entry.receiveNs)
      writer.append(",\"conn\":" as StaticString)
      writer.append(integer: Int64(entry.connection))
      writer.append(",\"kind\":\"" as StaticString)
      writer.append(entry.kind.name)
      writer.append("\"," as StaticString)
      entry.payload.withUnsafeBytes { payload in
        if entry.kind == .frame {
          // A combined frame is spliced: its own members follow.
          writer.append(bytes: UnsafeRawBufferPointer(rebasing: payload[1...]))
        } else {
          writer.append("\"stream\":" as StaticString)
          if let stream = entry.stream { writer.append(jsonString: stream) } else { writer.append("null") }
          writer.append(",\"data\":" as StaticString)
          writer.append(bytes: payload)
          writer.append(byte: 0x7D)
        }
      }
      writer.append(byte: 0x0A)
    }
    return Array(writer.bytes)
  }
}

/// The harvester's log: the memory tape behind the protocol, and the place where two of the defects sit.
struct MemoryLog: ~Copyable, RecordLog {
  let tape: MemoryTape
  let defect: SimulationOptions.Defect?
  private var appended = 0

  init(_ tape: MemoryTape, defect: SimulationOptions.Defect?) {
    self.tape = tape
    self.defect = defect
  }

  mutating func append(frame: UnsafeRawBufferPointer, receiveTime: UnixNanos, connection: Int32)
    throws(TapeError) -> Int64
  {
    appended += 1
    if defect == .tapeLosesRecords, appended % 1000 == 999 { return Int64(tape.entries.count) }
    return tape.append(.frame, nil, Array(frame), receiveTime.rawValue, connection)
  }

  mutating func append(
    _ kind: RecordKind, stream: String?, data: UnsafeRawBufferPointer, receiveTime: UnixNanos,
    connection: Int32
  ) throws(TapeError) -> Int64 {
    if kind == .gap, defect == .holesAreNotRecorded { return Int64(tape.entries.count) }
    return tape.append(kind, stream, Array(data), receiveTime.rawValue, connection)
  }
}
