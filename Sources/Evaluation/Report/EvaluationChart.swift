import Chart
import Core

/// The report's pictures: values by category, each with its interval, on one axis a panel.
///
/// Stand-alone SVG 1.1 without scripts or external references; colours follow the reader's light or dark
/// setting.
struct EvaluationChart {
  struct Panel {
    var title: String
    var labels: [String]
    /// By label; nil leaves a gap.
    var values: [Estimate?]
    /// Drawn as a line of its own, and always on the axis.
    var reference: Double
    var isBars = false
    /// What the labels count.
    var caption: String
  }

  static let width = 760.0
  static let left = 76.0
  static let right = 20.0
  static let panelHeight = 190.0
  static let panelGap = 74.0
  static let top = 84.0

  var title: String
  var panels: [Panel]

  private var plotWidth: Double { EvaluationChart.width - EvaluationChart.left - EvaluationChart.right }

  func svg() -> String {
    let step = EvaluationChart.panelHeight + EvaluationChart.panelGap
    let height = EvaluationChart.top + Double(panels.count) * step
    var svg = SVGWriter()
    svg.raw("<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 ")
    svg.point(EvaluationChart.width, height)
    svg.raw("\"")
    svg.attribute("width", EvaluationChart.width)
    svg.attribute("height", height)
    svg.raw(">\n<title>")
    svg.escaped(title)
    svg.raw("</title>\n")
    svg.raw(EvaluationChart.style)
    svg.raw("<rect class=\"bg\" width=\"100%\" height=\"100%\"/>\n")
    svg.text(EvaluationChart.left, 32, class: "title", title)
    for (number, panel) in panels.enumerated() {
      draw(panel, EvaluationChart.top + Double(number) * step, &svg)
    }
    svg.raw("</svg>\n")
    return svg.finish()
  }

  private func draw(_ panel: Panel, _ top: Double, _ svg: inout SVGWriter) {
    let height = EvaluationChart.panelHeight
    let right = EvaluationChart.width - EvaluationChart.right
    svg.text(EvaluationChart.left, top - 12, class: "panel", panel.title)
    var low = panel.reference
    var high = panel.reference
    for case let value? in panel.values where value.value.isFinite {
      low = min(low, value.value, value.interval?.lowerBound ?? low)
      high = max(high, value.value, value.interval?.upperBound ?? high)
    }
    let axis = ChartAxis(covering: low...high, ticksMax: 5, compact: true)
    for tick in axis.ticks {
      let y = axis.position(tick, top: top, height: height)
      svg.line(EvaluationChart.left, y, right, y, class: "grid")
      svg.text(EvaluationChart.left - 8, y + 4.5, class: "tick", anchor: "end", axis.label(tick))
    }
    let zero = axis.position(panel.reference, top: top, height: height)
    svg.line(EvaluationChart.left, zero, right, zero, class: "zero")
    let slot = plotWidth / Double(max(1, panel.labels.count))
    func x(_ place: Int) -> Double { EvaluationChart.left + (Double(place) + 0.5) * slot }
    func y(_ value: Double) -> Double { axis.position(value, top: top, height: height) }
    if panel.isBars {
      bars(panel, slot, zero, x, y, &svg)
    } else {
      curve(panel, x, y, &svg)
    }
    for (place, label) in panel.labels.enumerated() {
      svg.text(x(place), top + height + 19, class: "tick", anchor: "middle", label)
    }
    svg.text(
      EvaluationChart.left + plotWidth / 2, top + height + 39, class: "tick", anchor: "middle", panel.caption)
    if panel.values.allSatisfy({ $0 == nil }) {
      svg.text(
        EvaluationChart.left + plotWidth / 2, top + height / 2, class: "tick", anchor: "middle", "no values")
    }
  }

  private func bars(
    _ panel: Panel, _ slot: Double, _ zero: Double, _ x: (Int) -> Double, _ y: (Double) -> Double,
    _ svg: inout SVGWriter
  ) {
    for (place, value) in panel.values.enumerated() {
      guard let value, value.value.isFinite else { continue }
      svg.raw(value.value < panel.reference ? "<rect class=\"down\"" : "<rect class=\"up\"")
      svg.attribute("x", x(place) - slot * 0.3)
      svg.attribute("y", min(zero, y(value.value)))
      svg.attribute("width", slot * 0.6)
      svg.attribute("height", abs(zero - y(value.value)))
      svg.raw("/>\n")
    }
  }

  /// A band of intervals, a line and a dot a value; all break at gaps.
  private func curve(
    _ panel: Panel, _ x: (Int) -> Double, _ y: (Double) -> Double, _ svg: inout SVGWriter
  ) {
    func runs(_ isThere: (Estimate) -> Bool) -> [Range<Int>] {
      var runs: [Range<Int>] = []
      for (place, value) in panel.values.enumerated() {
        guard let value, value.value.isFinite, isThere(value) else { continue }
        if let last = runs.last, last.upperBound == place {
          runs[runs.count - 1] = last.lowerBound..<place + 1
        } else {
          runs.append(place..<place + 1)
        }
      }
      return runs
    }
    for run in runs({ $0.interval != nil }) {
      svg.raw("<path class=\"band\" d=\"M")
      for place in run {
        svg.point(x(place), y(panel.values[place]!.interval!.upperBound))
        svg.raw("L")
      }
      for (step, place) in run.reversed().enumerated() {
        if step > 0 { svg.raw("L") }
        svg.point(x(place), y(panel.values[place]!.interval!.lowerBound))
      }
      svg.raw("Z\"/>\n")
      for place in run {
        let interval = panel.values[place]!.interval!
        svg.line(x(place), y(interval.lowerBound), x(place), y(interval.upperBound), class: "whisker")
      }
    }
    for run in runs({ _ in true }) {
      svg.raw("<path class=\"line\" d=\"")
      for place in run {
        if place == run.lowerBound { svg.raw("M") } else { svg.raw("L") }
        svg.point(x(place), y(panel.values[place]!.value))
      }
      svg.raw("\"/>\n")
      for place in run {
        svg.raw("<circle class=\"dot\" r=\"3.2\"")
        svg.attribute("cx", x(place))
        svg.attribute("cy", y(panel.values[place]!.value))
        svg.raw("/>\n")
      }
    }
  }

  private static let style: StaticString = """
    <style>
    text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-size:13px}
    .bg{fill:#ffffff}.title{font-size:18px;font-weight:600;fill:#1f2328}.panel{font-weight:600;fill:#1f2328}
    .tick{fill:#59636e}.grid{stroke:#e4e8ec}.zero{stroke:#59636e;stroke-dasharray:5 4}
    .line{fill:none;stroke:#1f5fbf;stroke-width:1.6}.dot{fill:#1f5fbf}.band{fill:#1f5fbf;fill-opacity:.14}
    .whisker{stroke:#1f5fbf;stroke-opacity:.45}.up{fill:#12783d}.down{fill:#c0262d}
    @media (prefers-color-scheme:dark){
    .bg{fill:#0d1117}.title,.panel{fill:#e6edf3}.tick{fill:#9aa4af}.grid{stroke:#232a33}.zero{stroke:#9aa4af}
    .line{stroke:#79b8ff}.dot,.band{fill:#79b8ff}.whisker{stroke:#79b8ff}.up{fill:#3fb950}.down{fill:#ff7b72}
    }
    </style>

    """
}

extension EvaluationReport {
  /// Pictures of a symbol: by file name, the document.
  public func charts(_ symbol: SymbolEvaluation) -> [(name: String, svg: String)] {
    let curve = symbol.curves[options.prices] ?? []
    let horizons = curve.map { String($0.horizonSeconds) }
    let asked = options.horizonsSeconds.compactMap { symbol.cell($0, options.prices) }
    let name = EvaluationReport.fileName(symbol.symbol)
    let decay = EvaluationChart(
      title: "\(symbol.symbol): decay of the score, 95 % intervals",
      panels: [
        .init(
          title: "AUC against the sign of the \(options.prices.rawValue) return", labels: horizons,
          values: curve.map(\.auc), reference: 0.5, caption: "horizon, seconds"),
        .init(
          title: "IC (rank correlation)", labels: horizons, values: curve.map(\.ic), reference: 0,
          caption: "horizon, seconds"),
      ])
    let quantiles = EvaluationChart(
      title: "\(symbol.symbol): mean return by quantile of the score",
      panels: asked.map { cell in
        .init(
          title: "after \(cell.horizonSeconds) s, basis points",
          labels: cell.quantiles.indices.map { String($0 + 1) },
          values: cell.quantiles.map { Estimate($0.returnMeanBps) }, reference: 0, isBars: true,
          caption: "quantile, 1 = lowest scores")
      })
    let thresholds = EvaluationChart(
      title: "\(symbol.symbol): what remains net of cost as weak scores are left out",
      panels: asked.map { cell in
        .init(
          title: "mean net after \(cell.horizonSeconds) s, basis points, 95 % intervals",
          labels: cell.thresholds.map { "≥ \(decimal($0.scoreMin, 2))" },
          values: cell.thresholds.map(\.netMeanBps), reference: 0, caption: "|score|")
      })
    return [
      ("decay_\(name).svg", decay.svg()), ("quantiles_\(name).svg", quantiles.svg()),
      ("thresholds_\(name).svg", thresholds.svg()),
    ]
  }

  /// A symbol's name comes from outside: other than letters and digits become `~` and hexadecimal digits.
  static func fileName(_ symbol: String) -> String {
    var writer = ByteWriter(capacity: 64)
    for byte in symbol.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F: writer.append(byte: byte)
      default:
        writer.append(byte: 0x7E)
        writer.append(hex: UInt64(byte), digits: 2)
      }
    }
    return writer.string()
  }
}
