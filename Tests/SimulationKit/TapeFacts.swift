import Core
import Tape

/// What a tape says, read the plain way: the chains of ids, and the records of their holes.
struct TapeFacts {
  /// By symbol: `u` of the last event before each hole in the depth's chain.
  var depthHoles: [String: Set<Int64>] = [:]
  var recordedDepthHoles: [String: Set<Int64>] = [:]
  var trades: [String: Set<Int64>] = [:]
  var unfilledTrades: [String: [ClosedRange<Int64>]] = [:]

  init(_ tape: MemoryTape, symbols: [String]) {
    var lastDepth: [String: Int64] = [:]
    var open: [String: [(after: Int64, reached: Int64, before: Int64)]] = [:]
    for entry in tape.entries {
      guard let value = try? entry.payload.withUnsafeBytes({ try JSONValue(parsing: $0) }) else { continue }
      switch entry.kind {
      case .frame:
        guard let data = value["data"], let name = data["s"]?.text else { continue }
        switch data["e"]?.text {
        case "depthUpdate":
          guard let final = data["u"]?.integer, let previous = data["pu"]?.integer else { continue }
          let last = lastDepth[name]
          if let last, final <= last {
            // Two sockets overtake each other in a rotation: what was missing comes after all.
            if let place = open[name]?.firstIndex(where: { $0.reached == previous }) {
              open[name]![place].reached = final
              let hole = open[name]![place]
              if hole.reached == hole.before { depthHoles[name]?.remove(hole.after) }
            }
            continue
          }
          if let last, previous != last {
            depthHoles[name, default: []].insert(last)
            open[name, default: []].append((after: last, reached: last, before: previous))
          }
          lastDepth[name] = final
        case "aggTrade": if let id = data["a"]?.integer { trades[name, default: []].insert(id) }
        default: break
        }
      case .snapshot:
        guard let stream = entry.stream, stream.hasSuffix("@aggTrades") else { continue }
        let name = stream.prefix { $0 != "@" }.uppercased()
        for trade in value.elements ?? [] {
          if let id = trade["a"]?.integer { trades[name, default: []].insert(id) }
        }
      case .gap:
        guard let stream = value["stream"]?.text else { continue }
        let name = stream.prefix { $0 != "@" }.uppercased()
        if let after = value["after"]?.integer { recordedDepthHoles[name, default: []].insert(after) }
        // This exchange keeps every trade: only the end of the harvest excuses one that is missing.
        if value["unfilled"]?.boolean == true, value["reason"]?.text == "stopped",
          let from = value["from"]?.integer, let to = value["to"]?.integer,
          from <= to
        {
          unfilledTrades[name, default: []].append(from...to)
        }
      case .open, .close, .clock, .note: continue
      }
    }
  }
}
