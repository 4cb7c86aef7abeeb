import Chart
import Core

/// One symbol's day as a picture: price with its confirmed signals, OFI, CVD and score on one time axis.
///
/// A stand-alone SVG 1.1 document without scripts or external references; its colours follow the reader's
/// light or dark setting. Its size is bounded by ``ChartSeries/cellsMax``: below 150 KB.
struct SymbolChart {
  struct Panel {
    var quantity: ChartSeries.Quantity
    var title: String
    var height: Double
    var ticksMax: Int
    var lineClass: StaticString
    /// Values that have to be on the axis.
    var anchors: [Double] = []
    var thresholds: [Double] = []
  }

  static let width = 960.0
  static let left = 84.0
  static let right = 24.0
  static let top = 104.0
  static let panelGap = 44.0
  static let bottom = 52.0
  /// Two marks of one direction are at least this far apart.
  static let markDistanceMin = 15.0

  let symbolName: String
  let dayText: String
  let first: UnixNanos
  let last: UnixNanos
  let day: SymbolDay
  let series: ChartSeries
  let thresholds: [Double]

  private var panels: [Panel] {
    let lines = thresholds.map { JSONValue.rounded($0, 2).text ?? "" }.joined(separator: ", ±")
    let note = thresholds.isEmpty ? "" : " (dashed: thresholds ±\(lines))"
    return [
      Panel(
        quantity: .price, title: "Mid price and confirmed signals (the strongest where they crowd)",
        height: 270,
        ticksMax: 7, lineClass: "price"),
      Panel(
        quantity: .ofi, title: "Order-flow imbalance over the window, base asset", height: 140, ticksMax: 5,
        lineClass: "ofi", anchors: [0]),
      Panel(
        quantity: .cvd, title: "Cumulative volume delta, base asset", height: 140, ticksMax: 5,
        lineClass: "cvd"),
      Panel(
        quantity: .score, title: "Score, standard deviations" + note, height: 160, ticksMax: 5,
        lineClass: "score", anchors: [0] + thresholds + thresholds.map { -$0 }, thresholds: thresholds),
    ]
  }

  private var start: Int64 { (series.cells.first?.index ?? 0) * series.stepNs }
  private var end: Int64 { ((series.cells.last?.index ?? 0) + 1) * series.stepNs }
  private var plotWidth: Double { SymbolChart.width - SymbolChart.left - SymbolChart.right }

  /// The document.
  func svg() -> String {
    let panels = panels
    let height =
      SymbolChart.top + panels.reduce(0) { $0 + $1.height } + SymbolChart.panelGap * Double(panels.count - 1)
      + SymbolChart.bottom
    let time = TimeAxis(start: start, end: end, ticksMax: 9)
    var svg = SVGWriter()
    svg.raw("<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 ")
    svg.point(SymbolChart.width, height)
    svg.raw("\"")
    svg.attribute("width", SymbolChart.width)
    svg.attribute("height", height)
    svg.raw(">\n<title>")
    svg.escaped("\(symbolName), \(dayText): price, order flow and signals")
    svg.raw("</title>\n")
    svg.markup(SymbolChart.style)
    svg.raw("<rect class=\"bg\" width=\"100%\" height=\"100%\"/>\n")
    heading(&svg)
    var top = SymbolChart.top
    for panel in panels {
      draw(panel, top, time, &svg)
      top += panel.height + SymbolChart.panelGap
    }
    timeLabels(top - SymbolChart.panelGap, time, &svg)
    svg.raw("</svg>\n")
    return svg.finish()
  }

  private func heading(_ svg: inout SVGWriter) {
    svg.text(SymbolChart.left, 32, class: "title", "\(symbolName) · \(dayText)")
    let counts = day.counts
    svg.text(
      SymbolChart.left, 56, class: "muted",
      "\(UTCDate(first).timeText) – \(UTCDate(last).timeText) UTC · \(grouped(counts.rows)) rows · "
        + "\(grouped(counts.confirmed)) confirmed · \(grouped(counts.strong)) strong")
    let right = SymbolChart.width - SymbolChart.right
    let entries: [(label: String, isBuy: Bool, isStrong: Bool)] = [
      ("buy", true, false), ("strong buy", true, true), ("sell", false, false), ("strong sell", false, true),
    ]
    var x = right - 319
    for entry in entries {
      svg.raw(entry.isBuy ? "<path class=\"buy\" d=\"" : "<path class=\"sell\" d=\"")
      triangle(x, 27, isBuy: entry.isBuy, isStrong: entry.isStrong, &svg)
      svg.raw("\"/>\n")
      svg.text(x + 12, 32, class: "muted", entry.label)
      x += entry.isStrong ? 108 : 66
    }
  }

  private func range(_ panel: Panel) -> ClosedRange<Double>? {
    var low = Double.infinity
    var high = -Double.infinity
    for cell in series.cells where !cell.low[panel.quantity.rawValue].isNaN {
      low = min(low, cell.low[panel.quantity.rawValue])
      high = max(high, cell.high[panel.quantity.rawValue])
    }
    for anchor in panel.anchors {
      low = min(low, anchor)
      high = max(high, anchor)
    }
    return low <= high && low.isFinite && high.isFinite ? low...high : nil
  }

  private func draw(_ panel: Panel, _ top: Double, _ time: TimeAxis, _ svg: inout SVGWriter) {
    let right = SymbolChart.width - SymbolChart.right
    svg.text(SymbolChart.left, top - 12, class: "panel", panel.title)
    for tick in time.ticks {
      let x = time.position(Double(tick), left: SymbolChart.left, width: plotWidth)
      svg.line(x, top, x, top + panel.height, class: "grid")
    }
    guard let range = range(panel) else {
      frame(top, panel.height, &svg)
      svg.text(
        SymbolChart.left + plotWidth / 2, top + panel.height / 2, class: "muted", anchor: "middle",
        "no values")
      return
    }
    let axis = ChartAxis(covering: range, ticksMax: panel.ticksMax, compact: panel.quantity != .price)
    for tick in axis.ticks {
      let y = axis.position(tick, top: top, height: panel.height)
      if tick == 0 {
        svg.line(SymbolChart.left, y, right, y, class: "zero")
      } else {
        svg.line(SymbolChart.left, y, right, y, class: "grid")
      }
      svg.text(SymbolChart.left - 8, y + 4.5, class: "tick", anchor: "end", axis.label(tick))
    }
    frame(top, panel.height, &svg)
    line(panel, axis, top, time, &svg)
    for threshold in panel.thresholds {
      for value in [threshold, -threshold] {
        let y = axis.position(value, top: top, height: panel.height)
        svg.line(SymbolChart.left, y, right, y, class: "limit")
      }
    }
    if panel.quantity == .price { marks(axis, top, panel.height, time, &svg) }
  }

  private func frame(_ top: Double, _ height: Double, _ svg: inout SVGWriter) {
    svg.raw("<rect class=\"frame\"")
    svg.attribute("x", SymbolChart.left)
    svg.attribute("y", top)
    svg.attribute("width", plotWidth)
    svg.attribute("height", height)
    svg.raw("/>\n")
  }

  /// A cell gives its two extremes in the order they came; the line breaks where rows are missing.
  private func line(
    _ panel: Panel, _ axis: ChartAxis, _ top: Double, _ time: TimeAxis, _ svg: inout SVGWriter
  ) {
    let lane = panel.quantity.rawValue
    let holeCells = max(3, 5 * Nanoseconds.second / series.stepNs)
    var previous: Int64?
    svg.raw("<path class=\"line ")
    svg.markup("\(panel.lineClass)")
    // Coarse cells give a band of extremes; thin strokes keep its density visible.
    let isBand =
      series.stepNs > 2 * Nanoseconds.second && (panel.quantity == .ofi || panel.quantity == .score)
    if isBand { svg.raw(" dense") }
    svg.raw("\" d=\"")
    for cell in series.cells where !cell.low[lane].isNaN {
      func put(_ value: Double, _ share: Double, _ command: StaticString) {
        svg.raw(command)
        let x = time.position(
          (Double(cell.index) + share) * Double(series.stepNs), left: SymbolChart.left, width: plotWidth)
        svg.point(x, axis.position(value, top: top, height: panel.height))
      }
      let joins = previous.map { cell.index - $0 <= holeCells } ?? false
      if cell.low[lane] == cell.high[lane] {
        put(cell.low[lane], 0.5, joins ? "L" : "M")
        // A lone point is a line of no length, which a round cap makes visible.
        if !joins { put(cell.low[lane], 0.5, "L") }
      } else {
        let isLowFirst = cell.lowFirst[lane] == 1
        put(isLowFirst ? cell.low[lane] : cell.high[lane], 0.25, joins ? "L" : "M")
        put(isLowFirst ? cell.high[lane] : cell.low[lane], 0.75, "L")
      }
      previous = cell.index
    }
    svg.raw("\"/>\n")
  }

  private func marks(
    _ axis: ChartAxis, _ top: Double, _ height: Double, _ time: TimeAxis, _ svg: inout SVGWriter
  ) {
    for isBuy in [true, false] {
      // From left to right; of two marks that would touch, the stronger stays.
      var kept: [(mark: ChartSeries.Mark, x: Double)] = []
      for cell in series.cells {
        guard let mark = isBuy ? cell.buy : cell.sell else { continue }
        let x = time.position(
          (Double(cell.index) + 0.5) * Double(series.stepNs), left: SymbolChart.left, width: plotWidth)
        var isWeaker = false
        while let last = kept.last, x - last.x < SymbolChart.markDistanceMin, !isWeaker {
          if abs(last.mark.score) >= abs(mark.score) { isWeaker = true } else { kept.removeLast() }
        }
        if !isWeaker { kept.append((mark, x)) }
      }
      svg.raw(isBuy ? "<path class=\"buy\" d=\"" : "<path class=\"sell\" d=\"")
      for held in kept {
        let price = axis.position(held.mark.price, top: top, height: height)
        let y = isBuy ? min(price + 13, top + height - 9) : max(price - 13, top + 9)
        triangle(held.x, y, isBuy: isBuy, isStrong: held.mark.isStrong, &svg)
      }
      svg.raw("\"/>\n")
    }
  }

  /// Around a centre; ▲ for buys, ▼ for sells, larger when strong.
  private func triangle(
    _ x: Double, _ y: Double, isBuy: Bool, isStrong: Bool, _ svg: inout SVGWriter
  ) {
    let half = isStrong ? 7.0 : 4.5
    let tip = isBuy ? -half : half
    svg.raw("M")
    svg.point(x, y + tip)
    svg.raw("L")
    svg.point(x + half, y - tip)
    svg.raw("L")
    svg.point(x - half, y - tip)
    svg.raw("Z")
  }

  private func timeLabels(_ y: Double, _ time: TimeAxis, _ svg: inout SVGWriter) {
    for tick in time.ticks {
      let x = time.position(Double(tick), left: SymbolChart.left, width: plotWidth)
      svg.text(x, y + 20, class: "tick", anchor: "middle", time.label(tick))
    }
    svg.text(SymbolChart.left + plotWidth / 2, y + 42, class: "muted", anchor: "middle", "time (UTC)")
  }

  private static let style = """
    <style>
    text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-size:13px}
    .bg{fill:#ffffff}.title{font-size:19px;font-weight:600;fill:#1f2328}.panel{font-weight:600;fill:#1f2328}
    .muted,.tick{fill:#59636e}.grid{stroke:#e4e8ec}.zero{stroke:#a8b1bb}.frame{fill:none;stroke:#a8b1bb}
    .limit{stroke:#1f2328;stroke-opacity:.75;stroke-dasharray:5 4}
    .line{fill:none;stroke-width:1.4;stroke-linejoin:round;stroke-linecap:round}
    .dense{stroke-width:.7}
    .price{stroke:#1f5fbf}.ofi{stroke:#7a3fc4}.cvd{stroke:#0b7268}.score{stroke:#c2660c}
    .buy{fill:#12783d;stroke:#ffffff}.sell{fill:#c0262d;stroke:#ffffff}
    @media (prefers-color-scheme:dark){
    .bg{fill:#0d1117}.title,.panel{fill:#e6edf3}.muted,.tick{fill:#9aa4af}.grid{stroke:#232a33}
    .zero,.frame{stroke:#59636e}.limit{stroke:#e6edf3}
    .price{stroke:#79b8ff}.ofi{stroke:#c297ff}.cvd{stroke:#56d4c0}.score{stroke:#f2a65a}
    .buy{fill:#3fb950;stroke:#0d1117}.sell{fill:#ff7b72;stroke:#0d1117}
    }
    </style>

    """
}
