import Core
import Services

/// What goes wrong, drawn from the seed.
extension World {
  func scheduleFaults() {
    // Some seeds are calm: nothing may break there either.
    guard !random.bernoulli(0.05) else { return }
    var time = start + Int64(500 + random.below(1500)) * Nanoseconds.millisecond
    let meanMs = [300.0, 800, 2500][random.below(3)]
    while time < faultsEnd {
      queue.add(at: time, random.bernoulli(0.04) ? .kill : .fault)
      time += Int64(random.exponential(mean: meanMs) * 1e6)
    }
  }

  private func span(_ milliseconds: Int) -> Int64 {
    min(faultsEnd, now + Int64(1 + random.below(milliseconds)) * Nanoseconds.millisecond)
  }

  func makeFault() {
    outcome.faults += 1
    let open = links.indices.filter { links[$0].session != nil && links[$0].process == process }
    func someLink() -> Int? { open.isEmpty ? nil : open[random.below(open.count)] }
    func someStream() -> String? {
      guard let link = someLink() else { return nil }
      let symbol = options.symbols[random.below(options.symbols.count)].lowercased()
      let name = ["depth@100ms", "depth@100ms", "aggTrade", "bookTicker", "markPrice@1s"][random.below(5)]
      return "\(link)/\(symbol)@\(name)"
    }
    switch random.below(23) {
    case 0, 1, 2: if let key = someStream() { network.drops[key, default: 0] += 1 + random.below(4) }
    case 3: if let key = someStream() { network.duplicates[key, default: 0] += 1 + random.below(3) }
    case 4: if let key = someStream() { network.swaps[key, default: 0] += 1 + random.below(2) }
    case 5, 6:
      if let link = someLink() {
        trace("fault: cut \(links[link].socket.rawValue)")
        closeSession(link)
        toHarvester(link, .closed("reset by peer"))
      }
    case 7:
      if let link = someLink() {
        trace("fault: half-open \(links[link].socket.rawValue)")
        links[link].isHalfOpen = true
      }
    case 8: network.refusesConnectionsUntil = span(3000)
    case 9: network.restFailsUntil = span(4000)
    case 10: network.restLimitsUntil = span(3000)
    case 11: network.restIsSlowUntil = span(5000)
    case 12: network.bodiesAreCutUntil = span(1500)
    case 13: network.snapshotsAreStaleUntil = span(3000)
    case 14: (network.latencyMs, network.jitterMs) = (random.below(120), 1 + random.below(300))
    case 15:
      let symbol = options.symbols[random.below(options.symbols.count)].lowercased()
      network.silences["\(symbol)@\(random.bernoulli(0.5) ? "depth@100ms" : "bookTicker")"] = span(6000)
    case 16:
      // The harvester's wall clock is set; the monotonic one is not.
      let spanMs = random.bernoulli(0.2) ? 7_200_000 : 8000
      skewNs += Int64(random.below(spanMs) - spanMs / 2) * Nanoseconds.millisecond
    case 17, 18:
      trace("command: restart-ws")
      step { try $0.restartSockets(moment) }
    case 19, 20:
      let isOn = random.bernoulli(0.8)
      trace("command: fallback-rest \(isOn)")
      step { try $0.restFallback(isOn, moment) }
    case 21:
      let name = random.bernoulli(0.5) ? nil : options.symbols[random.below(options.symbols.count)]
      trace("command: rebuild-snapshot \(name ?? "all")")
      step { try $0.rebuildSnapshots(of: name, moment) }
    case 22: intervene()
    default: break
    }
  }

  private func intervene() {
    func word(_ words: String...) -> String { words[random.below(words.count)] }
    let text =
      switch random.below(4) {
      case 0: #"{"control":"mode","value":"\#(word("auto", "quiet", "active"))","by":"simulation"}"#
      case 1: #"{"control":"time_sync","value":"\#(word("degraded", "normal", "normal"))"}"#
      case 2:
        #"{"control":"degrade","light_rows":\#(word("true", "false")),"strong_only":\#(word("true", "false")),"#
          + #""threshold_scale":1.\#(random.below(10)),"conservative_cost":false}"#
      default:
        #"{"control":"params","version":"\#(word("0123456789ab", "ba9876543210"))","#
          + #""values":{"gates.score_min":0.\#(random.below(10))}}"#
      }
    trace("command: \(text)")
    step { harvester in
      if let error = try harvester.appendControl(try JSONValue(parsing: text), moment) {
        outcome.violate("\(text) is refused: \(error)")
      }
    }
  }

  /// Called once, at the end of the faults.
  func healNetwork() {
    (network.latencyMs, network.jitterMs) = (3, 5)
    network.drops.removeAll()
    network.duplicates.removeAll()
    network.swaps.removeAll()
    network.silences.removeAll()
  }
}
