import Core
import Services
import Strategy
import Tape

extension ScenarioTable {
  /// Without thresholds of its own.
  fileprivate static let confirmingAll = {
    var table = ScenarioTable()
    for cell in [\ScenarioTable.activeHigh, \.activeLow, \.quietHigh, \.quietLow] {
      table[keyPath: cell].entryBuy = 0
      table[keyPath: cell].entrySell = 0
    }
    return table
  }()
}

/// The invariants, checked by means that share nothing with the code under test.
extension World {
  // MARK: While it runs

  /// A book that says it is in sync must be the exchange's, level for level, at its update id.
  func checkBooks() {
    var allInSync = true
    for name in options.symbols {
      guard let book = harvester.inspectBook(name), book.isSynchronized, let id = book.lastUpdateID else {
        allInSync = false
        continue
      }
      outcome.bookChecks += 1
      check(book, at: id, name, "harvester")
    }
    if isHealed, outcome.recoveryMs < 0, allInSync, harvester.isEveryConnectionOpen {
      outcome.recoveryMs = (now - faultsEnd) / Nanoseconds.millisecond
    }
    // An exchange that ends a session's life just before the end leaves no time to come back.
    let isDisturbed = now - lastVenueClose < 10 * Nanoseconds.second && outcome.recoveryMs >= 0
    if now + Nanoseconds.second > end, !isDisturbed, !allInSync || !harvester.isEveryConnectionOpen {
      outcome.violate("not recovered \(options.recoverySecondsMax) s after the faults")
    }
  }

  private func check(_ book: BookInspection, at id: Int64, _ name: String, _ whose: String) {
    guard let truth = observer.symbols[name]?.history[id] else {
      return outcome.violate("\(whose)'s \(name) book stands at \(id), which was never published")
    }
    var hash: UInt64 = 0
    for level in book.bids { hash ^= Observer.mix(1, Int(level.price), Int(level.quantity)) }
    for level in book.asks { hash ^= Observer.mix(2, Int(level.price), Int(level.quantity)) }
    if hash != truth {
      outcome.violate("\(whose)'s \(name) book says it is in sync at \(id) and differs from the exchange's")
    }
  }

  func checkBounds() {
    let open = links.indices.filter { links[$0].process == process && links[$0].harvesterKnows }.count
    let slots = harvester.plan.slots.count
    if open > 2 * slots + 2 { outcome.violate("\(open) sockets for \(slots) planned connections") }
    if requestsUnderWay > 8 { outcome.violate("\(requestsUnderWay) requests under way") }
  }

  // MARK: At the end

  func finish() {
    step { try $0.drain(moment) }
    let limit = now + 10 * Nanoseconds.second
    while !harvester.isDrained, let (time, event) = queue.next(), time < limit {
      now = max(now, time)
      if case .advanceExchange = event { continue }
      handle(event)
    }
    if !harvester.isDrained { outcome.violate("it did not drain") }
    tape.publish()
    counted.add(harvester.counters)
    outcome.gaps = counted.gaps
    outcome.resyncs = counted.resyncs
    outcome.reconnects = counted.reconnects
    outcome.rotations = counted.rotations
    outcome.deduplicated = counted.deduplicated
    outcome.backfilled = counted.backfilled
    outcome.restarts = counted.restarts
    outcome.polled = counted.polled
    traceTape()
    checkFrames()
    let facts = TapeFacts(tape, symbols: options.symbols)
    checkHoles(facts)
    checkTrades(facts)
    checkReader()
  }

  /// The tape in short: its records, frames by their ids.
  private func traceTape() {
    guard options.trace != nil else { return }
    for entry in tape.entries {
      let value = (try? entry.payload.withUnsafeBytes { try JSONValue(parsing: $0) }) ?? .null
      let data = value["data"]
      var text =
        "tape \(entry.sequence) \((entry.receiveNs - skewNs - start) / 1_000_000) ms conn \(entry.connection)"
      if entry.kind == .frame {
        text += " \(value["stream"]?.text ?? "")"
        for key in ["U", "u", "pu", "a"] { if let id = data?[key]?.integer { text += " \(key) \(id)" } }
      } else {
        text += " \(entry.kind.name) \(entry.stream ?? "") \(value.text().prefix(160))"
      }
      trace(text)
    }
  }

  /// Every frame delivered is on the tape, in order, or is a copy that a rotation delivered twice.
  private func checkFrames() {
    let frames = tape.entries.filter { $0.kind == .frame }.map { World.hash($0.payload) }
    outcome.framesOnTape = frames.count
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    var seen = Set<UInt64>()
    var place = 0
    var copies = 0
    for frame in delivered {
      if place < frames.count, frames[place] == frame {
        place += 1
        seen.insert(frame)
        hash = (hash ^ frame) &* 0x100_0000_01B3
      } else if seen.contains(frame) {
        copies += 1
      } else {
        outcome.violate("a delivered frame is not on the tape (frame \(place) of \(frames.count))")
        break
      }
    }
    outcome.tapeHash = hash
    if place != frames.count { outcome.violate("the tape has \(frames.count - place) frames more than came") }
    if copies > counted.deduplicated {
      outcome.violate("\(copies) copies are missing, \(counted.deduplicated) are counted")
    }
  }

  private func checkHoles(_ facts: TapeFacts) {
    for (name, holes) in facts.depthHoles {
      let recorded = facts.recordedDepthHoles[name] ?? []
      for hole in holes where !recorded.contains(hole) {
        let near = recorded.filter { abs($0 - hole) < 4000 }.sorted()
        outcome.violate("\(name): the hole in the depth after \(hole) has no record; near are \(near)")
      }
    }
  }

  private func checkTrades(_ facts: TapeFacts) {
    for name in options.symbols {
      guard let truth = observer.symbols[name], let first = facts.trades[name]?.min(),
        let last = facts.trades[name]?.max()
      else { continue }
      let onTape = facts.trades[name] ?? []
      let unfilled = facts.unfilledTrades[name] ?? []
      for id in first...last where !onTape.contains(id) {
        if unfilled.contains(where: { $0.contains(id) }) {
          outcome.tradesUnfilled += 1
        } else {
          outcome.violate("\(name): trade \(id) is neither on the tape nor in a record of a hole")
          break
        }
      }
      // What was made well before the end must have arrived.
      let due = end - 3 * Nanoseconds.second
      // Nobody knows of trades made while a connection was down before the next one comes.
      let wasDown = end - lastVenueClose < 10 * Nanoseconds.second
      if !wasDown, let missing = truth.tradeTimes.filter({ $0.key > last && $0.value < due }).keys.min() {
        outcome.violate("\(name): trades from \(missing) on are missing at the end of the tape")
      }
    }
  }

  /// A reader of the tape must come to the same book, and may not confirm a signal without one.
  private func checkReader() {
    var configuration = SignalConfiguration()
    configuration.flow.warmupMs = 1000
    configuration.flow.historyMs = 10_000
    configuration.flow.historyStrideMs = 100
    configuration.flow.ofiWindowMs = 500
    configuration.flow.cvdWindowMs = 1000
    configuration.flow.fusion.base.signal = 0.3
    configuration.flow.fusion.base.strong = 0.8
    configuration.gates.resyncCooldownMs = 0
    configuration.gates.reconnectCooldownMs = 0
    configuration.gates.reverseCooldownMs = 0
    configuration.gates.missingRatioMax = 1
    configuration.gates.lagMsMax = 60_000
    configuration.gates.stalenessMsMax = 600_000
    configuration.gates.spreadBpsMax = 10_000
    configuration.gates.consistencyMin = 0
    // Regimes that change every few seconds, and confirm what the normal one does.
    configuration.strategy.windowSeconds = 5
    configuration.strategy.activeWindowsMin = 1
    configuration.strategy.quietWindowsMin = 1
    configuration.strategy.market.tradesPerMinuteMin = 60
    configuration.strategy.market.quotesPerSecondMin = 0
    configuration.strategy.market.spreadBpsMax = 10_000
    configuration.strategy.market.volatilityBpsMin = 0
    configuration.strategy.market.volumeUSDMin = 0
    configuration.strategy.scenarios = .confirmingAll
    configuration.flow.fusion.active = configuration.flow.fusion.base
    configuration.flow.fusion.quiet = configuration.flow.fusion.base
    var pipeline = SignalPipeline(configuration)
    var rows = RowDigest()
    var bytes = tape.bytes()
    let count = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: 256))
    bytes.withUnsafeBytes { bytes in
      var start = 0
      while start < count {
        var end = start
        while bytes[end] != 0x0A { end += 1 }
        end += 1
        readLine(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), &pipeline, &rows)
        start = end
      }
      checkBlocks(UnsafeRawBufferPointer(rebasing: bytes[..<count]), configuration, rows)
    }
    checkControls(pipeline.strategyState)
    for name in options.symbols {
      guard let mine = harvester.inspectBook(name), let reader = pipeline.inspectBook(name) else {
        outcome.violate("\(name): the tape's reader has no book")
        continue
      }
      if mine.isSynchronized != reader.isSynchronized || mine.lastUpdateID != reader.lastUpdateID {
        outcome.violate(
          "\(name): the harvester stands at \(mine.lastUpdateID ?? -1) (\(mine.isSynchronized)), a reader of its "
            + "tape at \(reader.lastUpdateID ?? -1) (\(reader.isSynchronized))")
      }
      if reader.isSynchronized, let id = reader.lastUpdateID { check(reader, at: id, name, "the reader") }
    }
  }

  /// One record at a time: a grid row speaks of the state before the record, a strong row of the one after.
  private func readLine(
    _ line: UnsafeRawBufferPointer, _ pipeline: inout SignalPipeline, _ rows: inout RowDigest
  ) {
    let before = options.symbols.map { pipeline.bookState($0)?.isSynchronized ?? false }
    var offset = 0
    while offset < line.count {
      offset = pipeline.process(line, from: offset)
      outcome.signals += pipeline.rows.count
      for row in pipeline.rows { rows.add(row) }
      for row in pipeline.rows where row.confirmed {
        outcome.confirmed += 1
        let name = pipeline.symbols[row.symbol]
        guard let index = options.symbols.firstIndex(of: name), let after = pipeline.inspectBook(name) else {
          continue
        }
        let state = row.trigger == .grid ? before[index] : after.isSynchronized
        if !state {
          outcome.violate("\(name): a signal is confirmed at seq \(row.tapeSequence), out of sync")
        }
        if after.isSynchronized, let id = after.lastUpdateID { check(after, at: id, name, "the reader") }
      }
      pipeline.removeRows()
    }
  }

  /// The same records in one piece give the same rows.
  private func checkBlocks(
    _ bytes: UnsafeRawBufferPointer, _ configuration: SignalConfiguration, _ expected: RowDigest
  ) {
    var pipeline = SignalPipeline(configuration)
    var rows = RowDigest()
    var offset = 0
    while offset < bytes.count {
      offset = pipeline.process(bytes, from: offset)
      for row in pipeline.rows { rows.add(row) }
      pipeline.removeRows()
    }
    if rows != expected {
      outcome.violate("\(expected.count) rows record by record, other ones (\(rows.count)) in one piece")
    }
  }

  /// Every intervention that the tape has is obeyed.
  private func checkControls(_ state: StrategyState) {
    outcome.controls = tape.entries.count { $0.stream == Control.stream }
    if state.controlErrors != 0 || Int(state.controlsApplied) != outcome.controls {
      outcome.violate(
        "\(outcome.controls) controls are on the tape, \(state.controlsApplied) applied, \(state.controlErrors) bad"
      )
    }
  }
}

/// Rows in short.
struct RowDigest: Equatable {
  private(set) var count = 0
  private var hash: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ row: Signal) {
    count += 1
    for value in [
      row.receiveTime.rawValue, Int64(row.symbol.index), row.score.rawValue, row.zOFI.rawValue,
      row.zCVD.rawValue, row.cvd, row.doubledMid ?? -1, Int64(row.kind.rawValue), row.confirmed ? 1 : 0,
      Int64(row.guardReason.rawValue), Int64(row.mode.rawValue), Int64(row.qualityFlags.rawValue),
      Int64(bitPattern: row.version.rawValue),
    ] {
      hash = (hash ^ UInt64(bitPattern: value)) &* 0x100_0000_01B3
      hash ^= hash >> 29
    }
  }
}
