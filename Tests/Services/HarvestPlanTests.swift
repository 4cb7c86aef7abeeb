import Core
import Testing

@testable import Services

@Suite("Harvest plan")
struct HarvestPlanTests {
  private func names(_ count: Int) -> [String] { (0..<count).map { "SYMBOL\($0)USDT" } }

  @Test(arguments: [(200, 25, 200, 16), (201, 25, 200, 18), (1, 25, 200, 2), (30, 25, 40, 5), (7, 1, 1, 14)])
  func everyStreamIsOnOneConnection(_ count: Int, _ perConnection: Int, _ streamsMax: Int, _ slots: Int)
    throws
  {
    var configuration = HarvestConfiguration()
    configuration.symbolsPerConnection = perConnection
    configuration.streamsPerConnectionMax = streamsMax
    let plan = try HarvestPlan(symbols: names(count), configuration)
    #expect(plan.slots.count == slots)
    #expect(plan.streams.count == count * 6)
    #expect(Set(plan.streams.map(\.name)).count == count * 6)
    for (index, slot) in plan.slots.enumerated() {
      #expect(slot.symbols.count <= perConnection)
      // One symbol's streams are never split.
      #expect(slot.streams.count <= max(streamsMax, slot.streams.count / slot.symbols.count))
      #expect(slot.target.utf8.count <= HarvestPlan.targetBytesMax)
      let listed = slot.target.split(separator: "=")[1].split(separator: "/").map(String.init)
      #expect(listed == slot.streams.map { plan.streams[$0].name })
      for (position, stream) in slot.streams.enumerated() {
        #expect(plan.streams[stream].slot == index && plan.streams[stream].position == position)
        #expect(plan.streams[stream].kind.root == slot.root)
        #expect(plan.stream(plan.streams[stream].symbol, plan.streams[stream].kind) == stream)
      }
    }
  }

  @Test func streamsStandInTheURL() throws {
    let plan = try HarvestPlan(symbols: ["btcusdt", "ETHUSDT"], HarvestConfiguration())
    #expect(
      plan.slots.map(\.target) == [
        "/public/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/ethusdt@depth@100ms/ethusdt@bookTicker",
        "/market/stream?streams=btcusdt@aggTrade/btcusdt@markPrice@1s/btcusdt@kline_1m/btcusdt@forceOrder/"
          + "ethusdt@aggTrade/ethusdt@markPrice@1s/ethusdt@kline_1m/ethusdt@forceOrder",
      ])
  }

  @Test(arguments: [
    ([], HarvestFailure.noSymbols), (["BTCUSDT", "btcusdt"], .duplicateSymbol("BTCUSDT")),
    (["BTC/USDT"], .badSymbol("BTC/USDT")), ([""], .badSymbol("")),
  ])
  func badListsAreRefused(_ names: [String], _ failure: HarvestFailure) {
    #expect(throws: failure) { try HarvestPlan(symbols: names, HarvestConfiguration()) }
  }

  @Test func misspeltStreamIsRefused() {
    var configuration = HarvestConfiguration()
    configuration.streams = ["depth@100ms", "aggTrades"]
    #expect(configuration.issues.first?.message.contains("did you mean aggTrade?") == true)
    configuration.streams = ["depth", "depth@100ms"]
    #expect(configuration.issues.first?.message.contains("second stream of its kind") == true)
  }

  @Test func namesAreFound() throws {
    let plan = try HarvestPlan(symbols: names(200), HarvestConfiguration())
    let table = StreamNames(plan.streams.map(\.name))
    for (index, stream) in plan.streams.enumerated() {
      #expect(Array(stream.name.utf8).withUnsafeBytes { table.find($0) } == index)
      #expect(Array((stream.name + "x").utf8).withUnsafeBytes { table.find($0) } == -1)
    }
  }
}

@Suite("Harvest parts")
struct HarvestPartsTests {
  @Test func commitsAreTuned() {
    var tuner = BatchTuner()
    #expect(tuner.intervalNs == 20_000_000)
    for _ in 0..<100 { tuner.flushed(durationNs: 9_000_000, records: 10) }
    #expect(tuner.intervalNs == 25_000_000)
    for _ in 0..<100 { tuner.flushed(durationNs: 1000, records: 0) }
    #expect(tuner.intervalNs == 25_000_000)
    for _ in 0..<100 { tuner.flushed(durationNs: 100_000, records: 10) }
    #expect(tuner.intervalNs == 10_000_000)
    let next = tuner.flushed(durationNs: 1_000_000, records: 10)
    #expect(next == 10_000_000)
  }

  @Test func backoffDoublesWithJitterUpToItsBound() {
    let backoff = Backoff(HarvestConfiguration())
    var random = SeededRandom(seed: 3)
    for (attempt, seconds) in [(0, 0.5), (1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (1000, 8)] {
      var delays: [Double] = []
      for _ in 0..<200 { delays.append(Double(backoff.delayNs(attempt, &random)) / 1e9 / seconds) }
      #expect(delays.min()! >= 0.8 && delays.max()! <= 1.2)
      #expect(delays.min()! < 0.85 && delays.max()! > 1.15)
    }
  }

  @Test func clockFilterTrustsTheShortestRoundTrip() {
    var filter = ClockFilter()
    filter.add(.init(offsetNs: 50_000_000, roundTripNs: 90_000_000))
    filter.add(.init(offsetNs: 5_000_000, roundTripNs: 9_000_000))
    #expect(filter.best?.offsetNs == 5_000_000)
    #expect(abs(filter.driftMsEWMA - 0.25 * 45) < 1e-9)
    // The good sample is followed until eight others have come.
    for _ in 0..<7 { filter.add(.init(offsetNs: 20_000_000, roundTripNs: 40_000_000)) }
    #expect(filter.best?.offsetNs == 5_000_000)
    filter.add(.init(offsetNs: 20_000_000, roundTripNs: 40_000_000))
    #expect(filter.best?.offsetNs == 20_000_000)
    filter.restart(jumpNs: 1_000_000_000)
    #expect(filter.best?.offsetNs == -980_000_000)
    filter.add(.init(offsetNs: -979_000_000, roundTripNs: 70_000_000))
    #expect(filter.best?.offsetNs == -979_000_000)
  }

  @Test func latenciesHaveQuantiles() {
    var histogram = LatencyHistogram()
    #expect(histogram.quantileMs(0.5) == nil)
    for value in 1...1000 { histogram.add(Int64(value) * 1_000_000) }
    histogram.add(-5)
    for share in [0.1, 0.5, 0.9, 0.99] {
      let found = histogram.quantileMs(share)!
      #expect(found >= share * 1000 * 0.99 && found <= share * 1000 * 1.13)
    }
    #expect(histogram.countAtMost(ms: 0) == 1)
    #expect(histogram.countAtMost(ms: 2000) == 1001)
    histogram.add(.max)
    #expect(histogram.count == 1002)
  }

  @Test func nothingIsAskedInAVolleyBeforeTheFirstAnswer() {
    var queue = RequestQueue(HarvestConfiguration())
    for symbol in 0..<4 { queue.add(.initial, symbol: symbol, notBeforeNs: 0) }
    let now = moment(1000)
    func send() -> Int {
      var count = 0
      while let job = queue.next(now, exchangeNs: now.wall.rawValue) {
        _ = queue.launch(job, range: nil, timeoutNs: 1_000_000_000, now)
        count += 1
      }
      return count
    }
    let (first, second) = (send(), send())
    #expect(first == 1 && second == 0)
    queue.introduce()
    let rest = send()
    #expect(rest == 3)
  }

  @Test func copiesAreThoseOfTheOtherSide() {
    var filter = DuplicateFilter(hasIDs: [true, false])
    func isCopy(_ stream: Int, _ key: UInt64, _ side: Int) -> Bool {
      filter.isCopy(stream: stream, key: key, side: side)
    }
    let first = [isCopy(0, 7, 0), isCopy(0, 7, 0), isCopy(0, 7, 1)]
    #expect(first == [false, false, true], "the same side repeats: kept")
    let others = [isCopy(1, 7, 1), isCopy(0, 6, 1)]
    #expect(others == [false, false], "another stream; lost by the first side: kept")
    for key in 100..<100 + DuplicateFilter.keysMax { _ = isCopy(0, UInt64(key), 0) }
    let old = [isCopy(0, 100, 1), isCopy(0, 7, 1)]
    #expect(old == [true, false], "out of memory: kept")
  }

  private func moment(_ ms: Int64) -> Moment {
    Moment(wall: UnixNanos(milliseconds: 1_767_571_200_000 + ms), monotonicNs: ms * 1_000_000)
  }

  private func drain(_ queue: inout RequestQueue, _ ms: Int64) -> [RequestQueue.Job] {
    var jobs: [RequestQueue.Job] = []
    let now = moment(ms)
    while let job = queue.next(now, exchangeNs: now.wall.rawValue) {
      let id = queue.launch(job, range: nil, timeoutNs: 1_000_000_000, now)
      _ = queue.land(id)
      jobs.append(job)
    }
    return jobs
  }

  @Test func urgentRequestsGoFirst() {
    var queue = RequestQueue(HarvestConfiguration())
    queue.introduce()
    queue.add(.check, symbol: 1, notBeforeNs: 0)
    queue.add(.time, notBeforeNs: 0)
    queue.add(.initial, symbol: 2, notBeforeNs: 0)
    queue.add(.initial, symbol: 3, notBeforeNs: 0)
    queue.add(.backfill, symbol: 4, notBeforeNs: 0)
    queue.add(.resync, symbol: 5, notBeforeNs: 9_000_000)
    queue.add(.resync, symbol: 5, notBeforeNs: 5_000_000)
    let taken1 = drain(&queue, 0)
    #expect(taken1.map(\.purpose) == [.backfill, .initial, .initial, .time, .check])
    #expect(queue.deadline(moment(0), exchangeNs: moment(0).wall.rawValue) == 5_000_000)
    let taken2 = drain(&queue, 5)
    #expect(taken2.map(\.purpose) == [.resync])
  }

  @Test func theMinuteHasABudget() {
    var queue = RequestQueue(HarvestConfiguration())
    queue.introduce()
    for symbol in 0..<200 { queue.add(.initial, symbol: symbol, notBeforeNs: 0) }
    queue.add(.time, notBeforeNs: 0)
    let taken3 = drain(&queue, 1000)
    #expect(taken3.count { $0.purpose == .initial } == 96)
    // The clock is not left behind by the wait.
    #expect(!queue.jobs.contains { $0.purpose == .time })
    #expect(queue.deadline(moment(1000), exchangeNs: moment(1000).wall.rawValue) == 60_000_000_000)
    let taken4 = drain(&queue, 59_999)
    #expect(taken4.isEmpty)
    let taken5 = drain(&queue, 60_000)
    #expect(taken5.count == 96)
    let taken6 = drain(&queue, 120_000)
    #expect(taken6.count == 8)
  }

  @Test func whatTheExchangeReportsCounts() {
    var queue = RequestQueue(HarvestConfiguration())
    queue.introduce()
    queue.add(.time, notBeforeNs: 0)
    let now = moment(0)
    let job = queue.next(now, exchangeNs: now.wall.rawValue)!
    let flight = queue.land(queue.launch(job, range: nil, timeoutNs: 1, now))!
    queue.learn(usedWeight: 1901, flight)
    queue.add(.resync, symbol: 0, notBeforeNs: 0)
    let taken7 = drain(&queue, 1)
    #expect(taken7.isEmpty)
    let taken8 = drain(&queue, 60_000)
    #expect(taken8.count == 1)
    // An answer that belongs to the minute before says nothing of this one.
    queue.learn(usedWeight: 2000, flight)
    queue.add(.resync, symbol: 0, notBeforeNs: 0)
    let taken9 = drain(&queue, 60_001)
    #expect(taken9.count == 1)
  }

  @Test func weightAtTheEdgeOfAMinuteCountsTwice() {
    var queue = RequestQueue(HarvestConfiguration())
    queue.introduce()
    for symbol in 0..<200 { queue.add(.initial, symbol: symbol, notBeforeNs: 0) }
    let taken10 = drain(&queue, 59_500)
    #expect(taken10.count == 96)
    let taken11 = drain(&queue, 60_500)
    #expect(taken11.isEmpty)
    let taken12 = drain(&queue, 120_500)
    #expect(taken12.count == 96)
  }

  @Test func requestsInFlightAreBounded() {
    var queue = RequestQueue(HarvestConfiguration())
    queue.introduce()
    for symbol in 0..<20 { queue.add(.initial, symbol: symbol, notBeforeNs: 0) }
    queue.add(.backfill, symbol: 0, notBeforeNs: 0)
    var flights: [RequestID] = []
    while let job = queue.next(moment(0), exchangeNs: 0) {
      flights.append(queue.launch(job, range: nil, timeoutNs: 1_000_000_000, moment(0)))
    }
    #expect(flights.count == 8)
    // One at a time a symbol: its backfill is under way.
    #expect(queue.jobs.contains { $0.symbol == 0 })
    #expect(queue.overdue(moment(1999)) == nil)
    #expect(queue.overdue(moment(2000))?.id == flights[0])
  }
}
