/// The shortest decimal that reads back as the double; `nil` when it needs more than 18 decimals or `Int64`.
///
/// For a double that was read from a decimal text of at most 15 significant digits this is that decimal,
/// without trailing zeros.
public func exactDecimal(_ value: Double) -> (units: Int64, decimals: Int)? {
  for decimals in 0...DecimalScale.decimalsMax {
    let scaled = (value * Double(powerOfTen(decimals))).rounded(.toNearestOrEven)
    guard abs(scaled) < 9e18 else { return nil }
    if scaled / Double(powerOfTen(decimals)) == value { return (Int64(scaled), decimals) }
  }
  return nil
}
