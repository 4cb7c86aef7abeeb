import Core

/// A client's order from its acceptance on.
final class VenueOrder {
  enum Status: String {
    case new = "NEW"
    case partiallyFilled = "PARTIALLY_FILLED"
    case filled = "FILLED"
    case canceled = "CANCELED"
    case expired = "EXPIRED"

    var isOpen: Bool { self == .new || self == .partiallyFilled }
  }

  enum Kind: String { case limit = "LIMIT", market = "MARKET" }

  enum TimeInForce: String { case gtc = "GTC", ioc = "IOC", fok = "FOK", gtx = "GTX", gtd = "GTD" }

  let id: Int64
  unowned let account: VenueAccount
  let symbol: Int
  let clientID: String
  let request: OrderRequest
  let timeMs: Int64
  var updateMs: Int64
  var status = Status.new
  var filledLots: Int64 = 0
  /// Σ tick · lots of its fills.
  var filledTickLots: Int64 = 0
  /// It stands in the market's queues.
  var isResting = false

  var lots: Int64 { request.lots }
  var leftLots: Int64 { request.lots - filledLots }

  init(id: Int64, account: VenueAccount, clientID: String, request: OrderRequest, timeMs: Int64) {
    self.id = id
    self.account = account
    self.symbol = request.symbol
    self.clientID = clientID
    self.request = request
    self.timeMs = timeMs
    updateMs = timeMs
  }
}

/// What a client asked for, checked against the filters.
struct OrderRequest {
  var symbol: Int
  var isBuy: Bool
  var kind: VenueOrder.Kind
  var timeInForce: VenueOrder.TimeInForce
  /// 0 for a market order.
  var tick: Int
  var lots: Int64
  var isReduceOnly: Bool
  /// 0 for none.
  var goodTillMs: Int64
  var clientID: String?
  /// The answer tells the order's state after matching.
  var wantsResult: Bool

  var side: Side { isBuy ? .bid : .ask }
}

/// A one-way position.
struct VenuePosition {
  /// Negative when short.
  var lots: Int64 = 0
  /// Σ tick · lots of what was paid for the position; not negative.
  var costTickLots: Int64 = 0
  /// Lots of open orders.
  var openBuyLots: Int64 = 0
  var openSellLots: Int64 = 0
  var leverage: Int64 = 20
  var updateMs: Int64 = 0
  /// Realised since the start, in 1e-8 USDT, before fees.
  var realised: Int64 = 0

  /// Applies a fill; the realised profit in tick · lots.
  mutating func fill(isBuy: Bool, tick: Int, lots filled: Int64) -> Int64 {
    let signed = isBuy ? filled : -filled
    if lots == 0 || (lots > 0) == isBuy {
      lots += signed
      costTickLots += Int64(tick) * filled
      return 0
    }
    let held = abs(lots)
    let closing = min(held, filled)
    // The product may leave 64 bits, the quotient is at most the cost.
    let part = Int64(Int128(costTickLots) * Int128(closing) / Int128(held))
    let profit = (Int64(tick) * closing - part) * (lots > 0 ? 1 : -1)
    costTickLots -= part
    lots += isBuy ? closing : -closing
    let rest = filled - closing
    if rest > 0 {
      lots = isBuy ? rest : -rest
      costTickLots = Int64(tick) * rest
    }
    return profit
  }
}

/// One fill of a client's order.
struct AccountTrade {
  var id: Int64
  var orderID: Int64
  var symbol: Int
  var isBuy: Bool
  var isMaker: Bool
  var tick: Int
  var lots: Int64
  /// In 1e-8 USDT.
  var fee: Int64
  var profit: Int64
  var timeMs: Int64
}

/// One user's money, positions and orders. Amounts are whole numbers of 1e-8 USDT.
///
/// Bounds: ``openOrdersMax`` open orders (the next is refused), ``ordersMax`` orders and ``tradesMax`` trades
/// kept (the oldest that are over go first).
final class VenueAccount {
  static let openOrdersMax = 1000
  static let ordersMax = 10_000
  static let tradesMax = 10_000
  static let unit: Int64 = 100_000_000

  let user: VenueUser
  var wallet: Int64
  var positions: [VenuePosition]
  /// In order of id.
  private(set) var orders: [VenueOrder] = []
  private(set) var trades: [AccountTrade] = []
  var openByClientID: [String: VenueOrder] = [:]
  var openCount: Int { openByClientID.count }
  var listenKey: String?
  var listenKeyExpiry = Int64.max

  init(user: VenueUser, symbolCount: Int) {
    self.user = user
    wallet = user.balance * VenueAccount.unit
    positions = [VenuePosition](repeating: VenuePosition(), count: symbolCount)
  }

  func append(_ order: VenueOrder) {
    if orders.count >= VenueAccount.ordersMax + VenueAccount.ordersMax / 8 {
      var excess = orders.count - VenueAccount.ordersMax
      orders.removeAll {
        if excess == 0 || $0.status.isOpen { return false }
        excess -= 1
        return true
      }
    }
    orders.append(order)
  }

  func append(_ trade: AccountTrade) {
    if trades.count >= VenueAccount.tradesMax + VenueAccount.tradesMax / 8 {
      trades.removeFirst(trades.count - VenueAccount.tradesMax)
    }
    trades.append(trade)
  }

  /// The order with that id, open or kept.
  ///
  /// - Complexity: O(log n)
  func order(_ id: Int64) -> VenueOrder? {
    var low = 0
    var high = orders.count
    while low < high {
      let middle = (low + high) / 2
      if orders[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return low < orders.count && orders[low].id == id ? orders[low] : nil
  }

  /// The latest order with that client id.
  func order(clientID: String) -> VenueOrder? {
    openByClientID[clientID] ?? orders.last { $0.clientID == clientID }
  }
}
