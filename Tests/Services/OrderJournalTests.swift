import Broker
import Core
import Store
import Strategy
import Testing

@testable import Services

/// A run's folder with signals in both sinks, some of them confirmed.
func makeSignals(_ folder: String, rows: Int, seed: UInt64, choice: SignalSinkSet.Choice = .dual) throws {
  var random = SeededRandom(seed: seed)
  var symbols = SymbolTable()
  for name in ["BTCUSDT", "ADAUSDT", "ETHUSDT"] { _ = symbols.intern(name) }
  var sinks = try SignalSinkSet(
    choice, runFolder: folder, context: SignalContext(symbols: symbols, configVersion: "0123456789ab"))
  for index in 0..<rows { try sinks.append(sampleRow(&random, index)) }
  try sinks.finish()
}

/// Three symbols every 250 ms from thirty seconds before midnight.
func sampleRow(_ random: inout SeededRandom, _ index: Int) -> Signal {
  let bid = 6_394_390 + Int64(random.below(4000))
  let quote = Quote(bidPrice: bid, bidQuantity: 1, askPrice: bid + 1 + Int64(random.below(4)), askQuantity: 1)
  let kind = Signal.Kind.allCases[random.below(5)]
  return Signal(
    trigger: .grid, receiveTime: UnixNanos(1_721_347_170_000_000_000 + Int64(index / 3) * 250_000_000),
    symbol: SymbolID(index % 3), score: Micros(random.normal()), zOFI: Micros(random.normal()),
    zCVD: Micros(random.normal()), ofi: Micros(random.normal()), cvd: Int64(random.below(1000)),
    quantityScale: DecimalScale(3), consistency: Micros(random.uniform()),
    dispersion: Micros(random.uniform()), doubledMid: quote.doubledMid, priceScale: DecimalScale(2),
    spreadBps: Micros(Gates.spreadBps(quote)), lagMs: Micros(3), stalenessMs: Micros(12), regime: .normal,
    kind: kind, confirmed: kind != .neutral && random.bernoulli(0.4),
    guardReason: kind == .neutral ? .weak : .none, qualityFlags: [], tapeSequence: Int64(index))
}

@Suite("Order journal")
struct OrderJournalTests {
  private func trade(_ folder: String, _ source: SignalFeed.Source = .jsonl) throws {
    let service = try BrokerService(
      BrokerOptions(runFolder: folder, source: source, follow: FollowOptions(isOnce: true)))
    try service.run { _ in }
  }

  private func copy(_ bytes: some Sequence<UInt8>, to path: String) throws {
    try Array(bytes).withUnsafeBytes { try File(path, .write).write($0) }
  }

  /// Killed at any byte of its last lines, with or without its checkpoint: the same journal comes of it.
  @Test(arguments: [true, false])
  func everyTornEndIsMended(hasCheckpoint: Bool) throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeSignals(folder, rows: 60, seed: 4)
    try trade(folder)
    let path = folder + "/orders/orders.jsonl"
    let whole = try Files.read(path)
    let summary = try Files.read(folder + "/orders/summary.json")
    let lines = whole.split(separator: 0x0A, omittingEmptySubsequences: false)
    #expect(lines.count > 8)
    let tail = lines.suffix(3).reduce(0) { $0 + $1.count + 1 }
    // Without the checkpoint all rows are read again, wherever the cut is.
    for length in stride(from: whole.count - tail, through: whole.count, by: hasCheckpoint ? 1 : 13) {
      try copy(whole.prefix(length), to: path)
      if !hasCheckpoint { try Files.remove(folder + "/orders/checkpoint.json") }
      try trade(folder)
      #expect(try Files.read(path) == whole, "cut to \(length) bytes")
      #expect(try Files.read(folder + "/orders/summary.json") == summary)
    }
    // A power cut may leave zeros where the last line was.
    try copy(whole.dropLast(300) + [UInt8](repeating: 0, count: 300), to: path)
    try trade(folder)
    #expect(try Files.read(path) == whole)
  }

  @Test func aCheckpointOfALongerJournalIsNotBelieved() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeSignals(folder, rows: 60, seed: 5)
    try trade(folder)
    let whole = try Files.read(folder + "/orders/orders.jsonl")
    try copy([], to: folder + "/orders/orders.jsonl")
    try trade(folder)
    #expect(try Files.read(folder + "/orders/orders.jsonl") == whole)
  }

  @Test func damageIsNamed() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeSignals(folder, rows: 60, seed: 6)
    try trade(folder)
    let path = folder + "/orders/orders.jsonl"
    let lines = String(decoding: try Files.read(path), as: UTF8.self).split(separator: "\n")
    try copy(([lines[0], "rubbish"] + lines[1...]).joined(separator: "\n").utf8 + [0x0A], to: path)
    #expect(throws: OrderJournalError.corruptLine(path: path, line: 2)) { try trade(folder) }
    try copy((lines[1...] + [lines[0]]).joined(separator: "\n").utf8 + [0x0A], to: path)
    #expect(throws: OrderJournalError.self) { try trade(folder) }
  }

  @Test func aSecondBrokerIsRefused() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeSignals(folder, rows: 6, seed: 7)
    let options = BrokerOptions(runFolder: folder, source: .jsonl)
    let first = try BrokerService(options)
    #expect(throws: FolderLock.Held.self) { _ = try BrokerService(options) }
    withExtendedLifetime(first) {}
  }

  /// Both sinks give the same orders; within one time the database's rows come by id.
  @Test func sinksGiveTheSameOrders() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeSignals(folder, rows: 600, seed: 8)
    func orders(_ source: SignalFeed.Source) throws -> [PaperOrder] {
      try trade(folder, source)
      let bytes = try Files.read(folder + "/orders/orders.jsonl")
      let orders = bytes.split(separator: 0x0A).compactMap { line in
        Array(line).withUnsafeBytes { PaperOrder(line: $0) }
      }
      #expect(Set(orders.map(\.orderID)).count == orders.count && orders.count > 100)
      removeFolder(folder + "/orders")
      return orders.sorted { $0.orderID < $1.orderID }
    }
    #expect(try orders(.jsonl) == orders(.sqlite))
  }
}
