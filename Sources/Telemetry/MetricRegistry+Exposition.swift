import Core

extension MetricRegistry {
  /// Appends all metrics in Prometheus' text format 0.0.4: families in order of first registration, each with
  /// one `HELP` and one `TYPE` line, series in order of first request.
  ///
  /// - Complexity: O(series × buckets)
  public func write(into writer: inout ByteWriter) {
    collect()
    for family in families {
      writer.append("# HELP ")
      writer.append(family.name)
      writer.append(byte: 0x20)
      writer.append(escaped: family.help, quotes: false)
      writer.append("\n# TYPE ")
      writer.append(family.name)
      writer.append(byte: 0x20)
      writer.append(family.type.rawValue)
      writer.append(byte: 0x0A)
      for series in family.series {
        switch series.instrument {
        case .counter(let counter): line(family.name, series, counter.value, &writer)
        case .gauge(let gauge): line(family.name, series, gauge.value, &writer)
        case .histogram(let histogram): lines(family.name, series, histogram, &writer)
        }
      }
    }
  }

  /// All values, in the order and with the names of ``write(into:)``.
  public func samples() -> [MetricSample] {
    collect()
    var samples: [MetricSample] = []
    for family in families {
      let name = family.name
      for series in family.series {
        switch series.instrument {
        case .counter(let counter): samples.append(MetricSample(name, series.labels, counter.value))
        case .gauge(let gauge): samples.append(MetricSample(name, series.labels, gauge.value))
        case .histogram(let histogram):
          for bucket in histogram.cumulativeBuckets {
            let label = MetricSample.Label("le", text(bucket.upperBound))
            samples.append(MetricSample(name + "_bucket", series.labels + [label], Double(bucket.count)))
          }
          samples.append(MetricSample(name + "_sum", series.labels, histogram.sum))
          samples.append(MetricSample(name + "_count", series.labels, Double(histogram.count)))
        }
      }
    }
    return samples
  }

  private func text(_ value: Double) -> String {
    var writer = ByteWriter(capacity: 64)
    writer.append(metricValue: value)
    return writer.string()
  }

  private func line(_ name: String, _ series: Series, _ value: Double, _ writer: inout ByteWriter) {
    writer.append(name)
    if !series.labelText.isEmpty {
      writer.append(byte: 0x7B)
      writer.append(series.labelText)
      writer.append(byte: 0x7D)
    }
    writer.append(byte: 0x20)
    writer.append(metricValue: value)
    writer.append(byte: 0x0A)
  }

  private func lines(
    _ name: String, _ series: Series, _ histogram: Histogram, _ writer: inout ByteWriter
  ) {
    for bucket in histogram.cumulativeBuckets {
      writer.append(name)
      writer.append("_bucket{")
      if !series.labelText.isEmpty {
        writer.append(series.labelText)
        writer.append(byte: 0x2C)
      }
      writer.append("le=\"")
      writer.append(metricValue: bucket.upperBound)
      writer.append("\"} ")
      writer.append(integer: Int64(bucket.count))
      writer.append(byte: 0x0A)
    }
    line(name + "_sum", series, histogram.sum, &writer)
    line(name + "_count", series, Double(histogram.count), &writer)
  }

  static func labelText(_ labels: [MetricSample.Label]) -> String {
    var writer = ByteWriter(capacity: 128)
    for (index, label) in labels.enumerated() {
      if index > 0 { writer.append(byte: 0x2C) }
      writer.append(label.name)
      writer.append("=\"")
      writer.append(escaped: label.value, quotes: true)
      writer.append(byte: 0x22)
    }
    return writer.string()
  }
}
