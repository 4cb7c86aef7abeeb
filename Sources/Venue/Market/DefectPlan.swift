import Core

/// Where in the run which defect strikes, decided before the first frame.
///
/// The counts are promises, so the places are strata and not chance: a symbol's usable time (without its
/// first and last ``marginMs``) is cut into as many equal parts as it has defects, and each strikes at a
/// random moment of its part that leaves ``pitchMs`` to the part's end. A defect with its recovery is over
/// within 1.5 s, so two of one symbol stand at least 3 s apart.
struct DefectPlan {
  enum Kind: Equatable {
    /// So many depth frames in a row are lost; before the snapshot that heals it, a too old one may arrive.
    case gap(frames: Int, staleFirst: Bool)
    case duplicate(MarketStream)
    case reorder
  }

  struct Defect: Equatable {
    /// Milliseconds since the start.
    var afterMs: Int64
    var kind: Kind
  }

  static let marginMs: Int64 = 5000
  static let pitchMs: Int64 = 4500
  static let gapFramesMax = 5

  /// One list a symbol, in time order.
  let defects: [[Defect]]

  /// Defects that fit one symbol's run.
  static func capacity(seconds: Double) -> Int {
    max(0, (Int(seconds * 1000) - 2 * Int(marginMs)) / Int(pitchMs))
  }

  init(options: MarketOptions, random source: SeededRandom) {
    var random = source
    var kinds: [Kind] = []
    for _ in 0..<options.gaps {
      let frames = random.bernoulli(0.6) ? 1 : 2 + random.below(DefectPlan.gapFramesMax - 1)
      kinds.append(.gap(frames: frames, staleFirst: random.bernoulli(0.3)))
    }
    for _ in 0..<options.duplicates {
      let draw = random.below(10)
      kinds.append(.duplicate(draw < 4 ? .depth : draw < 7 ? .bookTicker : .aggregateTrade))
    }
    for _ in 0..<options.reorders { kinds.append(.reorder) }
    kinds.shuffle(using: &random)

    let symbolCount = options.symbols.count
    let first = random.below(symbolCount)
    let usableMs = Int64(options.minutes * 60_000) - 2 * DefectPlan.marginMs
    defects = (0..<symbolCount).map { symbol in
      let turn = (symbol + symbolCount - first) % symbolCount
      let own = stride(from: turn, to: kinds.count, by: symbolCount).map { kinds[$0] }
      return own.enumerated().map { index, kind in
        let begin = usableMs * Int64(index) / Int64(own.count)
        let end = usableMs * Int64(index + 1) / Int64(own.count)
        let room = max(0, end - begin - DefectPlan.pitchMs)
        return Defect(
          afterMs: DefectPlan.marginMs + begin + Int64(random.below(Int(room) + 1)), kind: kind)
      }
    }
  }
}
