import CommandLineKit
import Configuration
import Core
import Services

/// The options by which every command is configured, and how they are read.
enum Configuring {
  static let options: [CommandOption] = [
    .text("config", "FILE", "a YAML configuration"),
    .text("set", "KEY=VALUE", "set one key, above environment and file").repeatable(),
  ]

  /// Merges defaults, file, environment and command line.
  static func load(_ arguments: ParsedArguments) throws -> LoadedConfig<WeirConfiguration> {
    do throws(ConfigError) {
      var overrides: [(key: String, value: String)] = []
      for text in arguments.texts("set") {
        overrides.append(try ConfigLoader<WeirConfiguration>.parseOverride(text))
      }
      return try ConfigLoader(WeirConfiguration.schema).load(
        file: arguments.text("config"), environment: ProcessEnvironment.variables(), overrides: overrides)
    } catch {
      throw InvalidConfiguration(error: error)
    }
  }
}

/// A configuration that cannot be used is a usage error: exit code 2.
struct InvalidConfiguration: ExitCodeError, CustomStringConvertible {
  var error: ConfigError
  var exitCode: ExitCode { .usage }
  var description: String { "\(error)" }
}
