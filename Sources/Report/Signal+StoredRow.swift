import Core
import Flow
import Store
import Strategy

extension Signal {
  /// The signal behind a stored row: its values exactly, its decimals at the smallest scale that holds them.
  ///
  /// Its configuration's version is not taken over: whoever needs it has the row.
  ///
  /// - Returns: `nil` for values that no signal has.
  init?(_ row: StoredRow, _ symbols: inout SymbolTable) {
    func micros(_ column: SignalColumn) -> Micros { Micros(row.real(column)) }
    guard
      let trigger = row.trigger, let symbol = symbols.intern(row.symbolName),
      let cvd = row.real(.cvd).flatMap(exactDecimal),
      let kind = Kind.allCases.first(where: { "\($0.name)" == row.text(.signalType) }),
      let regime = [Regime.normal, .active, .quiet].first(where: { "\($0.name)" == row.text(.regime) }),
      let mode = Mode.allCases.first(where: { "\($0.name)" == row.text(.mode) }),
      let reason = GuardReason.allCases.first(where: { "\($0.name)" == row.text(.guardReason) ?? "" }),
      let scenario = Scenario.allCases.first(where: { "\($0.name)" == row.text(.scenario) ?? "" }),
      let divergence = DivergenceKind.allCases.first(where: { "\($0.name)" == row.text(.divType) ?? "" }),
      let trace = row.text(.traceID).flatMap({ UInt64($0, radix: 16) })
    else { return nil }
    var doubledMid: Int64?
    var priceScale = DecimalScale(0)
    if let value = row.real(.price) {
      guard let price = exactDecimal(value), price.units.magnitude < 1 << 62 else { return nil }
      doubledMid = 2 * price.units
      priceScale = DecimalScale(price.decimals)
    }
    var flags = QualityFlags()
    for name in (row.text(.qualityFlags) ?? "").split(separator: ",") {
      guard let bit = QualityFlags.names.firstIndex(where: { "\($0)" == name }) else { return nil }
      flags.insert(QualityFlags(rawValue: 1 << UInt32(bit)))
    }
    self.init(
      trigger: trigger, receiveTime: row.receiveTime, symbol: symbol, score: micros(.score),
      zOFI: micros(.zOFI), zCVD: micros(.zCVD), ofi: micros(.ofi), cvd: cvd.units,
      quantityScale: DecimalScale(cvd.decimals), consistency: micros(.consistency),
      dispersion: micros(.dispersion), doubledMid: doubledMid, priceScale: priceScale,
      spreadBps: micros(.spreadBps), lagMs: micros(.lagMs), stalenessMs: micros(.stalenessMs), regime: regime,
      kind: kind, confirmed: row.isConfirmed, guardReason: reason, qualityFlags: flags,
      tapeSequence: Int64(bitPattern: trace), mode: mode, scenario: scenario,
      divergence: divergence)
  }
}
