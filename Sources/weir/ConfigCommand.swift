import CommandLineKit
import Configuration
import Core
import Services

enum ConfigCommand {
  static let command = Command(
    name: "config", summary: "print the merged configuration",
    details: """
      Priority: command line, then environment (WEIR__section__key, STRATEGY_MODE, DYNAMIC_MODE_ENABLED), then the \
      parameter file that strategy.parameters names, then file, then defaults. Secrets are redacted. With \
      --reference every key is listed with its type, range and meaning.
      """,
    options: [
      .flag("reference", "list all keys with what they mean"),
      .flag("defaults", "print a configuration file with every key at its default"),
    ] + Configuring.options,
    examples: [
      "weir config --config config/defaults.yaml", "weir config --set flow.ofi_window_ms=3000 --json",
    ]
  ) { arguments in
    if arguments.has("reference") {
      let schema = WeirConfiguration.schema
      if arguments.isJSON {
        try arguments.console.print(json: schema.referenceJSON())
      } else {
        try arguments.console.write(schema.referenceText())
      }
      return .ok
    }
    if arguments.has("defaults") {
      try arguments.console.write(WeirConfiguration.schema.defaultsText())
      return .ok
    }
    let loaded = try Configuring.load(arguments)
    if arguments.isJSON {
      let parameters = loaded.value.parameters.map { [JSONValue.Member("parameters", $0.json)] } ?? []
      try arguments.console.print(json: .object((loaded.json.members ?? []) + parameters))
    } else {
      if let parameters = loaded.value.parameters {
        try arguments.console.write("# parameters \(parameters)\n")
      }
      try arguments.console.write(loaded.render())
    }
    return .ok
  }
}
