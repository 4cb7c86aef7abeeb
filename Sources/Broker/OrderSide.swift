/// Which way an order trades.
public enum OrderSide: String, Sendable {
  case buy = "BUY"
  case sell = "SELL"
}
