import Core

/// What the supervisor is told. Names and bounds in the configuration file: section `run`.
public struct RunConfiguration: Equatable, Sendable {
  public var backoffMsMin = 100
  public var backoffMsMax = 8000
  /// Restarts of a service since it was last stable; beyond it is given up.
  public var restartsMax = 10
  /// A service that ran for so long is stable: its restarts count from nothing again.
  public var stableSeconds = 60
  /// Between two examinations of health.
  public var healthSeconds = 10
  /// A service that doesn't beat for so long hangs: it is killed and restarted.
  public var heartbeatTimeoutSeconds = 10
  /// From SIGTERM to SIGKILL.
  public var stopGraceSeconds = 20
  /// From the start to the ready line.
  public var readyTimeoutSeconds = 30
  /// All processes of the run together.
  public var rssMiBMax = 600
  public var openFilesMax = 256
  /// Age of the newest record a service has done, live, beyond which its data is stale.
  public var freshnessMsMax = 5000
  /// Port of the run's own `/metrics`; 0 for a free one.
  public var metricsPort = 0
  /// Between two readings of the services' metrics.
  public var scrapeSeconds = 5

  /// Whose market, where the command line names none: `embedded`, `live`, `testnet` or an address.
  public var venue = "embedded"
  public var symbols = ["BTCUSDT", "ETHUSDT"]
  /// The file of alert rules; empty for the one that comes with Weir.
  public var rules = ""
  public var logFormat = LogFormat.auto

  public enum LogFormat: String, CaseIterable, Sendable {
    /// For people on a terminal, JSON otherwise.
    case auto
    case json, human
  }

  public init() {}

  /// What single ranges cannot say: key and message.
  var issues: [(key: String, message: String)] {
    backoffMsMin <= backoffMsMax
      ? [] : [("backoff_ms_min", "must not exceed backoff_ms_max = \(backoffMsMax)")]
  }
}
