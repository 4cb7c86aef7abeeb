import Core

/// The official local-order-book procedure as a state machine over update ids.
///
/// A diff stream gives a correct book only if every event is applied exactly once, in order, on top of a
/// snapshot taken from inside the stream. The exchange's procedure (USD-M futures, "How to manage a local
/// order book correctly"; spot differs where noted) is followed to the letter:
///
/// 1. events are buffered before the snapshot is asked for;
/// 2. with the snapshot's `lastUpdateId` L, events with `u < L` are dropped (spot: `u ≤ L`);
/// 3. the first event applied has `U ≤ L ≤ u` (spot: `U ≤ L + 1 ≤ u`);
/// 4. after it, every event's `pu` is the previous `u` (spot: `U` is the previous `u` + 1); anything else
///    means a hole, and the procedure starts again, still buffering.
///
/// Corollaries. If the oldest remaining event starts above L, the snapshot is too old and another is needed.
/// If all buffered events end below L, the next event decides. The first applied event is exempt from the
/// `pu` rule. An event whose `pu` equals L follows the snapshot directly and bridges it too. The chain is per
/// symbol and survives a reconnect. Events that are already contained (`u` not above the last) are duplicates,
/// as overlapping connections produce, and are dropped, not holes.
///
/// A hole closes without a snapshot when the missing event is merely late (two connections can overtake each
/// other): the last good state is kept, and if an event arrives that continues it, the buffered ones follow.
/// That is counted as a reorder; only a hole that needed a snapshot is a gap. In between, the book is out of
/// sync and says so.
///
/// The machine does no I/O and reads no clock. Whoever runs it holds the book and the buffer
/// (``SynchronizedBook`` in Services).
public struct BookSync: Sendable {
  public enum State: Equatable, Sendable {
    /// No usable snapshot yet; events are buffered.
    case awaitingSnapshot
    /// The snapshot's levels are loaded; the next event must bridge it.
    case bridging(lastUpdateID: Int64)
    case synchronized(finalUpdateID: Int64)
    /// A hole follows this id; events are buffered until it closes or a snapshot arrives.
    case broken(finalUpdateID: Int64)
  }

  public enum DepthAction: Equatable, Sendable {
    case apply
    case buffer
    /// Contained in what the book already has.
    case drop
    /// Buffer the event; a hole begins here. Ask for a snapshot.
    case bufferAfterHole
    /// Apply the event: it continues the chain before a hole; then offer the buffered events again.
    case applyAndDrain
    /// The snapshot cannot be bridged: discard its book, buffer the event, ask for another.
    case discardSnapshot
  }

  public enum SnapshotAction: Equatable, Sendable {
    /// In sync already: the snapshot is not needed.
    case ignore
    /// Load the levels, then offer the buffered events again.
    case load
    /// Older than the oldest buffered event: not usable, ask for another.
    case tooOld
  }

  public internal(set) var state = State.awaitingSnapshot

  public init() {}

  public var isSynchronized: Bool {
    if case .synchronized = state { return true }
    return false
  }

  /// `u` of the last applied event, or the loaded snapshot's id.
  public var lastUpdateID: Int64? {
    switch state {
    case .awaitingSnapshot: nil
    case .bridging(let id), .synchronized(let id), .broken(let id): id
    }
  }

  /// Whether an event continues a chain that ends at `last`.
  @inline(__always)
  public static func follows(_ event: DepthIDs, _ last: Int64) -> Bool {
    if let previous = event.previousFinal { return previous == last }
    return event.first == last &+ 1
  }

  /// Whether an event is the first to be applied on a snapshot.
  public static func bridges(_ event: DepthIDs, snapshot id: Int64) -> Bool {
    if let previous = event.previousFinal {
      return previous == id || (event.first <= id && id <= event.final)
    }
    return event.first <= id &+ 1 && id &+ 1 <= event.final
  }

  /// Whether an event is wholly contained in a snapshot.
  public static func precedes(_ event: DepthIDs, snapshot id: Int64) -> Bool {
    event.previousFinal == nil ? event.final <= id : event.final < id
  }

  @inline(__always)
  public mutating func step(_ event: DepthIDs) -> DepthAction {
    if case .synchronized(let last) = state, BookSync.follows(event, last), event.final > last {
      state = .synchronized(finalUpdateID: event.final)
      return .apply
    }
    return stepUncommonly(event)
  }

  @inline(never)
  private mutating func stepUncommonly(_ event: DepthIDs) -> DepthAction {
    switch state {
    case .awaitingSnapshot:
      return .buffer
    case .bridging(let id):
      if BookSync.precedes(event, snapshot: id) { return .drop }
      if BookSync.bridges(event, snapshot: id) {
        state = .synchronized(finalUpdateID: event.final)
        return .apply
      }
      state = .awaitingSnapshot
      return .discardSnapshot
    case .synchronized(let last):
      if event.final <= last { return .drop }
      state = .broken(finalUpdateID: last)
      return .bufferAfterHole
    case .broken(let last):
      if event.final <= last { return .drop }
      if BookSync.follows(event, last) {
        state = .synchronized(finalUpdateID: event.final)
        return .applyAndDrain
      }
      return .buffer
    }
  }

  /// - Parameter oldestRelevant: of the buffered events not contained in the snapshot, the one with the
  ///   smallest `U`.
  public mutating func step(snapshot id: Int64, oldestRelevant: DepthIDs?) -> SnapshotAction {
    if case .synchronized = state { return .ignore }
    if let oldest = oldestRelevant, !BookSync.bridges(oldest, snapshot: id) { return .tooOld }
    state = .bridging(lastUpdateID: id)
    return .load
  }

  /// Events are left in the buffer that do not continue the chain.
  public mutating func holeRemains() {
    if case .synchronized(let last) = state { state = .broken(finalUpdateID: last) }
  }

  /// The book contradicts itself (crossed, overflowing): start again.
  public mutating func invalidate() { state = .awaitingSnapshot }
}
