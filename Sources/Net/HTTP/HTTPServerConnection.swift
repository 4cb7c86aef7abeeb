import Core
import Glibc

/// One client of a server: reads its requests, keeps its answers in their order.
final class HTTPServerConnection: ConnectionDelegate {
  /// One request's place in the line of answers.
  struct Exchange {
    var isHead: Bool
    var isVersion10: Bool
    /// Whether the connection goes on after this answer.
    var keepsAlive: Bool
    var isDone = false
    /// The answer so far, while others are before it.
    var buffer: ByteQueue?
    /// Only streams have one; see ``HTTPBodyStream``.
    var stream: HTTPStreamReference?
  }

  private(set) var connection: Connection?
  private(set) var core: HTTPServerCore?
  var exchanges: [Exchange] = []
  /// Number of the first exchange in line.
  private(set) var firstSequence = 0
  private let parser: HTTPParser
  private let options: HTTPServerOptions
  private var isReading = false
  /// Not reading on before answers have gone.
  private var isStalled = false
  private var acceptsMore = true
  private var hasContinued = false
  private(set) var isClosing = false
  private var lastPhase = HTTPParser.Phase.start
  private var partialDeadlineNs = Int64.max
  private var activeNs = Int64(0)
  private var writtenBefore = 0

  init(_ connection: Connection, _ core: HTTPServerCore) {
    self.connection = connection
    self.core = core
    options = core.options
    parser = HTTPParser(
      .request, headBytesMax: core.options.headBytesMax, bodyBytesMax: core.options.bodyBytesMax)
  }

  // MARK: Reading

  func connectionOpened(_ connection: Connection) {
    connection.deadlineNs = EventLoop.monotonicNow() + options.headTimeoutNs
    activeNs = EventLoop.monotonicNow()
  }

  func connectionReceived(_ connection: Connection) { read() }

  private func read() {
    guard !isReading, let connection, let core, let loop = core.loop else { return }
    if isClosing || !acceptsMore {
      // What follows the last request is of no interest.
      connection.input.consume(connection.input.count)
      return
    }
    isReading = true
    defer { isReading = false }
    let now = loop.nowNs
    activeNs = now
    isStalled = false
    while self.connection != nil, acceptsMore, !isClosing {
      if exchanges.count >= options.pipelineMax || waitingBytes > options.outputBytesMax {
        isStalled = true
        break
      }
      let step = parser.step(connection.input)
      if step == .needMore {
        continueBody(connection)
        break
      }
      if case .failed(let failure) = step {
        core.refusedRequests += 1
        refuse(failure)
        break
      }
      // Who changes the protocol needs the connection for himself.
      if parser.wantsUpgrade, !exchanges.isEmpty {
        isStalled = true
        break
      }
      dispatch(connection, core)
    }
    guard self.connection != nil, !isClosing else { return }
    note(now)
    if isStalled, waitingBytes > options.outputBytesMax { _ = connection.admits(options.outputBytesMax + 1) }
    if isStalled { connection.pauseReading() } else { connection.resumeReading() }
  }

  private func dispatch(_ connection: Connection, _ core: HTTPServerCore) {
    let sequence = firstSequence + exchanges.count
    let keepsAlive = parser.keepsAlive && !core.isStopping
    exchanges.append(
      Exchange(
        isHead: parser.isHead, isVersion10: parser.isVersion10, keepsAlive: keepsAlive))
    acceptsMore = keepsAlive
    core.requests += 1
    hasContinued = false
    // The next message has deadlines of its own.
    lastPhase = .start
    partialDeadlineNs = .max
    let head = parser.head
    core.handler(
      HTTPRequest(
        method: parser.method, body: parser.body(in: connection.input), peer: connection.peer,
        isSecure: connection.isSecure, head: head),
      HTTPResponder(self, sequence: sequence, head: head))
    // Taken over by another protocol, it has finished the message itself.
    if self.connection != nil { parser.finishMessage(connection.input) }
  }

  /// Asks for the body of a request that waits for being asked, once its turn to be answered has come.
  private func continueBody(_ connection: Connection) {
    let isAsked = parser.phase == .body && parser.expectsContinue && !hasContinued
    guard isAsked, connection.input.isEmpty else { return }
    guard exchanges.isEmpty else {
      isStalled = true
      return
    }
    hasContinued = true
    connection.output.append("HTTP/1.1 100 Continue\r\n\r\n")
    connection.wrote()
  }

  private func refuse(_ failure: HTTPFailure) {
    let sequence = firstSequence + exchanges.count
    exchanges.append(Exchange(isHead: false, isVersion10: false, keepsAlive: false))
    acceptsMore = false
    fail(sequence, failure.status, failure.message)
  }

  // MARK: Time

  /// The time an answer is dated by: that of the turn, where it comes in the handler's call.
  var answerNs: Int64 { isReading ? activeNs : EventLoop.monotonicNow() }

  /// Sets the deadline after reading as far as possible.
  private func note(_ now: Int64) {
    let phase = isStalled ? .start : parser.phase
    if phase != lastPhase {
      lastPhase = phase
      switch phase {
      case .start: partialDeadlineNs = .max
      case .head: partialDeadlineNs = now + options.headTimeoutNs
      case .body: partialDeadlineNs = now + options.bodyTimeoutNs
      }
    }
    connection?.deadlineNs = min(partialDeadlineNs, now + min(options.writeStallNs, options.idleNs))
  }

  func connectionTimedOut(_ connection: Connection) {
    let now = EventLoop.monotonicNow()
    if now >= partialDeadlineNs {
      core?.refusedRequests += 1
      partialDeadlineNs = .max
      return refuse(HTTPFailure(408, "the request took too long to arrive"))
    }
    if exchanges.isEmpty, connection.output.isEmpty {
      guard now - activeNs < options.idleNs, firstSequence > 0 else { return close() }
      connection.deadlineNs = min(partialDeadlineNs, activeNs + options.idleNs)
      return
    }
    if !connection.output.isEmpty, connection.writtenBytes == writtenBefore {
      return connection.abort(.timeout("sending an answer to \(connection.peer)"))
    }
    writtenBefore = connection.writtenBytes
    connection.deadlineNs = min(partialDeadlineNs, now + options.writeStallNs)
  }

  // MARK: Answers in their order

  /// Output that is not yet with the system, of all exchanges.
  var waitingBytes: Int {
    var waiting = connection?.output.count ?? 0
    for exchange in exchanges { waiting += exchange.buffer?.count ?? 0 }
    return waiting
  }

  func index(of sequence: Int) -> Int? {
    let index = sequence - firstSequence
    return connection != nil && !isClosing && exchanges.indices.contains(index) ? index : nil
  }

  /// Whether nothing can follow this exchange while the server stops: its answer then ends the connection.
  func isLastOfStopping(_ index: Int) -> Bool {
    core?.isStopping == true && index == exchanges.count - 1 && parser.phase == .start && !isReading
  }

  /// Where an exchange's bytes go now.
  func output(_ index: Int, _ connection: Connection) -> ByteQueue {
    if index == 0 { return connection.output }
    if let buffer = exchanges[index].buffer { return buffer }
    let buffer = ByteQueue(capacity: 1024)
    exchanges[index].buffer = buffer
    return buffer
  }

  /// An exchange's answer is complete.
  func complete(_ index: Int) {
    exchanges[index].isDone = true
    exchanges[index].stream = nil
    if index == 0 { advance() }
  }

  private func advance() {
    guard let connection else { return }
    var drained: HTTPBodyStream?
    while let first = exchanges.first {
      if let buffer = first.buffer {
        connection.output.append(UnsafeRawBufferPointer(buffer.bytes))
        exchanges[0].buffer = nil
        drained = first.stream?.stream
      }
      guard first.isDone else { break }
      exchanges.removeFirst()
      firstSequence += 1
      if !first.keepsAlive { return close() }
    }
    connection.wrote()
    if exchanges.isEmpty, core?.isStopping == true, !isReading, parser.phase == .start { return close() }
    readAgainSoon()
    drained?.roomAgain()
  }

  /// Answering may happen inside a handler, so what was held back is read in the next turn.
  private func readAgainSoon() {
    guard isStalled, !isReading, let loop = core?.loop else { return }
    isStalled = false
    loop.soon { [weak self] in self?.read() }
  }

  func connectionDrained(_ connection: Connection) {
    if exchanges.first?.isDone == false { exchanges[0].stream?.stream?.roomAgain() }
    readAgainSoon()
  }

  // MARK: The end

  /// Closes when all output is written.
  func close() {
    guard let connection, !isClosing else { return }
    // In the middle of a TLS handshake there is nothing to end orderly.
    guard connection.isOpen else { return connection.abort() }
    isClosing = true
    connection.resumeReading()
    dropExchanges()
    connection.deadlineNs = EventLoop.monotonicNow() + options.writeStallNs
    connection.close()
  }

  func abort() { connection?.abort() }
  func reset() { connection?.reset() }

  /// The server stops.
  func stop() {
    for exchange in exchanges where exchange.stream?.isEvents == true { exchange.stream?.stream?.endWhole() }
    if exchanges.isEmpty, parser.phase == .start { close() }
  }

  func connectionClosed(_ connection: Connection, _ reason: NetError) {
    guard let core else { return }
    leave()
    core.forget(self)
  }

  /// Lets go of everything but what a responder may still ask.
  private func leave() {
    connection = nil
    core = nil
    dropExchanges()
  }

  private func dropExchanges() {
    let streams = exchanges.compactMap { $0.stream?.stream }
    firstSequence += exchanges.count
    exchanges = []
    for stream in streams { stream.ended() }
  }

  /// Hands the connection over with the bytes that follow the request; see
  /// ``HTTPResponder/takeConnection()``.
  func take(_ sequence: Int) -> Connection? {
    guard let connection, let core, index(of: sequence) == 0, exchanges.count == 1 else { return nil }
    // An upgrade asked for in HTTP/1.0 is to be ignored (RFC 9110, 7.8).
    guard !exchanges[0].isVersion10 else { return nil }
    guard isReading || parser.phase != .body else { return nil }
    if isReading { parser.finishMessage(connection.input) }
    leave()
    connection.delegate = nil
    connection.deadlineNs = .max
    connection.outputBytesMax = 16 << 20
    connection.outputLowBytes = 64 << 10
    connection.resumeReading()
    core.forget(self)
    return connection
  }
}
