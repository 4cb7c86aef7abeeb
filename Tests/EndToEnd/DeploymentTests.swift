import Core
import Foundation
import Testing

private let hasBinary = ProcessInfo.processInfo.environment["WEIR_BINARY"] != nil

/// What operators touch is true: the commands in their texts exist, and so do the sections that alerts lead to.
@Suite("Deployment")
struct DeploymentTests {
  private func text(_ path: String) throws -> String { try String(decoding: Files.read(path), as: UTF8.self) }

  private func operatorsTexts() throws -> [(path: String, text: String)] {
    let runbooks = try Files.list("docs/runbooks").map { "docs/runbooks/" + $0 }
    return try (runbooks + ["docs/guides/running.md", "deploy/README.md"]).map { ($0, try text($0)) }
  }

  /// The interrupted run's folder again, any other time a new one.
  @Test func aStartContinuesOnlyAnInterruptedRun() throws {
    let scratch = Scratch()
    func start() throws -> String {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "deploy/weir-start")
      process.environment = [
        "PATH": "/usr/bin:/bin", "WEIR_RUNS": scratch.path + "/runs", "WEIR_CONFIG": "/etc/weir/weir.yaml",
        "WEIR_BINARY": "/bin/echo",
      ]
      let output = Pipe()
      process.standardOutput = output
      try process.run()
      let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      #expect(process.terminationStatus == 0)
      let words = said.split(separator: "\n").last?.split(separator: " ").map(String.init) ?? []
      #expect(words.starts(with: ["run", "--config", "/etc/weir/weir.yaml", "--run-dir"]))
      return try #require(words.last)
    }
    let first = try start()
    #expect(first.hasPrefix(scratch.path + "/runs/2"))
    try Files.makeFolder(first)
    try Files.writeAtomically(first + "/run_manifest.json", "{\n  \"state\": \"running\"\n}\n")
    #expect(try start() == first)
    try Files.writeAtomically(first + "/run_manifest.json", "{\n  \"state\": \"finished\"\n}\n")
    // Folders are named by the second.
    Thread.sleep(forTimeInterval: 1.1)
    let second = try start()
    #expect(second > first)
    #expect(
      try FileManager.default.destinationOfSymbolicLink(atPath: scratch.path + "/runs/current")
        == second.split(separator: "/").last.map(String.init))
  }

  @Test(.enabled(if: hasBinary, "WEIR_BINARY names no binary; run make test"))
  func commandsOfTheRunbooksExist() throws {
    var commands: Set<String> = []
    for (_, text) in try operatorsTexts() {
      for match in text.matches(of: /\bweir (ctl |tape |alerts )?([a-z][a-z-]*)/) {
        commands.insert((match.1.map(String.init) ?? "") + match.2)
      }
    }
    // Words of prose that follow the product's name.
    let prose = ["listens", "uses", "ctl", "weir", "in", "binary"]
    for command in commands.subtracting(prose) {
      let (code, _, error) = try execute(command.split(separator: " ").map(String.init) + ["--help"])
      #expect(code == 0, "weir \(command): \(error)")
    }
    #expect(commands.count > 15)
  }

  @Test func linksOfTheTextsLeadSomewhere() throws {
    for (path, text) in try operatorsTexts() {
      let folder = path.split(separator: "/").dropLast().joined(separator: "/")
      for match in text.matches(of: /\]\(([^)#]*)(#[^)]*)?\)/) {
        let target = match.1.isEmpty ? path : folder + "/" + match.1
        #expect(Files.exists(target), "\(path): \(match.1)")
        guard let anchor = match.2?.dropFirst(), Files.exists(target) else { continue }
        #expect(try self.text(target).contains("\n## \(anchor)\n"), "\(path): \(match.0)")
      }
    }
  }

  @Test(.enabled(if: Files.exists("config/alerts.yaml"), "there is no config/alerts.yaml"))
  func everyRuleHasItsSection() throws {
    let rules = try text("config/alerts.yaml")
    let links = rules.matches(of: /runbook: *"?([^"#\s]+)(#([^"\s]+))?/)
    #expect(links.count > 20)
    for link in links {
      let page = String(link.1)
      #expect(Files.exists(page), "\(page)")
      guard let anchor = link.3, Files.exists(page) else { continue }
      #expect(try text(page).contains("\n## \(anchor)\n"), "\(page) has no section \(anchor)")
    }
  }
}
