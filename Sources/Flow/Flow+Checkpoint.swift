import Core

// A stored property added to one of these types belongs into its extension here, or into the sentence that
// says why not. `CheckpointLayoutTests` holds the sizes of the types, so that it is not forgotten.

extension ClockOffset: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    writer.append(offsetNs)
    for index in 0..<ClockOffset.bucketCount { writer.append(buckets[index]) }
    writer.append(current)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    offsetNs = try reader.integer()
    for index in 0..<ClockOffset.bucketCount { buckets[index] = try reader.integer() }
    current = try reader.integer()
    // It is taken modulo the number of buckets for a place among them.
    guard current >= 0 || current == .min else { throw reader.failure("a minute before 1970") }
  }
}

extension PriceImpact: Checkpointed {
  /// `bucketMs` is configuration.
  public func save(to writer: inout CheckpointWriter) {
    writer.append(bucket)
    writer.append(imbalance)
    writer.append(lastMid)
    writer.append(startMid)
    writer.append(Int64(buckets))
    for value in [meanX, meanY, xx, yy, xy] { writer.append(value) }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    bucket = try reader.integer()
    imbalance = try reader.integer()
    lastMid = try reader.integer()
    startMid = try reader.optionalInteger()
    buckets = Int(try reader.integer(in: 0...Int64.max))
    meanX = try reader.double()
    meanY = try reader.double()
    xx = try reader.double()
    yy = try reader.double()
    xy = try reader.double()
  }
}

extension CumulativeVolumeDelta: Checkpointed {
  /// `reset` is configuration.
  public func save(to writer: inout CheckpointWriter) {
    writer.append(total)
    writer.append(sinceReset)
    writer.append(day)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    total = try reader.integer()
    sinceReset = try reader.integer()
    day = try reader.integer()
  }
}

extension TradeSequence: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    writer.append(lastID)
    writer.append(missing)
    writer.append(Int64(duplicates))
    writer.append(UInt32(holes.count))
    for hole in holes {
      writer.append(hole.lowerBound)
      writer.append(hole.upperBound)
    }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    lastID = try reader.optionalInteger()
    missing = try reader.integer()
    duplicates = Int(try reader.integer(in: 0...Int64.max))
    holes = []
    for _ in 0..<(try reader.count(bytesEach: 16)) {
      let first: Int64 = try reader.integer()
      let last: Int64 = try reader.integer()
      guard first <= last, first > Int64.min, last < Int64.max else {
        throw reader.failure("a hole from \(first) to \(last)")
      }
      holes.append(first...last)
    }
  }
}

extension SlidingSum: Checkpointed {
  /// `width` and `windowMs` are configuration, `capacity` and `head` follow from the count, and ``sums`` are
  /// exact sums of what is in the window.
  public func save(to writer: inout CheckpointWriter) {
    writer.append(UInt32(count))
    let first = min(count, capacity - head)
    writer.append(words: times + head, count: first)
    writer.append(words: times, count: count - first)
    writer.append(words: values + head * width, count: first * width)
    writer.append(words: values, count: (count - first) * width)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    removeAll()
    let entries = try reader.count(bytesEach: 8 * (1 + width), max: Int(windowMs))
    reserve(entries)
    try reader.words(entries, into: times)
    try reader.words(entries * width, into: values)
    for entry in 0..<entries {
      guard entry == 0 || times[entry - 1] < times[entry] else {
        throw reader.failure("a window out of order")
      }
      for column in 0..<width { sums[column] &+= values[entry * width + column] }
    }
    count = entries
  }

  /// Makes room in an empty window.
  private mutating func reserve(_ entries: Int) {
    guard entries > capacity else { return }
    while capacity < entries { capacity *= 2 }
    times.deallocate()
    values.deallocate()
    times = .allocate(capacity: capacity)
    values = .allocate(capacity: capacity * width)
  }
}

extension Standardizer: Checkpointed {
  /// Method, capacity, warm-up and floor are configuration. The sorted copy is made again: equal values stand
  /// in it in the order of their coming, because one enters behind its equals and the oldest leaves first.
  public func save(to writer: inout CheckpointWriter) {
    writer.append(UInt32(count))
    writer.append(UInt32(next))
    // Until the ring is full it is filled from its start.
    writer.append(words: ring, count: count)
    for value in [mean, squares, magnitude, extremeZ] { writer.append(value) }
    writer.append(UInt32(extremeCount))
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    let values = try reader.count(bytesEach: 8, max: capacity)
    next = Int(try reader.integer(in: 0...UInt32(capacity - 1)))
    guard values == capacity || next == values else { throw reader.failure("a history with a hole") }
    try reader.words(values, into: ring)
    count = values
    let oldest = count == capacity ? next : 0
    let ages = (0..<count).sorted { a, b in
      let (x, y) = (ring[(oldest + a) % capacity], ring[(oldest + b) % capacity])
      return x < y || x == y && a < b
    }
    for (place, age) in ages.enumerated() { sorted[place] = ring[(oldest + age) % capacity] }
    mean = try reader.double()
    squares = try reader.double()
    magnitude = try reader.double()
    extremeZ = try reader.double()
    extremeCount = Int(try reader.integer(in: 0...UInt32(capacity)))
  }
}

extension MultiLevelImbalance: Checkpointed {
  /// `levels` is configuration; ``contributions`` and `after` are only used within a step.
  public func save(to writer: inout CheckpointWriter) {
    writer.append(hasState)
    guard hasState else { return }
    writer.append(UInt32(bidCountBefore))
    writer.append(UInt32(askCountBefore))
    for (side, count) in [(0, bidCountBefore), (1, bidCountBefore), (2, askCountBefore), (3, askCountBefore)]
    {
      writer.append(words: before + side * levels, count: count)
    }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    hasState = try reader.boolean()
    guard hasState else { return }
    bidCountBefore = Int(try reader.integer(in: 0...UInt32(levels)))
    askCountBefore = Int(try reader.integer(in: 0...UInt32(levels)))
    for (side, count) in [(0, bidCountBefore), (1, bidCountBefore), (2, askCountBefore), (3, askCountBefore)]
    {
      try reader.words(count, into: before + side * levels)
    }
  }
}

extension PrincipalComponent: Checkpointed {
  /// Width and counts are configuration; of the ring, what is full and what is open.
  func save(to writer: inout CheckpointWriter) {
    writer.append(UInt32(full))
    writer.append(UInt32(place))
    writer.append(UInt32(samples))
    writer.append(words: blocks, count: blocksMax * stride)
    writer.append(isKnown)
    writer.append(words: weights, count: width)
  }

  mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    full = Int(try reader.integer(in: 0...UInt32(blocksMax)))
    place = Int(try reader.integer(in: 0...UInt32(blocksMax - 1)))
    samples = Int(try reader.integer(in: 0...UInt32(blockSamples - 1)))
    guard full == blocksMax || place == full else { throw reader.failure("a ring with a hole") }
    try reader.words(blocksMax * stride, into: blocks)
    isKnown = try reader.boolean()
    try reader.words(width, into: weights)
    for index in 0..<width where abs(weights[index]) > 1 {
      throw reader.failure("a weight of \(weights[index])")
    }
  }
}

extension IntegratedImbalance: Checkpointed {
  /// `levels` is configuration.
  func save(to writer: inout CheckpointWriter) {
    writer.append("DEPT", depths)
    writer.append(lastDepth)
    writer.append(lastSides)
    writer.append("COMP", component)
  }

  mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    try reader.restore("DEPT", &depths)
    lastDepth = try reader.integer()
    lastSides = try reader.integer()
    try reader.restore("COMP", &component)
  }
}

extension FactorLane: Checkpointed {
  /// Parameters and fixed weights are configuration.
  func save(to writer: inout CheckpointWriter) {
    writer.append("OFI1", levelOne)
    writer.append("OFIN", deep)
    writer.append("DELT", delta)
    writer.append("HOFI", ofiHistory)
    writer.append("HCVD", cvdHistory)
    switch integrated {
    case .some(let integrated): writer.append("INTE", integrated)
    case .none: break
    }
  }

  mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    try reader.restore("OFI1", &levelOne)
    try reader.restore("OFIN", &deep)
    try reader.restore("DELT", &delta)
    try reader.restore("HOFI", &ofiHistory)
    try reader.restore("HCVD", &cvdHistory)
    if isIntegrated { try reader.restore("INTE", &integrated!) }
  }
}

extension SymbolFlow: Checkpointed {
  /// The configuration and the number of lanes are given.
  public func save(to writer: inout CheckpointWriter) {
    writer.append(tickerImbalance)
    writer.append(bookImbalance)
    writer.append("CVD ", cvd)
    writer.append("IMPA", impact)
    writer.append(hasTicker)
    writer.append(hasBook)
    writer.append(tickerQuote)
    writer.append(lastTickerID)
    writer.append(bookQuote)
    writer.append("LEVL", multiLevel)
    for index in 0..<laneCount { writer.append("LANE", lanes[index]) }
    writer.append(UInt32(lane))
    writer.append(ofiWholeSinceMs)
    writer.append(cvdWholeSinceMs)
    writer.append(triggers.isArmed)
    for value in [triggers.ofiHigh, triggers.ofiLow, triggers.cvdHigh, triggers.cvdLow] {
      writer.append(value)
    }
    if let divergence { writer.append("DIVG", divergence) }
    writer.append(pendingDivergence)
    writer.append(tradesWereLost)
    writer.append(laneChanged)
    writer.append(weightsChanged)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    tickerImbalance = try reader.integer()
    bookImbalance = try reader.integer()
    try reader.restore("CVD ", &cvd)
    try reader.restore("IMPA", &impact)
    hasTicker = try reader.boolean()
    hasBook = try reader.boolean()
    tickerQuote = try reader.quote()
    lastTickerID = try reader.integer()
    bookQuote = try reader.quote()
    try reader.restore("LEVL", &multiLevel)
    for index in 0..<laneCount { try reader.restore("LANE", &lanes[index]) }
    speaking = lanes + Int(try reader.integer(in: 0...UInt32(laneCount - 1)))
    ofiWholeSinceMs = try reader.optionalInteger()
    cvdWholeSinceMs = try reader.optionalInteger()
    triggers.isArmed = try reader.boolean()
    triggers.ofiHigh = try reader.double()
    triggers.ofiLow = try reader.double()
    triggers.cvdHigh = try reader.double()
    triggers.cvdLow = try reader.double()
    if divergence != nil { try reader.restore("DIVG", &divergence!) }
    pendingDivergence = try reader.value()
    tradesWereLost = try reader.boolean()
    laneChanged = try reader.boolean()
    weightsChanged = try reader.boolean()
  }
}

extension SignalClassifier: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    writer.append(kind)
    writer.append(reachedAtMs)
    writer.append(changedAtMs)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    kind = try reader.value()
    reachedAtMs = try reader.integer()
    changedAtMs = try reader.integer()
  }
}
