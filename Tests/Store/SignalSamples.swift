import Core
import Glibc
import Strategy

/// A folder that is removed with its content when the value goes out of scope.
final class TemporaryFolder {
  let path: String

  init() {
    var template = Array("/tmp/weir-store-XXXXXX".utf8CString)
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

func failureText(_ body: () throws -> Void) -> String {
  do {
    try body()
    return "no error"
  } catch {
    return "\(error)"
  }
}

enum SignalSamples {
  static let start: Int64 = 1_721_347_021_250_000_000

  static func symbols(_ names: [String] = ["BTCUSDT", "ETHUSDT"]) -> SymbolTable {
    var table = SymbolTable()
    for name in names { _ = table.intern(name) }
    return table
  }

  static func context(_ names: [String] = ["BTCUSDT", "ETHUSDT"]) -> SignalContext {
    SignalContext(symbols: symbols(names), configVersion: "0123456789ab")
  }

  static func plain(
    time: Int64 = start, symbol: Int = 0, trigger: Signal.Trigger = .grid
  ) -> Signal {
    Signal(
      trigger: trigger, receiveTime: UnixNanos(time), symbol: SymbolID(symbol), score: Micros(1.5),
      zOFI: Micros(2.25), zCVD: Micros(-0.000001), ofi: Micros(-12.5), cvd: -1_234_500,
      quantityScale: DecimalScale(3), consistency: Micros(0.25), dispersion: .absent, doubledMid: 12_788_781,
      priceScale: DecimalScale(2), spreadBps: Micros(0.0156), lagMs: Micros(3), stalenessMs: Micros(12.75),
      regime: .normal, kind: .strongBuy, confirmed: true, guardReason: .none, qualityFlags: [],
      tapeSequence: 255)
  }

  /// Rows on a grid of 250 ms for every symbol in turn, with every kind of value in them.
  static func random(_ random: inout SeededRandom, count: Int, symbols: Int = 2) -> [Signal] {
    var rows: [Signal] = []
    var time = start
    while rows.count < count {
      let symbol = rows.count % symbols
      if symbol == 0 { time += 250_000_000 }
      rows.append(one(&random, time: time, symbol: symbol))
      if random.bernoulli(0.05), rows.count < count, symbol == symbols - 1 {
        time += 1 + Int64(random.below(1_000_000))
        var strong = one(&random, time: time, symbol: symbol)
        strong.trigger = .strong
        rows.append(strong)
        while rows.count % symbols != 0, rows.count < count {
          time += 1
          rows.append(one(&random, time: time, symbol: rows.count % symbols))
        }
      }
    }
    return rows
  }

  static func one(_ random: inout SeededRandom, time: Int64, symbol: Int) -> Signal {
    func micros(_ random: inout SeededRandom) -> Micros {
      switch random.below(8) {
      case 0: .absent
      case 1: Micros(rawValue: Int64(bitPattern: random.next()))
      case 2: Micros(rawValue: Int64(random.below(2_000_001)) - 1_000_000)
      default: Micros(random.normal() * 10)
      }
    }
    func wide(_ random: inout SeededRandom) -> Int64 {
      Int64(bitPattern: random.next()) >> Int64(random.below(64))
    }
    return Signal(
      trigger: .grid, receiveTime: UnixNanos(time), symbol: SymbolID(symbol), score: micros(&random),
      zOFI: micros(&random), zCVD: micros(&random), ofi: micros(&random), cvd: wide(&random),
      quantityScale: DecimalScale(random.below(19)), consistency: micros(&random),
      dispersion: micros(&random),
      doubledMid: random.bernoulli(0.1) ? nil : wide(&random), priceScale: DecimalScale(random.below(19)),
      spreadBps: micros(&random), lagMs: micros(&random), stalenessMs: micros(&random),
      regime: Signal.Regime(rawValue: UInt8(random.below(3)))!,
      kind: Signal.Kind.allCases[random.below(5)], confirmed: random.bernoulli(0.3),
      guardReason: Signal.GuardReason.allCases[random.below(Signal.GuardReason.allCases.count)],
      qualityFlags: QualityFlags(rawValue: UInt32(random.below(512))),
      tapeSequence: Int64(bitPattern: random.next()), mode: Signal.Mode.allCases[random.below(3)],
      version: random.bernoulli(0.5) ? .configured : ParameterVersion(rawValue: random.next() >> 16))
  }

  /// Rows as a live market gives them, for timing.
  static func typical(count: Int, symbols: Int) -> [Signal] {
    var random = SeededRandom(seed: 1)
    return (0..<count).map { index in
      let zOFI = Micros(random.normal())
      let zCVD = Micros(random.normal())
      return Signal(
        trigger: .grid, receiveTime: UnixNanos(start + Int64(index / symbols) * 250_000_000),
        symbol: SymbolID(index % symbols), score: Micros(0.6 * (zOFI.double ?? 0) + 0.4 * (zCVD.double ?? 0)),
        zOFI: zOFI, zCVD: zCVD, ofi: Micros(random.normal() * 40),
        cvd: Int64(random.normal() * 1e6), quantityScale: DecimalScale(3),
        consistency: Micros(random.uniform()),
        dispersion: Micros(random.uniform()), doubledMid: 12_788_780 + Int64(random.below(2000)),
        priceScale: DecimalScale(2), spreadBps: Micros(random.uniform()),
        lagMs: Micros(random.uniform() * 20),
        stalenessMs: Micros(random.uniform() * 100), regime: .active, kind: .buy,
        confirmed: random.bernoulli(0.02), guardReason: random.bernoulli(0.5) ? .weak : .none,
        qualityFlags: random.bernoulli(0.1) ? [.clockSkew] : [], tapeSequence: Int64(index * 40))
    }
  }
}
