import CommandLineKit
import Core
import Glibc
import Testing

@Suite("Command line tool")
struct CommandLineToolTests {
  @Test(arguments: [
    ("replay t", "tape=t"),
    ("replay t remark", "tape=t note=remark"),
    ("replay --out x t", "tape=t out=x"),
    ("replay t --out=x=y", "tape=t out=x=y"),
    ("replay t --out=-x", "tape=t out=-x"),
    ("replay --out - t", "tape=t out=-"),
    ("replay --sink=dual t", "tape=t sink=dual"),
    ("replay --minutes 60 --speed 0.5 t", "tape=t minutes=60 speed=0.5"),
    ("replay t --gaps", "tape=t gaps=10"),
    ("replay --gaps t", "tape=t gaps=10"),
    ("replay --gaps 5 t", "tape=t gaps=5"),
    ("replay --gaps=5 t", "tape=t gaps=5"),
    ("replay --gaps -- 5", "tape=5 gaps=10"),
    ("replay --set a=1 --set b=2 t", "tape=t set=a=1|b=2"),
    ("replay --symbols A,B --symbols C t", "tape=t symbols=A|B|C"),
    ("replay --fast --fast t", "tape=t fast=yes"),
    ("replay -- --fast", "tape=--fast"),
    ("replay -5", "tape=-5"),
    ("replay - ", "tape=-"),
    ("--json replay t", "tape=t json=yes"),
    ("replay t --json", "tape=t json=yes"),
  ])
  func parses(_ line: String, _ shown: String) throws {
    let outcome = try run(line)
    #expect(outcome == Outcome(code: .ok, output: shown.replacing(" ", with: "\n") + "\n", error: ""))
  }

  @Test(arguments: [
    ("replay", "weir replay", "TAPE is missing: folder of the tape"),
    ("replay a b c", "weir replay", "unexpected argument \"c\""),
    ("replay --ouut x t", "weir replay", "unknown option --ouut; did you mean --out?"),
    ("replay -out x t", "weir replay", "unknown option -out; did you mean --out?"),
    ("replay --xyzzy=1 t", "weir replay", "unknown option --xyzzy"),
    ("replay t --out", "weir replay", "--out needs a value: --out FOLDER"),
    (
      "replay t --out --fast", "weir replay",
      "--out needs a value: --out FOLDER; write --out=… for one that begins with a dash"
    ),
    ("replay t --out=", "weir replay", "--out is empty"),
    ("replay t --fast=1", "weir replay", "--fast takes no value"),
    ("replay t --out a --out b", "weir replay", "--out is given twice; give it once"),
    ("replay t --minutes 61", "weir replay", "--minutes must be a whole number from 1 to 60; found 61"),
    ("replay t --minutes 1.5", "weir replay", "--minutes must be a whole number from 1 to 60; found \"1.5\""),
    ("replay t --minutes +5", "weir replay", "--minutes must be a whole number from 1 to 60; found \"+5\""),
    ("replay t --minutes -5", "weir replay", "--minutes must be a whole number from 1 to 60; found -5"),
    (
      "replay t --minutes 99999999999999999999", "weir replay",
      "--minutes must be a whole number from 1 to 60; found \"99999999999999999999\""
    ),
    ("replay t --speed nan", "weir replay", "--speed must be a number from 0.0 to 1000.0; found \"nan\""),
    ("replay t --speed 0x10", "weir replay", "--speed must be a number from 0.0 to 1000.0; found \"0x10\""),
    ("replay t --sink sqlite", "weir replay", "--sink must be one of jsonl, dual; found \"sqlite\""),
    ("replay t --gaps=x", "weir replay", "--gaps must be a whole number from 1 to 1000; found \"x\""),
    ("replay t --symbols A,,B", "weir replay", "--symbols has an empty part; write values as A,B,C"),
    ("parity a b", "weir parity", "--key NAME is required: column to compare by"),
    ("parity --key k", "weir parity", "FILES is missing: files to compare"),
    ("repaly t", "weir", "unknown command repaly; did you mean replay?"),
    ("venue generat", "weir venue", "unknown command generat; did you mean generate?"),
    ("--fast replay", "weir", "unknown option --fast; options follow the command"),
    ("help replya", "weir", "unknown command replya; did you mean replay?"),
  ])
  func refuses(_ line: String, _ path: String, _ message: String) throws {
    let outcome = try run(line)
    #expect(
      outcome
        == Outcome(code: .usage, output: "", error: "\(path): error: \(message)\nrun '\(path) --help'\n"))
  }

  @Test func wordsFromOutsideCannotSteerTheTerminal() throws {
    let outcome = try run(["replay", "t", "\u{1B}[2J", "\u{1B}]0;x\u{7}"])
    #expect(!outcome.error.contains("\u{1B}"))
  }

  @Test func failedCheckKeepsWhatWasPrinted() throws {
    let outcome = try run("parity --key k a b")
    let error = "weir parity: error: 3 rows differ\n  first: row 7\n"
    #expect(outcome == Outcome(code: .failedCheck, output: "2 files\n", error: error))
  }

  @Test func errorsAreJSONWhenAskedFor() throws {
    let outcome = try run("replay --json --minutes 99 t")
    #expect(outcome.code == .usage)
    #expect(outcome.error.hasPrefix("weir replay: error: --minutes"))
    let document = try JSONValue(parsing: outcome.output)
    #expect(document["command"] == .string("weir replay"))
    #expect(document["error"] == .string("--minutes must be a whole number from 1 to 60; found 99"))
    #expect(document["exit"] == .number("2"))
    #expect(outcome.output.filter { $0 == "\n" }.count == 1)
    #expect(try run("replay t u v -- --json").output.isEmpty)
  }

  @Test func helpNamesEverything() throws {
    let expected = """
      weir replay: run the pipeline over a tape

      Same tape, same rows.

      Usage
        weir replay [options] TAPE [NOTE]

      Arguments
        TAPE  folder of the tape
        NOTE  a remark

      Options
        --out FOLDER       where the rows go (default: out/run)
        --sink jsonl|dual  kind of output (default: jsonl)
        --minutes N        how much of the tape (from 1 to 60)
        --speed X          times real time (from 0.0 to 1000.0; default: 2.5)
        --gaps[=N]         list the gaps (from 1 to 1000; alone: 10)
        --set KEY=VALUE    override a configuration key (may be repeated)
        --symbols A,B      symbols to keep (may be repeated)
        --fast             do not wait
        --json             print JSON for machines
        --quiet            print no progress
        --help             print this help, also -h

      Examples
        weir replay out/tape --sink dual
        weir replay --gaps 5 out/tape

      """
    for line in ["replay --help", "replay -h", "help replay", "replay a b c --help", "--json help replay"] {
      #expect(try run(line) == Outcome(code: .ok, output: expected, error: ""))
    }
  }

  @Test func groupsListTheirCommands() throws {
    let outcome = try run("--help")
    #expect(outcome.code == .ok)
    #expect(outcome.output.contains("  replay   run the pipeline over a tape\n"))
    #expect(outcome.output.contains("  version  print the version\n"))
    #expect(try run("help") == outcome)
    #expect(try run("") == Outcome(code: .usage, output: "", error: outcome.output))
    let venue = try run("venue")
    #expect(venue.code == .usage && venue.error.contains("generate  make a market"))
    #expect(try run("venue generate -h").output.contains("weir venue generate [options]\n"))
    #expect(try run("help venue generate") == run("venue generate -h"))
  }

  @Test func versions() throws {
    #expect(try run("version").output == "weir 1.2.3\nswift: 6.3\n")
    #expect(try run("--version").output == "weir 1.2.3\n")
    #expect(try run("version --json").output == #"{"name":"weir","version":"1.2.3","swift":"6.3"}"# + "\n")
  }

  @Test func examplesParse() {
    #expect(sampleTool.exampleProblems() == [])
    let broken = CommandLineTool(
      name: "x", summary: "", version: "1",
      commands: [Command(name: "a", summary: "", examples: ["x a --no", "y a", "x b"]) { _ in .ok }])
    #expect(broken.exampleProblems().count == 3)
  }

  @Test func aReaderThatGoesAwayEndsQuietly() throws {
    signal(SIGPIPE, SIG_IGN)
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    close(ends[0])
    let code = sampleTool.run(
      ["venue", "generate"], console: Console(output: ends[1], error: 2, environment: [:]))
    #expect(code == .ok)
    close(ends[1])
  }

  @Test func aFullDiskIsAnError() throws {
    let full = open("/dev/full", O_WRONLY)
    try #require(full >= 0)
    let error = open("/dev/null", O_WRONLY)
    let code = sampleTool.run(["version"], console: Console(output: full, error: error, environment: [:]))
    #expect(code == .failedCheck)
    close(full)
    close(error)
  }

  @Test func longOutputArrivesWhole() throws {
    let outcome = try run("venue generate")
    #expect(outcome.code == .failedCheck)
    #expect(outcome.output.utf8.count == 1_100_000)
  }

  /// Whatever the words are, the answer is an exit code.
  @Test(arguments: 0..<20)
  func anyWordsGetAnAnswer(seed: Int) throws {
    let pieces = [
      "replay", "parity", "help", "version", "--", "-", "--out", "--out=", "--gaps", "5", "-5", "", "--key",
      "x",
      "--json", "--help", "-h", "=", "--=", "---", "--set=a", "ä", "\u{301}", "-\u{301}", "--fast\u{301}",
    ]
    var random = SeededRandom(seed: UInt64(seed))
    for _ in 0..<30 {
      let words = (0..<random.below(6)).map { _ in pieces[random.below(pieces.count)] }
      let outcome = try run(words)
      #expect(
        outcome.code != .bug && (outcome.code == .ok) == outcome.error.isEmpty, "seed \(seed): \(words)")
    }
  }
}
