import Core

/// What the generator needs to know of one instrument: its grid, and how large its orders and its moves are.
struct Instrument: Sendable, Equatable {
  let symbol: String
  let priceScale: DecimalScale
  /// Price units in one tick.
  let tickUnits: Int64
  let quantityScale: DecimalScale
  /// Mid price at the start, in ticks.
  let startTicks: Int
  /// Mean size of an order, in quantity units.
  let orderLotsMean: Double
  /// Ticks between neighbouring occupied levels near the touch are `1 << cellShift` on average.
  ///
  /// A basis point is hundreds of ticks for one instrument and one tick for another. Where ticks are small
  /// the book near the touch is sparse and prices move many ticks at a time; where they are large every tick
  /// holds a long queue. The cell puts both on one scale.
  let cellShift: Int

  /// Queue at the touch that adds and cancels pull towards, in mean orders: long where a tick is a whole
  /// cell.
  var touchOrders: Double {
    cellShift == 0 ? FlowParameters.touchOrdersLargeTick : FlowParameters.touchOrders
  }

  private struct Listing {
    var price: String
    var priceDecimals: Int
    var tick: String
    var quantityDecimals: Int
  }

  /// Price grids as of the exchange's list in 2026; sizes in whole lots of the recordings' precision.
  private static let listings: [String: Listing] = [
    "BTCUSDT": Listing(price: "95000.00", priceDecimals: 2, tick: "0.10", quantityDecimals: 3),
    "ETHUSDT": Listing(price: "3300.00", priceDecimals: 2, tick: "0.01", quantityDecimals: 3),
    "SOLUSDT": Listing(price: "150.2300", priceDecimals: 4, tick: "0.0100", quantityDecimals: 0),
    "DOGEUSDT": Listing(price: "0.141200", priceDecimals: 6, tick: "0.000010", quantityDecimals: 0),
    "XRPUSDT": Listing(price: "2.0840", priceDecimals: 4, tick: "0.0001", quantityDecimals: 1),
    "BNBUSDT": Listing(price: "880.500", priceDecimals: 3, tick: "0.010", quantityDecimals: 2),
    "ADAUSDT": Listing(price: "0.39120", priceDecimals: 5, tick: "0.00010", quantityDecimals: 0),
    "AVAXUSDT": Listing(price: "13.8700", priceDecimals: 4, tick: "0.0010", quantityDecimals: 0),
    "LINKUSDT": Listing(price: "13.452", priceDecimals: 3, tick: "0.001", quantityDecimals: 2),
    "LTCUSDT": Listing(price: "82.40", priceDecimals: 2, tick: "0.01", quantityDecimals: 3),
    "DOTUSDT": Listing(price: "2.134", priceDecimals: 3, tick: "0.001", quantityDecimals: 1),
    "TRXUSDT": Listing(price: "0.29310", priceDecimals: 5, tick: "0.00001", quantityDecimals: 0),
    "NEARUSDT": Listing(price: "1.7140", priceDecimals: 4, tick: "0.0010", quantityDecimals: 0),
    "FILUSDT": Listing(price: "1.496", priceDecimals: 3, tick: "0.001", quantityDecimals: 1),
    "SUIUSDT": Listing(price: "1.743200", priceDecimals: 6, tick: "0.000100", quantityDecimals: 1),
    "1000PEPEUSDT": Listing(price: "0.0063410", priceDecimals: 7, tick: "0.0000100", quantityDecimals: 0),
  ]

  /// The instrument of that name: from the list, or made from the name's own bytes, the same in every run.
  init(symbol: String) {
    let listing = Instrument.listings[symbol] ?? Instrument.invented(symbol)
    self.symbol = symbol
    priceScale = DecimalScale(listing.priceDecimals)
    quantityScale = DecimalScale(listing.quantityDecimals)
    guard let price = priceScale.parse(listing.price), let tick = priceScale.parse(listing.tick) else {
      preconditionFailure("the listing of \(symbol) is off its own scale")
    }
    tickUnits = tick
    startTicks = Int(price / tick)
    let orderNotional = 9000.0
    let lots = orderNotional / priceScale.double(price) * Double(quantityScale.factor)
    orderLotsMean = max(24, lots.rounded())
    let basisPointTicks = Double(startTicks) / 10_000
    cellShift =
      switch basisPointTicks {
      case 48...: 5
      case 16...: 3
      case 8...: 2
      case 4...: 1
      default: 0
      }
  }

  private static func invented(_ symbol: String) -> Listing {
    let hash = Instrument.hash(symbol)
    let price = 10_000 + Int64(hash % 20_000)
    return Listing(
      price: DecimalScale(4).text(price), priceDecimals: 4, tick: "0.0001",
      quantityDecimals: Int(hash >> 32) & 1)
  }

  /// FNV-1a over the name's bytes; it keeps a symbol's market the same whatever its place in the list.
  static func hash(_ text: String) -> UInt64 {
    text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }
}
