import Core
import Glibc
import Services
import Testing

@Suite("Doctor")
struct DoctorTests {
  /// A machine with nothing to complain about.
  private var healthy: SystemFacts {
    var facts = SystemFacts()
    facts.libraries = [
      .init(name: "zlib", linked: "1.2.13", builtWith: "1.2.13"), .init(name: "libyaml", linked: "0.2.5"),
    ]
    facts.kernel = "Linux 6.1.0 x86_64"
    facts.processorCount = 2
    facts.disk = .init(totalBytes: 100_000_000_000, freeBytes: 60_000_000_000)
    facts.memoryAvailableBytes = 4_000_000_000
    facts.realTime = UnixNanos(milliseconds: 1_721_347_021_000)
    facts.clockIsSynchronised = true
    facts.monotonicClockWorks = true
    facts.openFilesMax = 1024
    facts.coreDumpBytesMax = 0
    facts.compiler = "Swift 6.3"
    return facts
  }

  private func changed(_ change: (inout SystemFacts) -> Void) -> DoctorReport {
    var facts = healthy
    change(&facts)
    return Doctor.examine(facts)
  }

  private func findings(_ report: DoctorReport) -> [String] {
    report.checks.filter { $0.status != .ok }.map { "\($0.status) \($0.name)" }
  }

  @Test func aHealthyMachine() {
    let report = Doctor.examine(healthy)
    #expect(report.status == .ok)
    #expect(report.text.contains("ok    clock                  2024-07-18 23:57:01 UTC\n"))
    #expect(report.text.hasSuffix("13 checks, 0 warnings, 0 failures\n"))
  }

  @Test func eachRule() {
    #expect(findings(changed { $0.libraries[0].linked = "1.2.9" }) == ["warn library zlib"])
    #expect(findings(changed { $0.libraries[0].linked = "1.10" }) == [])
    #expect(findings(changed { $0.disk?.freeBytes = 19_999_999_999 }) == ["warn disk"])
    #expect(
      findings(changed { $0.disk = .init(totalBytes: 6_000_000_000, freeBytes: 4_999_999_999) }) == [
        "warn disk"
      ])
    #expect(findings(changed { $0.disk?.freeBytes = 99_999_999 }) == ["fail disk"])
    #expect(findings(changed { $0.disk = nil }) == ["fail disk"])
    #expect(findings(changed { $0.writeProblem = "no" }) == ["fail write permission"])
    #expect(findings(changed { $0.memoryAvailableBytes = 599_999_999 }) == ["warn memory"])
    #expect(findings(changed { $0.memoryAvailableBytes = nil }) == [])
    #expect(findings(changed { $0.realTime = UnixNanos(0) }) == ["fail clock"])
    #expect(findings(changed { $0.clockIsSynchronised = false }) == ["warn clock synchronisation"])
    #expect(findings(changed { $0.clockIsSynchronised = nil }) == [])
    #expect(findings(changed { $0.monotonicClockWorks = false }) == ["fail monotonic clock"])
    #expect(findings(changed { $0.openFilesMax = 1023 }) == ["warn open files"])
    #expect(findings(changed { $0.openFilesMax = nil }) == [])
  }

  @Test func everyFindingSaysWhatToDo() throws {
    let report = Doctor.examine(SystemFacts())
    #expect(report.status == .fail)
    for check in report.checks { #expect((check.advice == nil) == (check.status == .ok), "\(check.name)") }
    let json = try JSONValue(parsing: report.json.text())
    #expect(json["status"] == .string("fail"))
    #expect(json["checks"]?.elements?.count == report.checks.count)
  }

  @Test func thisMachine() {
    let facts = SystemFacts.measure(folder: "/tmp")
    #expect(facts.libraries.map(\.name) == ["zlib", "zstd", "sqlite3", "libyaml", "libcrypto"])
    #expect(facts.libraries.allSatisfy { $0.linked.contains(".") })
    #expect(facts.kernel.hasPrefix("Linux "))
    #expect(facts.processorCount >= 1)
    #expect((facts.disk?.totalBytes ?? 0) >= (facts.disk?.freeBytes ?? .max))
    #expect(facts.writeProblem == nil)
    #expect(access("/tmp/.weir-doctor-\(getpid())", F_OK) != 0)
    #expect(facts.monotonicClockWorks)
    #expect(UTCDate(facts.realTime).year >= 2024)
    #expect(facts.compiler.hasPrefix("Swift 6."))
  }

  @Test func aFolderThatIsNone() {
    let facts = SystemFacts.measure(folder: "/tmp/weir-no-such-folder")
    #expect(facts.disk == nil && facts.diskProblem == "No such file or directory")
    #expect(facts.writeProblem?.contains("/tmp/weir-no-such-folder/") == true)
  }
}
