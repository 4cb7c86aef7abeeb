/// Lengths of time as Prometheus writes them: `5m`, `1h30m`, `250ms`.
public enum TimeSpan {
  private static let units: [(name: String, milliseconds: Int64)] = [
    ("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000),
    ("s", 1000), ("ms", 1),
  ]
  /// Longer ones are refused: two years.
  static let millisecondsMax: Int64 = 2 * 31_536_000_000

  /// In milliseconds; `nil` when it is no length of time. Units go from large to small, each once.
  public static func milliseconds(parsing text: some StringProtocol) -> Int64? {
    if text == "0" { return 0 }
    let bytes = Array(text.utf8)
    var at = 0
    var total: Int64 = 0
    var nextUnit = 0
    while at < bytes.count {
      var number: Int64 = 0
      let start = at
      while at < bytes.count, bytes[at] &- 0x30 < 10 {
        guard number < millisecondsMax else { return nil }
        number = number * 10 + Int64(bytes[at] - 0x30)
        at += 1
      }
      guard at > start else { return nil }
      let nameStart = at
      while at < bytes.count, bytes[at] &- 0x30 >= 10 { at += 1 }
      let name = String(decoding: bytes[nameStart..<at], as: UTF8.self)
      guard let unit = units.indices.first(where: { $0 >= nextUnit && units[$0].name == name }) else {
        return nil
      }
      let (product, overflow) = number.multipliedReportingOverflow(by: units[unit].milliseconds)
      guard !overflow, product <= millisecondsMax - total else { return nil }
      total += product
      nextUnit = unit + 1
    }
    return bytes.isEmpty ? nil : total
  }

  /// The shortest exact text: `1h30m`, `0s`.
  public static func text(milliseconds: Int64) -> String {
    if milliseconds == 0 { return "0s" }
    var rest = milliseconds
    var text = ""
    for unit in units where unit.name != "y" && unit.name != "w" {
      let count = rest / unit.milliseconds
      rest %= unit.milliseconds
      if count > 0 { text += "\(count)\(unit.name)" }
    }
    return text
  }
}
