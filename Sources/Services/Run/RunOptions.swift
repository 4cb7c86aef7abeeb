import Configuration
import Core
import Net
import Store

/// What `weir run` is asked to do.
public struct RunOptions: Sendable {
  /// Where the market comes from.
  public enum Source: Equatable, Sendable {
    /// A venue of the run's own, with a seeded market.
    case embedded(seed: UInt64, framesPerSecond: Double?)
    /// `live`, `testnet` or an address.
    case venue(String)
    /// A tape that is there already; nothing is harvested.
    case tape(String)
    /// The tape that another host publishes to this Redis stream.
    case stream(String)

    var name: String {
      switch self {
      case .embedded: "embedded"
      case .venue(let name): name
      case .tape(let folder): folder
      case .stream(let name): "stream " + name
      }
    }
  }

  public var services: [ServiceName]
  public var sink: SignalSinkSet.Choice
  public var minutes: Double?
  public var folder: String
  public var source: Source
  public var symbols: [String]
  public var configuration: WeirConfiguration
  /// ``configuration`` as it was loaded, without what variables of their own name change in it.
  public var loaded: LoadedConfig<WeirConfiguration>
  /// Faults of the embedded venue, a file.
  public var faults: String?
  /// Freshness is judged in tape time.
  public var isReplay: Bool
  public var environment: [String: String]

  public init(
    services: [ServiceName], sink: SignalSinkSet.Choice, minutes: Double?, folder: String, source: Source,
    symbols: [String], configuration: WeirConfiguration, loaded: LoadedConfig<WeirConfiguration>,
    faults: String? = nil, isReplay: Bool, environment: [String: String]
  ) {
    self.services = services
    self.sink = sink
    self.minutes = minutes
    self.folder = folder
    self.source = source
    self.symbols = symbols
    self.configuration = configuration
    self.loaded = loaded
    self.faults = faults
    self.isReplay = isReplay
    self.environment = environment
  }

  public var configurationVersion: String { loaded.version }
  public var configurationJSON: JSONValue { loaded.json }
  /// The merged configuration as YAML, from which the services are started.
  public var configurationText: String { loaded.render(omitsSecrets: true) }

  /// A folder for a run that was given none: that of the newest interrupted run, so that a service manager's
  /// restart continues it, or a new one named by the time.
  public static func newFolder(under folder: String = "runs") -> String {
    let names = ((try? Files.list(folder)) ?? []).sorted()
    if let last = names.last,
      let manifest = try? Files.read("\(folder)/\(last)/run_manifest.json").withUnsafeBytes({
        try JSONValue(parsing: $0)
      }), manifest["state"]?.text == "running"
    {
      return "\(folder)/\(last)"
    }
    let date = UTCDate(EventLoop.wallNow())
    return "\(folder)/\(date.dayText)T\(date.timeText.filter { $0 != ":" })Z"
  }

  /// What is in a run's folder.
  struct Paths {
    let folder: String
    var configuration: String { folder + "/config.yaml" }
    var manifest: String { folder + "/run_manifest.json" }
    var sourceManifest: String { folder + "/source_manifest.json" }
    var status: String { folder + "/run_status.json" }
    var targets: String { folder + "/metrics_targets.json" }
    var parity: String { folder + "/parity_diff.json" }
    var logs: String { folder + "/logs" }
    func log(_ service: ServiceName) -> String { "\(logs)/\(service.rawValue).log" }
  }

  var paths: Paths { Paths(folder: folder) }

  var tape: String {
    if case .tape(let folder) = source { folder } else { folder + "/tape" }
  }

  /// The services with what they need: an embedded venue, and no harvester where a tape is given.
  public var plan: [ServiceName] {
    var plan = ServiceName.allCases.filter { services.contains($0) && $0 != .venue }
    switch source {
    case .embedded: if plan.contains(.harvest) { plan.insert(.venue, at: 0) }
    case .venue, .stream: break
    case .tape: plan.removeAll { $0 == .harvest }
    }
    return plan
  }

  /// A service's command line. Its name follows the program's, so that an operator finds it.
  ///
  /// - Parameters:
  ///   - venuePort: of the embedded venue, 0 at its first start.
  ///   - venueAddress: where the harvester finds its venue.
  func arguments(_ service: ServiceName, venueAddress: String) -> [String] {
    let common = ["--supervised", "--metrics-port", "0", "--config", paths.configuration, "--quiet"]
    switch service {
    case .venue:
      guard case .embedded(let seed, let rate) = source else { return [] }
      return [
        "weir", "venue", "serve", "--port", "0", "--seed", "\(seed)", "--symbols",
        symbols.joined(separator: ","), "--truth", folder + "/venue_truth.json", "--supervised",
      ] + (rate.map { ["--rate", "\($0)"] } ?? []) + (faults.map { ["--faults", $0] } ?? [])
    case .harvest:
      if case .stream(let name) = source {
        return ["weir", "redis", "receive", "--stream", name, "--group", "run", "--out", tape] + common
      }
      return [
        "weir", "harvest", "--venue", venueAddress, "--symbols", symbols.joined(separator: ","), "--out",
        tape,
      ] + common
    case .signal: return ["weir", "signal", tape, "--out", folder, "--sink", sink.rawValue] + common
    case .convert: return ["weir", "convert", tape, "--out", folder + "/parquet", "--follow"] + common
    case .clickhouse:
      return ["weir", "clickhouse", "load", tape, "--state", folder + "/clickhouse", "--follow"] + common
    case .publish:
      let stream = configuration.redis.stream
      return ["weir", "redis", "publish", tape, "--stream", stream] + common
    case .cache: return ["weir", "redis", "cache", folder, "--sink", sink.rawValue] + common
    case .broker, .report:
      return ["weir", service.rawValue, "--run", folder, "--sink", sink.rawValue] + common
    }
  }

  /// What a service's environment holds: ours, without what the configuration file already says.
  var serviceEnvironment: [String: String] {
    let aliases = WeirConfiguration.environmentAliases.map(\.variable)
    return environment.filter { !$0.key.hasPrefix("WEIR__") && !aliases.contains($0.key) }
  }
}
