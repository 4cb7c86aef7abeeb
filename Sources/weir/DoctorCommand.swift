import CommandLineKit
import Core
import Services

enum DoctorCommand {
  static let command = Command(
    name: "doctor", summary: "check libraries, disk, clock and limits of this machine",
    options: [.text("folder", "PATH", default: ".", "where tapes and runs will be written")],
    examples: ["weir doctor", "weir doctor --folder out --json"]
  ) { arguments in
    let report = Doctor.examine(SystemFacts.measure(folder: arguments.text("folder")!))
    if arguments.isJSON {
      try arguments.console.print(json: report.json)
    } else {
      try arguments.console.write(report.text)
    }
    return report.status == .fail ? .failedCheck : .ok
  }
}
