import Core
import Tables

/// Where rows lie below a folder of Parquet files: `kind=K/date=D/symbol=S/hour=HH.parquet`.
public enum ParquetLayout {
  /// Where Hive's readers expect rows whose partition has no value.
  public static let noSymbol = "__HIVE_DEFAULT_PARTITION__"
  /// Where files are until they are whole.
  public static let staging = "_staging"

  public static func folder(_ kind: TableKind, day: String, symbol: String?) -> String {
    "kind=\(kind.name)/date=\(day)/symbol=\(symbol.map(encode) ?? noSymbol)"
  }

  public static func hourFile(_ hour: String) -> String { "hour=\(hour).parquet" }

  /// Percent-encoded but for letters, digits, `_` and `-`.
  public static func encode(_ symbol: String) -> String {
    var writer = ByteWriter(capacity: 64)
    for byte in symbol.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F, 0x2D: writer.append(byte: byte)
      default:
        writer.append(byte: 0x25)
        let digits = String(byte, radix: 16, uppercase: true)
        writer.append(digits.utf8.count == 1 ? "0" + digits : digits)
      }
    }
    return writer.string()
  }
}
