import Core

// A stored property added to one of these types belongs into its extension here, or into the sentence that
// says why not. `CheckpointLayoutTests` holds the sizes of the types, so that it is not forgotten.

extension BookSync: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    switch state {
    case .awaitingSnapshot: writer.append(UInt8(0))
    case .bridging(let id):
      writer.append(UInt8(1))
      writer.append(id)
    case .synchronized(let id):
      writer.append(UInt8(2))
      writer.append(id)
    case .broken(let id):
      writer.append(UInt8(3))
      writer.append(id)
    }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    switch try reader.integer(in: 0...3 as ClosedRange<UInt8>) {
    case 0: state = .awaitingSnapshot
    case 1: state = .bridging(lastUpdateID: try reader.integer())
    case 2: state = .synchronized(finalUpdateID: try reader.integer())
    default: state = .broken(finalUpdateID: try reader.integer())
    }
  }
}

extension DepthBuffer: Checkpointed {
  /// The values of events that were taken are kept with those that wait: the bound counts them.
  public func save(to writer: inout CheckpointWriter) {
    writer.append(Int64(dropped))
    writer.append(values)
    writer.append(UInt32(entries.count))
    for entry in entries {
      writer.append(entry.ids.first)
      writer.append(entry.ids.final)
      writer.append(entry.ids.previousFinal)
      writer.append(UInt32(entry.bidCount))
      writer.append(UInt32(entry.askCount))
      writer.append(UInt32(entry.start))
    }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    dropped = Int(try reader.integer(in: 0...Int64.max))
    // One event may be larger than the bound.
    values = try reader.words(max: DepthBuffer.valuesMax + 2 * DecodedFrame.levelsMax)
    entries = []
    for _ in 0..<(try reader.count(bytesEach: 29)) {
      let ids = DepthIDs(
        first: try reader.integer(), final: try reader.integer(), previousFinal: try reader.optionalInteger())
      let levels = 0...UInt32(DecodedFrame.levelsMax)
      let bids = Int(try reader.integer(in: levels))
      let asks = Int(try reader.integer(in: levels))
      let start = Int(try reader.integer(UInt32.self))
      guard start + 2 * (bids + asks) <= values.count else {
        throw reader.failure("an event beyond its buffer")
      }
      entries.append(Entry(ids: ids, bidCount: bids, askCount: asks, start: start))
    }
  }
}

extension InstrumentTable: Checkpointed {
  /// What is configured is given.
  public func save(to writer: inout CheckpointWriter) {
    writer.append(UInt32(symbols.count))
    for (name, instrument) in zip(symbols.names, instruments) {
      writer.append(name)
      writer.append(instrument != nil)
      guard let instrument else { continue }
      writer.append(UInt8(instrument.priceScale.decimals))
      writer.append(UInt8(instrument.quantityScale.decimals))
    }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    let count = try reader.count(bytesEach: 5, max: SymbolTable.countMax)
    for index in 0..<count {
      guard let id = intern(try reader.text()), id.index == index else {
        throw reader.failure("a symbol that is there twice")
      }
      instruments[index] = nil
      guard try reader.boolean() else { continue }
      let decimals = 0...UInt8(DecimalScale.decimalsMax)
      instruments[index] = Instrument(
        priceScale: DecimalScale(Int(try reader.integer(in: decimals))),
        quantityScale: DecimalScale(Int(try reader.integer(in: decimals))))
    }
  }
}

extension FrameDecoder: Checkpointed {
  /// `frame`, `spans` and `justLearnt` are of the frame at hand only. The templates are kept, because each
  /// frame that teaches a shape again would count as one more on the generic path.
  public func save(to writer: inout CheckpointWriter) {
    writer.append("INST", instruments)
    writer.append(genericFrames)
    writer.append("TEMP", table)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    try reader.restore("INST", &instruments)
    genericFrames = try reader.integer()
    try reader.restore("TEMP", &table)
    for index in 0..<table.count where table.templates[index].symbol.index >= instruments.symbols.count {
      throw reader.failure("a shape of an unknown symbol")
    }
  }
}

extension TemplateTable: Checkpointed {
  /// The slots are found anew. What a template remembers of the last number in a place (``PriceForm``,
  /// prefixes, lengths) only makes the next one faster, and is remembered again.
  func save(to writer: inout CheckpointWriter) {
    writer.append(UInt32(count))
    for index in 0..<count {
      let template = templates + index
      writer.append(template.pointee.key.0)
      writer.append(template.pointee.key.1)
      writer.append(template.pointee.key.2)
      writer.append(template.pointee.kind)
      writer.append(template.pointee.symbol.rawValue)
      writer.append(template.pointee.present)
      writer.append(template.pointee.isExcludedTrade)
      writer.append(UInt8(template.pointee.price.scale.decimals))
      writer.append(UInt8(template.pointee.quantity.scale.decimals))
      writer.append(template.pointee.hits)
      writer.append(template.pointee.alternative)
      writer.append(UInt32(lessons[index]))
      save(holes(of: template), pool(of: template), to: &writer)
    }
  }

  private func save(
    _ holes: UnsafeMutablePointer<FrameTemplate.Hole>, _ pool: UnsafeMutablePointer<UInt64>,
    to writer: inout CheckpointWriter
  ) {
    var count = 1
    while holes[count - 1].kind != .end { count += 1 }
    writer.append(UInt8(count))
    for index in 0..<count {
      let hole = holes[index]
      writer.append(hole.word)
      writer.append(hole.mask)
      writer.append(hole.length)
      writer.append(hole.kind)
      writer.append(hole.field)
      for word in 0..<2 * Int(hole.poolWords) { writer.append(pool[Int(hole.poolStart) + word]) }
    }
  }

  mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    let templateCount = try reader.count(bytesEach: 60, max: TemplateTable.templatesMax)
    for index in 0..<templateCount {
      let key: (UInt64, UInt64, UInt64) = (try reader.integer(), try reader.integer(), try reader.integer())
      let kind: FrameKind = try reader.value()
      let symbol = SymbolID(rawValue: try reader.integer(in: 0...Int32(SymbolTable.countMax - 1)))
      let present: UInt32 = try reader.integer()
      let isExcludedTrade = try reader.boolean()
      let decimals = 0...UInt8(DecimalScale.decimalsMax)
      let price = DecimalShape(DecimalScale(Int(try reader.integer(in: decimals))))
      let quantity = DecimalShape(DecimalScale(Int(try reader.integer(in: decimals))))
      (templates + index).initialize(
        to: FrameTemplate(
          key: key, kind: kind, symbol: symbol, present: present, isExcludedTrade: isExcludedTrade,
          price: price,
          quantity: quantity, hits: try reader.integer(),
          alternative: try reader.integer(in: -1...Int32(templateCount - 1))))
      lessons.append(Int(try reader.integer(UInt32.self)))
      try restoreHoles(of: templates + index, from: &reader)
    }
    // A template stands in the slots unless it is the other shape of one that does.
    var isAlternative = [Bool](repeating: false, count: templateCount)
    for index in 0..<templateCount {
      let other = Int(templates[index].alternative)
      guard other != index else { throw reader.failure("a shape that is its own alternative") }
      if other >= 0 { isAlternative[other] = true }
    }
    for index in 0..<templateCount {
      count = index
      if !isAlternative[index] { insert(templates[index].key) }
    }
    count = templateCount
  }

  private func restoreHoles(
    of template: UnsafeMutablePointer<FrameTemplate>, from reader: inout CheckpointReader
  ) throws(CheckpointError) {
    let holes = holes(of: template)
    let pool = pool(of: template)
    let holeCount = Int(try reader.integer(in: 1...UInt8(FrameTemplate.holesMax)))
    var poolCount = 0
    for index in 0..<holeCount {
      let word: UInt64 = try reader.integer()
      let mask: UInt64 = try reader.integer()
      let length = try reader.integer(in: 0...Int32(8 * FrameTemplate.poolWordsMax))
      let kind: FrameTemplate.HoleKind = try reader.value()
      let field = try reader.integer(in: 0...UInt8(DecodedFrame.Field.allCases.count - 1))
      let poolWords = max(0, (Int(length) + 7) / 8 - 1)
      guard (kind == .end) == (index == holeCount - 1), poolCount + poolWords <= FrameTemplate.poolWordsMax
      else {
        throw reader.failure("a shape that does not end")
      }
      for place in 0..<2 * poolWords { pool[2 * poolCount + place] = try reader.integer() }
      (holes + index).initialize(
        to: FrameTemplate.Hole(
          word: word, mask: mask, length: length, poolStart: Int32(2 * poolCount),
          poolWords: Int32(poolWords),
          kind: kind, field: field, expectedLength: 0))
      poolCount += poolWords
    }
  }
}
