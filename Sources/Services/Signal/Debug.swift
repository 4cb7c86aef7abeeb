import Core
extension SignalPipeline {
  public func describe() {
    for s in states {
      let p = s.pointee.counts
      print(symbols[s.pointee.symbol], p)
      let q = decoder.instruments[s.pointee.symbol]!
      print(
        " ofi", q.quantityScale.text(s.pointee.flow.tickerImbalance), "book",
        q.quantityScale.text(s.pointee.flow.bookImbalance), "cvd",
        q.quantityScale.text(s.pointee.flow.cvd.total), "r2", s.pointee.flow.impact.squaredCorrelation ?? -1,
        s.pointee.flow.impact.buckets, "gaps", s.pointee.book.holes, "resync", s.pointee.book.resyncs,
        "crossed", s.pointee.book.crossed, "dups", s.pointee.book.duplicates, "reorders",
        s.pointee.book.reorders, "old", s.pointee.book.snapshotsTooOld, s.pointee.book.sync.state, "missing",
        s.pointee.trades.missing)
    }
    print("generic", decoder.genericFrames)
  }
}
