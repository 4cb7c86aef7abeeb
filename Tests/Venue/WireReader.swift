import Core

/// A reader written from the exchange's procedure alone: dictionaries, one frame at a time, nothing of the
/// generator. It is slow and plain so that it can be checked by eye.
struct WireReader {
  struct Diff {
    var first: Int64
    var last: Int64
    var previous: Int64
    var bids: [(Int64, Int64)]
    var asks: [(Int64, Int64)]
  }

  let priceScale: DecimalScale
  let quantityScale: DecimalScale

  var bids: [Int64: Int64] = [:]
  var asks: [Int64: Int64] = [:]
  var lastUpdateID: Int64 = 0
  var isSynchronised = false
  private var buffer: [Diff] = []
  private var snapshot: (id: Int64, bids: [Int64: Int64], asks: [Int64: Int64])?

  var chainBreaks: [(before: Int64, firstAfter: Int64, time: Int64)] = []
  var staleSnapshots = 0
  var snapshotsApplied = 0
  /// How many snapshots' ids lay strictly inside the frame that bridged them.
  var bridgedInside = 0
  var repeats = 0
  var depthFrames = 0
  var crossed = 0
  var firstIDsAbovePrevious = 0

  var quote: [Int64] = []
  var quoteUpdateID: Int64 = 0
  var quoteFrames = 0
  var touchChecks = 0
  var touchDisagreements = 0
  var ofi: Int64 = 0

  var aggregateID: Int64?
  var tradeHoles = 0
  var lastTradeID: Int64?
  var trades = 0
  var cvd: Int64 = 0
  /// Traded and bought quantity by minute.
  var minutes: [Int64: (lots: Int64, bought: Int64)] = [:]
  var closedKlines = 0
  var klineDisagreements = 0

  init(priceDecimals: Int, quantityDecimals: Int) {
    priceScale = DecimalScale(priceDecimals)
    quantityScale = DecimalScale(quantityDecimals)
  }

  // MARK: Depth

  mutating func depth(_ diff: Diff, time: Int64) {
    depthFrames += 1
    if isSynchronised {
      if diff.last <= lastUpdateID {
        repeats += 1
        return
      }
      if diff.previous == lastUpdateID {
        apply(diff)
        return
      }
      isSynchronised = false
      chainBreaks.append((lastUpdateID, diff.first, time))
      buffer = []
    }
    buffer.append(diff)
    synchronise()
  }

  mutating func takeSnapshot(_ value: JSONValue) {
    guard !isSynchronised, let id = value["lastUpdateId"]?.integer else { return }
    snapshot = (
      id, Dictionary(uniqueKeysWithValues: levels(value["bids"])),
      Dictionary(uniqueKeysWithValues: levels(value["asks"]))
    )
    synchronise()
  }

  private mutating func synchronise() {
    guard let (id, snapshotBids, snapshotAsks) = snapshot else { return }
    // Swapped frames are buffered swapped.
    buffer.sort { $0.last < $1.last }
    buffer.removeAll { $0.last < id }
    guard let oldest = buffer.first else { return }
    if oldest.first > id {
      staleSnapshots += 1
      snapshot = nil
      return
    }
    if id < oldest.last, id > oldest.first { bridgedInside += 1 }
    bids = snapshotBids
    asks = snapshotAsks
    snapshot = nil
    isSynchronised = true
    snapshotsApplied += 1
    let waiting = buffer
    buffer = []
    for (index, diff) in waiting.enumerated() {
      precondition(index == 0 || diff.previous == lastUpdateID)
      apply(diff)
    }
  }

  private mutating func apply(_ diff: Diff) {
    if diff.first > lastUpdateID { firstIDsAbovePrevious += 1 }
    lastUpdateID = diff.last
    for (price, lots) in diff.bids { bids[price] = lots == 0 ? nil : lots }
    for (price, lots) in diff.asks { asks[price] = lots == 0 ? nil : lots }
    guard let bid = bids.keys.max(), let ask = asks.keys.min(), bid < ask else {
      crossed += 1
      return
    }
    if quoteUpdateID != 0, quoteUpdateID <= diff.last {
      touchChecks += 1
      if quote != [bid, bids[bid]!, ask, asks[ask]!] { touchDisagreements += 1 }
    }
  }

  func levels(_ value: JSONValue?) -> [(Int64, Int64)] {
    (value?.elements ?? []).map { pair in
      (priceScale.parse(pair[0]!.text!)!, quantityScale.parse(pair[1]!.text!)!)
    }
  }

  // MARK: Quotes and trades

  mutating func bookTicker(_ data: JSONValue) {
    quoteFrames += 1
    let new = [
      priceScale.parse(data["b"]!.text!)!, quantityScale.parse(data["B"]!.text!)!,
      priceScale.parse(data["a"]!.text!)!, quantityScale.parse(data["A"]!.text!)!,
    ]
    let id = data["u"]!.integer!
    if id == quoteUpdateID { repeats += 1 }
    if !quote.isEmpty {
      if new[0] >= quote[0] { ofi += new[1] }
      if new[0] <= quote[0] { ofi -= quote[1] }
      if new[2] <= quote[2] { ofi -= new[3] }
      if new[2] >= quote[2] { ofi += quote[3] }
    }
    quote = new
    quoteUpdateID = id
  }

  mutating func aggregateTrade(_ data: JSONValue) {
    let id = data["a"]!.integer!
    if let last = aggregateID {
      if id <= last {
        repeats += 1
        return
      }
      if id != last + 1 || data["f"]!.integer! != lastTradeID! + 1 { tradeHoles += 1 }
    }
    aggregateID = id
    lastTradeID = data["l"]!.integer!
    trades += 1
    let lots = quantityScale.parse(data["q"]!.text!)!
    let bought = data["m"]!.boolean! ? 0 : lots
    cvd += 2 * bought - lots
    let minute = data["T"]!.integer! / 60_000
    minutes[minute, default: (0, 0)].lots += lots
    minutes[minute, default: (0, 0)].bought += bought
  }

  mutating func kline(_ data: JSONValue) {
    let bar = data["k"]!
    guard bar["x"]!.boolean! else { return }
    closedKlines += 1
    let minute = minutes[bar["t"]!.integer! / 60_000]
    if minute?.lots != quantityScale.parse(bar["v"]!.text!)
      || minute?.bought != quantityScale.parse(bar["V"]!.text!)
    {
      klineDisagreements += 1
    }
  }
}
