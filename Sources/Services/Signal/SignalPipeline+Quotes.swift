import Core
import Flow

/// A symbol's best quotes as they stood at a point of the row grid: the last before it.
public struct GridQuote: Sendable {
  public var symbol: SymbolID
  /// Of the grid point.
  public var timeNs: Int64
  public var quote: Quote
}

// The tap on the quotes, for evaluation: what a row could know and what came of it must be told from the same
// records, so the prices come from the pipeline that makes the rows, at the same points, whether or not a row
// is made there. It is no state: a checkpoint does not hold it, and without `tapQuotes()` nothing is kept.
extension SignalPipeline {
  /// With so many quotes waiting, ``process(_:from:)`` returns early.
  static let gridQuotesMax = 8192

  /// From now on the quotes at grid points are kept until they are taken. Before the first record.
  public mutating func tapQuotes() {
    var quotes: [GridQuote] = []
    quotes.reserveCapacity(SignalPipeline.gridQuotesMax + SymbolTable.countMax)
    gridQuotes = quotes
  }

  /// The quotes of whole grid points since they were last taken, in order of time and symbol id. A symbol
  /// without a trusted quote has none.
  public var tappedQuotes: [GridQuote] { gridQuotes ?? [] }

  /// Takes the quotes kept so far.
  public mutating func removeQuotes() { gridQuotes?.removeAll(keepingCapacity: true) }

  /// Notes the quotes at a grid point.
  @inline(never)
  mutating func noteQuotes(at timeNs: Int64) {
    for state in states {
      if let quote = trustedQuote(state) {
        gridQuotes?.append(GridQuote(symbol: state.pointee.symbol, timeNs: timeNs, quote: quote))
      }
    }
  }

  /// The quote that someone could have traded at. The book's own is gone while it is out of sync; a snapshot
  /// that stands in for the stream is seconds old, and a crossed quote is none.
  private func trustedQuote(_ state: UnsafeMutablePointer<SymbolState>) -> Quote? {
    guard !state.pointee.book.isPolled, let quote = state.pointee.flow.quote, quote.bidPrice > 0,
      !quote.isCrossed
    else { return nil }
    return quote
  }
}
