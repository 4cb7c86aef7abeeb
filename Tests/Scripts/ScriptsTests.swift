import Core
import Testing

@Suite("Scripts")
struct ScriptsTests {
  /// A machine on which everything but the named packages is installed.
  private func machine(swift: String?, lacking: Set<String> = [], version: [String: String] = [:]) throws
    -> Sandbox
  {
    let sandbox = try Sandbox()
    if let swift { try sandbox.program("swift", "echo 'Swift version \(swift) (swift-\(swift)-RELEASE)'") }
    var installed = ""
    let list = try Files.read(repositoryRoot + "/scripts/packages.txt")
    for line in String(decoding: list, as: UTF8.self).split(separator: "\n") where !line.hasPrefix("#") {
      let words = line.split(separator: " ").map(String.init)
      if lacking.contains(words[0]) { continue }
      installed += "\(words[0]) installed \(version[words[0]] ?? words[1] + "-1")\n"
    }
    try sandbox.write("installed", installed)
    try sandbox.program("dpkg-query", "cat \"$FAKE/installed\"; exit 1")
    try sandbox.program("id", "echo 1000")
    try sandbox.program("sudo", "exit 1")
    try sandbox.program(
      "apt-get",
      """
      echo "$*" >> "$FAKE/apt.log"
      [[ $1 == update ]] || echo "libyaml-dev installed 0.2.5-1" >> "$FAKE/installed"
      """)
    return sandbox
  }

  @Test func setupNamesAnOldSwift() throws {
    let sandbox = try machine(swift: "5.10")
    let outcome = try sandbox.run("scripts/setup.sh")
    #expect(outcome.code == 2)
    #expect(
      outcome.output.contains("swift is too old: version 5.10 at \(sandbox.path)/bin/swift, 6.3 is needed"))
    #expect(outcome.output.contains("install Swift 6.3 or later for Debian 12"))
  }

  @Test func setupNamesAMissingSwift() throws {
    let sandbox = try Sandbox()
    let outcome = try sandbox.run("scripts/setup.sh", searchPath: sandbox.path + "/bin")
    #expect(outcome.code == 2)
    #expect(outcome.output.contains("swift is missing: no such program on PATH"))
    #expect(outcome.output.contains("install Swift 6.3 or later for Debian 12"))
  }

  @Test(arguments: ["6.3", "6.3.1", "6.10", "7.0"])
  func setupIsSilentWhenAllIsThere(version: String) throws {
    #expect(try machine(swift: version).run("scripts/setup.sh") == .init(code: 0, output: ""))
  }

  @Test func setupPrintsTheOneCommandForPeopleWithoutRights() throws {
    let sandbox = try machine(swift: "6.3", lacking: ["libyaml-dev", "gcc"])
    let outcome = try sandbox.run("scripts/setup.sh")
    #expect(outcome.code == 2)
    #expect(outcome.output.contains("missing: libyaml-dev 0.2.5 (configuration files)"))
    #expect(
      outcome.output.contains(
        "apt-get update && apt-get install -y --no-install-recommends libyaml-dev gcc\n"))
    #expect(!Files.exists(sandbox.path + "/apt.log"))
  }

  @Test(arguments: ["root", "sudo"])
  func setupInstallsWhatIsMissing(way: String) throws {
    let sandbox = try machine(swift: "6.3", lacking: ["libyaml-dev"])
    if way == "root" {
      try sandbox.program("id", "echo 0")
    } else {
      try sandbox.program("sudo", "[[ $1 == -n ]] && shift && exec \"$@\"")
    }
    let outcome = try sandbox.run("scripts/setup.sh")
    #expect(outcome.code == 0)
    #expect(outcome.output.contains("installed: libyaml-dev 0.2.5-1"))
    #expect(try sandbox.read("apt.log") == "update\ninstall -y --no-install-recommends libyaml-dev\n")
    #expect(try sandbox.run("scripts/setup.sh") == .init(code: 0, output: ""))
  }

  @Test func setupShowsWhyAnInstallationFailed() throws {
    let sandbox = try machine(swift: "6.3", lacking: ["libyaml-dev"])
    try sandbox.program("id", "echo 0")
    try sandbox.program("apt-get", "echo \"E: no network for $1\"; exit 100")
    let outcome = try sandbox.run("scripts/setup.sh")
    #expect(outcome.code == 1)
    #expect(outcome.output.contains("E: no network for install"))
    #expect(outcome.output.contains("run make setup again"))
  }

  @Test func setupRunsSwiftAgainOnceItsLibrariesAreThere() throws {
    let sandbox = try machine(swift: nil, lacking: ["libyaml-dev"])
    try sandbox.program("id", "echo 0")
    let script = "grep -q libyaml-dev \"$FAKE/installed\" || exit 127; echo 'Swift version 6.3.1'"
    try sandbox.program("swift", script)
    #expect(try sandbox.run("scripts/setup.sh").code == 0)
    try sandbox.program("swift", "echo 'libxml2.so.2: cannot open' >&2; exit 127")
    let outcome = try sandbox.run("scripts/setup.sh")
    #expect(outcome.code == 2)
    #expect(outcome.output.contains("does not run: libxml2.so.2: cannot open"))
  }

  @Test(arguments: [
    ("libsqlite3-dev", "3.40.1-2+deb12u2", true), ("libsqlite3-dev", "3.4.0-1", false),
    ("libssl-dev", "3.0.22-1~deb12u2", true), ("libssl-dev", "3.01", false),
    ("zlib1g-dev", "1:1.2.13.dfsg-1", true),
    ("gcc", "4:12.2.0-3", true), ("gcc", "4:13.2.0-1", false),
  ])
  func setupWarnsAboutOtherVersions(package: String, version: String, isExpected: Bool) throws {
    let outcome = try machine(swift: "6.3", version: [package: version]).run("scripts/setup.sh")
    #expect(outcome.code == 0)
    #expect(outcome.output.isEmpty == isExpected)
    if !isExpected {
      #expect(outcome.output.hasPrefix("setup: warning: \(package) is \(version); Weir is tested with"))
    }
  }

  // Breaches are put together from parts, since tidy reads this file too.
  @Test(arguments: [
    ("Sources/Flow/A.swift", "let t = " + "Date" + "()\n", "SeededRandom"),
    ("Sources/Core/A.swift", "let x = Int" + ".random" + "(in: 0..<3)\n", "SeededRandom"),
    ("Sources/Services/A.swift", "import " + "Foundation\n", "Glibc"),
    ("Sources/Services/A.swift", "public import struct " + "Foundation.URL\n", "Glibc"),
    ("Sources/Services/A.swift", "// TO" + "DO later\n", "finish it"),
    ("Tests/Core/A.swift", "let place" + "holder = 1\n", "finish it"),
    ("Sources/Services/A.swift", "let a = 1 \n", "blanks"),
    ("scripts/a.sh", "if true; then\n\techo\nfi\n", "tab"),
    ("Makefile", "all:\n\techo \n", "blanks"),
    ("docs/A.md", "see /ho" + "me/someone/x\n", "machine"),
    ("Sources/Net/A.swift", "extension A: @unchecked" + " Sendable {}\n", "proves"),
    ("Sources/Net/A.swift", String(repeating: "// x\n", count: 501), "500 lines"),
  ])
  func tidyFinds(file: String, text: String, rule: String) throws {
    let sandbox = try Sandbox()
    try sandbox.write("tree/" + file, text)
    let outcome = try sandbox.run("scripts/tidy.sh", [sandbox.path + "/tree"])
    #expect(outcome.code == 1)
    #expect(outcome.output.contains(file + ":") && outcome.output.contains(rule), "\(outcome.output)")
    #expect(outcome.output.hasSuffix("tidy: 1 breaches\n"))
  }

  @Test func tidyLeavesGoodFilesAlone() throws {
    let sandbox = try Sandbox()
    try sandbox.write(
      "tree/Sources/Core/A.swift", "let date = UTCDate(time)\n// A lock guards it.\n// @unchecked\n")
    try sandbox.write(
      "tree/Sources/Net/A.swift", "/// Proof: one writer.\nfinal class A: @unchecked" + " Sendable {}\n")
    try sandbox.write("tree/Sources/Services/A.swift", "let now = clock_gettime(CLOCK_REALTIME, &time)\n")
    try sandbox.write("tree/Makefile", "all:\n\techo\n")
    try sandbox.write("tree/.build/A.swift", "import " + "Foundation \n")
    #expect(try sandbox.run("scripts/tidy.sh", [sandbox.path + "/tree"]) == .init(code: 0, output: ""))
  }

  @Test(
    arguments: [
      ("Suite \"Decimal scale\"", nil), ("Test plain()", nil), ("Test cases(_:)", nil),
      ("Test \"A name\"", nil),
      ("Test known()", nil), ("Test off()", "skipped: \"no recordings\""),
      ("Suite \"Off\"", "skipped: \"why\""),
      ("Test broken()", "failed"), ("Test brokenCases(_:)", "failed"), ("Test gone()", "cancelled"),
      ("Test twice()", "failed"), ("Test pla", "did not run"), ("Test ..ain()", "did not run"),
      ("Test absent()", "did not run"),
    ] as [(String, String?)])
  func requiredTests(name: String, problem: String?) throws {
    let sandbox = try Sandbox()
    try sandbox.write(
      "log",
      """
      ◇ Test absent() started.
      ✔ Test plain() passed after 0.001 seconds.
      ✔ Test cases(_:) with 2 test cases passed after 0.001 seconds.
      ✔ Test "A name" passed after 0.001 seconds.
      ━ Test known() passed after 0.001 seconds with 1 known issue.
      ➜ Test off() skipped: "no recordings"
      ➜ Suite "Off" skipped: "why"
      ✘ Test broken() recorded an issue at A.swift:1:1: Expectation failed
      ✘ Test broken() failed after 0.001 seconds with 1 issue.
      ✘ Test brokenCases(_:) with 2 test cases failed after 0.1 seconds with 1 issue.
      ➜ Test gone() was cancelled after 0.001 seconds: "at run time"
      ✘ Test twice() failed after 0.001 seconds with 1 issue.
      ✔ Test twice() passed after 0.001 seconds.
      ✔ Suite "Decimal scale" passed after 0.001 seconds.

      """)
    try sandbox.write("list", "# a remark\n\n\(name)\n")
    let outcome = try sandbox.run(
      "scripts/required-tests.sh", [sandbox.path + "/log", sandbox.path + "/list"])
    let lines = problem.map { "required: \(name): \($0)\nrequired tests: 1 listed, 1 not passed\n" }
    #expect(
      outcome
        == .init(code: problem == nil ? 0 : 1, output: lines ?? "required tests: 1 listed, 0 not passed\n"))
  }

  @Test func everyTargetIsInTheHelp() throws {
    let outcome = try Sandbox().spawn("/usr/bin/make", ["-C", repositoryRoot, "--no-print-directory"])
    let makefile = String(decoding: try Files.read(repositoryRoot + "/Makefile"), as: UTF8.self)
    let line = try #require(makefile.split(separator: "\n").first { $0.hasPrefix(".PHONY: ") })
    for target in line.split(separator: " ").dropFirst() {
      #expect(outcome.output.contains("  make \(target) "))
    }
  }
}
