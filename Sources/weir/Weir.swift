import CommandLineKit

@main
struct Weir {
  static let tool = CommandLineTool(
    name: "weir", summary: "order flow of Binance perpetuals: tape, signals, reports", version: "0.1.0",
    commands: [
      HarvestCommand.command, SignalCommand.command, ReplayCommand.command, ImportCommand.command,
      VenueCommand.command,
      TapeCommand.command,
      ParityCommand.command, AlertsCommand.command, ConfigCommand.command, DoctorCommand.command,
    ])

  static func main() { tool.main() }
}
