import Configuration
import Services
import Testing

@Suite("Export configuration")
struct ExportConfigTests {
  private func load(_ overrides: [(key: String, value: String)]) throws -> LoadedConfig<WeirConfiguration> {
    try ConfigLoader(WeirConfiguration.schema).load(file: nil, environment: [:], overrides: overrides)
  }

  @Test(arguments: [
    ("export.type", "graphite", "none, prometheus, influxdb"),
    ("export.url", "localhost:9091", "must begin with http:// or https://"),
    ("export.url", "http://me:hush@localhost:9091", "must not hold credentials"),
    ("export.url", "http://:9091", "names no host"), ("export.url", "http://h:99999", "names no port"),
    ("export.url", "http://h/write?u=me&p=hush", "must end with its path"),
    ("export.url", "http://h/#x", "must not hold a #"), ("export.influx_version", "3", "1 to 2"),
    ("export.backoff_ms_max", "1", "at least export.backoff_ms_min"),
    ("alerts.webhook_url", "ftp://h", "must begin with http:// or https://"),
    ("alerts.webhook_url", "https://me:hush@h/", "WEIR_ALERT_TOKEN"),
  ])
  func refused(_ key: String, _ value: String, _ message: String) {
    let error = #expect(throws: ConfigError.self) { try load([(key, value)]) }
    #expect("\(error!)".contains(key) && "\(error!)".contains(message))
    #expect(!"\(error!)".contains("hush"))
  }

  @Test func goodAddresses() throws {
    for url in ["http://localhost:9091", "https://ts.example/prefix/", "http://[::1]:9091", "http://[::1]"] {
      #expect(try load([("export.url", url)]).value.export.url == url)
    }
    let webhook = try load([("alerts.webhook_url", "https://chat.example/services/hush?x=1")])
    #expect(webhook.value.alertDelivery.webhookURL == "https://chat.example/services/hush?x=1")
    #expect(!webhook.render().contains("hush") && !webhook.json.text().contains("hush"))
  }

  private func applied(
    _ overrides: [(key: String, value: String)], _ environment: [String: String]
  ) throws -> ExportSettings {
    let loaded = try load(overrides)
    var value = loaded.value
    try value.applyTimeSeriesEnvironment(environment) { loaded.origin(of: $0) == .commandLine }
    return value.export
  }

  @Test func environmentNames() throws {
    let environment = ["TIMESERIES_TYPE": "prometheus", "TIMESERIES_URL": "http://gateway:9091"]
    let export = try applied([], environment)
    #expect(export.type == .prometheus && export.url == "http://gateway:9091")
    #expect(try applied([("export.type", "none")], environment).type == .none)
    #expect(try applied([("export.url", "http://other")], environment).url == "http://other")
    #expect(try applied([], [:]).type == .none)
  }

  @Test(arguments: [
    (["TIMESERIES_TYPE": "graphite"], "TIMESERIES_TYPE: found \"graphite\""),
    (["TIMESERIES_TYPE": "prometheus"], "export.url: is needed"),
    (["TIMESERIES_URL": "http://me:hush@h"], "TIMESERIES_URL: must not hold credentials"),
    (["TIMESERIES_TYPE": "influxdb", "TIMESERIES_URL": "http://h"], "export.bucket: is needed"),
  ])
  func environmentIsChecked(_ environment: [String: String], _ message: String) {
    let error = #expect(throws: ConfigError.self) { try applied([], environment) }
    #expect("\(error!)".contains(message))
    #expect(!"\(error!)".contains("hush"))
  }
}
