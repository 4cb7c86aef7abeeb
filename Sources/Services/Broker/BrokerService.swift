import Broker
import Core
import Net
import Store

/// What a broker is asked to do.
public struct BrokerOptions: Sendable {
  public var runFolder: String
  public var source: SignalFeed.Source
  public var follow: FollowOptions
  public var configuration: BrokerConfiguration

  public init(
    runFolder: String, source: SignalFeed.Source, follow: FollowOptions = FollowOptions(),
    configuration: BrokerConfiguration = BrokerConfiguration()
  ) {
    self.runFolder = runFolder
    self.source = source
    self.follow = follow
    self.configuration = configuration
  }
}

/// The shell around ``PaperBroker``: a run's confirmed rows in, `RUN/orders/orders.jsonl` out.
///
/// **Exactly once.** For a row the order is decided, journalled, booked, in this sequence; the journal is the
/// truth. A restart books the journal's orders and then reads the rows again from the last checkpoint, or
/// from the first: a row of a symbol is passed when the journal holds an order of that symbol for a later
/// time, or for this row. That decides, because a sink's rows of one symbol are in the order of time. The
/// checkpoint only saves reading: it holds the feed's position, and the journal is made durable before it, so
/// that it never claims more than the journal has. One that names a longer journal than there is, is not
/// believed.
public final class BrokerService: SignalConsumer {
  private static let checkpointNs = 5 * Nanoseconds.second

  private let options: BrokerOptions
  private let follower: SignalFollower
  private let lock: FolderLock
  private var broker: PaperBroker
  private var journal: OrderJournal
  private let feed: SignalFeed
  private let metrics = BrokerMetrics()
  /// Of each symbol, the newest order's time and the signals that had an order at that time.
  private var newest: [String: Newest]
  private var checkpointed: SignalPosition
  private let startedAt: UnixNanos

  private struct Newest {
    var time: UnixNanos
    var signalIDs: [String]

    mutating func add(_ order: PaperOrder) {
      if order.receiveTime > time {
        time = order.receiveTime
        signalIDs.removeAll(keepingCapacity: true)
      }
      signalIDs.append(order.signalID)
    }
  }

  /// Opens the run's orders and rebuilds the account from them.
  ///
  /// - Throws: `FolderLock.Held` when another broker serves the run, ``OrderJournalError``, `FileError`
  public init(_ options: BrokerOptions) throws {
    self.options = options
    follower = try SignalFollower(options.follow)
    let folder = OrderJournal.folder(options.runFolder)
    try Files.makeFolder(folder)
    lock = try FolderLock(folder)
    var broker = PaperBroker(options.configuration)
    var newest: [String: Newest] = [:]
    journal = try OrderJournal(runFolder: options.runFolder) { order in
      newest[order.symbol, default: Newest(time: order.receiveTime, signalIDs: [])].add(order)
      return broker.apply(order)
    }
    self.broker = broker
    self.newest = newest
    checkpointed = BrokerService.checkpoint(folder, journalBytes: journal.bytes)
    feed = SignalFeed(
      runFolder: options.runFolder, source: options.source, confirmedOnly: true, from: checkpointed)
    startedAt = EventLoop.wallNow()
    for (symbol, position) in broker.positions { metrics.show(symbol, position.quantity) }
  }

  /// Trades until it is told to stop, then writes `RUN/orders/summary.json`.
  ///
  /// - Parameter print: says a line of JSON where there is no supervisor.
  /// - Throws: what made going on impossible; the journal is whole then, too.
  public func run(print: @escaping (JSONValue) -> Void) throws {
    follower.every(BrokerService.checkpointNs) { [unowned self] in try writeCheckpoint() }
    try follower.run(
      self, runFolder: options.runFolder, sources: [options.source],
      ready: [
        .init("orders", .integer(broker.totals.orders)),
        .init("journal_bytes_cut", .integer(journal.bytesCut)),
      ], print: print)
    try writeCheckpoint()
    try Files.writeAtomically(
      OrderJournal.folder(options.runFolder) + "/summary.json", summary.text(pretty: true) + "\n")
    follower.say(options.follow.isSupervised ? .object(["summary": summary]) : summary, print)
  }

  // MARK: Rows

  func consume(rowsMax: Int, isLast: Bool) throws -> Int {
    for taken in 0..<rowsMax {
      switch try feed.step(isLast: isLast) {
      case .idle: return taken
      case .passed: continue
      case .row(let row): try trade(row)
      }
    }
    return rowsMax
  }

  private func trade(_ row: StoredRow) throws {
    let signal = ConfirmedSignal(row)
    if let newest = newest[signal.symbol] {
      if signal.receiveTime < newest.time { return }
      if signal.receiveTime == newest.time, newest.signalIDs.contains(signal.signalID) { return }
    }
    let order = broker.decide(signal)
    try journal.append(order)
    guard broker.apply(order) else { preconditionFailure("an order that was just decided can be booked") }
    newest[order.symbol, default: Newest(time: order.receiveTime, signalIDs: [])].add(order)
    // A row from before the start is caught up with; the time since says nothing of the way.
    let isLive = order.receiveTime >= startedAt
    metrics.count(
      order, roundtripNs: isLive ? EventLoop.wallNow().rawValue - order.receiveTime.rawValue : nil)
  }

  // MARK: Checkpoint

  private func writeCheckpoint() throws {
    let position = feed.position
    if position == checkpointed { return }
    try journal.sync()
    let json: JSONValue = .object([
      "journal_bytes": .integer(journal.bytes), "position": position.json,
    ])
    try Files.writeAtomically(
      OrderJournal.folder(options.runFolder) + "/checkpoint.json", json.text() + "\n")
    checkpointed = position
  }

  private static func checkpoint(_ folder: String, journalBytes: Int) -> SignalPosition {
    guard let bytes = try? Files.read(folder + "/checkpoint.json", bytesMax: 64 << 10),
      let json = bytes.withUnsafeBytes({ try? JSONValue(parsing: $0) }),
      let claimed = json["journal_bytes"]?.integer, claimed <= Int64(journalBytes),
      let position = json["position"].flatMap({ SignalPosition(json: $0) })
    else { return SignalPosition() }
    return position
  }

  // MARK: Telling

  var beat: JSONValue {
    .object([
      "seq": .integer(feed.rowsRead), "time_ns": .integer(feed.newestTime?.rawValue ?? 0),
      "orders": .integer(broker.totals.orders), "bytes_behind": .integer(feed.bytesBehind),
    ])
  }

  func writeMetrics(into writer: inout ByteWriter) {
    metrics.write(into: &writer, signalsRead: feed.rowsRead, bytesBehind: feed.bytesBehind)
  }

  /// What the journal's orders come to; it depends on them alone.
  var summary: JSONValue {
    func amount(_ value: Amount?) -> JSONValue { value.map { .number($0.text) } ?? .null }
    func sum(_ part: (PaperPosition) -> Amount) -> JSONValue {
      amount(broker.positions.values.reduce(Amount.zero) { $0?.adding(part($1)) })
    }
    let symbols = broker.positions.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    return .object([
      "orders": .integer(broker.totals.orders), "filled": .integer(broker.totals.filled),
      "rejected": .object(
        RejectReason.allCases.compactMap { reason in
          broker.totals.rejected[reason].map { .init(reason.rawValue, .integer($0)) }
        }),
      "fees": sum(\.fees), "realized_pnl": sum(\.realizedProfit),
      "positions": .object(
        symbols.map { name, position in
          let unrealized = position.lastPrice.flatMap { position.unrealizedProfit(at: $0) }
          return .init(
            name,
            .object([
              "position": .number(position.quantity.text()), "fills": .integer(position.fills),
              "last_price": position.lastPrice.map {
                .number($0.text(decimals: position.priceDecimals))
              } ?? .null,
              "fees": amount(position.fees), "realized_pnl": amount(position.realizedProfit),
              "unrealized_pnl": amount(unrealized),
            ]))
        }),
    ])
  }
}
