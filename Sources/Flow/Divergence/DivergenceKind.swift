/// How price and order flow disagree. Names are part of the output format.
public enum DivergenceKind: UInt8, Sendable, CaseIterable {
  case none
  /// Price lower low, indicator higher low.
  case bullish
  /// Price higher high, indicator lower high.
  case bearish
  /// Price higher low, indicator lower low.
  case hiddenBullish
  /// Price lower high, indicator higher high.
  case hiddenBearish
  /// OFI and CVD point clearly in opposite directions.
  case conflict

  /// Empty for `none`.
  public var name: StaticString {
    switch self {
    case .none: ""
    case .bullish: "bull_div"
    case .bearish: "bear_div"
    case .hiddenBullish: "hidden_bull"
    case .hiddenBearish: "hidden_bear"
    case .conflict: "ofi_cvd_conflict"
    }
  }

  /// +1 up, −1 down, 0 neither.
  public var direction: Int {
    switch self {
    case .none, .conflict: 0
    case .bullish, .hiddenBullish: 1
    case .bearish, .hiddenBearish: -1
    }
  }
}
