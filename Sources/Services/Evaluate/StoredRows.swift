import Core
import Evaluation
import Flow
import Store
import Strategy

/// A run folder's rows by symbol, in order of first appearance.
struct StoredRows {
  /// 3 GB.
  static let rowsMax = 32 << 20

  private(set) var symbols: [EvaluatedSymbol] = []
  private(set) var source = SignalFeed.Source.jsonl
  private(set) var rowCount = 0
  /// Lines that are no rows, and rows with values that none of ours has.
  private(set) var rowsUnreadable = 0
  private var places: [String: Int] = [:]
  private let names = RowNames()

  /// Reads JSON lines where there are some, else the database.
  ///
  /// - Throws: ``EvaluationError``, `SignalStoreError`.
  init(runFolder: String, shiftFeatures: Int) throws {
    guard Files.isFolder(runFolder) else { throw EvaluationError.noRun(runFolder) }
    if try !SignalFiles.list(jsonlFolder: SignalFiles.jsonlFolder(runFolder)).isEmpty {
      var reader = try JSONLReader(runFolder: runFolder)
      while let row = try reader.next() { try add(row, runFolder) }
      rowsUnreadable += reader.linesUnreadable
    } else if Files.exists(SignalFiles.database(runFolder)) {
      source = .sqlite
      var reader = try SQLiteReader(runFolder: runFolder)
      while let row = try reader.next() { try add(row, runFolder) }
    } else {
      throw EvaluationError.noRun(runFolder)
    }
    guard rowCount > 0 else { throw EvaluationError.noRows(runFolder) }
    for index in symbols.indices { symbols[index].finishReading(shiftedBy: shiftFeatures) }
  }

  private mutating func add(_ row: StoredRow, _ runFolder: String) throws(EvaluationError) {
    guard let trigger = row.trigger, !trigger.isShadow,
      let kind = names.kinds[row.text(.signalType) ?? ""],
      let reason = names.reasons[row.text(.guardReason) ?? ""],
      let regime = names.regimes[row.text(.regime) ?? ""],
      let scenario = names.scenarios[row.text(.scenario) ?? ""],
      let divergence = names.divergences[row.text(.divType) ?? ""]
    else {
      rowsUnreadable += 1
      return
    }
    guard rowCount < StoredRows.rowsMax else {
      throw .tooManyRows(runFolder, rowsMax: StoredRows.rowsMax)
    }
    rowCount += 1
    let place = place(of: row.symbolName)
    symbols[place].append(
      EvaluationSeries.Row(
        index: 0, timeNs: row.receiveTime.rawValue, trigger: trigger, score: row.real(.score) ?? .nan,
        zOFI: row.real(.zOFI) ?? .nan, zCVD: row.real(.zCVD) ?? .nan, kind: kind,
        isConfirmed: row.isConfirmed, guardReason: reason, regime: regime, scenario: scenario,
        divergence: divergence), levels: RowFeatures(row).levels)
  }

  /// Where a symbol stands in ``symbols``, new if unseen.
  mutating func place(of name: String) -> Int {
    if let place = places[name] { return place }
    places[name] = symbols.count
    symbols.append(EvaluatedSymbol(name: name))
    return symbols.count - 1
  }

  /// A symbol to be changed where it stands.
  subscript(_ place: Int) -> EvaluatedSymbol {
    get { symbols[place] }
    _modify { yield &symbols[place] }
  }
}

/// The texts of a row's enumerations. Empty texts stand for null.
private struct RowNames {
  let kinds = names(Signal.Kind.allCases) { $0.name }
  let reasons = names(Signal.GuardReason.allCases) { $0.name }
  let regimes = names([Signal.Regime.normal, .active, .quiet]) { $0.name }
  let scenarios = names(Scenario.allCases) { $0.name }
  let divergences = names(DivergenceKind.allCases) { $0.name }

  private static func names<Value>(_ values: [Value], _ name: (Value) -> StaticString) -> [String: Value] {
    Dictionary(uniqueKeysWithValues: values.map { ("\(name($0))", $0) })
  }
}
