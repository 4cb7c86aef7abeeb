import Core
import Glibc

/// One connection of an ``HTTPClient``: a request, its answer, the next request.
final class HTTPClientConnection: ConnectionDelegate {
  let origin: HTTPURL.Origin
  private(set) var job: HTTPJob?
  private weak var core: HTTPClientCore?
  private let connection: Connection
  private let parser: HTTPParser
  private var answered = 0
  /// Whether anything of the current answer has arrived.
  private var hasBegun = false

  init(_ connection: Connection, _ origin: HTTPURL.Origin, _ core: HTTPClientCore) {
    self.connection = connection
    self.origin = origin
    self.core = core
    parser = HTTPParser(
      .response, headBytesMax: core.options.headBytesMax, bodyBytesMax: core.options.bodyBytesMax)
    connection.delegate = self
  }

  func send(_ job: HTTPJob) {
    self.job = job
    job.connection = self
    hasBegun = false
    parser.answersHead = job.method == "HEAD"
    connection.deadlineNs = .max
    // A request is one whole thing in memory already; the bound is for streams.
    connection.outputBytesMax = max(connection.outputBytesMax, job.bytes.count)
    job.bytes.withUnsafeBytes { _ = connection.write($0) }
  }

  /// Unused from now on.
  func rest() {
    connection.deadlineNs = EventLoop.monotonicNow() + (core?.options.idleNs ?? 0)
  }

  func close() { connection.abort() }

  /// The request was answered otherwise; what comes for it now is nobody's.
  func giveUp() {
    job = nil
    connection.abort()
  }

  func connectionOpened(_ connection: Connection) {}
  func connectionDrained(_ connection: Connection) {}
  func connectionTimedOut(_ connection: Connection) { connection.abort() }

  func connectionReceived(_ connection: Connection) {
    while let job {
      if !connection.input.isEmpty { hasBegun = true }
      switch parser.step(connection.input) {
      case .needMore: return
      case .failed(let failure):
        self.job = nil
        connection.abort()
        let error: NetError =
          failure == .bodyTooLarge || failure == .headTooLarge
          ? .tooLarge("the answer to \(job.name)", bytesMax: bound(failure))
          : .protocol("the answer to \(job.name): \(failure.message)")
        core?.finish(job, .failure(error))
        return
      case .message:
        if parser.status / 100 == 1, parser.status != 101 {
          parser.finishMessage(connection.input)
          continue
        }
        complete(job)
      }
    }
    // Bytes nobody asked for: whatever they are, they are not the next answer.
    if !connection.input.isEmpty { connection.abort() }
  }

  private func bound(_ failure: HTTPFailure) -> Int {
    let options = core?.options ?? HTTPClientOptions()
    return failure.status == 413 ? options.bodyBytesMax : options.headBytesMax
  }

  private func complete(_ job: HTTPJob) {
    let response = HTTPResponse(
      status: parser.status, headers: parser.head.headers, body: parser.body(in: connection.input))
    let isReusable =
      parser.keepsAlive && parser.status != 101 && parser.framing != .untilEnd && connection.output.isEmpty
    parser.finishMessage(connection.input)
    self.job = nil
    job.connection = nil
    answered += 1
    if isReusable, connection.input.isEmpty {
      rest()
      core?.isFree(self)
    } else {
      connection.abort()
    }
    core?.finish(job, .success(response))
  }

  func connectionClosed(_ connection: Connection, _ reason: NetError) {
    let core = core
    if let job {
      if reason == .closed, parser.phase == .body, parser.framing == .untilEnd {
        complete(job)
      } else {
        self.job = nil
        end(job, reason)
      }
    }
    core?.isGone(self)
  }

  private func end(_ job: HTTPJob, _ reason: NetError) {
    let wasClosed =
      switch reason {
      // Many servers end TLS by ending TCP.
      case .closed, .tls: true
      default: false
      }
    if wasClosed, answered > 0, !hasBegun, job.isIdempotent, !job.isSecondTry {
      core?.again(job)
    } else if hasBegun, reason == .closed {
      core?.finish(job, .failure(.protocol("the answer to \(job.name) ended early")))
    } else {
      core?.finish(job, .failure(reason))
    }
  }
}
