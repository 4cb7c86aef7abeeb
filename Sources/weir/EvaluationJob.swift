import CommandLineKit
import Core
import Evaluation
import Services

/// One `weir evaluate`: reads, evaluates, writes the report, says what came out.
struct EvaluationJob {
  private let arguments: ParsedArguments
  private let configuration: WeirConfiguration
  private let options: EvaluationOptions
  private let runFolder: String?
  private let shift: Int

  init(_ arguments: ParsedArguments, _ configuration: WeirConfiguration, _ options: EvaluationOptions) throws
  {
    self.arguments = arguments
    self.configuration = configuration
    self.options = options
    shift = arguments.integer("shift-features") ?? 0
    let run = arguments.argument("run")
    runFolder = run.isEmpty ? nil : run
    switch (runFolder != nil, arguments.has("klines")) {
    case (true, true): throw UsageError("name a run or --klines, not both")
    case (false, false):
      throw UsageError("name the run's folder and --tape, or bars with --klines")
    case (true, false):
      if !arguments.has("tape") {
        throw UsageError("--tape names the tape that the run was made of; prices come from it")
      }
    case (false, true):
      for name in ["tape", "against", "shift-features"] where arguments.has(name) {
        throw UsageError("--\(name) needs a run; bars stand for themselves")
      }
    }
  }

  func run() throws -> ExitCode {
    let subject = try subject()
    guard subject.series.contains(where: { $0.rows.contains { $0.score.isFinite && !$0.trigger.isShadow } })
    else {
      throw NothingToEvaluate(
        description: "no row of \(subject.title) has a score; a run has none before its warm-up ends")
    }
    var report = evaluate(subject.series)
    for other in arguments.texts("against") {
      let there = try load(other, "rows of \(Files.name(other))")
      let cells = Evaluator(options).compare(subject.series, against: there.series)
      if cells.isEmpty {
        throw NothingToEvaluate(description: "\(other) and \(subject.title) have no symbol in common")
      }
      report.comparisons.append(RunComparison(name: other, audit: there.audit, cells: cells))
    }
    let json = report.json(
      leak: subject.audit?.json ?? EvaluationJob.noAudit, facts: subject.facts, checks: shiftCheck(subject))
    let folder = try write(report, json, subject)
    if arguments.isJSON {
      try arguments.console.print(json: json)
    } else {
      try print(report, subject, folder)
    }
    return exitCode(subject)
  }

  /// What is evaluated.
  private struct Subject {
    var title: String
    var series: [EvaluationSeries]
    /// nil for bars.
    var audit: LeakAudit?
    var facts: JSONValue
  }

  private static let noAudit = JSONValue.object([
    "verdict": .string("not applicable"),
    "text": .string("bars have no tape to be compared with; a bar's row belongs to the moment the bar ends"),
  ])

  private func subject() throws -> Subject {
    if let runFolder {
      let input = try load(runFolder, "rows")
      return Subject(title: runFolder, series: input.series, audit: input.audit, facts: input.facts)
    }
    let paths = try arguments.list("klines").flatMap(EvaluationJob.files)
    guard !paths.isEmpty else {
      throw NothingToEvaluate(description: "there is no file of bars in that folder")
    }
    return Subject(
      title: "\(paths.count) files of 1-minute bars", series: try KlineSeries.load(paths),
      facts: .object(["files": .array(paths.map { .string(Files.name($0)) })]))
  }

  private static func files(_ path: String) throws(FileError) -> [String] {
    guard Files.isFolder(path) else { return [path] }
    return try Files.list(path).filter { name in [".csv", ".csv.gz", ".zip"].contains { name.hasSuffix($0) } }
      .map { path + "/" + $0 }
  }

  private func load(_ run: String, _ label: String) throws -> EvaluationInput {
    let progress = Progress(label, unit: "records", for: arguments)
    defer { progress.finish() }
    return try EvaluationInput.load(
      runFolder: run, tape: arguments.text("tape")!, configuration: configuration, shiftFeatures: shift
    ) { progress.update($0) }
  }

  private func evaluate(_ series: [EvaluationSeries]) -> EvaluationReport {
    let progress = Progress("evaluate", unit: "cells", for: arguments)
    defer { progress.finish() }
    return Evaluator(options).evaluate(series) { progress.update(Int64($0)) }
  }

  private func isDetected(_ audit: LeakAudit) -> Bool {
    audit.verdict == .leak || shift < 0 && audit.verdict == .stale
  }

  private func shiftCheck(_ subject: Subject) -> [JSONValue.Member] {
    guard shift != 0, let audit = subject.audit else { return [] }
    return [
      .init(
        "shift_features",
        .object([
          "rows": .integer(shift), "detected": .bool(isDetected(audit)),
          "offset": audit.offsetSteps.map { .integer($0) } ?? .null,
        ]))
    ]
  }

  /// With shifted features the audit is what is tested, and has to find them.
  private func exitCode(_ subject: Subject) -> ExitCode {
    guard let audit = subject.audit else { return .ok }
    if shift != 0 { return isDetected(audit) ? .ok : .failedCheck }
    return audit.verdict == .leak ? .failedCheck : .ok
  }

  /// - Returns: the folder; nil where none was asked for.
  private func write(_ report: EvaluationReport, _ json: JSONValue, _ subject: Subject) throws -> String? {
    // A check's figures are wrong on purpose and stay out of the report's place.
    let name = "evaluation" + (options.shuffleSeed == nil ? "" : "-shuffle") + (shift == 0 ? "" : "-shift")
    guard let folder = arguments.text("out") ?? runFolder.map({ "\($0)/\(name)" }) else { return nil }
    try Files.makeFolder(folder)
    for symbol in report.symbols {
      for chart in report.charts(symbol) { try Files.writeAtomically("\(folder)/\(chart.name)", chart.svg) }
    }
    let markdown = report.markdown(title: "Evaluation of \(subject.title)", leakText: subject.audit?.text)
    try Files.writeAtomically("\(folder)/evaluation.md", markdown)
    try Files.writeAtomically("\(folder)/evaluation.json", json.text(pretty: true) + "\n")
    return folder
  }

  private func print(_ report: EvaluationReport, _ subject: Subject, _ folder: String?) throws {
    let console = arguments.console
    for symbol in report.symbols {
      try console.print(console.style.bold(symbol.symbol))
      var table = TextTable(EvaluationReport.headlineColumns)
      for row in report.headlineRows(symbol) { table.add(row) }
      try console.write(table.text(console.style))
    }
    for finding in report.findings { try console.print(finding.text) }
    try console.print(
      "looks: \(report.looks.surviving) of \(report.looks.cells) cells and \(report.sliceLooks.surviving) of "
        + "\(report.sliceLooks.cells) slices survive Benjamini-Hochberg at 5 %")
    for comparison in report.comparisons {
      try console.print("against \(comparison.name) (\(comparison.audit.verdict.rawValue)):")
      for cell in comparison.cells { try console.print("  " + cell.text) }
    }
    if options.shuffleSeed != nil { try console.print(report.shuffleText) }
    if let audit = subject.audit { try console.print("leak audit: \(audit.text)") }
    if let folder { try console.print("report: \(folder)/evaluation.md") }
  }
}
