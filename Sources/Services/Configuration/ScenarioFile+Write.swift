import Configuration
import Core
import Strategy

extension ScenarioFile {
  /// Writes a whole table as a parameter file, in one step: a reader sees the old file or the new one.
  ///
  /// - Parameters:
  ///   - name: the first part of the version; the hash of the values follows it.
  ///   - header: comment lines at the head of the file.
  ///   - notes: a comment on each scenario.
  /// - Returns: what was written.
  /// - Throws: ``FileError``; ``ConfigError`` for values that no configuration may have.
  @discardableResult
  public static func write(
    _ table: ScenarioTable, to path: String, name: String, header: [String] = [],
    notes: [Scenario: String] = [:]
  ) throws -> Facts {
    let draft = text(table, version: name, header: header, notes: notes)
    let hash = try ScenarioFile(path: path, Array(draft.utf8)).facts().hash
    let final = text(table, version: "\(name)-\(hash)", header: header, notes: notes)
    let facts = try ScenarioFile(path: path, Array(final.utf8)).facts()
    try Files.writeAtomically(path, final)
    return facts
  }

  static func text(
    _ table: ScenarioTable, version: String, header: [String] = [], notes: [Scenario: String] = [:]
  ) -> String {
    func comment(_ line: String) -> String { "# " + line.filter { !$0.isNewline } + "\n" }
    func number(_ value: Double) -> String { JSONValue.double(value).text() }
    var text = header.map(comment).joined() + "version: \(version)\nscenarios:\n"
    for scenario in Scenario.cells {
      guard let p = table[scenario] else { continue }
      if let note = notes[scenario] { text += "  " + comment(note) }
      text += "  \(scenario.name): {entry_buy: \(number(p.entryBuy)), entry_sell: \(number(p.entrySell)), "
      text += "exit: \(number(p.exit)), take_profit_bps: \(number(p.takeProfitBps)), "
      text += "stop_loss_bps: \(number(p.stopLossBps)), hold_s_max: \(p.holdSecondsMax), "
      text += "discount: \(number(p.discount))}\n"
    }
    return text
  }
}
