import Core
import Foundation
import ProcessKit

/// The live path as a user runs it: venue, harvester and signal stage as three processes on this machine.
///
/// For each rate: frames offered and stored, the harvester's processor time a frame, its memory, and how long
/// after its receive stamp a record could be read by the tailer and its signals were written (of the oldest
/// record of each wake-up, so it is the worse end of each burst).
@main
enum LiveBenchmark {
  static func main() throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    let binary = arguments.first ?? ".build/release/weir"
    let seconds = arguments.count > 1 ? Double(arguments[1]) ?? 15 : 15
    let rates = arguments.count > 2 ? arguments[2...].compactMap { Double($0) } : [32, 1000, 20_000]
    print(
      "| frames/s asked | frames stored | stored/s | lost | harvest µs CPU/frame | RSS MB | "
        + "readable ms p50/p99/p99.9 | signal ms p50/p99/p99.9 | signal CPU % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for rate in rates { try run(rate, seconds, binary) }
  }

  private static func run(_ rate: Double, _ seconds: Double, _ binary: String) throws {
    let folder = NSTemporaryDirectory() + "weir-live-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    // One symbol carries at most 10,000 frames a second.
    let count = max(rate < 40 ? 1 : 2, Int((rate / 9000).rounded(.up)))
    let names = [
      "BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT", "XRPUSDT", "BNBUSDT", "ADAUSDT", "AVAXUSDT", "LINKUSDT",
      "LTCUSDT", "DOTUSDT", "TRXUSDT", "NEARUSDT", "FILUSDT", "SUIUSDT", "AAAUSDT", "BBBUSDT", "CCCUSDT",
    ]
    let symbols = names.prefix(count).joined(separator: ",")
    let venue = try WeirProcess(
      ["venue", "serve", "--port", "0", "--seed", "5", "--symbols", symbols, "--rate", "\(rate)"],
      binary: binary)
    let address = try venue.nextLine()["rest"]?.text ?? ""
    let signal = try WeirProcess(
      ["signal", folder + "/tape", "--out", folder + "/run", "--sink", "jsonl", "--json"], binary: binary)
    let harvest = try WeirProcess(
      ["harvest", "--venue", address, "--symbols", symbols, "--out", folder + "/tape", "--json"],
      binary: binary)
    _ = try harvest.nextLine()
    Thread.sleep(forTimeInterval: seconds)
    let rss = harvest.usage().rssMiB
    let signalCPU = signal.usage().cpuSeconds
    let (_, summary) = try harvest.stop()
    Thread.sleep(forTimeInterval: 0.3)
    let (_, live) = try signal.stop()
    _ = try venue.stop()
    let frames = summary["frames"]?.double ?? 0
    let cpu = summary["cpu_s"]?.double ?? 0
    func latency(_ name: String) -> String {
      let value = live["live"]?[name]
      return ["p50", "p99", "p999"].map { String(format: "%.2f", value?[$0]?.double ?? -1) }.joined(
        separator: "/")
    }
    print(
      "| \(Int(rate)) | \(Int(frames)) | \(Int(frames / seconds)) | \(summary["lost"]?.text ?? "?") "
        + "| \(String(format: "%.2f", cpu * 1e6 / max(1, frames))) | \(String(format: "%.1f", rss)) "
        + "| \(latency("read_latency_ms")) | \(latency("signal_latency_ms")) "
        + "| \(String(format: "%.0f", signalCPU / seconds * 100)) |")
  }
}
