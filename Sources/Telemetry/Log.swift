import Core

/// What a service says while it runs: one event, one line, for a machine (JSON) or a person.
///
/// Three things turn a log against its readers. A fault that repeats a thousand times a second fills the disk
/// and hides the event that explains it; so an event's name may come ``eventsPerWindowMax`` times in 10 s,
/// the rest is counted, and when the window is over one line `suppressed` tells how many there were. A text
/// from outside (a peer's close reason, a symbol) that holds line feeds or control sequences forges lines or
/// moves a terminal; so all of those are escaped. A secret that is formatted with its neighbours ends up in a
/// ticket; so a secret is a value of its own kind that does not keep what it was made from.
///
/// A window begins with an event's first line. Every line first reports the windows that have ended (and, when
/// the clock was set back, all of them), in order of their events' names; ``flush()`` reports the rest.
/// Bounds: 256 events have a window at a time, more share one that is called `other`; a text of 4 KB a field.
///
/// For one thread; time comes from the clock it is given, and lines go to the sink it is given.
public final class Log {
  public enum Level: Int, CaseIterable, Comparable, Sendable {
    case debug, info, warning, error

    public var name: String { "\(self)" }
    public init?(name: String) {
      guard let level = Level.allCases.first(where: { $0.name == name }) else { return nil }
      self = level
    }

    public static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
  }

  public enum Format: String, CaseIterable, Sendable {
    case json, human
  }

  private struct Window {
    var start: UnixNanos
    var lines = 0
    var suppressed = 0
    /// The most severe of the suppressed.
    var level = Level.debug
  }

  public static let windowLength = 10 * Nanoseconds.second
  private static let windowsMax = 256
  private static let reservedNames: Set<String> = ["ts", "level", "service", "run", "event", "trace_id"]

  /// Lines less severe than this are not written.
  public var level: Level
  public let format: Format
  /// Lines of one event in 10 s.
  public let eventsPerWindowMax: Int
  /// Lines not written because their event came too often.
  public private(set) var suppressedCount = 0

  private let service: String
  private let run: String?
  private let now: () -> UnixNanos
  private let sink: (UnsafeRawBufferPointer) -> Void
  private var writer = ByteWriter(capacity: 1024)
  private var windows: [String: Window] = [:]
  private var lastTime = UnixNanos(.min)
  /// When the first window with something to report ends.
  private var reportDue = UnixNanos(.max)

  /// - Parameters:
  ///   - run: the run's id, given in JSON lines.
  ///   - write: takes one line with its line feed, before it returns.
  public init(
    service: String, run: String? = nil, format: Format = .json, level: Level = .info,
    eventsPerWindowMax: Int = 20, now: @escaping () -> UnixNanos,
    write: @escaping (UnsafeRawBufferPointer) -> Void
  ) {
    precondition(eventsPerWindowMax > 0)
    self.service = service
    self.run = run
    self.format = format
    self.level = level
    self.eventsPerWindowMax = eventsPerWindowMax
    self.now = now
    sink = write
  }

  public func debug(
    _ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, LogValue> = [:], trace: TraceID? = nil
  ) { write(.debug, event, fields(), trace: trace) }

  public func info(
    _ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, LogValue> = [:], trace: TraceID? = nil
  ) { write(.info, event, fields(), trace: trace) }

  public func warning(
    _ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, LogValue> = [:], trace: TraceID? = nil
  ) { write(.warning, event, fields(), trace: trace) }

  public func error(
    _ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, LogValue> = [:], trace: TraceID? = nil
  ) { write(.error, event, fields(), trace: trace) }

  /// Writes one line, unless it is below ``level`` or its event has come too often.
  ///
  /// - Parameters:
  ///   - event: a fixed name; what varies belongs into the fields.
  ///   - fields: other names than those every line has.
  public func write(
    _ level: Level, _ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, LogValue> = [:],
    trace: TraceID? = nil
  ) {
    guard level >= self.level else { return }
    let time = now()
    if time >= reportDue || time < lastTime { report(at: time, all: time < lastTime) }
    lastTime = time
    guard admit(event, level, time) else { return }
    emit(time, level, event, fields(), trace)
  }

  /// Reports the windows that have ended; for a service's timer, since a silent log cannot.
  public func tick() {
    let time = now()
    if time >= reportDue { report(at: time, all: false) }
  }

  /// Reports what was suppressed and not yet reported, for a service's end.
  public func flush() { report(at: now(), all: true) }

  // MARK: The limit

  private func admit(_ event: String, _ level: Level, _ time: UnixNanos) -> Bool {
    var key = event
    if windows[event] == nil, windows.count >= Log.windowsMax {
      for (name, window) in windows where window.suppressed == 0 && isOver(window, time) {
        windows[name] = nil
      }
      if windows.count >= Log.windowsMax { key = "other" }
    }
    var window = windows[key] ?? Window(start: time)
    if isOver(window, time) { window = Window(start: time) }
    let isAdmitted = window.lines < eventsPerWindowMax
    if isAdmitted {
      window.lines += 1
    } else {
      window.suppressed += 1
      window.level = max(window.level, level)
      suppressedCount += 1
      reportDue = min(reportDue, end(of: window))
    }
    windows[key] = window
    return isAdmitted
  }

  private func end(of window: Window) -> UnixNanos {
    UnixNanos(window.start.rawValue.addingReportingOverflow(Log.windowLength).partialValue)
  }

  /// Also when the clock was set back before its start.
  private func isOver(_ window: Window, _ time: UnixNanos) -> Bool {
    time >= end(of: window) || time < window.start
  }

  private func report(at time: UnixNanos, all: Bool) {
    reportDue = UnixNanos(.max)
    // A dictionary's order differs from run to run.
    for (event, window) in windows.sorted(by: { $0.key < $1.key }) where window.suppressed > 0 {
      guard all || isOver(window, time) else {
        reportDue = min(reportDue, end(of: window))
        continue
      }
      windows[event]?.suppressed = 0
      emit(
        time, window.level, "suppressed",
        ["suppressed_event": .text(event), "suppressed": .integer(window.suppressed)], nil)
    }
  }

  // MARK: Lines

  private func emit(
    _ time: UnixNanos, _ level: Level, _ event: String, _ fields: KeyValuePairs<String, LogValue>,
    _ trace: TraceID?
  ) {
    assert(fields.allSatisfy { !Log.reservedNames.contains($0.key) }, "\(event): every line has that field")
    writer.removeAll()
    switch format {
    case .json: appendJSON(time, level, event, fields, trace)
    case .human: appendHuman(time, level, event, fields, trace)
    }
    writer.append(byte: 0x0A)
    sink(writer.bytes)
  }

  private func appendJSON(
    _ time: UnixNanos, _ level: Level, _ event: String, _ fields: KeyValuePairs<String, LogValue>,
    _ trace: TraceID?
  ) {
    writer.append("{\"ts\":\"")
    writer.append(UTCDate(time).isoText)
    writer.append("\",\"level\":\"")
    writer.append(level.name)
    writer.append("\",\"service\":")
    writer.append(printable: service)
    if let run {
      writer.append(",\"run\":")
      writer.append(printable: run)
    }
    writer.append(",\"event\":")
    writer.append(printable: event)
    if let trace {
      writer.append(",\"trace_id\":\"")
      trace.append(to: &writer)
      writer.append(byte: 0x22)
    }
    for (name, value) in fields {
      writer.append(byte: 0x2C)
      writer.append(printable: name)
      writer.append(byte: 0x3A)
      value.appendJSON(to: &writer)
    }
    writer.append(byte: 0x7D)
  }

  private func appendHuman(
    _ time: UnixNanos, _ level: Level, _ event: String, _ fields: KeyValuePairs<String, LogValue>,
    _ trace: TraceID?
  ) {
    // The time of day of an ISO text, which ends in `T12:03:11.123Z`.
    writer.append(String(UTCDate(time).isoText.suffix(13).dropLast()))
    writer.append(byte: 0x20)
    writer.append(level.name.uppercased())
    writer.append(byte: 0x20)
    LogValue.appendHuman(service, to: &writer)
    writer.append("  ")
    LogValue.appendHuman(event, to: &writer)
    if let trace {
      writer.append(" trace_id=")
      trace.append(to: &writer)
    }
    for (name, value) in fields {
      writer.append(byte: 0x20)
      LogValue.appendHuman(name, to: &writer)
      writer.append(byte: 0x3D)
      value.appendHuman(to: &writer)
    }
  }
}
