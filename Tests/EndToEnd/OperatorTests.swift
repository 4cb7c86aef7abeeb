import Core
import Foundation
import ProcessKit
import Testing

private let hasBinary = ProcessInfo.processInfo.environment["WEIR_BINARY"] != nil
private let compiler = ["/usr/bin/cc", "/usr/bin/gcc"].first {
  FileManager.default.isExecutableFile(atPath: $0)
}

/// What a careful operator would wish of a run when the world around it is not as it should be.
@Suite(
  "Operator's table", .enabled(if: hasBinary, "WEIR_BINARY names no binary; run make test"), .serialized)
struct OperatorTests {
  private func start(
    _ scratch: Scratch, _ words: [String] = [], name: String = "run", environment: [String: String] = [:]
  ) throws -> SupervisedRun {
    try SupervisedRun(
      folder: scratch.path + "/" + name,
      allServices + ["--sink", "dual", "--rate", "200"] + shortRunSettings + words, environment: environment)
  }

  /// Its tape is whole, and the signals are those of a replay: nothing was lost.
  private func expectNothingLost(_ run: SupervisedRun, _ scratch: Scratch) throws {
    #expect(try weir("tape", "verify", run.folder + "/tape").code == 0)
    let replay = try execute([
      "replay", run.folder + "/tape", "--out", scratch.path + "/judge", "--sink", "jsonl", "--json",
      "--quiet",
      "--config", run.folder + "/config.yaml",
    ])
    #expect(replay.code == 0, "\(replay.error)")
    #expect(replay.last["signals_sha256"] != nil)
    #expect(replay.last["signals_sha256"] == run.json("summary.json")["signals_sha256"])
  }

  /// Stops it and expects an orderly end within a time.
  private func stop(_ run: SupervisedRun, secondsMax: Double = 60) throws {
    let began = Date()
    let (code, _) = try run.process.stop()
    #expect(code <= 1, "\(run.process.errorText.suffix(2000))")
    #expect(Date().timeIntervalSince(began) < secondsMax)
    #expect(run.manifest["unread_records"]?.integer == 0)
    #expect(run.leftovers() == [])
  }

  // MARK: What is refused at the start, in words

  @Test func wrongWordsAreRefused() throws {
    let scratch = Scratch()
    let folder = scratch.path + "/run"
    let service = try weir("run", "--enable", "harvest,signl", "--run-dir", folder, "--minutes", "0.1")
    #expect(service.code == 2)
    #expect(service.error.contains("signl") && service.error.contains("signal"), "\(service.error)")
    let key = try weir("run", "--set", "run.restart_max=3", "--run-dir", folder, "--minutes", "0.1")
    #expect(key.code == 2 && key.error.contains("run.restarts_max"), "\(key.error)")
    let sink = try weir("run", "--sink", "csv", "--run-dir", folder)
    #expect(sink.code == 2 && sink.error.contains("jsonl"), "\(sink.error)")
    let mode = try weir("run", "--run-dir", folder, environment: ["WEIR_REPLAY_MODE": "perhaps"])
    #expect(mode.code == 2 && mode.error.contains("WEIR_REPLAY_MODE"), "\(mode.error)")
    #expect(!Files.exists(folder + "/tape"), "a refused command has begun nothing")
  }

  @Test func aFolderThatCannotBeWrittenIsNamed() throws {
    let scratch = Scratch()
    let file = scratch.file("file", "not a folder")
    for (folder, named) in [("/proc/weir/run", "/proc/weir"), (file, file), (file + "/run", file)] {
      let refused = try weir("run", "--run-dir", folder, "--minutes", "0.1")
      #expect(refused.code == 1 && refused.error.contains(named), "\(refused.error)")
    }
    #expect(try Files.read(file) == Array("not a folder".utf8))
  }

  @Test func anUnknownSymbolIsNamed() throws {
    let scratch = Scratch()
    let venue = try WeirProcess(["venue", "serve", "--port", "0", "--symbols", "BTCUSDT,ETHUSDT"])
    let address = try venue.nextLine()["rest"]?.text ?? ""
    let run = try SupervisedRun(
      folder: scratch.path + "/run",
      allServices + ["--venue", address, "--symbols", "BTCUSDX"] + shortRunSettings
        + ["--set", "run.restarts_max=1"])
    let isTold = run.wait(60) {
      let log = (try? Files.read(run.folder + "/logs/harvest.log")) ?? []
      let words = run.process.errorText + String(decoding: log, as: UTF8.self)
      return words.contains("BTCUSDX") && words.contains("BTCUSDT")
    }
    #expect(isTold != nil || !run.process.isRunning, "\(run.process.errorText.suffix(1000))")
    let isGivenUp = run.wait(60) { run.states()["harvest"]?.state == "unhealthy" }
    #expect(isGivenUp != nil || !run.process.isRunning, "\(run.states())")
    let (code, _) = try run.process.stop()
    #expect(code == 1 || code == 2)
    #expect(run.leftovers() == [])
    _ = try venue.stop()
  }

  @Test func aFolderBelongsToOneRun() throws {
    let scratch = Scratch()
    let run = try start(scratch)
    try #require(run.waitReady() != nil, "\(run.process.errorText.suffix(2000))")
    let second = try weir("run", "--run-dir", run.folder, "--minutes", "0.1")
    #expect(second.code == 1)
    #expect(
      second.error.contains("\(run.process.pid)") && second.error.contains(run.folder), "\(second.error)")
    Thread.sleep(forTimeInterval: 2)
    #expect(run.ready().isSuperset(of: SupervisedRun.services), "the first one goes on")
    try stop(run)
    let third = try weir("run", "--run-dir", run.folder, "--minutes", "0.1")
    #expect(third.code == 1 && third.error.contains("finished"), "\(third.error)")
    try expectNothingLost(run, scratch)
  }

  // MARK: What only watches may not stop what works

  /// A page that would be missing for days is refused at the start, before anything is begun.
  @Test func aTakenPortIsNamed() throws {
    let scratch = Scratch()
    let port = try #require(Occupied())
    let run = try start(scratch, ["--set", "run.metrics_port=\(port.number)"])
    let (code, _) = try run.process.wait()
    #expect(code == 1)
    #expect(run.process.errorText.contains("\(port.number)"), "\(run.process.errorText.suffix(2000))")
    #expect(run.leftovers() == [])
    #expect(!Files.exists(run.folder + "/tape"))
  }

  @Test func aGatewayThatHangsHoldsUpNothing() throws {
    let scratch = Scratch()
    // The kernel takes connections for it, and it never answers one.
    let gateway = try #require(Occupied())
    let run = try start(
      scratch,
      environment: ["TIMESERIES_TYPE": "prometheus", "TIMESERIES_URL": "http://127.0.0.1:\(gateway.number)"])
    try #require(run.waitReady() != nil, "\(run.process.errorText.suffix(2000))")
    Thread.sleep(forTimeInterval: 4)
    let behind = run.ask("status")["result"]?["processes"]?.elements?.first { $0["name"]?.text == "signal" }
    #expect((behind?["backlog"]?.integer ?? .max) < 500, "\(behind?.text() ?? "no status")")
    try stop(run)
    #expect(run.process.errorText.contains("\(gateway.number)"), "the warning names where it is not")
    #expect(run.manifest["timeseries_export"]?["export_count"]?.integer == 0)
    let exports = run.manifest["timeseries_export"]
    let lost = (exports?["error_count"]?.integer ?? 0) + (exports?["dropped"]?.integer ?? 0)
    #expect(lost > 0, "\(exports?.text() ?? "")")
    try expectNothingLost(run, scratch)
  }

  @Test func anInvalidConfigurationChangesNothing() throws {
    let scratch = Scratch()
    let file = scratch.file("weir.yaml", "gates:\n  lag_ms_max: 600\n")
    let run = try start(scratch, ["--config", file])
    try #require(run.waitReady() != nil, "\(run.process.errorText.suffix(2000))")
    _ = scratch.file("weir.yaml", "gates:\n  lag_msmax: 5\n")
    run.process.signal(SIGHUP)
    let isTold = run.wait(60) { run.process.errorText.contains("lag_msmax") }
    #expect(isTold != nil, "the log names the wrong key: \(run.process.errorText.suffix(1000))")
    let refused = try execute(["ctl", "reload", "--run-dir", run.folder])
    #expect(refused.code == 1 && refused.error.contains("lag_ms_max"), "\(refused.error)")
    #expect(run.ready().isSuperset(of: SupervisedRun.services))
    _ = scratch.file("weir.yaml", "gates:\n  lag_ms_max: 500\n")
    #expect(try execute(["ctl", "reload", "--run-dir", run.folder]).code == 0)
    Thread.sleep(forTimeInterval: 1.5)
    try stop(run)
    let reloads = (run.manifest["reloads"]?.elements ?? []).compactMap { $0["ok"]?.boolean }
    #expect(reloads == [false, false, true])
    // The replay starts as the run did, and finds the change on the tape.
    try expectNothingLost(run, scratch)
  }

  // MARK: What ends too early

  @Test(arguments: [0, 30, 90, 200, 450, 900])
  func toldToStopWhileItStarts(_ milliseconds: Int) throws {
    let scratch = Scratch()
    let run = try start(scratch)
    usleep(UInt32(milliseconds) * 1000)
    _ = run.children()
    let began = Date()
    run.process.signal(SIGTERM)
    let (code, _) = try run.process.wait()
    // Before its handler is there the kernel ends it: 128 + 15, and there is nothing yet to lose.
    #expect(code <= 1 || (code == 143 && milliseconds <= 30), "\(code) \(run.process.errorText.suffix(1000))")
    #expect(Date().timeIntervalSince(began) < 20)
    usleep(300_000)
    #expect(run.leftovers() == [])
    if Files.exists(run.folder + "/tape") {
      #expect(try weir("tape", "verify", run.folder + "/tape").code == 0)
    }
  }

  @Test func aKilledSupervisorLeavesNoOrphansAndIsContinued() throws {
    let scratch = Scratch()
    let first = try start(scratch)
    try #require(first.waitReady() != nil, "\(first.process.errorText.suffix(2000))")
    Thread.sleep(forTimeInterval: 2)
    _ = first.children()
    first.process.signal(SIGKILL)
    _ = try first.process.wait()
    let began = Date()
    while !first.leftovers().isEmpty, Date().timeIntervalSince(began) < 10 { usleep(50_000) }
    #expect(first.leftovers() == [], "services end with their supervisor")
    let second = try start(scratch)
    try #require(second.waitReady() != nil, "\(second.process.errorText.suffix(2000))")
    Thread.sleep(forTimeInterval: 2)
    try stop(second)
    #expect((second.manifest["notes"]?.elements ?? []).contains { $0.text?.contains("interrupted") == true })
    #expect(second.json("parity_diff.json")["exact"]?.boolean == true)
    try expectNothingLost(second, scratch)
  }

  /// A stopped process is alive for the kernel; only its beat is missing.
  @Test func aServiceThatHangsIsReplaced() throws {
    let scratch = Scratch()
    let run = try start(scratch, ["--set", "run.heartbeat_timeout_s=2"])
    try #require(run.waitReady() != nil, "\(run.process.errorText.suffix(2000))")
    let old = try #require(run.pid(of: "signal"))
    kill(old, SIGSTOP)
    let seconds = run.wait(60) { run.ready(after: [old]).isSuperset(of: SupervisedRun.services) }
    #expect(seconds != nil, "\(run.states())")
    #expect(!ProcessTable.isAlive(old))
    Thread.sleep(forTimeInterval: 1)
    try stop(run)
    #expect(run.manifest["status"]?["processes"]?["signal"]?["beats_missed"]?.integer == 1)
    try expectNothingLost(run, scratch)
  }

  // MARK: Clock and disk

  /// The wall clock of the running processes is stepped (Benchmarks/step_clock.c) and their monotonic clock is
  /// not, as when an administrator or a time service steps a machine's.
  @Test(
    .enabled(if: compiler != nil, "there is no C compiler to build Benchmarks/step_clock.c"),
    arguments: [1, -1])
  func theClockJumps(hours: Int64) throws {
    let scratch = Scratch()
    let library = scratch.path + "/step_clock.so"
    let build = Process()
    build.executableURL = URL(fileURLWithPath: try #require(compiler))
    build.arguments = ["-shared", "-fPIC", "-O2", "-o", library, "Benchmarks/step_clock.c", "-ldl"]
    try build.run()
    build.waitUntilExit()
    try #require(build.terminationStatus == 0)
    let clock = scratch.file("clock", [UInt8](repeating: 0, count: 8))
    let run = try start(scratch, environment: ["LD_PRELOAD": library, "WEIR_CLOCK_FILE": clock])
    try #require(run.waitReady() != nil, "\(run.process.errorText.suffix(2000))")
    Thread.sleep(forTimeInterval: 3)
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: clock))
    try withUnsafeBytes(of: hours * 3_600_000) { try file.write(contentsOf: Data($0)) }
    Thread.sleep(forTimeInterval: 4)
    #expect(run.process.isRunning)
    #expect(run.children().count == 5, "\(run.children())")
    let restarts = run.ask("status")["result"]?["processes"]?.elements?.compactMap {
      $0["restart_count"]?.integer
    }
    #expect(restarts?.allSatisfy { $0 == 0 } == true, "a step of the clock kills nobody: \(restarts ?? [])")
    try stop(run)
    #expect(run.manifest["harvester_metrics"]?["queue_dropped"]?.integer == 0)
    #expect(run.json("parity_diff.json")["exact"]?.boolean == true)
    try expectNothingLost(run, scratch)
  }

  /// A disk of its own runs full under the run.
  @Test func theDiskRunsFull() throws {
    let scratch = Scratch()
    guard let disk = SmallDisk(at: scratch.path + "/disk", mebibytes: 24) else {
      try Test.cancel("this user may not mount a tmpfs")
    }
    let run = try SupervisedRun(
      folder: disk.path + "/run",
      allServices + ["--sink", "dual", "--rate", "8000", "--set", "tape.disk_free_mib_min=8"]
        + ["--set", "run.restarts_max=2"] + shortRunSettings)
    #expect(run.waitReady() != nil, "\(run.process.errorText.suffix(2000))")
    let isTold = run.wait(60) {
      let log = (try? Files.read(run.folder + "/logs/harvest.log")) ?? []
      return String(decoding: log, as: UTF8.self).contains("disk")
    }
    #expect(isTold != nil, "the harvester says that the disk is full")
    let isGivenUp = run.wait(60) { run.states()["harvest"]?.state == "unhealthy" }
    #expect(isGivenUp != nil, "\(run.states())")
    let (code, _) = try run.process.stop()
    #expect(code == 1, "a run without its harvester is no success")
    #expect(run.leftovers() == [])
    #expect(run.manifest["unread_records"]?.integer == 0)
    try expectNothingLost(run, scratch)
  }
}

/// A loopback port that listens, accepts nothing and answers nothing.
private final class Occupied {
  let number: UInt16
  private let descriptor: Int32

  init?() {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    let isBound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 64) == 0
          && getsockname(descriptor, $0, &length) == 0
      }
    }
    guard isBound else { return nil }
    number = UInt16(bigEndian: address.sin_port)
  }

  deinit { close(descriptor) }
}

/// A file system in memory of a few mebibytes, unmounted when it is released.
private final class SmallDisk {
  let path: String

  init?(at path: String, mebibytes: Int) {
    self.path = path
    try? Files.makeFolder(path)
    guard mount("tmpfs", path, "tmpfs", 0, "size=\(mebibytes)m") == 0 else { return nil }
  }

  deinit { umount2(path, Int32(MNT_DETACH)) }
}
