import Binance
import Core

/// A book as it stands, for whoever checks it against an independent one.
package struct BookInspection {
  package var isSynchronized: Bool
  package var lastUpdateID: Int64?
  package var bids: [(price: Int64, quantity: Int64)]
  package var asks: [(price: Int64, quantity: Int64)]

  init(_ book: borrowing SynchronizedBook) {
    isSynchronized = book.isSynchronized
    lastUpdateID = book.sync.lastUpdateID
    bids = book.book.bids.levels()
    asks = book.book.asks.levels()
  }
}

extension Harvester where Log: ~Copyable {
  /// nil for a symbol that is not harvested.
  package func inspectBook(_ name: String) -> BookInspection? {
    plan.symbols.firstIndex(of: name).map { BookInspection(states[$0].book) }
  }

  /// Whether every planned connection has a socket that is open.
  public var isEveryConnectionOpen: Bool {
    plan.slots.indices.allSatisfy { slot in
      (0..<2).contains { side in links[2 * slot + side].phase == .open }
    }
  }
}

extension SignalPipeline {
  /// nil for a symbol that the tape has not named so far.
  package func inspectBook(_ name: String) -> BookInspection? {
    states.first { symbols[$0.pointee.symbol] == name }.map { BookInspection($0.pointee.book) }
  }
}

extension HarvestResume {
  /// Where records in memory end.
  ///
  /// - Parameter lines: whole records, with ``FrameDecoder/paddingBytes`` readable bytes behind them.
  package init(lines: UnsafeRawBufferPointer) {
    var scan = TailScan(wanted: [])
    scan.take(lines)
    symbols = scan.symbols
  }
}
