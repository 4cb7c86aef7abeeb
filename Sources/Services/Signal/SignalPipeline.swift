import Binance
import Core
import Flow
import Glibc
import Strategy
import Tape

/// What the signal stage is told.
public struct SignalConfiguration: Equatable, Sendable {
  public var flow = FlowConfiguration()
  public var gates = GateConfiguration()
  public var strategy = StrategyConfiguration()
  public var divergence = DivergenceConfiguration()
  public var shadow = ShadowConfiguration()
  /// Longer silences of the whole tape are not filled with rows, seconds.
  public var idleRowsSecondsMax = 60

  public init() {}
}

/// The signal stage: tape records in, signal rows out; no clock, no I/O.
///
/// It is one synchronous state machine over the records of a tape, in order. Time is the records' receive
/// time: when a record is the first at or behind a grid point (every 250 ms), the rows of all symbols for
/// that point are made first, from what came before it, in order of symbol id. So the rows depend on the
/// tape's bytes and the configuration alone, and a replay at any speed, in blocks of any size, gives the same.
///
/// The common record takes the fast way: fixed header, template scan, apply. Anything else (another kind of
/// record, a frame of unknown shape) goes through ``takeUncommonRecord``.
public struct SignalPipeline: ~Copyable {
  /// Rows are handed out in batches; ``process(_:from:)`` returns early when one is full.
  static let rowsMax = 4096

  public let configuration: SignalConfiguration
  public internal(set) var rows: [Signal] = []
  /// Of the shadow channels, at most three for each of ``rows``.
  public internal(set) var shadowRows: [Signal] = []
  public internal(set) var totals = PipelineTotals()
  /// Kept only where someone taps them (see ``tapQuotes()``).
  var gridQuotes: [GridQuote]?
  var decoder: FrameDecoder
  var states: [UnsafeMutablePointer<SymbolState>] = []
  var clock = ClockOffset()
  var connections = Connections()
  let gridNs: Int64
  private let idleNsMax: Int64
  var nextGridNs: Int64 = .max
  var receiveNs: Int64 = .min
  /// What the clock records say.
  var timeSyncIsDegraded = false
  /// What interventions have made of the stage.
  public internal(set) var control: StrategyControl
  /// What the regime in force makes of the stage; derived of ``control``.
  public internal(set) var parameters: RegimeParameters
  /// What the windows say of the regime.
  public internal(set) var mode: StrategyMode
  var watch = WindowWatch()
  /// Refuses every switch, for drills.
  var refusingModule: String?
  let lanes: RegimeLanes
  /// A clock to time switches of parameters by; no row depends on it.
  public var monotonicNs: (() -> Int64)?
  var parameterUpdateNs: [Int64] = []
  static let parameterUpdatesMax = 256

  /// - Precondition: the schedule of the configuration is one; loading a configuration checks that.
  public init(_ configuration: SignalConfiguration, instruments: InstrumentTable = InstrumentTable()) {
    self.configuration = configuration
    control = StrategyControl(configuration)
    lanes = RegimeLanes(configuration)
    parameters = control.parameters(configuration.strategy, lanes)
    do throws(ScheduleError) {
      mode = try StrategyMode(configuration.strategy)
    } catch {
      preconditionFailure("the configuration was checked: \(error)")
    }
    decoder = FrameDecoder(instruments: instruments)
    gridNs = Int64(configuration.flow.rowIntervalMs) * Nanoseconds.millisecond
    idleNsMax = Int64(configuration.idleRowsSecondsMax) * Nanoseconds.second
    rows.reserveCapacity(SignalPipeline.rowsMax + SymbolTable.countMax)
  }

  deinit {
    for state in states {
      state.deinitialize(count: 1)
      state.deallocate()
    }
  }

  /// Levels of all depth events so far.
  public var levelUpdates: Int64 { states.reduce(0) { $0 + $1.pointee.counts.levelUpdates } }

  public var symbols: SymbolTable { decoder.instruments.symbols }

  /// Takes the rows made so far.
  public mutating func removeRows() {
    rows.removeAll(keepingCapacity: true)
    shadowRows.removeAll(keepingCapacity: true)
  }

  /// Processes whole records from `offset` on.
  ///
  /// - Parameter block: whole lines, with ``FrameDecoder/paddingBytes`` readable bytes behind the end.
  /// - Returns: the offset reached; less than the block's size when ``rows`` must be taken first.
  public mutating func process(_ block: UnsafeRawBufferPointer, from start: Int) -> Int {
    let base = block.baseAddress!
    let end = block.count
    var offset = start
    while offset < end {
      if let header = RecordHeader(scanning: base, offset) {
        if header.receiveNs >= nextGridNs {
          makeGridRows(until: header.receiveNs)
          if rowsAreFull() { return offset }
        }
        let frameEnd = decoder.scan(base, header.streamStart)
        if frameEnd >= 0, load8(base, frameEnd) == 0x0A, decoder.frame.symbol.index < states.count {
          enter(header.sequence, header.receiveNs)
          totals.frames &+= 1
          apply(states[decoder.frame.symbol.index], connection: header.connection)
          offset = frameEnd &+ 1
          continue
        }
      }
      guard let newline = memchr(base + offset, 0x0A, end - offset) else { return end }
      let lineEnd = UnsafeRawPointer(newline) - base
      if !takeUncommonRecord(base, offset, lineEnd) { return offset }
      offset = lineEnd + 1
    }
    return offset
  }

  /// Notes a record's place in the tape and in time.
  @inline(__always)
  mutating func enter(_ sequence: Int64, _ time: Int64) {
    if sequence != totals.lastSequence &+ 1, totals.lastSequence != 0 {
      totals.sequenceHoles &+= 1
    }
    totals.lastSequence = sequence
    // The tape's receive times do not decrease; a tape that was edited does not turn time back.
    if time > receiveNs { receiveNs = time } else if time < receiveNs { totals.timeReversals &+= 1 }
    if nextGridNs == .max { startGrid() }
  }

  @inline(never)
  private mutating func startGrid() {
    totals.firstReceiveNs = receiveNs
    if control.state.sinceNs == nil { control.state.sinceNs = receiveNs }
    nextGridNs = (receiveNs / gridNs + 1) * gridNs
  }

  /// Whether rows, or tapped quotes, must be taken before more are made.
  func rowsAreFull() -> Bool {
    if rows.count >= SignalPipeline.rowsMax { return true }
    guard let gridQuotes else { return false }
    return gridQuotes.count >= SignalPipeline.gridQuotesMax
  }

  /// Makes the rows of all grid points up to a record's time, or until rows must be taken.
  @inline(never)
  mutating func makeGridRows(until time: Int64) {
    while nextGridNs <= time {
      if rowsAreFull() { return }
      if time - nextGridNs >= idleNsMax, nextGridNs - receiveNs >= idleNsMax {
        // Nothing has been recorded for a minute: the rest of the silence has no rows.
        let skipped = (time - nextGridNs) / gridNs
        totals.gridPointsSkipped += skipped
        nextGridNs += skipped * gridNs
        if nextGridNs > time { return }
      }
      if gridQuotes != nil { noteQuotes(at: nextGridNs) }
      if nextGridNs >= watch.nextSecondNs { watchMarket(at: nextGridNs) }
      if hasRows(at: nextGridNs) {
        for state in states { makeRow(state, timeNs: nextGridNs, trigger: .grid) }
      } else {
        for state in states { state.pointee.flow.sample(endMs: nextGridNs / 1_000_000) }
      }
      nextGridNs += gridNs
    }
  }

  /// Applies the frame in `decoder.frame` to its symbol.
  @inline(__always)
  mutating func apply(_ state: UnsafeMutablePointer<SymbolState>, connection: Int32) {
    let timeMs = receiveNs / 1_000_000
    let exchangeMs = decoder.frame.has(.eventTime) ? decoder.frame[.eventTime] : -1
    var lagNs: Int64 = -1
    if exchangeMs >= 0 { lagNs = clock.step(receiveNs: receiveNs, exchangeMs: exchangeMs) }
    connections.heard(connection, receiveNs)
    state.pointee.counts.frames &+= 1
    state.pointee.lastSequence = totals.lastSequence
    // Exchange stamps later than the receive clock say that one of the clocks is off.
    if exchangeMs >= 0 { state.pointee.isSkewed = exchangeMs &* 1_000_000 > receiveNs }
    let transactionMs = decoder.frame.has(.transactionTime) ? decoder.frame[.transactionTime] : timeMs
    switch decoder.frame.kind {
    case .bookTicker:
      state.pointee.counts.bookTickerEvents &+= 1
      state.pointee.ofiConnection = connection
      if lagNs >= 0 { state.pointee.ofiLagNs = lagNs }
      let isNew = state.pointee.flow.take(
        ticker: decoder.frame.quote, updateID: decoder.frame[.finalUpdateID], receiveMs: timeMs,
        exchangeMs: transactionMs)
      if !isNew { state.pointee.counts.tickersRepeated &+= 1 }
    case .depthUpdate:
      state.pointee.counts.depthEvents &+= 1
      state.pointee.counts.levelUpdates &+= Int64(decoder.frame.bidCount &+ decoder.frame.askCount)
      state.pointee.ofiConnection = connection
      if lagNs >= 0 { state.pointee.ofiLagNs = lagNs }
      state.pointee.flow.expectBook()
      state.pointee.messages.add(1, at: timeMs / 1000)
      switch state.pointee.book.take(decoder.frame) {
      case .advanced:
        state.pointee.book.show(&state.pointee.flow, receiveMs: timeMs, exchangeMs: transactionMs)
      case .unchanged: return
      case .restored: bookRestored(state, timeMs, transactionMs)
      case .lost: bookLost(state, timeMs)
      }
    case .aggregateTrade, .trade:
      state.pointee.counts.trades &+= 1
      state.pointee.cvdConnection = connection
      if lagNs >= 0 { state.pointee.cvdLagNs = lagNs }
      takeTrade(state, timeMs)
    case .markPrice, .kline, .liquidation, .other:
      return
    }
    if state.pointee.flow.mayBeStrong() { makeStrongRow(state) }
  }

  @inline(__always)
  private mutating func takeTrade(_ state: UnsafeMutablePointer<SymbolState>, _ timeMs: Int64) {
    if state.pointee.tradeKind != decoder.frame.kind {
      guard state.pointee.tradeKind == nil else {
        state.pointee.counts.tradesOfOtherStream &+= 1
        return
      }
      state.pointee.tradeKind = decoder.frame.kind
    }
    guard countTrade(decoder.frame[.tradeID], state, timeMs) else { return }
    if decoder.frame.isExcludedTrade {
      state.pointee.counts.tradesExcluded &+= 1
      return
    }
    state.pointee.market.take(tradePrice: decoder.frame[.price], quantity: decoder.frame[.quantity])
    state.pointee.flow.take(
      trade: decoder.frame[.quantity], aggressor: decoder.frame.aggressor, receiveMs: timeMs)
  }

  /// Takes a trade id; `false` when the trade is known already.
  @inline(__always)
  private func countTrade(_ id: Int64, _ state: UnsafeMutablePointer<SymbolState>, _ timeMs: Int64) -> Bool {
    var missing: Int64 = 0
    switch state.pointee.trades.step(id) {
    case .next: break
    case .late: missing = -1
    case .duplicate: return false
    case .afterHole(let count):
      missing = count
      state.pointee.flow.tradesLost(at: timeMs)
    }
    state.pointee.messages.add(1, missing, at: timeMs / 1000)
    return true
  }

  /// Takes a trade of a REST answer, which has the ids of the aggregate stream. The market trigger does not
  /// see it: it tells of a time that is over.
  func takeAnsweredTrade(_ trade: AnsweredTrade, _ state: UnsafeMutablePointer<SymbolState>) {
    guard state.pointee.tradeKind ?? .aggregateTrade == .aggregateTrade else {
      state.pointee.counts.tradesOfOtherStream &+= 1
      return
    }
    state.pointee.tradeKind = .aggregateTrade
    state.pointee.counts.trades &+= 1
    let timeMs = receiveNs / 1_000_000
    guard countTrade(trade.id, state, timeMs) else { return }
    state.pointee.flow.take(trade: trade.quantity, aggressor: trade.aggressor, receiveMs: timeMs)
  }

  @inline(never)
  func bookRestored(_ state: UnsafeMutablePointer<SymbolState>, _ timeMs: Int64, _ exchangeMs: Int64) {
    // A chain that healed by itself is no resync and starts no cooldown.
    if state.pointee.book.resyncs > state.pointee.resyncsSeen {
      state.pointee.resyncsSeen = state.pointee.book.resyncs
      state.pointee.resyncedAtMs = timeMs
    }
    // The book jumped: its state is set anew and nothing is differenced across the hole.
    state.pointee.flow.bookLost()
    state.pointee.book.show(&state.pointee.flow, receiveMs: timeMs, exchangeMs: exchangeMs)
  }

  @inline(never)
  func bookLost(_ state: UnsafeMutablePointer<SymbolState>, _ timeMs: Int64) {
    state.pointee.flow.bookLost()
    state.pointee.messages.add(0, 1, at: timeMs / 1000)
  }
}

/// What a run reports of the tape as a whole.
public struct PipelineTotals: Equatable, Sendable {
  /// Records of kind `frame`.
  public var frames: Int64 = 0
  /// Records of other kinds.
  public var otherRecords: Int64 = 0
  public var lastSequence: Int64 = 0
  public var sequenceHoles: Int64 = 0
  public var timeReversals: Int64 = 0
  public var firstReceiveNs: Int64 = 0
  public var gridPointsSkipped: Int64 = 0
  /// Lines that are not records.
  public var badRecords: Int64 = 0
  /// By `DecodeError.rawValue`.
  public var decodeErrors = [Int64](repeating: 0, count: DecodeError.allCases.count)
  /// Decode errors of frames whose symbol could not be told.
  public var decodeErrorsWithoutSymbol: Int64 = 0
  /// The first few bad frames: tape `seq`, reason.
  public var samples: [BadFrame] = []

  public struct BadFrame: Equatable, Sendable {
    public var sequence: Int64
    public var reason: DecodeError
  }

  public static let samplesMax = 20
}
