import Core
import Tape

/// Merges the planned recordings into one tape, by receive time.
struct RecordingMerge {
  private static let progressBytes = 10_000_000

  private let plan: ImportPlan
  private let output: String
  private let progress: ((ImportProgress) -> Void)?
  /// Sources not yet due, the next one last.
  private var waiting: [RecordingSource]
  private var active: [RecordingSource] = []
  private var events = EventCounter()
  private var first: Int64?
  private var last: Int64 = 0
  private var finishedBytes = 0
  private var reportedBytes = 0

  private let options: TapeWriter.Options

  init(
    _ plan: ImportPlan, output: String, tape options: TapeWriter.Options,
    progress: ((ImportProgress) -> Void)?
  ) {
    self.plan = plan
    self.output = output
    self.options = options
    self.progress = progress
    waiting = plan.sources.sorted { $1.key < $0.key }
  }

  mutating func run() throws(ImportError) -> ImportReport {
    var writer: TapeWriter
    do { writer = try TapeWriter(folder: output, options: options) } catch { throw .output(error) }
    do throws(TapeError) {
      try merge(into: &writer)
      return report(try writer.finish())
    } catch {
      if let failure = readFailure { throw .file(failure) }
      throw .tape(error)
    }
  }

  /// A recording that could not be read on the way; it ends the merge like a failure of the tape.
  private var readFailure: FileError?

  private mutating func merge(into writer: inout TapeWriter) throws(TapeError) {
    while true {
      let best = active.indices.min { active[$0].key < active[$1].key }
      if let next = waiting.last, best == nil || next.key < active[best!].key {
        waiting.removeLast()
        if try reading({ () throws(FileError) in try next.open() }) {
          active.append(next)
        } else {
          finish(next)
        }
        continue
      }
      guard let best else { return }
      // Until another source's item is due, this one goes on without asking around.
      let source = active[best]
      var limit = waiting.last?.key
      for index in active.indices where index != best {
        limit = limit.map { min($0, active[index].key) } ?? active[index].key
      }
      var hasMore = true
      repeat {
        try append(source, to: &writer)
        hasMore = try reading { () throws(FileError) in try source.advance() }
      } while hasMore && (limit.map { source.key < $0 } ?? true)
      if !hasMore {
        active.remove(at: best)
        finish(source)
      }
    }
  }

  private mutating func reading(_ body: () throws(FileError) -> Bool) throws(TapeError) -> Bool {
    do { return try body() } catch {
      readFailure = error
      throw .file(error)
    }
  }

  private mutating func finish(_ source: RecordingSource) {
    finishedBytes += source.report.bytes
  }

  private mutating func append(_ source: RecordingSource, to writer: inout TapeWriter) throws(TapeError) {
    let time = UnixNanos(source.key.time)
    if first == nil {
      first = time.rawValue
      try append(.note, note, at: time, connection: 0, to: &writer)
    }
    last = time.rawValue
    switch source.item {
    case .frame(let payload):
      events.add(payload)
      try writer.append(frame: payload, receiveTime: time, connection: source.connection)
    case .snapshot(let symbol, let body):
      try writer.append(
        .snapshot, stream: symbol.lowercased() + "@snapshot", data: body, receiveTime: time,
        connection: plan.connection(of: symbol, default: source.connection))
    case .open(let url):
      try append(
        .open, .object(["url": .string(url)]), at: time, connection: source.connection, to: &writer)
    case nil: preconditionFailure("a source without an item is not active")
    }
    if writer.totals.records & 4095 == 0 { reportProgress(writer.totals.records) }
  }

  private func append(
    _ kind: RecordKind, _ data: JSONValue, at time: UnixNanos, connection: Int32, to writer: inout TapeWriter
  ) throws(TapeError) {
    var text = ByteWriter()
    data.write(to: &text)
    try writer.append(kind, stream: nil, data: text.bytes, receiveTime: time, connection: connection)
  }

  /// What the tape's first record says about its origin.
  private var note: JSONValue {
    .object([
      "import": .object([
        "files": .array(plan.sources.map { .string(Files.name($0.path)) }),
        "formats": .array(plan.formats.map { .string($0.rawValue) }),
      ])
    ])
  }

  private mutating func reportProgress(_ records: Int) {
    guard let progress else { return }
    let bytes = finishedBytes + active.reduce(0) { $0 + $1.bytesRead }
    guard bytes - reportedBytes >= RecordingMerge.progressBytes else { return }
    reportedBytes = bytes
    progress(ImportProgress(bytesRead: bytes, bytesTotal: plan.bytesTotal, records: records))
  }

  private func report(_ totals: TapeTotals) -> ImportReport {
    ImportReport(
      output: output, files: plan.sources.map(\.report), repeated: plan.repeated, symbols: events.sorted(),
      records: totals.records, firstReceiveTime: UnixNanos(first ?? 0), lastReceiveTime: UnixNanos(last),
      segmentsLeftPlain: totals.compressionsAbandoned)
  }
}
