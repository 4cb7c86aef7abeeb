import Core
import Glibc

/// When the next order comes, and of which kind: a two-type self-exciting process.
///
/// Orders come in bursts: a trade draws trades and requotes. Each type's intensity is `λi(t) = μi + Σ
/// n_ij·βi·e^(−βi(t − t_k))` over past events k of type j, a Hawkes process with exponential kernels (Hawkes
/// 1971); `n_ij` is the mean number of type-i events one type-j event sets off. It is stationary while the
/// spectral radius of `n` is below 1. With exponential kernels the intensity is Markov, so waiting times are
/// drawn exactly, without thinning, as the smaller of a base and an excitation arrival (Dassios and Zhao
/// 2013, "Exact simulation of Hawkes process with exponentially decaying intensity").
struct FlowClock {
  enum Kind { case trade, quote }

  private let baseTrade: Double
  private let baseQuote: Double
  private var excitationTrade: Double
  private var excitationQuote: Double

  /// Starts at the stationary mean intensities.
  init(scale: Double) {
    let p = FlowParameters.self
    let trades = p.tradesPerSecond * scale
    let quotes = p.quotesPerSecond * scale
    baseTrade = trades - p.tradeByTrade * trades - p.tradeByQuote * quotes
    baseQuote = quotes - p.quoteByTrade * trades - p.quoteByQuote * quotes
    precondition(baseTrade > 0 && baseQuote > 0, "the order flow would not be stationary")
    excitationTrade = trades - baseTrade
    excitationQuote = quotes - baseQuote
  }

  /// Advances to the next event: seconds from the one before, and its kind.
  mutating func next(_ random: inout SeededRandom) -> (seconds: Double, kind: Kind) {
    let p = FlowParameters.self
    let trade = FlowClock.wait(base: baseTrade, excitation: excitationTrade, decay: p.tradeDecay, &random)
    let quote = FlowClock.wait(base: baseQuote, excitation: excitationQuote, decay: p.quoteDecay, &random)
    let seconds = min(trade, quote)
    excitationTrade *= exp(-p.tradeDecay * seconds)
    excitationQuote *= exp(-p.quoteDecay * seconds)
    if trade < quote {
      excitationTrade += p.tradeByTrade * p.tradeDecay
      excitationQuote += p.quoteByTrade * p.quoteDecay
      return (seconds, .trade)
    }
    excitationTrade += p.tradeByQuote * p.tradeDecay
    excitationQuote += p.quoteByQuote * p.quoteDecay
    return (seconds, .quote)
  }

  @inline(__always)
  private static func wait(
    base: Double, excitation: Double, decay: Double, _ random: inout SeededRandom
  ) -> Double {
    let fromBase = random.exponential(mean: 1 / base)
    // P(no excited arrival, ever) = exp(−excitation / decay): then the logarithm below has no solution.
    let reach = 1 + decay * log(1 - random.uniform()) / max(excitation, 1e-12)
    return reach > 0 ? min(fromBase, -log(reach) / decay) : fromBase
  }
}
