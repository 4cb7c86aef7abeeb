import Glibc

/// What the network layer costs in processor time: `net-benchmark websocket [MESSAGES]`, `net-benchmark http
/// [REQUESTS]`, or `net-benchmark http-serve PORT [CERTIFICATE KEY]` for load from elsewhere.
@main
struct NetBenchmark {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    switch arguments.first {
    case "websocket": try WebSocketBenchmark.run(Array(arguments.dropFirst()))
    case "http": try HTTPBenchmark.run(Array(arguments.dropFirst()))
    case "http-serve": try HTTPBenchmark.serve(Array(arguments.dropFirst()))
    default:
      print("usage: net-benchmark websocket [MESSAGES] | http [REQUESTS] | http-serve PORT [CERTIFICATE KEY]")
      exit(2)
    }
  }
}
