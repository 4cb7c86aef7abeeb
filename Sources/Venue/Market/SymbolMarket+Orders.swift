import Core

/// What orders do to the book.
extension SymbolMarket {
  /// Levels one market order may take; what is left of it is cancelled.
  static let levelsTakenMax = 24
  /// The price band: within one window the mid moves no further than this by orders that empty the touch.
  private var windowTicksMax: Int { profile.reach / 2 }
  private static let improveProbability = 0.85

  var isWithinBand: Bool { abs(doubledMid - openingDoubledMid) < 2 * windowTicksMax }

  /// A quote event: someone closes a wide spread or changes a queue at the touch, and levels behind follow.
  mutating func quote() {
    let up = random.uniform() < upProbability
    let spread = bestAsk - bestBid
    if spread > 1, random.uniform() < SymbolMarket.improveProbability {
      improve(up, spread)
    } else {
      changeTouch(up)
    }
    var count = Int(requotesMean)
    if random.uniform() < requotesMean - Double(count) { count += 1 }
    for _ in 0..<count { requote() }
  }

  /// A new best quote inside the spread.
  private mutating func improve(_ up: Bool, _ spread: Int) {
    let step = min(spread - 1, random.geometric(mean: Double(2 << instrument.cellShift)))
    let lots = max(1, Int64(profile.touchLots * (0.4 + random.uniform() * 0.8)))
    if up {
      bestBid += step
      change(.bid, bestBid, lots)
    } else {
      bestAsk -= step
      change(.ask, bestAsk, lots)
    }
  }

  /// Adds to the queue on the pushing side or cancels from the other, whichever the queues have room for.
  private mutating func changeTouch(_ up: Bool) {
    let near = up ? bids[bestBid] : asks[bestAsk]
    let far = up ? asks[bestAsk] : bids[bestBid]
    let touchLots = profile.touchLots
    let adding = touchLots / (touchLots + Double(near))
    let cancelling = Double(far) / (touchLots + Double(far))
    let lots = max(1, Int64(instrument.orderLotsMean * tables.quoteSize.draw(&random)))
    if random.uniform() * (adding + cancelling) < adding {
      let grown = near + lots
      if up { change(.bid, bestBid, grown) } else { change(.ask, bestAsk, grown) }
      return
    }
    if lots < far {
      if up { change(.ask, bestAsk, far - lots) } else { change(.bid, bestBid, far - lots) }
    } else if isWithinBand {
      if up { emptyBestAsk() } else { emptyBestBid() }
    }
  }

  /// One level behind the touch moves toward what belongs there.
  mutating func requote() {
    let isBid = random.next() >> 63 == 0
    let best = isBid ? bestBid : bestAsk
    let shift = instrument.cellShift
    let draw = random.next()
    let tick: Int
    if draw & 7 < 6 {
      let cells = Int(tables.requoteCells.draw(&random))
      let cell = (best >> shift) + (isBid ? -cells : cells)
      // Half of the visits tidy up any tick of the cell; one that is bare sends them on to the cell's own.
      let any = cell << shift | Int(truncatingIfNeeded: draw >> 8) & (1 << shift - 1)
      let isBare = (isBid ? bids[any] : asks[any]) == 0
      tick = draw & 8 == 0 || isBare ? profile.principalTick(cell: cell) : any
    } else {
      let distance = 1 + Int(truncatingIfNeeded: (draw >> 8) % UInt64(profile.reach))
      tick = isBid ? best - distance : best + distance
    }
    let distance = isBid ? best - tick : tick - best
    guard distance > 0, isBid ? tick > centre - profile.reach : tick < centre + profile.reach else {
      return
    }
    let resting = isBid ? bids[tick] : asks[tick]
    let target = profile.target(tick: tick, distance: distance)
    if target == 0 {
      if resting > 0 { change(isBid ? .bid : .ask, tick, 0) }
      return
    }
    let pushesUp = random.uniform() < upProbability
    let leaning = pushesUp == isBid ? 1.25 : 0.8
    let addProbability = Double(target) * leaning / (Double(target) * leaning + Double(resting))
    let share = random.uniform()
    var lots: Int64
    if random.uniform() < addProbability {
      lots = resting + max(1, Int64(Double(target) * share))
    } else {
      lots = share < 0.2 ? 0 : resting - max(1, Int64(Double(resting) * share * 0.9))
      lots = max(0, lots)
    }
    change(isBid ? .bid : .ask, tick, lots)
  }

  /// A market order: it takes level after level until it is filled or ``levelsTakenMax`` are gone.
  mutating func takeLiquidity() -> MarketStep {
    let buys = random.uniform() < buyProbability
    let forced = random.uniform() < FlowParameters.forcedShare
    var lots = max(1, Int64(instrument.orderLotsMean * tables.tradeSize.draw(&random)))
    if forced { lots *= 4 }
    trades.begin(aggressor: buys ? .buyer : .seller, time: now)
    for level in 0..<SymbolMarket.levelsTakenMax {
      let tick = buys ? bestAsk : bestBid
      let resting = buys ? asks[tick] : bids[tick]
      if lots < resting {
        trade(buys ? .ask : .bid, tick, lots)
        break
      }
      guard isWithinBand else {
        // The band stops the order short of emptying the level.
        if resting > 1, level == 0 {
          trade(buys ? .ask : .bid, tick, resting - 1)
        }
        break
      }
      tradeWhole(buys ? .ask : .bid, tick)
      lots -= resting
      if lots == 0 { break }
    }
    if trades.fills.isEmpty { return [] }
    return forced ? [.trade, .forced] : .trade
  }

  /// Cancels what may be cancelled of the best level; clients' orders stay, and the level with them.
  mutating func emptyBestAsk() {
    change(.ask, bestAsk, 0)
    if asks[bestAsk] > 0 { return }
    let edge = centre + profile.reach
    repeat { bestAsk += 1 } while asks[bestAsk] == 0 && bestAsk < edge
    // A level always stands at the edge, so that neither side can run empty.
    if asks[bestAsk] == 0 { change(.ask, bestAsk, Int64(profile.touchLots)) }
  }

  mutating func emptyBestBid() {
    change(.bid, bestBid, 0)
    if bids[bestBid] > 0 { return }
    let edge = centre - profile.reach
    repeat { bestBid -= 1 } while bids[bestBid] == 0 && bestBid > edge
    if bids[bestBid] == 0 { change(.bid, bestBid, Int64(profile.touchLots)) }
  }

  /// Moves the window of ticks after the mid: stale levels at the far edges go, new ones come.
  mutating func followPrice() {
    let slack = 32
    while doubledMid > 2 * (centre + slack) {
      let leaving = centre - profile.reach
      if bids[leaving] > 0 { leave(.bid, leaving) }
      centre += 1
      let entering = centre + profile.reach
      let target = profile.target(tick: entering, distance: profile.reach)
      if target > 0, asks[entering] == 0 { change(.ask, entering, target) }
      if clients.hasParked { enter(.ask, entering) }
    }
    while doubledMid < 2 * (centre - slack) {
      let leaving = centre + profile.reach
      if asks[leaving] > 0 { leave(.ask, leaving) }
      centre -= 1
      let entering = centre - profile.reach
      let target = profile.target(tick: entering, distance: profile.reach)
      if target > 0, bids[entering] == 0 { change(.bid, entering, target) }
      if clients.hasParked { enter(.bid, entering) }
    }
  }

  /// The book at the start, every level at what belongs there.
  mutating func fillBook() {
    change(.bid, bestBid, Int64(profile.touchLots))
    change(.ask, bestAsk, Int64(profile.touchLots))
    for distance in 1...profile.reach {
      let below = bestBid - distance
      if below >= centre - profile.reach {
        let target = profile.target(tick: below, distance: distance)
        if target > 0 { change(.bid, below, target) }
      }
      let above = bestAsk + distance
      if above <= centre + profile.reach {
        let target = profile.target(tick: above, distance: distance)
        if target > 0 { change(.ask, above, target) }
      }
    }
  }
}
