import Binance
import Core
import Flow
import Strategy
import Tape

extension SignalPipeline {
  /// Takes a record that is not a frame of a known shape. `false` when rows must be taken first.
  @inline(never)
  mutating func takeUncommonRecord(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Bool {
    if let header = RecordHeader(scanningFrame: base, start), let payload = header.payload(base, lineEnd: end)
    {
      makeGridRows(until: header.receiveNs)
      if rowsAreFull() { return false }
      enter(header.sequence, header.receiveNs)
      totals.frames += 1
      takeFrame(
        payload.stream, connection: header.connection, base, payload.start, payload.end,
        learnAt: payload.stream == nil ? -1 : header.streamStart, learnEnd: end)
      return true
    }
    let line = UnsafeRawBufferPointer(start: base + start, count: end - start)
    guard let record = TapeRecord(parsing: line) else {
      totals.badRecords += 1
      return true
    }
    makeGridRows(until: record.receiveTime.rawValue)
    if rowsAreFull() { return false }
    enter(record.sequence, record.receiveTime.rawValue)
    switch record.kind {
    case .frame:
      totals.frames += 1
      let dataStart = UnsafeRawPointer(record.data.baseAddress!) - base
      takeFrame(
        record.stream, connection: record.connection, base, dataStart, dataStart + record.data.count,
        learnAt: -1,
        learnEnd: end)
    case .snapshot:
      totals.otherRecords += 1
      if let stream = record.stream, isTradesAnswer(stream) {
        takeTradesAnswer(record, base)
      } else {
        takeSnapshot(record, base)
      }
    case .open:
      totals.otherRecords += 1
      // A planned replacement overlaps with the connection it replaces, so nothing was missed.
      if connections.opened(record.connection), reason(of: record) != "rotation" {
        reconnected(record.connection)
      }
    case .clock:
      totals.otherRecords += 1
      if let value = try? JSONValue(parsing: record.data),
        let degraded = value["degraded_time_sync"]?.boolean
      {
        timeSyncIsDegraded = degraded
      }
    case .gap:
      totals.otherRecords += 1
      takeGap(record)
    case .note:
      totals.otherRecords += 1
      takeNote(record)
    case .close:
      totals.otherRecords += 1
    }
    return true
  }

  private mutating func takeFrame(
    _ stream: UnsafeRawBufferPointer?, connection: Int32, _ base: UnsafeRawPointer, _ start: Int, _ end: Int,
    learnAt: Int, learnEnd: Int
  ) {
    connections.heard(connection, receiveNs)
    // Streams of all symbols come as arrays; none of them is used here.
    if start < end, load8(base, start) == 0x5B { return }
    // Payloads that are no object (junk, line breaks) are kept by the tape but carry no market data.
    guard start < end, load8(base, start) == 0x7B else { return fail(.malformed, stream) }
    let outcome = decoder.decodeGenerically(
      base: base, start: start, end: end, streamName: stream, isUnwrapped: stream != nil, learnAt: learnAt,
      learnEnd: learnEnd)
    switch outcome {
    case .failed(let error):
      fail(error, stream)
    case .frame:
      guard decoder.frame.symbol != .none else { return }
      apply(state(of: decoder.frame.symbol), connection: connection)
    }
  }

  private mutating func takeSnapshot(_ record: TapeRecord, _ base: UnsafeRawPointer) {
    let data = record.data
    guard let stream = record.stream, let name = symbolName(stream) else {
      return fail(.missingField, nil)
    }
    let start = UnsafeRawPointer(data.baseAddress!) - base
    let outcome = decoder.decodeSnapshot(base: base, start: start, end: start + data.count, symbolName: name)
    switch outcome {
    case .failed(let error): fail(error, stream)
    case .frame:
      let state = state(of: decoder.frame.symbol)
      state.pointee.lastSequence = totals.lastSequence
      state.pointee.flow.expectBook()
      if case .restored = state.pointee.book.take(snapshot: decoder.frame) {
        bookRestored(state, receiveNs / 1_000_000, receiveNs / 1_000_000)
      }
    }
  }

  /// `btcusdt@aggTrades`: the REST answer that fills a hole in the trades, in the place of a snapshot.
  private func isTradesAnswer(_ stream: UnsafeRawBufferPointer) -> Bool {
    String(decoding: stream, as: UTF8.self).hasSuffix("@aggTrades")
  }

  /// Trades that came by REST count like those that came late by the stream; their ids decide which are new.
  private mutating func takeTradesAnswer(_ record: TapeRecord, _ base: UnsafeRawPointer) {
    let data = record.data
    guard let stream = record.stream, let name = symbolName(stream) else { return fail(.missingField, nil) }
    let start = UnsafeRawPointer(data.baseAddress!) - base
    var trades: [AnsweredTrade] = []
    let outcome = decoder.decodeTrades(
      base: base, start: start, end: start + data.count, symbolName: name, into: &trades)
    if case .failed(let error) = outcome { return fail(error, stream) }
    guard !trades.isEmpty, let symbol = symbols.find(name) else { return }
    let state = state(of: symbol)
    state.pointee.lastSequence = totals.lastSequence
    for trade in trades { takeAnsweredTrade(trade, state) }
    if state.pointee.flow.mayBeStrong() { makeStrongRow(state) }
  }

  /// Interventions, and what the harvester does to a book that readers must do, too.
  private mutating func takeNote(_ record: TapeRecord) {
    guard let stream = record.stream else { return }
    if stream.elementsEqual(Control.stream.utf8) { return takeControl(record) }
    guard let note = try? JSONValue(parsing: record.data), let name = symbolName(stream),
      let symbol = symbols.find(name), symbol.index < states.count
    else { return }
    let state = states[symbol.index]
    let timeMs = receiveNs / 1_000_000
    if note[BookNote.rebuild]?.boolean == true {
      if state.pointee.book.rebuild() { bookLost(state, timeMs) }
    } else if note[BookNote.polled]?.boolean == true {
      if state.pointee.book.beginPolling() { bookLost(state, timeMs) }
    } else if note[BookNote.polled]?.boolean == false {
      state.pointee.book.endPolling()
    }
  }

  /// What the record of a gap changes here: a book found to differ from the venue's is no book, and quotes are
  /// not differenced across a hole in their stream.
  private mutating func takeGap(_ record: TapeRecord) {
    guard let stream = record.stream, let name = symbolName(stream), let symbol = symbols.find(name),
      symbol.index < states.count
    else { return }
    let state = states[symbol.index]
    let timeMs = receiveNs / 1_000_000
    if reason(of: record) == "book_mismatch" {
      if state.pointee.book.invalidate() { bookLost(state, timeMs) }
    } else if String(decoding: stream, as: UTF8.self).hasSuffix("@bookTicker") {
      state.pointee.flow.tickerLost(at: timeMs)
    }
  }

  /// `reason` in a record's data, where it is an object that has one.
  private func reason(of record: TapeRecord) -> String? {
    (try? JSONValue(parsing: record.data))?["reason"]?.text
  }

  /// The state of a symbol, new if unseen.
  mutating func state(of symbol: SymbolID) -> UnsafeMutablePointer<SymbolState> {
    while states.count <= symbol.index {
      let state = UnsafeMutablePointer<SymbolState>.allocate(capacity: 1)
      state.initialize(
        to: SymbolState(
          symbol: SymbolID(states.count),
          SymbolFlow(configuration.flow, lanes: lanes.parameters, divergence: configuration.divergence),
          configuration, control.gates))
      if configuration.shadow.isEnabled { state.pointee.shadow = ShadowChannels(ShadowPlan(configuration)) }
      for module in SignalPipeline.modules { module.adopt(&state.pointee, parameters) }
      states.append(state)
    }
    return states[symbol.index]
  }

  /// Counts a frame that could not be used, for its symbol where that can be told.
  private mutating func fail(_ error: DecodeError, _ stream: UnsafeRawBufferPointer?) {
    totals.decodeErrors[Int(error.rawValue)] += 1
    if totals.samples.count < PipelineTotals.samplesMax {
      totals.samples.append(.init(sequence: totals.lastSequence, reason: error))
    }
    if let stream, let name = symbolName(stream), let symbol = decoder.instruments.intern(name) {
      let state = state(of: symbol)
      state.pointee.counts.decodeErrors += 1
      state.pointee.counts.frames += 1
    } else {
      totals.decodeErrorsWithoutSymbol += 1
    }
  }

  /// `BTCUSDT` for `btcusdt@depth@100ms`; nil for streams of no single symbol (`!forceOrder@arr`).
  private func symbolName(_ stream: UnsafeRawBufferPointer) -> String? {
    guard let at = stream.firstIndex(of: 0x40), at > 0, at <= 32, stream[0] != 0x21 else { return nil }
    let name = stream[0..<at]
    guard name.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }) else { return nil }
    return String(decoding: name, as: UTF8.self).uppercased()
  }

  /// A connection was replaced: what its streams missed in between is unknown.
  private func reconnected(_ connection: Int32) {
    let timeMs = receiveNs / 1_000_000
    for state in states {
      if state.pointee.ofiConnection == connection { state.pointee.flow.tickerLost(at: timeMs) }
      if state.pointee.ofiConnection == connection || state.pointee.cvdConnection == connection {
        state.pointee.reconnectedAtMs = timeMs
      }
    }
  }
}

/// When each connection last delivered anything.
struct Connections {
  /// Ids beyond the bound share the last place.
  static let countMax = 1024

  var lastHeardNs: [Int64] = []

  private func place(_ connection: Int32) -> Int { min(max(0, Int(connection)), Connections.countMax - 1) }

  @inline(__always)
  mutating func heard(_ connection: Int32, _ timeNs: Int64) {
    let index = place(connection)
    if index >= lastHeardNs.count { grow(index) }
    lastHeardNs[index] = timeNs
  }

  @inline(never)
  private mutating func grow(_ index: Int) {
    lastHeardNs.append(contentsOf: repeatElement(.min, count: index + 1 - lastHeardNs.count))
  }

  /// Notes an opening; `true` when frames had come before it, i.e. this is a reconnect.
  func opened(_ connection: Int32) -> Bool {
    let index = place(connection)
    return index < lastHeardNs.count && lastHeardNs[index] != .min
  }

  /// Milliseconds of silence at a time; 0 for a connection never heard of.
  func stalenessMs(_ connection: Int32, _ timeNs: Int64) -> Double {
    guard connection >= 0 else { return 0 }
    let index = place(connection)
    guard index < lastHeardNs.count, lastHeardNs[index] != .min else { return 0 }
    return Double(max(0, timeNs - lastHeardNs[index])) / 1e6
  }
}
