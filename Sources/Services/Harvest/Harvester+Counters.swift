import Core

/// Totals at a check, for ratios over the last minute.
struct RateSample: Sendable {
  var trades: Int64 = 0
  var tradesMissed: Int64 = 0
  var depthEvents: Int64 = 0
  var depthGaps: Int64 = 0
}

extension Harvester where Log: ~Copyable {
  private static var rateSamplesMax: Int { 5 }

  /// All totals as they stand.
  ///
  /// - Complexity: O(symbols)
  public var counters: HarvestCounters {
    var counters = totals
    counters.bytes = totals.bytes
    counters.symbols = (0..<symbolCount).map { index in
      var counts = states[index].counts
      counts.resyncs = Int64(states[index].book.resyncs)
      counts.bookIsSynchronized = states[index].book.isSynchronized
      return counts
    }
    for counts in counters.symbols {
      counters.resyncs += counts.resyncs
      counters.backfilled += counts.backfilled
      counters.lost += counts.lost
    }
    for index in 0..<symbolCount { counters.snapshotsTooOld += Int64(states[index].book.snapshotsTooOld) }
    return counters
  }

  /// What `weir harvest` prints at its end.
  public var summary: JSONValue {
    let counters = counters
    var all = latency
    all.add(formerLatency)
    all.add(recentLatency)
    return .object([
      "frames": .integer(counters.frames), "gaps": .integer(counters.gaps),
      "resyncs": .integer(counters.resyncs), "reconnects": .integer(counters.reconnects),
      "backfilled": .integer(counters.backfilled), "lost": .integer(counters.lost),
      "queue_dropped": .integer(counters.queueDropped),
      "latency_ms": .object([
        "p50": .rounded(all.quantileMs(0.5), 3), "p99": .rounded(all.quantileMs(0.99), 3),
      ]),
      "deduplicated": .integer(counters.deduplicated),
      "frames_refused": .integer(counters.framesRefused),
      "rotations": .integer(counters.rotations),
      "substream_timeout_detected": .integer(counters.substreamTimeouts),
      "book_mismatches": .integer(counters.bookMismatches),
      "books_in_sync": .integer(counters.symbols.count { $0.bookIsSynchronized }),
      "symbols": .integer(symbolCount),
    ])
  }

  /// `{SYM:{bids:[[p,q]…],asks:…}}` of the books in sync: all levels, best first, decimals as on the wire.
  public func finalBooks() -> JSONValue {
    var members: [JSONValue.Member] = []
    for index in 0..<symbolCount where states[index].book.isSynchronized {
      let instrument = decoder.instruments[SymbolID(index)]
      let price = instrument?.priceScale ?? DecimalScale(0)
      let quantity = instrument?.quantityScale ?? DecimalScale(0)
      func side(_ levels: [(price: Int64, quantity: Int64)]) -> JSONValue {
        .array(levels.map { .array([.string(price.text($0.price)), .string(quantity.text($0.quantity))]) })
      }
      members.append(
        .init(
          states[index].name,
          .object([
            "bids": side(states[index].book.book.bids.levels()),
            "asks": side(states[index].book.book.asks.levels()),
          ])))
    }
    return .object(members)
  }

  /// Whether a symbol's book is in sync, and the `u` it stands at.
  public func bookState(_ name: String) -> (isSynchronized: Bool, lastUpdateID: Int64?)? {
    guard let index = plan.symbols.firstIndex(of: name) else { return nil }
    return (states[index].book.isSynchronized, states[index].book.sync.lastUpdateID)
  }

  /// At a check: moves the windows of ratios and latencies on.
  mutating func rollRates(_ now: Moment) {
    rates.append(rateSample)
    if rates.count > Self.rateSamplesMax { rates.removeFirst() }
    if now.monotonicNs - recentSinceNs >= Nanoseconds.minute {
      latency.add(formerLatency)
      swap(&formerLatency, &recentLatency)
      recentLatency.removeAll()
      recentSinceNs = now.monotonicNs
    }
  }

  var rateSample: RateSample {
    var sample = RateSample()
    for index in 0..<symbolCount {
      sample.trades += states[index].counts.trades
      sample.tradesMissed += states[index].counts.tradesMissed
      sample.depthEvents += states[index].counts.depthEvents
      sample.depthGaps += states[index].counts.depthGaps
    }
    return sample
  }

  /// Trades and depth events missed at first, over the last minute, as shares of all.
  var lossRatios: (trades: Double, depth: Double) {
    let now = rateSample
    let then = rates.first ?? RateSample()
    func ratio(_ missed: Int64, _ received: Int64) -> Double {
      missed <= 0 ? 0 : Double(missed) / Double(missed + received)
    }
    return (
      ratio(now.tradesMissed - then.tradesMissed, now.trades - then.trades),
      ratio(now.depthGaps - then.depthGaps, now.depthEvents - then.depthEvents)
    )
  }
}
