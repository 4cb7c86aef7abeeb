import Binance
import Core
import Testing

@Suite("Book sync rules")
struct BookSyncTests {
  private func futures(_ first: Int64, _ final: Int64, _ previous: Int64) -> DepthIDs {
    DepthIDs(first: first, final: final, previousFinal: previous)
  }

  private func spot(_ first: Int64, _ final: Int64) -> DepthIDs {
    DepthIDs(first: first, final: final, previousFinal: nil)
  }

  @Test func futuresProcedure() {
    var sync = BookSync()
    #expect(sync.step(futures(90, 95, 80)) == .buffer)
    #expect(sync.step(snapshot: 100, oldestRelevant: nil) == .load)
    #expect(sync.state == .bridging(lastUpdateID: 100))
    #expect(sync.step(futures(96, 99, 95)) == .drop)  // u < L
    #expect(sync.step(futures(99, 104, 98)) == .apply)  // U ≤ L ≤ u, exempt from pu
    #expect(sync.step(futures(107, 110, 104)) == .apply)  // ids may jump, pu counts
    #expect(sync.step(futures(107, 110, 104)) == .drop)  // duplicate
    #expect(sync.step(futures(120, 125, 118)) == .bufferAfterHole)
    #expect(!sync.isSynchronized)
    #expect(sync.step(futures(126, 130, 125)) == .buffer)
    #expect(sync.step(futures(111, 118, 110)) == .applyAndDrain)  // the missing one was late
  }

  @Test func futuresBoundaries() {
    // u == L is applied, not dropped.
    var sync = BookSync()
    #expect(sync.step(snapshot: 100, oldestRelevant: futures(95, 100, 90)) == .load)
    #expect(sync.step(futures(95, 100, 90)) == .apply)
    // U == L.
    sync = BookSync()
    #expect(sync.step(snapshot: 100, oldestRelevant: futures(100, 103, 90)) == .load)
    // The oldest buffered event starts above L: too old.
    sync = BookSync()
    #expect(sync.step(snapshot: 100, oldestRelevant: futures(101, 103, 99)) == .tooOld)
    #expect(sync.state == .awaitingSnapshot)
    // … unless it continues the snapshot exactly.
    #expect(sync.step(snapshot: 100, oldestRelevant: futures(104, 107, 100)) == .load)
    // A snapshot that the next event overtakes is discarded.
    sync = BookSync()
    #expect(sync.step(snapshot: 100, oldestRelevant: nil) == .load)
    #expect(sync.step(futures(105, 107, 104)) == .discardSnapshot)
    #expect(sync.state == .awaitingSnapshot)
  }

  @Test func spotProcedure() {
    var sync = BookSync()
    #expect(sync.step(snapshot: 100, oldestRelevant: spot(99, 103)) == .load)
    #expect(sync.step(spot(95, 100)) == .drop)  // u ≤ L
    #expect(sync.step(spot(99, 103)) == .apply)  // U ≤ L + 1 ≤ u
    #expect(sync.step(spot(104, 104)) == .apply)
    #expect(sync.step(spot(106, 107)) == .bufferAfterHole)
    sync = BookSync()
    #expect(sync.step(snapshot: 100, oldestRelevant: spot(101, 103)) == .load)
    sync = BookSync()
    #expect(sync.step(snapshot: 100, oldestRelevant: spot(102, 103)) == .tooOld)
  }

  @Test func snapshotInSyncIsIgnored() {
    var sync = BookSync()
    _ = sync.step(snapshot: 100, oldestRelevant: nil)
    _ = sync.step(futures(99, 101, 98))
    #expect(sync.step(snapshot: 400, oldestRelevant: nil) == .ignore)
    #expect(sync.lastUpdateID == 101)
  }
}
