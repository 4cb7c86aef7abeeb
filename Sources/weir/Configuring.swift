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

  /// Merges defaults, file, parameter file, environment and command line.
  ///
  /// - Parameters:
  ///   - file: serves where `--config` names none.
  ///   - adding: keys that an option of their own has set.
  static func load(
    _ arguments: ParsedArguments, file: String? = nil, adding: [(key: String, value: String)] = []
  ) throws -> LoadedConfig<WeirConfiguration> {
    do throws(ConfigError) {
      var overrides: [(key: String, value: String)] = []
      for text in arguments.texts("set") {
        overrides.append(try ConfigLoader<WeirConfiguration>.parseOverride(text))
      }
      overrides += adding
      return try WeirConfiguration.load(
        file: arguments.text("config") ?? file, environment: ProcessEnvironment.variables(),
        overrides: overrides)
    } catch {
      throw InvalidConfiguration(error: error)
    }
  }
}

extension Configuring {
  /// `REPORT_TZ` stands above the file's time zone and below the command line's.
  static func withReportZone(_ loaded: LoadedConfig<WeirConfiguration>) -> WeirConfiguration {
    var value = loaded.value
    if let zone = ProcessEnvironment.variables()["REPORT_TZ"], !zone.isEmpty,
      loaded.origin(of: "report.time_zone") != .commandLine
    {
      value.reportTimeZone = zone
    }
    return value
  }

  /// `TIMESERIES_TYPE` and `TIMESERIES_URL` stand above the file and below the command line.
  static func withTimeSeries(_ loaded: LoadedConfig<WeirConfiguration>) throws -> WeirConfiguration {
    var value = withReportZone(loaded)
    do throws(ConfigError) {
      try value.applyTimeSeriesEnvironment(ProcessEnvironment.variables()) {
        loaded.origin(of: $0) == .commandLine
      }
    } catch {
      throw InvalidConfiguration(error: error)
    }
    return value
  }
}

/// A configuration that cannot be used is a usage error: exit code 2.
struct InvalidConfiguration: ExitCodeError, CustomStringConvertible {
  var error: ConfigError
  var exitCode: ExitCode { .usage }
  var description: String { "\(error)" }
}
