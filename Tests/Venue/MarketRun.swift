import Core

@testable import Venue

/// A generated run, read whole by one ``WireReader`` a symbol.
struct MarketRun {
  var readers: [WireReader] = []
  var truth = JSONValue.null
  var outOfOrder = 0
  var wrongConnections = 0
  var keyOrders: [String: Set<[String]>] = [:]
  var frameCounts: [String: Int] = [:]
  var latenciesMs: [Double] = []

  init(_ options: MarketOptions) throws {
    var generator = MarketGenerator(options)
    for symbol in options.symbols {
      let instrument = Instrument(symbol: symbol)
      readers.append(
        WireReader(
          priceDecimals: instrument.priceScale.decimals, quantityDecimals: instrument.quantityScale.decimals))
    }
    var last = Int64.min
    while let frame = generator.next() {
      if frame.receiveTime.rawValue < last { outOfOrder += 1 }
      last = frame.receiveTime.rawValue
      let value = try JSONValue(parsing: frame.payload)
      let reader = frame.symbolIndex
      if frame.kind == .snapshot {
        if frame.connection != MarketFrame.restConnection { wrongConnections += 1 }
        keyOrders["snapshot", default: []].insert(value.members!.map(\.key))
        readers[reader].takeSnapshot(value)
        continue
      }
      let data = value["data"]!
      let stream = value["stream"]!.text!
      let symbol = options.symbols[frame.symbolIndex]
      precondition(stream == "\(symbol.lowercased())@\(frame.stream.suffix)")
      let event = data["e"]!.text!
      keyOrders[event, default: []].insert(data.members!.map(\.key))
      frameCounts[event, default: 0] += 1
      let isPublic = event == "depthUpdate" || event == "bookTicker"
      if frame.connection != (isPublic ? MarketFrame.publicConnection : MarketFrame.marketConnection) {
        wrongConnections += 1
      }
      latenciesMs.append(Double(last) / 1e6 - data["E"]!.double!)
      switch event {
      case "depthUpdate":
        readers[reader].depth(
          WireReader.Diff(
            first: data["U"]!.integer!, last: data["u"]!.integer!, previous: data["pu"]!.integer!,
            bids: readers[reader].levels(data["b"]), asks: readers[reader].levels(data["a"])),
          time: last)
      case "bookTicker": readers[reader].bookTicker(data)
      case "aggTrade": readers[reader].aggregateTrade(data)
      case "kline": readers[reader].kline(data)
      default: break
      }
    }
    truth = generator.truth
  }

  /// FNV-1a over every byte and receive time of a run, and its number of frames.
  static func hash(_ options: MarketOptions) -> (UInt64, Int) {
    var generator = MarketGenerator(options)
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    var count = 0
    while let frame = generator.next() {
      count += 1
      hash = (hash ^ UInt64(bitPattern: frame.receiveTime.rawValue)) &* 0x100_0000_01B3
      hash = MarketRun.hash(frame.payload, hash)
    }
    return (hash, count)
  }

  /// The same over one symbol's payloads on one connection.
  static func payloadHash(
    _ options: MarketOptions, symbolIndex: Int, _ connection: Int32
  ) -> (UInt64, Int) {
    var generator = MarketGenerator(options)
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    var count = 0
    while let frame = generator.next() {
      guard frame.symbolIndex == symbolIndex, frame.connection == connection else { continue }
      count += 1
      hash = MarketRun.hash(frame.payload, hash)
    }
    return (hash, count)
  }

  private static func hash(_ bytes: UnsafeRawBufferPointer, _ seed: UInt64) -> UInt64 {
    var hash = seed
    for index in 0..<bytes.count { hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01B3 }
    return hash
  }
}
