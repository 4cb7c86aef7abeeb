import CommandLineKit
import Core
import Tape

enum TapeCommand {
  static let command = Command(
    name: "tape", summary: "look at a tape", subcommands: [verify])

  private static let verify = Command(
    name: "verify", summary: "recompute a tape's seals: counts, order, hashes",
    arguments: [CommandArgument("tape", "the tape's folder")], examples: ["weir tape verify out/tape"]
  ) { arguments in
    let verification = try verifyTape(arguments.argument("tape"))
    try arguments.console.print(json: verification.json, pretty: !arguments.isJSON)
    return verification.isIntact ? .ok : .failedCheck
  }
}
