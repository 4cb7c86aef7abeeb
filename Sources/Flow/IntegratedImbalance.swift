import Core

/// The levels' order flow imbalances as one: in units of the book's average depth, along their first
/// principal component.
///
/// Fixed weights say how much deeper levels matter before the market is seen. The levels' OFIs are strongly
/// correlated, and their first principal component, which is the common part, explains the mid's changes
/// better than the best level alone. The component is taken over the samples of the past, as the history is,
/// and made anew every 60 of them.
///
/// Until it is first known there is no OFI at all: any other weights would put values of another definition
/// into the history, which would judge the ones after it for a quarter of an hour. Later changes of the
/// weights are small (all have the L1 norm 1), and values in the history stay what they were.
///
/// Source: R. Cont, M. Cucuringu, C. Zhang, "Cross-impact of order flow imbalance in equity markets",
/// Quantitative Finance 23 (2023), sections 2.1 and 2.2.
struct IntegratedImbalance: ~Copyable {
  let levels: Int
  /// Per book event, the levels' sizes on both sides and how many there were.
  var depths: SlidingSum
  /// Size and number at the last event, for windows without one.
  var lastDepth: Int64 = 0
  var lastSides: Int64 = 0
  var component: PrincipalComponent
  private let scaled: UnsafeMutablePointer<Double>

  init(levels: Int, windowMs: Int, historySamples: Int) {
    self.levels = levels
    depths = SlidingSum(windowMs: windowMs, width: 2)
    component = PrincipalComponent(width: levels, history: historySamples)
    scaled = .allocate(capacity: levels)
    scaled.initialize(repeating: 0, count: levels)
  }

  deinit { scaled.deallocate() }

  mutating func take(_ book: borrowing MultiLevelImbalance, at receiveMs: Int64) {
    (lastDepth, lastSides) = book.depth(levels: levels)
    depths.add(lastDepth, lastSides, at: receiveMs)
  }

  mutating func bookLost() {
    depths.removeAll()
    lastDepth = 0
    lastSides = 0
  }

  mutating func expire(at endMs: Int64) { depths.expire(before: endMs - depths.windowMs) }

  /// Mean size of a level over the window; nil while the book is empty.
  private var depth: Double? {
    let (size, sides) = depths.sums[1] > 0 ? (depths.sums[0], depths.sums[1]) : (lastDepth, lastSides)
    return size > 0 && sides > 0 ? Double(size) / Double(sides) : nil
  }

  /// In average depths of a level.
  func value(_ levelOne: Int64, _ deep: UnsafePointer<Int64>) -> Double? {
    guard component.isKnown, let depth else { return nil }
    var value = component.weights[0] * Double(levelOne)
    for level in 1..<max(1, levels) { value += component.weights[level] * Double(deep[level - 1]) }
    return value / depth
  }

  /// Takes the levels' windows as a sample of how they vary.
  mutating func learn(_ levelOne: Int64, _ deep: UnsafePointer<Int64>) {
    guard let depth else { return }
    scaled[0] = Double(levelOne) / depth
    for level in 1..<max(1, levels) { scaled[level] = Double(deep[level - 1]) / depth }
    component.push(scaled)
  }
}
