import Core
import Glibc

/// Tells a person that a long command is alive: nothing for two seconds, then one line on standard error.
///
/// On a terminal the line is rewritten twice a second; elsewhere a new one comes every five seconds, unless
/// the command was asked for JSON. `--quiet` silences both.
public final class Progress {
  public enum Display: Sendable, Equatable { case none, rewritten, lines }

  public static let delayNs = 2 * Nanoseconds.second
  public static let rewriteIntervalNs = Nanoseconds.second / 2
  public static let lineIntervalNs = 5 * Nanoseconds.second

  private let label: String
  private let unit: String
  private let total: Int64?
  private let display: Display
  private let clock: () -> Int64
  private let emit: (String) -> Void
  private let columnsMax: Int
  private let start: Int64
  private var nextAt: Int64
  private var isShown = false

  /// - Parameters:
  ///   - total: what ``update(_:)`` will reach, when it is known.
  ///   - unit: of what is counted, in the plural: `records`.
  public convenience init(_ label: String, total: Int64? = nil, unit: String, for arguments: ParsedArguments)
  {
    let console = arguments.console
    self.init(
      label, total: total, unit: unit,
      display: Progress.display(
        isTerminal: console.isErrorTerminal, isJSON: arguments.isJSON, isQuiet: arguments.isQuiet),
      columnsMax: terminalColumns(console.errorDescriptor), clock: MonotonicClock.nanoseconds
    ) { console.writeError($0) }
  }

  init(
    _ label: String, total: Int64?, unit: String, display: Display, columnsMax: Int,
    clock: @escaping () -> Int64,
    emit: @escaping (String) -> Void
  ) {
    self.label = label
    self.total = total
    self.unit = unit
    self.display = display
    self.columnsMax = columnsMax
    self.clock = clock
    self.emit = emit
    start = clock()
    nextAt = start + Progress.delayNs
  }

  static func display(isTerminal: Bool, isJSON: Bool, isQuiet: Bool) -> Display {
    if isQuiet { return .none }
    if isTerminal { return .rewritten }
    return isJSON ? .none : .lines
  }

  /// Says how much is done; call it as often as is convenient, it reads a clock and mostly does nothing.
  public func update(_ done: Int64) {
    if display == .none { return }
    let now = clock()
    if now < nextAt { return }
    let line = String(text(done, elapsedNs: now - start).prefix(max(20, columnsMax - 1)))
    if display == .rewritten {
      emit("\r\(line)\u{1B}[K")
      nextAt = now + Progress.rewriteIntervalNs
    } else {
      emit(line + "\n")
      nextAt = now + Progress.lineIntervalNs
    }
    isShown = true
  }

  /// Takes the line off a terminal; call it before the result is printed.
  public func finish() {
    if isShown, display == .rewritten { emit("\r\u{1B}[K") }
    isShown = false
    nextAt = .max
  }

  deinit { finish() }

  private func text(_ done: Int64, elapsedNs: Int64) -> String {
    let rate = Double(done) / (Double(elapsedNs) / 1e9)
    var text = "\(label): "
    if let total, total > 0 {
      let percent = min(100, Int(Double(done) / Double(total) * 100))
      text += "\(percent) %, \(compactCount(Double(done))) of \(compactCount(Double(total))) \(unit)"
    } else {
      text += "\(compactCount(Double(done))) \(unit)"
    }
    text += ", \(compactCount(rate))/s"
    if let total, rate > 0, done < total { text += ", \(durationText(Double(total - done) / rate)) left" }
    return text
  }
}

/// `950`, `12.3 k`, `8.31 M`: three digits and a unit prefix.
public func compactCount(_ value: Double) -> String {
  guard value.isFinite else { return "–" }
  var scaled = value
  var prefix = ""
  for next in ["k", "M", "G", "T"] where abs(scaled) >= 999.5 {
    scaled /= 1000
    prefix = " " + next
  }
  if prefix.isEmpty, scaled == scaled.rounded() { return String(Int(scaled)) }
  let decimals = abs(scaled) < 9.995 ? 2 : abs(scaled) < 99.95 ? 1 : 0
  return (JSONValue.rounded(scaled, decimals).text ?? "–") + prefix
}

/// `12 s`, `3 min 20 s`, `2 h 5 min`.
public func durationText(_ seconds: Double) -> String {
  guard seconds.isFinite, seconds < 1e9 else { return "–" }
  let whole = Int(max(0, seconds).rounded())
  if whole < 60 { return "\(whole) s" }
  if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
  return "\(whole / 3600) h \(whole % 3600 / 60) min"
}

private func terminalColumns(_ descriptor: Int32) -> Int {
  var size = winsize()
  return ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
}
