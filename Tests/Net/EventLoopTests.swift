import Core
import NetTestSupport
import Testing

@testable import Net

@Suite("Event loop")
struct EventLoopTests {
  @Test func timersRunInOrderOfDeadlineThenOfSetting() throws {
    let loop = try EventLoop()
    var seen: [Int] = []
    let now = EventLoop.monotonicNow()
    loop.at(now + 3_000_000) { seen.append(3) }
    loop.at(now + 1_000_000) { seen.append(1) }
    let cancelled = loop.at(now + 2_000_000) { seen.append(99) }
    loop.at(now + 1_000_000) { seen.append(2) }
    loop.at(now + 4_000_000) { loop.stop() }
    loop.cancel(cancelled)
    loop.run()
    #expect(seen == [1, 2, 3])
  }

  @Test func aTimersJobMaySetAndCancelTimers() throws {
    let loop = try EventLoop()
    var seen: [String] = []
    let doomed = loop.after(60 * Nanoseconds.second) { seen.append("doomed") }
    func again() {
      seen.append("again")
      loop.cancel(doomed)
      loop.soon { if seen.count < 3 { again() } }
    }
    loop.soon { again() }
    loop.turn(waitNs: Nanoseconds.second)
    #expect(seen == ["again"], "a timer set by a job waits for the next turn")
    loop.turn(waitNs: Nanoseconds.second)
    loop.turn(waitNs: Nanoseconds.second)
    #expect(seen == ["again", "again", "again"])
  }

  @Test func cancelledTimersLeaveTheHeap() {
    var heap = TimerHeap()
    var ran: [Int] = []
    var ids: [TimerID] = []
    for index in 0..<1000 { ids.append(heap.add(Int64(index * 7 % 1000)) { ran.append(index * 7 % 1000) }) }
    for (index, id) in ids.enumerated() where index % 10 != 0 { heap.cancel(id) }
    while let job = heap.takeDue(10_000, through: heap.lastSerial) { job() }
    #expect(ran == stride(from: 0, to: 1000, by: 10).map { $0 * 7 % 1000 }.sorted())
    #expect(heap.nextDeadlineNs == .max)
  }

  @Test func jobsOfOtherThreadsRunOnTheLoopAndAreRefusedAfterItsEnd() throws {
    var handle: LoopHandle?
    do {
      let loop = try EventLoop()
      handle = loop.handle
      let posted = loop.handle
      loop.soon { posted.post { $0.stop() } }
      loop.run()
    }
    #expect(handle?.post { _ in } == false)
  }

  @Test func aConnectionCarriesBytesBothWaysAndEndsOrderly() throws {
    let loop = try EventLoop()
    let echo = Echo()
    let listener = try Listener(on: loop, port: 0) { echo.adopt($0) }
    let client = Collector(expecting: 3 << 20) { loop.stop() }
    Connector.connect(
      host: "127.0.0.1", port: listener.address.port, tls: nil, on: loop, timeoutNs: Nanoseconds.second
    ) { client.adopt(try! $0.get()) }
    loop.after(10 * Nanoseconds.second) { loop.stop() }
    loop.run()
    #expect(client.received == 3 << 20)
    #expect(client.isIntact)
    #expect(client.end == .closed)
  }

  @Test func aRefusedConnectionNamesThePeer() throws {
    let loop = try EventLoop()
    let listener = try Listener(on: loop, port: 0) { _ in }
    let port = listener.address.port
    listener.stop()
    var failure: NetError?
    Connector.connect(host: "localhost", port: port, tls: nil, on: loop, timeoutNs: Nanoseconds.second) {
      if case .failure(let error) = $0 { failure = error }
      loop.stop()
    }
    loop.run()
    #expect(failure == .connect("localhost:\(port)", 111))
    #expect("\(failure!)".contains("is the server running?"))
  }

  @Test func aFullOutputRefusesAndSaysWhenThereIsRoom() throws {
    let loop = try EventLoop()
    let sink = Paused()
    let listener = try Listener(on: loop, port: 0) { sink.adopt($0) }
    let source = Pusher {
      sink.resume()
    } done: {
      loop.stop()
    }
    Connector.connect(
      host: "127.0.0.1", port: listener.address.port, tls: nil, on: loop, timeoutNs: Nanoseconds.second
    ) { source.adopt(try! $0.get()) }
    loop.after(10 * Nanoseconds.second) { loop.stop() }
    loop.run()
    #expect(source.wasRefused)
    #expect(source.wasDrained)
  }

  /// With TLS one turn reads the data and the end; without, the end is left for the next.
  @Test(arguments: [false, true])
  func anEndThatArrivesWithDataIsReportedAfterThePause(_ isSecure: Bool) throws {
    let loop = try EventLoop()
    let tls = isSecure ? try TestCertificates().tls() : nil
    let speaker = Speaker()
    let listener = try Listener(on: loop, port: 0, tls: tls?.server) { speaker.adopt($0) }
    let hesitant = Hesitant()
    Connector.connect(
      host: "127.0.0.1", port: listener.address.port, tls: tls?.client, on: loop,
      timeoutNs: Nanoseconds.second
    ) { if case .success(let connection) = $0 { hesitant.adopt(connection) } }
    for _ in 0..<20 { loop.turn(waitNs: 10 * Nanoseconds.millisecond) }
    #expect(hesitant.connection?.input.count == 10)
    #expect(hesitant.end == nil)
    hesitant.connection?.resumeReading()
    for _ in 0..<5 { loop.turn(waitNs: 10 * Nanoseconds.millisecond) }
    #expect(hesitant.end == .closed)
  }

  @Test func anAttemptUnderWayIsCancelledWhenTheLoopEnds() throws {
    let loop = try EventLoop()
    // A listener whose queue nobody empties: TCP connects, TLS never answers.
    let listener = try Listener(on: loop, port: 0) { $0.pauseReading() }
    var answers: [NetError] = []
    Connector.connect(
      host: "localhost", port: listener.address.port, tls: try TLSContext(), on: loop,
      timeoutNs: 60 * Nanoseconds.second
    ) { if case .failure(let error) = $0 { answers.append(error) } }
    loop.after(20 * Nanoseconds.millisecond) { loop.stop() }
    loop.run()
    #expect(answers == [.cancelled])
    #expect(loop.sourceCount == 0)
  }
}

/// Says its last words at once.
final class Speaker: Peer {
  override func connectionOpened(_ connection: Connection) {
    connection.output.append("last words")
    connection.close()
  }
}

/// Pauses at the first bytes and leaves them where they are.
final class Hesitant: Peer {
  override func connectionReceived(_ connection: Connection) { connection.pauseReading() }
}

class Peer: ConnectionDelegate {
  var connection: Connection?
  var end: NetError?

  func adopt(_ connection: Connection) {
    self.connection = connection
    connection.delegate = self
    if connection.isOpen { connectionOpened(connection) }
  }

  func connectionOpened(_ connection: Connection) { connection.deadlineNs = .max }
  func connectionReceived(_ connection: Connection) {}
  func connectionDrained(_ connection: Connection) {}
  func connectionClosed(_ connection: Connection, _ reason: NetError) { end = reason }
  func connectionTimedOut(_ connection: Connection) {}
}

final class Echo: Peer {
  override func connectionReceived(_ connection: Connection) {
    let bytes = UnsafeRawBufferPointer(connection.input.bytes)
    connection.write(bytes)
    connection.input.consume(bytes.count)
  }
}

/// Sends so many bytes and checks that they come back.
final class Collector: Peer {
  let expected: Int
  let done: () -> Void
  var received = 0
  var isIntact = true

  init(expecting expected: Int, done: @escaping () -> Void) {
    self.expected = expected
    self.done = done
  }

  override func connectionOpened(_ connection: Connection) {
    let bytes = (0..<expected).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
    bytes.withUnsafeBytes { _ = connection.write($0) }
  }

  override func connectionReceived(_ connection: Connection) {
    for byte in connection.input.bytes {
      if byte != UInt8(truncatingIfNeeded: received &* 31 >> 3) { isIntact = false }
      received += 1
    }
    connection.input.consume(connection.input.count)
    if received == expected { connection.close() }
  }

  override func connectionClosed(_ connection: Connection, _ reason: NetError) {
    end = reason
    done()
  }
}

final class Paused: Peer {
  override func connectionOpened(_ connection: Connection) { connection.pauseReading() }
  override func connectionReceived(_ connection: Connection) {
    connection.input.consume(connection.input.count)
  }
  func resume() { connection?.resumeReading() }
}

final class Pusher: Peer {
  let refused: () -> Void
  let done: () -> Void
  var wasRefused = false
  var wasDrained = false

  init(refused: @escaping () -> Void, done: @escaping () -> Void) {
    self.refused = refused
    self.done = done
  }

  override func connectionOpened(_ connection: Connection) {
    connection.outputBytesMax = 1 << 20
    let piece = [UInt8](repeating: 7, count: 64 << 10)
    while connection.write(piece.withUnsafeBytes { $0 }) { if connection.output.count == 0 { break } }
    wasRefused = !connection.admits(64 << 10)
    refused()
  }

  override func connectionDrained(_ connection: Connection) {
    wasDrained = true
    done()
  }
}
