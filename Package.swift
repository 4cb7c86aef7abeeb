// swift-tools-version: 6.2
import PackageDescription

// The pipeline's stages are separate modules; without cross-module optimisation a leaf loop called
// across a module boundary costs twice as much (docs/decisions/0003).
let stage: [SwiftSetting] = [.unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))]

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: stage)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name + "Tests", dependencies: dependencies, path: "Tests/" + name)
}

let package = Package(
  name: "weir",
  products: [.executable(name: "weir", targets: ["weir"])],
  targets: [
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CTLS", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CSystem"),
    .target(name: "CHTTP", cSettings: [.define("LLHTTP_STRICT_MODE", to: "1")]),
    module("Core"),
    module("Tape", ["Core", "CZstd", "CCrypto"]),
    module("Binance", ["Core", "CCrypto"]),
    module("Book", ["Core"]),
    module("Flow", ["Core", "Book"]),
    module("Strategy", ["Core", "Flow"]),
    module("Store", ["Core", "Flow", "Strategy", "CSQLite", "CCrypto"]),
    module("Tables", ["Core", "Tape", "Binance"]),
    module("Parquet", ["Core", "Tables", "CZstd"]),
    .target(name: "CDuckDB"),
    module("DuckDB", ["Core", "Tape", "Tables", "CDuckDB"]),
    module("ClickHouse", ["Core", "Tables", "Net", "CZstd", "CZlib"]),
    // Without pkgConfig: hiredis.pc names a flag that the package manager refuses.
    .systemLibrary(name: "CRedis"),
    module("Redis", ["Core", "CRedis"]),
    module("Chart", ["Core"]),
    module("Report", ["Chart", "Core", "Flow", "Strategy", "Store"]),
    module("Evaluation", ["Chart", "Core", "Flow", "Strategy"]),
    // Without that flag: it opens every class's properties to other modules, and then each access on the hot path
    // is checked for exclusivity at run time (150 ns to send a message instead of 80).
    .target(name: "Net", dependencies: ["Core", "CSystem", "CTLS", "CHTTP", "CZlib"]),
    module("Venue", ["Core", "Tape", "Binance", "Book"]),
    module("Telemetry", ["Core"]),
    module("Rules", ["Core", "Configuration", "Telemetry"]),
    module("Broker", ["Core", "Strategy"]),
    module("Configuration", ["Core", "CYAML", "CCrypto"]),
    module("CommandLineKit", ["Core"]),
    module(
      "Services",
      [
        "Core", "Tape", "Binance", "Book", "Flow", "Strategy", "Store", "Report", "Evaluation", "Net",
        "Venue",
        "Telemetry", "Rules", "Broker", "Configuration", "CZlib", "CZstd", "CSQLite", "CYAML", "CCrypto",
        "CSystem", "Tables", "Parquet", "DuckDB", "ClickHouse", "Redis",
      ]),
    .executableTarget(
      name: "weir",
      dependencies: [
        "Core", "Broker", "CommandLineKit", "Configuration", "Evaluation", "Net", "Report", "Rules",
        "Services", "Store", "Strategy",
        "Tape", "Telemetry", "Venue", "Tables", "Parquet", "DuckDB", "ClickHouse", "Redis",
      ], swiftSettings: stage),
    .executableTarget(
      name: "pipeline-benchmark", dependencies: ["Binance", "Book", "Core", "Services", "Tape"],
      path: "Benchmarks/Pipeline", swiftSettings: stage),
    .executableTarget(
      name: "net-benchmark", dependencies: ["Core", "CSystem", "Net", "NetTestSupport"],
      path: "Benchmarks/Net",
      swiftSettings: stage),
    .target(
      name: "NetTestSupport", dependencies: ["Core", "CSystem", "CTLS", "Net"], path: "Tests/NetSupport"),
    .target(
      name: "SimulationKit",
      dependencies: ["Core", "Tape", "Binance", "Book", "Flow", "Strategy", "Venue", "Services"],
      path: "Tests/SimulationKit", swiftSettings: stage),
    .executableTarget(
      name: "simulation", dependencies: ["CommandLineKit", "Core", "SimulationKit"],
      path: "Benchmarks/Simulation", swiftSettings: stage),
    .target(name: "ProcessKit", dependencies: ["Core"], path: "Tests/ProcessKit"),
    .executableTarget(
      name: "live-benchmark", dependencies: ["Core", "ProcessKit"], path: "Benchmarks/Live"),
    .executableTarget(
      name: "chaos", dependencies: ["CommandLineKit", "Core", "ProcessKit"], path: "Benchmarks/Chaos"),
    tests("Simulation", ["Core", "Rules", "Services", "SimulationKit", "Strategy", "Telemetry"]),
    .executableTarget(
      name: "net-peer", dependencies: ["Core", "CZlib", "Net"], path: "Tests/Conformance/Peer",
      swiftSettings: stage),
    .testTarget(
      name: "ConformanceTests", dependencies: ["Core"], path: "Tests/Conformance",
      exclude: ["Peer", "Scripts"]),
    tests("Core", ["Core"]),
    tests("Book", ["Core", "Book"]),
    tests("Binance", ["Core", "Binance"]),
    tests("Flow", ["Core", "Flow", "CZlib"]),
    tests("Strategy", ["Core", "Flow", "Strategy"]),
    tests("Tape", ["Core", "Tape"]),
    tests("Configuration", ["Core", "Configuration"]),
    tests("Telemetry", ["Core", "Telemetry"]),
    tests("Rules", ["Core", "Configuration", "Rules", "Telemetry"]),
    tests("Broker", ["Core", "Strategy", "Broker"]),
    tests("CommandLineKit", ["Core", "CommandLineKit"]),
    tests(
      "Services",
      [
        "Binance", "Book", "Broker", "Configuration", "Core", "Evaluation", "Flow", "Net", "Report", "Rules",
        "Store",
        "Strategy",
        "Tape", "Telemetry", "Venue", "Services", "ProcessKit", "CZlib", "Tables", "Parquet", "DuckDB",
        "ClickHouse", "Redis",
      ]),
    tests("Scripts", ["Core"]),
    tests(
      "EndToEnd",
      [
        "Core", "CommandLineKit", "ProcessKit", "Rules", "Services", "Store", "Strategy", "Tape", "Telemetry",
        "weir", "Tables", "Parquet", "DuckDB", "ClickHouse", "Redis",
      ]),
    tests("Tables", ["Core", "Tape", "Tables", "Venue"]),
    tests("Parquet", ["Core", "Tape", "Tables", "Parquet", "ProcessKit"]),
    tests("DuckDB", ["Core", "Tape", "Tables", "Parquet", "DuckDB"]),
    tests("ClickHouse", ["Core", "Net", "Tape", "Tables", "ClickHouse", "ProcessKit"]),
    tests("Redis", ["Core", "Redis", "ProcessKit"]),
    tests("Net", ["Core", "CSystem", "CTLS", "CZlib", "Net", "NetTestSupport"]),
    tests("Venue", ["Venue", "Core", "Binance", "Tape"]),
    tests("Evaluation", ["Core", "Flow", "Strategy", "Evaluation"]),
    tests("Store", ["Core", "Flow", "Strategy", "Store"]),
    tests("Report", ["Core", "Flow", "Strategy", "Store", "Report"]),
  ],
  swiftLanguageModes: [.v6]
)
