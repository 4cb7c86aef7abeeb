import Core
import Net
import ProcessKit
import Services
import Testing

/// A loop that a test turns, with a server on it that misbehaves as told.
final class ExportBench {
  enum Fault {
    case answer(Int, String)
    /// Answers 204 a little later.
    case slow
    /// Takes the request and says nothing.
    case hang
    /// Closes without an answer.
    case abort
    case reset
    /// A head, then a byte of the body at a time, for ever.
    case drip
  }

  struct Received {
    var method: String
    var target: String
    var headers: HTTPHeaders
    var body: String
  }

  let loop: EventLoop
  private var server: HTTPServer?
  /// What the next requests meet; later ones get `otherwise`.
  var faults: [Fault] = []
  var otherwise = Fault.answer(204, "")
  private(set) var received: [Received] = []
  private var answering = 0
  /// The most ``Fault/slow`` answers that were due at one time.
  private(set) var answeringMax = 0
  private var held: [HTTPResponder] = []
  private var streams: [HTTPBodyStream] = []
  /// What the exporter reported.
  var reports: [String] = []

  init() throws {
    loop = try EventLoop()
    server = try HTTPServer(on: loop, options: HTTPServerOptions()) { [unowned self] request, responder in
      received.append(
        Received(
          method: request.method, target: request.target, headers: request.headers,
          body: String(decoding: request.body, as: UTF8.self)))
      misbehave(faults.isEmpty ? otherwise : faults.removeFirst(), responder)
      answeringMax = max(answeringMax, answering)
    }
  }

  var url: String { "http://\(server!.address)" }

  private func misbehave(_ fault: Fault, _ responder: HTTPResponder) {
    switch fault {
    case .answer(let status, let text): responder.respond(status, body: text)
    case .slow:
      answering += 1
      loop.after(3 * Nanoseconds.millisecond) { [weak self] in
        self?.answering -= 1
        responder.respond(204)
      }
    case .hang: held.append(responder)
    case .abort: responder.abort()
    case .reset: responder.reset()
    case .drip:
      let stream = responder.stream(200, length: 1 << 16)
      streams.append(stream)
      drip(stream)
    }
  }

  private func drip(_ stream: HTTPBodyStream) {
    [UInt8(0x78)].withUnsafeBytes { _ = stream.write($0) }
    guard stream.isOpen else { return }
    loop.after(5 * Nanoseconds.millisecond) { [weak self, weak stream] in
      if let self, let stream { drip(stream) }
    }
  }

  /// Turns the loop until the condition holds. The limit is for what never happens: a loaded machine may
  /// stand still for many seconds.
  ///
  /// - Returns: whether it did in time.
  @discardableResult
  func wait(_ seconds: Double = 60, until holds: () -> Bool) -> Bool {
    let end = EventLoop.monotonicNow() + Int64(seconds * 1e9)
    while !holds() {
      if EventLoop.monotonicNow() > end { return false }
      loop.turn(waitNs: Nanoseconds.millisecond)
    }
    return true
  }

  /// Runs the loop for so long.
  func pass(_ seconds: Double) { wait(seconds) { false } }

  func exporter(
    _ type: ExportSettings.Kind, url: String? = nil, credentials: ExportCredentials = .none,
    run: String = "r1", timeoutMs: Int = 200,
    change: (inout ExportSettings) -> Void = { _ in }
  ) -> TimeSeriesExporter {
    var settings = ExportSettings()
    settings.type = type
    settings.url = url ?? self.url
    settings.organization = "desk"
    settings.bucket = "weir"
    settings.database = "weir"
    settings.timeoutMs = timeoutMs
    settings.backoffMsMin = 10
    settings.backoffMsMax = 40
    change(&settings)
    return TimeSeriesExporter(
      on: loop, settings: settings, series: ExportSeries(run: run, instance: "host-1"),
      credentials: credentials, seed: 7, report: { [unowned self] in reports.append($0) })
  }
}

func samplePoint(_ value: Int64, timeNs: Int64 = 1_721_347_021_080_123_456) -> ExportPoint {
  ExportPoint("weir_signal", fields: [.init("rows_total", .integer(value))], timeNs: timeNs)
}
