import Core
import Foundation
import ProcessKit

/// One run of the whole product during which its services are killed, and what was seen.
final class ChaosRound {
  struct Options {
    var binary: String
    var folder: String
    /// Words for every command that computes: the same configuration for the run and for its judges.
    var settings: [String]
    var runWords: [String]
    var services: [String]
    /// The limit of a recovery.
    var recoverySecondsMax: Double
  }

  struct Recovery {
    var service: String
    /// From the kill to a new process.
    var respawnMs: Double
    /// From the kill to the supervisor calling the new process healthy.
    var readyMs: Double
  }

  let options: Options
  private(set) var kills: [String: Int] = [:]
  private(set) var killsByPhase: [String: Int] = [:]
  private(set) var recoveries: [Recovery] = []
  private(set) var problems: [String] = []
  private(set) var exitCode: Int32 = -1
  private(set) var stopSeconds = 0.0
  private(set) var leftovers: [String] = []
  /// What the run judged itself by; kills may break some, e.g. its share of green looks.
  private(set) var conditions: [JSONValue] = []
  private var slain: Set<Int32> = []

  init(_ options: Options) { self.options = options }

  var killCount: Int { killsByPhase.values.reduce(0, +) }

  /// Runs it to its end.
  func perform(_ plan: ChaosPlan, note: (String) -> Void) throws {
    let run = try SupervisedRun(
      folder: options.folder, options.runWords + options.settings, binary: options.binary)
    startUp(run, plan)
    guard let seconds = run.waitReady(after: slain, seconds: 30) else {
      problems.append("not all services became ready within 30 s of the start")
      finish(run, [])
      return
    }
    note("ready after \(Int(seconds * 1000)) ms; \(plan.strikes.count) strikes")
    for (index, strike) in plan.strikes.enumerated() {
      guard run.process.isRunning else {
        problems.append("the supervisor ended during strike \(index + 1) of \(plan.strikes.count)")
        break
      }
      perform(strike, run, index)
      if (index + 1) % 10 == 0 { note("\(index + 1) of \(plan.strikes.count) strikes") }
    }
    // What the last strike left to be caught up with is part of the run.
    pause(1000)
    finish(run, plan.shutdownMs)
  }

  private func startUp(_ run: SupervisedRun, _ plan: ChaosPlan) {
    let start = now()
    for moment in plan.startUpMs {
      pause(max(0, moment - Int(now() - start)))
      _ = run.wait(10) { run.children().contains { options.services.contains($0.name) } }
      if let newest = run.children().filter({ options.services.contains($0.name) }).max(by: {
        $0.pid < $1.pid
      }) {
        slay(newest, "start-up")
      }
    }
  }

  private func perform(_ strike: ChaosPlan.Strike, _ run: SupervisedRun, _ index: Int) {
    pause(strike.quietMs)
    let living = run.children()
    var pending: [(service: SupervisedRun.Service, at: Double, respawn: Double?)] = []
    for name in strike.victims {
      guard let service = living.first(where: { $0.name == name }) else {
        problems.append("strike \(index + 1): there is no \(name), though it was ready")
        continue
      }
      pending.append((service, now(), nil))
      slay(service, "running")
    }
    if strike.manner == .twice, let first = pending.first {
      var second: SupervisedRun.Service?
      _ = run.wait(options.recoverySecondsMax) {
        second = run.children().first { $0.name == first.service.name && $0.pid != first.service.pid }
        return second != nil
      }
      if let second {
        pause(strike.againMs)
        pending[0] = (second, now(), nil)
        slay(second, "running")
      }
    }
    let isBack = run.wait(options.recoverySecondsMax) {
      let living = run.children()
      for place in pending.indices where pending[place].respawn == nil {
        let (service, at, _) = pending[place]
        if living.contains(where: { $0.name == service.name && $0.pid != service.pid }) {
          pending[place].respawn = now() - at
        }
      }
      if pending.contains(where: { $0.respawn == nil }) { return false }
      let ready = run.ready(after: slain)
      pending.removeAll { service, at, respawn in
        guard ready.contains(service.name) else { return false }
        let passed = now() - at
        if passed > 1000 * options.recoverySecondsMax {
          problems.append("strike \(index + 1): \(service.name) was back after \(Int(passed)) ms only")
        }
        recoveries.append(
          Recovery(service: service.name, respawnMs: respawn ?? passed, readyMs: passed))
        return true
      }
      return pending.isEmpty && ready.isSuperset(of: SupervisedRun.services)
    }
    if isBack == nil {
      let states = run.states().sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.state)" }
      problems.append(
        "strike \(index + 1) (\(strike.manner.rawValue) \(strike.victims.joined(separator: " and "))): not back "
          + "within \(options.recoverySecondsMax) s; \(states.joined(separator: ", "))")
    }
  }

  /// Stops the run as an operator does, kills services while it drains, and looks for what is left.
  private func finish(_ run: SupervisedRun, _ moments: [Int]) {
    let start = now()
    run.process.signal(SIGTERM)
    for moment in moments {
      pause(max(0, moment - Int(now() - start)))
      // Whoever is still there by then; a drain that is over has nobody left to kill.
      let living = run.children().filter { options.services.contains($0.name) }
      if let victim = living.isEmpty ? nil : living[moment % living.count] { slay(victim, "shutdown") }
    }
    if run.wait(90, until: { !run.process.isRunning }) == nil, run.process.isRunning {
      problems.append("the run had not ended 90 s after SIGTERM")
      run.process.signal(SIGKILL)
    }
    stopSeconds = (now() - start) / 1000
    exitCode = (try? run.process.wait().code) ?? -1
    conditions = run.manifest["conditions"]?.elements ?? []
    // Kills make looks that are not green, and whoever dies during the drain for the last time has no summary.
    for condition in conditions where condition["holds"]?.boolean != true {
      let name = condition["name"]?.text ?? "?"
      if name == "health_green_share" || (name.hasSuffix("_ended_in_order") && !moments.isEmpty) { continue }
      problems.append("\(name) is \(condition["value"]?.text ?? "?")")
    }
    if conditions.isEmpty { problems.append("the run left no verdict") }
    if exitCode > 1 { problems.append("exit code \(exitCode): \(run.process.errorText.suffix(2000))") }
    // A process that was told to end when its supervisor did may take a moment.
    for _ in 0..<20 {
      leftovers = run.leftovers()
      if leftovers.isEmpty { break }
      pause(100)
    }
  }

  private func slay(_ service: SupervisedRun.Service, _ phase: String) {
    guard kill(service.pid, SIGKILL) == 0 else { return }
    slain.insert(service.pid)
    kills[service.name, default: 0] += 1
    killsByPhase[phase, default: 0] += 1
  }

  private func now() -> Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e6 }
  private func pause(_ milliseconds: Int) { usleep(UInt32(milliseconds) * 1000) }
}
