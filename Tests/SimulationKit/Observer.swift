import Core
import Venue

/// The perfect client: it hears every frame the exchange publishes, at once and in order, and keeps the truth.
///
/// It parses JSON the plain way and keeps books in dictionaries: nothing of the code under test is in it.
final class Observer {
  struct SymbolTruth {
    var bids: [Int: Int] = [:]
    var asks: [Int: Int] = [:]
    var hash: UInt64 = 0
    var lastUpdateID: Int64 = 0
    /// The book's hash at each published update id.
    var history: [Int64: UInt64] = [:]
    var firstTradeID: Int64?
    var lastTradeID: Int64 = 0
    /// When each trade was published, virtual ns.
    var tradeTimes: [Int64: Int64] = [:]
  }

  private(set) var symbols: [String: SymbolTruth] = [:]

  /// The book before the first frame, from a snapshot of everything.
  func start(_ name: String, snapshot: JSONValue) {
    var truth = SymbolTruth()
    apply(snapshot["bids"], to: &truth.bids, side: 1, &truth.hash)
    apply(snapshot["asks"], to: &truth.asks, side: 2, &truth.hash)
    truth.lastUpdateID = snapshot["lastUpdateId"]?.integer ?? 0
    symbols[name] = truth
  }

  func take(_ frame: UnsafeRawBufferPointer, at time: Int64) {
    guard let value = try? JSONValue(parsing: frame), let data = value["data"], let event = data["e"]?.text,
      let name = data["s"]?.text
    else { return }
    switch event {
    case "depthUpdate":
      guard let final = data["u"]?.integer else { return }
      // The snapshot was taken inside a window; that window's frame repeats what is in it.
      apply(data["b"], to: &symbols[name]!.bids, side: 1, &symbols[name]!.hash)
      apply(data["a"], to: &symbols[name]!.asks, side: 2, &symbols[name]!.hash)
      symbols[name]!.lastUpdateID = final
      symbols[name]!.history[final] = symbols[name]!.hash
    case "aggTrade":
      guard let id = data["a"]?.integer else { return }
      if symbols[name]!.firstTradeID == nil { symbols[name]!.firstTradeID = id }
      symbols[name]!.lastTradeID = id
      symbols[name]!.tradeTimes[id] = time
    default: break
    }
  }

  private func apply(_ levels: JSONValue?, to side: inout [Int: Int], side mark: UInt64, _ hash: inout UInt64)
  {
    guard case .array(let levels) = levels else { return }
    for level in levels {
      guard case .array(let pair) = level, pair.count == 2, let price = Observer.units(pair[0].text),
        let quantity = Observer.units(pair[1].text)
      else { continue }
      if let old = side[price] { hash ^= Observer.mix(mark, price, old) }
      if quantity == 0 {
        side[price] = nil
      } else {
        side[price] = quantity
        hash ^= Observer.mix(mark, price, quantity)
      }
    }
  }

  /// A decimal text without its point: the exchange writes all of an instrument's with the same decimals.
  private static func units(_ text: String?) -> Int? { text.flatMap { Int($0.filter { $0 != "." }) } }

  /// A level's part in its book's hash.
  static func mix(_ side: UInt64, _ price: Int, _ quantity: Int) -> UInt64 {
    var z = UInt64(bitPattern: Int64(price)) &* 0x9E37_79B9_7F4A_7C15
    z ^= UInt64(bitPattern: Int64(quantity)) &* 0xC2B2_AE3D_27D4_EB4F &+ side
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
