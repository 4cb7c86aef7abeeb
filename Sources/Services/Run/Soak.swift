import Core
import Glibc
import Net
import Store

/// What a soak is asked to do.
public struct SoakOptions: Sendable {
  public var minutes: Double
  public var folder: String
  /// Further words for `weir run`.
  public var arguments: [String]
  public var configuration: WeirConfiguration
  public var configurationVersion: String
  public var environment: [String: String]

  public init(
    minutes: Double, folder: String, arguments: [String], configuration: WeirConfiguration,
    configurationVersion: String, environment: [String: String]
  ) {
    self.minutes = minutes
    self.folder = folder
    self.arguments = arguments
    self.configuration = configuration
    self.configurationVersion = configurationVersion
    self.environment = environment
  }
}

/// `weir soak`: a whole run with a fault in its middle, judged by what it left behind.
///
/// The soak is an operator with a stop watch, not a part of the run: it starts `weir run` on the embedded venue
/// as anybody would, kills the signal stage with signal 9 at half time, lets the run end by itself, and then
/// reads the files: every number of the acceptance list comes from the manifest, from `/proc`, or from a replay
/// of the tape that was recorded.
///
/// Exports go to `TIMESERIES_URL`; without it, to a Pushgateway that the soak starts on loopback where one is
/// installed.
public final class Soak {
  private let options: SoakOptions
  private let loop: EventLoop
  private let note: (String) -> Void
  private var environment: [String: String]
  private var gateway: ChildProcess?
  private var runProcess: ChildProcess?
  private var exit: ChildProcess.Exit?
  private var killedPID: Int32?

  public init(_ options: SoakOptions, note: @escaping (String) -> Void) throws {
    self.options = options
    self.note = note
    environment = options.environment
    loop = try EventLoop()
    guard !Files.exists(options.folder + "/run_manifest.json") else {
      throw RunFolderError.finishedRun(options.folder)
    }
    try Files.makeFolder(options.folder)
  }

  /// Runs the soak to its end.
  public func run() throws -> SoakVerdict {
    try loop.onSignals([SIGINT, SIGTERM]) { [unowned self] _ in runProcess?.terminate() }
    try startGateway()
    let words =
      [
        "weir", "run", "--venue", "embedded", "--minutes", "\(options.minutes)", "--run-dir", options.folder,
        "--sink", "dual", "--quiet",
      ] + options.arguments
    runProcess = try ChildProcess(
      on: loop, name: "run", arguments: words, environment: environment, errorLog: nil, line: { _ in },
      noise: { _ in },
      ended: { [unowned self] exit in
        self.exit = exit
        loop.stop()
      })
    loop.after(Int64(options.minutes / 2 * Double(Nanoseconds.minute))) { [unowned self] in killSignal() }
    loop.run()
    let pids = manifest?["status"]?["processes"]?.members?.compactMap { $0.value["pid"]?.integer } ?? []
    let leftOver = pids.filter { Glibc.kill(Int32($0), 0) == 0 && commandLine(Int32($0)).contains("weir") }
    runProcess = nil
    gateway?.terminate()
    gateway = nil
    note("replaying the tape, to compare")
    let replay = try Replay.run(
      ReplayOptions(
        tape: options.folder + "/tape", out: options.folder + "/replay", sink: .jsonl,
        configuration: options.configuration, configurationVersion: options.configurationVersion))
    return SoakVerdict(
      manifest: manifest ?? .null, summary: read("summary.json") ?? .null, exit: exit,
      minutes: options.minutes, killedPID: killedPID, leftOver: leftOver.map { Int32($0) },
      replaySHA256: replay.signalsSHA256, hasExport: environment["TIMESERIES_URL"] != nil,
      missingFiles: missingFiles)
  }

  private var manifest: JSONValue? { read("run_manifest.json") }

  private func read(_ name: String) -> JSONValue? {
    try? Files.read("\(options.folder)/\(name)").withUnsafeBytes { try JSONValue(parsing: $0) }
  }

  private var missingFiles: [String] {
    let names = (try? Files.list(options.folder)) ?? []
    var missing = ["run_manifest.json", "source_manifest.json", "parity_diff.json"].filter {
      !names.contains($0)
    }
    for suffix in [".json", ".md"]
    where !names.contains(where: { $0.hasPrefix("summary_") && $0.hasSuffix(suffix) }) {
      missing.append("summary_<day>\(suffix)")
    }
    return missing
  }

  private func killSignal() {
    guard let status = read("run_status.json"), let processes = status["processes"]?.elements,
      let pid = processes.first(where: { $0["name"]?.text == "signal" })?["pid"]?.integer.map({ Int32($0) }),
      pid > 0, commandLine(pid).contains("signal")
    else { return note("the signal stage was not found; no fault was injected") }
    killedPID = pid
    Glibc.kill(pid, SIGKILL)
    note("killed the signal stage (pid \(pid)) with signal 9")
  }

  private func commandLine(_ pid: Int32) -> String {
    guard let bytes = try? Files.read("/proc/\(pid)/cmdline") else { return "" }
    return String(decoding: bytes.map { $0 == 0 ? 0x20 : $0 }, as: UTF8.self)
  }

  private func startGateway() throws {
    guard environment["TIMESERIES_URL"] == nil else { return }
    let folders = (environment["PATH"] ?? "").split(separator: ":").map(String.init)
    let found = folders.map { $0 + "/prometheus-pushgateway" }.first { access($0, X_OK) == 0 }
    guard let program = found else {
      return note("no Pushgateway on PATH and no TIMESERIES_URL: exports are not judged")
    }
    let port = try freePort()
    gateway = try ChildProcess(
      on: loop, name: "pushgateway", executable: program,
      // Debian's keeps what was pushed in a file of the system otherwise, and shows it again the next time.
      arguments: [
        "prometheus-pushgateway", "--web.listen-address=127.0.0.1:\(port)", "--persistence.file=",
      ], environment: environment,
      errorLog: options.folder + "/pushgateway.log", line: { _ in }, noise: { _ in }, ended: { _ in })
    environment["TIMESERIES_TYPE"] = "prometheus"
    environment["TIMESERIES_URL"] = "http://127.0.0.1:\(port)"
    note("a Pushgateway listens at http://127.0.0.1:\(port)")
  }

  private func freePort() throws -> UInt16 {
    let listener = try Listener(on: loop, host: "127.0.0.1", port: 0, tls: nil) { _ in }
    defer { listener.stop() }
    return listener.address.port
  }
}
