import Glibc

/// What the network layer costs in processor time: `net-benchmark websocket [MESSAGES]`.
@main
struct NetBenchmark {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    switch arguments.first {
    case "websocket": try WebSocketBenchmark.run(Array(arguments.dropFirst()))
    default:
      print("usage: net-benchmark websocket [MESSAGES]")
      exit(2)
    }
  }
}
