import CommandLineKit
import Core
import Net
import Telemetry

/// How a service tells its operator something: a line, or a structured one for its supervisor's log.
func operatorNote(_ arguments: ParsedArguments, _ service: String) -> (String) -> Void {
  guard arguments.has("supervised") else { return { arguments.console.note("weir \(service): \($0)") } }
  let log = Log.standardError(service: service, now: { EventLoop.wallNow() })
  return { log.info("note", ["text": .text($0)]) }
}
