import CommandLineKit

@main
struct Weir {
  static let tool = CommandLineTool(
    name: "weir", summary: "order flow of Binance perpetuals: tape, signals, reports", version: "0.1.0",
    commands: [
      RunCommand.command, CtlCommand.command, SoakCommand.command, AlertsCommand.command,
      HarvestCommand.command, SignalCommand.command, BrokerCommand.command, ReportCommand.command,
      ReplayCommand.command, EvaluateCommand.command, TuneCommand.command, ImportCommand.command,
      VenueCommand.command, TapeCommand.command, ParityCommand.command, ConfigCommand.command,
      ConvertCommand.command, ExportCommand.command, CollectCommand.command, DoctorCommand.command,
    ])

  static func main() { tool.main() }
}
