import Core
import Glibc
import Report
import Store
import Strategy

/// A folder that is removed with its content when the value goes out of scope.
final class TemporaryFolder {
  let path: String

  init() {
    var template = Array("/tmp/weir-report-XXXXXX".utf8CString)
    path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
  }

  deinit { TemporaryFolder.remove(path) }

  static func remove(_ path: String) {
    if Files.isFolder(path) {
      for name in (try? Files.list(path)) ?? [] { remove(path + "/" + name) }
      rmdir(path)
    } else {
      unlink(path)
    }
  }
}

enum ReportSamples {
  /// 2024-07-18T23:57:00Z
  static let start: Int64 = 1_721_347_020_000_000_000

  static func symbols(_ names: [String] = ["BTCUSDT", "ETHUSDT"]) -> SymbolTable {
    var table = SymbolTable()
    for name in names { _ = table.intern(name) }
    return table
  }

  static func signal(
    time: Int64 = start, symbol: Int = 0, score: Double = 0.5, kind: Signal.Kind = .neutral,
    confirmed: Bool = false, reason: Signal.GuardReason = .none, z: Double = 0.5, lagMs: Double = 4
  ) -> Signal {
    Signal(
      trigger: .grid, receiveTime: UnixNanos(time), symbol: SymbolID(symbol), score: Micros(score),
      zOFI: Micros(z), zCVD: Micros(-z), ofi: Micros(-12.5), cvd: -1_234_500, quantityScale: DecimalScale(3),
      consistency: Micros(0.25), dispersion: .absent, doubledMid: 12_788_781, priceScale: DecimalScale(2),
      spreadBps: Micros(0.5), lagMs: Micros(lagMs), stalenessMs: Micros(12.75), regime: .normal, kind: kind,
      confirmed: confirmed, guardReason: reason, qualityFlags: [], tapeSequence: 255)
  }

  /// A market that wanders, with scores that follow it, every 250 ms for every symbol.
  static func market(seed: UInt64, seconds: Int, symbols: Int = 2, from: Int64 = start) -> [Signal] {
    var random = SeededRandom(seed: seed)
    var mids = (0..<symbols).map { 12_788_780 / Int64($0 + 1) }
    var volumes = [Int64](repeating: 0, count: symbols)
    var flows = [Double](repeating: 0, count: symbols)
    var rows: [Signal] = []
    for tick in 0..<seconds * 4 {
      for symbol in 0..<symbols {
        flows[symbol] = 0.97 * flows[symbol] + random.normal() * 0.35
        mids[symbol] += Int64((random.normal() * 30 + flows[symbol] * 6).rounded())
        volumes[symbol] += Int64(flows[symbol] * 900 + random.normal() * 500)
        let zOFI = flows[symbol] * 0.8
        let zCVD = flows[symbol] * 0.5 + random.normal() * 0.4
        let score = 0.6 * zOFI + 0.4 * zCVD
        let kind: Signal.Kind =
          score > 2
          ? .strongBuy : score > 1.2 ? .buy : score < -2 ? .strongSell : score < -1.2 ? .sell : .neutral
        let isGated = random.bernoulli(0.6)
        rows.append(
          Signal(
            trigger: .grid, receiveTime: UnixNanos(from + Int64(tick) * 250_000_000),
            symbol: SymbolID(symbol),
            score: Micros(score), zOFI: Micros(zOFI), zCVD: Micros(zCVD), ofi: Micros(flows[symbol] * 35),
            cvd: volumes[symbol], quantityScale: DecimalScale(3), consistency: Micros(random.uniform()),
            dispersion: Micros(abs(zOFI - zCVD)), doubledMid: mids[symbol], priceScale: DecimalScale(2),
            spreadBps: Micros(0.1 + random.uniform()), lagMs: Micros(random.exponential(mean: 4)),
            stalenessMs: Micros(random.uniform() * 100), regime: tick < 200 ? .normal : .active, kind: kind,
            confirmed: kind != .neutral && !isGated,
            guardReason: kind == .neutral ? .weak : isGated ? .dedupe : .none, qualityFlags: [],
            tapeSequence: Int64(rows.count)))
      }
    }
    return rows
  }

  static func report(_ rows: [Signal], names: [String] = ["BTCUSDT", "ETHUSDT"]) -> [DailyReport] {
    var accumulator = ReportAccumulator(symbols: symbols(names))
    for row in rows { accumulator.add(row) }
    return accumulator.days.map { DailyReport(day: $0, symbols: accumulator.symbols) }
  }
}

/// The problem that keeps a text from being well-formed XML; `nil` for none. Covers what our documents use.
func xmlProblem(_ text: String) -> String? {
  var stack: [String] = []
  var roots = 0
  var index = text.utf8.startIndex
  let utf8 = text.utf8
  func isName(_ byte: UInt8) -> Bool {
    byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A || byte >= 0x30 && byte <= 0x39 || byte == 0x2D || byte == 0x3A
  }
  func entity() -> String? {
    let names = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"]
    return names.contains { text[index...].hasPrefix($0) } ? nil : "a bare & at \(text[index...].prefix(20))"
  }
  for scalar in text.unicodeScalars where scalar.value < 0x20 && scalar != "\n" {
    return "a control character"
  }
  while index < utf8.endIndex {
    if utf8[index] == 0x26, let problem = entity() { return problem }
    if utf8[index] == 0x3E { return "a bare > before \(text[index...].prefix(20))" }
    guard utf8[index] == 0x3C else {
      if stack.isEmpty, utf8[index] > 0x20 { return "text outside the root" }
      index = utf8.index(after: index)
      continue
    }
    index = utf8.index(after: index)
    let isEnd = index < utf8.endIndex && utf8[index] == 0x2F
    if isEnd { index = utf8.index(after: index) }
    var name = ""
    while index < utf8.endIndex, isName(utf8[index]) {
      name.unicodeScalars.append(Unicode.Scalar(utf8[index]))
      index = utf8.index(after: index)
    }
    if name.isEmpty { return "a bare < before \(text[index...].prefix(20))" }
    var keys: Set<String> = []
    var isEmptyTag = false
    while true {
      while index < utf8.endIndex, utf8[index] == 0x20 { index = utf8.index(after: index) }
      guard index < utf8.endIndex else { return "the tag \(name) has no end" }
      if utf8[index] == 0x2F {
        isEmptyTag = true
        index = utf8.index(after: index)
        continue
      }
      if utf8[index] == 0x3E { break }
      var key = ""
      while index < utf8.endIndex, isName(utf8[index]) {
        key.unicodeScalars.append(Unicode.Scalar(utf8[index]))
        index = utf8.index(after: index)
      }
      guard !key.isEmpty, text[index...].hasPrefix("=\"") else { return "a bad attribute in \(name)" }
      guard keys.insert(key).inserted else { return "\(name) has \(key) twice" }
      index = utf8.index(index, offsetBy: 2)
      while index < utf8.endIndex, utf8[index] != 0x22 {
        if utf8[index] == 0x3C { return "a < in an attribute of \(name)" }
        if utf8[index] == 0x26, let problem = entity() { return problem }
        index = utf8.index(after: index)
      }
      guard index < utf8.endIndex else { return "an attribute of \(name) has no end" }
      index = utf8.index(after: index)
    }
    index = utf8.index(after: index)
    if isEnd {
      guard stack.popLast() == name else { return "</\(name)> closes another element" }
    } else {
      if stack.isEmpty { roots += 1 }
      if !isEmptyTag { stack.append(name) }
    }
  }
  if let open = stack.last { return "\(open) is not closed" }
  return roots == 1 ? nil : "\(roots) root elements"
}
