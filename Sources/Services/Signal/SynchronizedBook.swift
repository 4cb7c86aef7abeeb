import Binance
import Book
import Core
import Flow

/// A symbol's book with the machine that keeps it right and the events waiting for it.
struct SynchronizedBook: ~Copyable {
  var book = Book()
  var sync = BookSync()
  var buffer = DepthBuffer()

  // Counters of the run.
  var gaps = 0
  var resyncs = 0
  var reorders = 0
  var duplicates = 0
  var crossed = 0
  var snapshots = 0
  var snapshotsTooOld = 0
  var overflows = 0
  /// Times a comparison with the venue's own book failed.
  var mismatches = 0
  var hasBeenSynchronized = false
  /// In sync, and whoever listens has been told so.
  var isSteady = false
  var openHoles = 0

  /// Events since a hole that closed by itself, also applied. The snapshot that was asked for at the hole may
  /// still come; the official procedure adopts it, and so does this book, on top of these events.
  var shadow = DepthBuffer()
  /// That snapshot, while it is ahead of the events: the next one decides.
  var early = DepthBuffer()
  var isShadowing = false
  /// Snapshots alone feed it, because the events do not come (see ``beginPolling()``).
  var isPolled = false
  /// A snapshot that has not come after so many events will not come.
  private static let shadowEventsMax = 256

  enum Outcome {
    /// The book has taken the event and is in sync.
    case advanced
    /// In sync again, after a snapshot or a late event; the book jumped.
    case restored
    /// Out of sync from this event on.
    case lost
    /// Nothing changed: the event was a duplicate, or waits in the buffer.
    case unchanged
  }

  var isSynchronized: Bool { sync.isSynchronized }
  /// Events that found the bounded buffers full; a later snapshot makes up for them.
  var eventsDropped: Int { buffer.dropped + shadow.dropped }

  /// Holes closed by a snapshot, plus those still open.
  var holes: Int { gaps + openHoles }

  /// Shows the book to a symbol's flow.
  @inline(__always)
  mutating func show(_ flow: inout SymbolFlow, receiveMs: Int64, exchangeMs: Int64) {
    flow.take(book: book, receiveMs: receiveMs, exchangeMs: exchangeMs)
  }

  @inline(__always)
  mutating func take(_ frame: borrowing DecodedFrame) -> Outcome {
    let ids = frame.depthIDs
    let action = sync.step(ids)
    if action == .apply, isSteady, !isShadowing {
      book.apply(
        prices: frame.prices, quantities: frame.quantities, bidCount: frame.bidCount, askCount: frame.askCount
      )
      if book.isCrossed || book.isOverflowing { return contradiction() }
      return .advanced
    }
    return takeUncommonly(frame, action)
  }

  @inline(never)
  private mutating func takeUncommonly(_ frame: borrowing DecodedFrame, _ action: BookSync.DepthAction)
    -> Outcome
  {
    switch action {
    case .apply:
      apply(frame)
      guard isShadowing else { return finishRestoring() }
      shadow.append(frame)
      adoptEarly()
      if shadow.entries.count > SynchronizedBook.shadowEventsMax { endShadow() }
      return book.isCrossed || book.isOverflowing ? contradiction() : .advanced
    case .buffer:
      // The events come again: from here on the procedure is the usual one.
      isPolled = false
      buffer.append(frame)
      return .unchanged
    case .drop:
      duplicates += 1
      return .unchanged
    case .bufferAfterHole:
      openHoles = 1
      endShadow()
      isSteady = false
      buffer.append(frame)
      return .lost
    case .applyAndDrain:
      apply(frame)
      shadow.append(frame)
      isShadowing = true
      drain()
      guard sync.isSynchronized else { return .unchanged }
      openHoles = 0
      reorders += 1
      isSteady = true
      return book.isCrossed || book.isOverflowing ? contradiction() : .restored
    case .discardSnapshot:
      snapshotsTooOld += 1
      buffer.append(frame)
      return .unchanged
    }
  }

  private mutating func apply(_ frame: borrowing DecodedFrame) {
    book.apply(
      prices: frame.prices, quantities: frame.quantities, bidCount: frame.bidCount, askCount: frame.askCount)
  }

  /// A REST snapshot, decoded into `frame`.
  mutating func take(snapshot frame: borrowing DecodedFrame) -> Outcome {
    let id = frame[.finalUpdateID]
    snapshots += 1
    if isPolled {
      book.load(
        prices: frame.prices, quantities: frame.quantities, bidCount: frame.bidCount, askCount: frame.askCount
      )
      return .unchanged
    }
    switch sync.step(snapshot: id, oldestRelevant: buffer.oldestRelevant(to: id)) {
    case .ignore:
      if isShadowing {
        early.removeAll()
        early.append(frame)
        adoptEarly()
      }
      return .unchanged
    case .tooOld:
      snapshotsTooOld += 1
      return .unchanged
    case .load:
      if openHoles > 0 { openHoles += buffer.holeCount }
      // The snapshot asked for is here: nothing is left to shadow, also after a chain that healed in part.
      endShadow()
      book.load(
        prices: frame.prices, quantities: frame.quantities, bidCount: frame.bidCount, askCount: frame.askCount
      )
      drain()
      return sync.isSynchronized ? finishRestoring() : .unchanged
    }
  }

  /// Replaces a book that healed by itself by the snapshot asked for at the hole, with the events since, once
  /// an event bridges it. The touch is the same; what changes are far levels that the snapshot no longer names.
  private mutating func adoptEarly() {
    guard let id = early.entries.last?.ids.final, let oldest = shadow.oldestRelevant(to: id) else { return }
    guard BookSync.bridges(oldest, snapshot: id) else { return early.removeAll() }
    sync = BookSync()
    _ = sync.step(snapshot: id, oldestRelevant: oldest)
    early.drain { entry, prices, quantities in
      book.load(prices: prices, quantities: quantities, bidCount: entry.bidCount, askCount: entry.askCount)
      return true
    }
    swap(&buffer, &shadow)
    endShadow()
    drain()
  }

  private mutating func endShadow() {
    shadow.removeAll()
    early.removeAll()
    isShadowing = false
  }

  /// Offers the buffered events to the machine until it takes no more.
  private mutating func drain() {
    // The buffer is taken out of self for the walk, because applying an event changes self.
    var waiting = DepthBuffer()
    swap(&waiting, &buffer)
    waiting.drain { entry, prices, quantities in
      if let last = sync.lastUpdateID {
        if case .bridging(let id) = sync.state {
          if BookSync.precedes(entry.ids, snapshot: id) { return true }
          if !BookSync.bridges(entry.ids, snapshot: id) { return false }
        } else if entry.ids.final <= last {
          duplicates += 1
          return true
        } else if !BookSync.follows(entry.ids, last) {
          return false
        }
      }
      switch sync.step(entry.ids) {
      case .apply, .applyAndDrain:
        book.apply(
          prices: prices, quantities: quantities, bidCount: entry.bidCount, askCount: entry.askCount)
        if isShadowing { shadow.append(entry, prices, quantities) }
        return true
      case .drop:
        return true
      case .buffer, .bufferAfterHole, .discardSnapshot:
        return false
      }
    }
    swap(&waiting, &buffer)
    if !buffer.isEmpty { sync.holeRemains() }
  }

  private mutating func finishRestoring() -> Outcome {
    gaps += openHoles
    openHoles = 0
    if hasBeenSynchronized { resyncs += 1 }
    hasBeenSynchronized = true
    isSteady = true
    return book.isCrossed || book.isOverflowing ? contradiction() : .restored
  }

  /// The book contradicts itself: start again from a snapshot.
  @inline(never)
  private mutating func contradiction() -> Outcome {
    if book.isCrossed { crossed += 1 } else { overflows += 1 }
    startAgain()
    return .lost
  }

  /// A comparison has shown that the book is not the venue's: start again from a snapshot. A book that is out
  /// of sync already keeps what it has buffered.
  ///
  /// - Returns: whether the book was in sync.
  mutating func invalidate() -> Bool {
    guard isSynchronized else { return false }
    mismatches += 1
    startAgain()
    return true
  }

  /// Someone wants the book made anew: start again from a snapshot. A book that is out of sync waits for one anyway.
  ///
  /// - Returns: whether the book was in sync.
  mutating func rebuild() -> Bool {
    guard isSynchronized else { return false }
    startAgain()
    return true
  }

  /// From now on snapshots come every few seconds and events do not. The book shows the newest snapshot, which may be
  /// short, and is never in sync. The next event ends that.
  ///
  /// - Returns: whether the book was in sync.
  mutating func beginPolling() -> Bool {
    let wasSynchronized = isSynchronized
    startAgain()
    isPolled = true
    return wasSynchronized
  }

  mutating func endPolling() { isPolled = false }

  private mutating func startAgain() {
    sync.invalidate()
    endShadow()
    isSteady = false
    buffer.removeAll()
  }
}
