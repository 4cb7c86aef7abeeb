/// Values of ours as parts of a statement's text: where DuckDB takes no parameters (views, file names of a
/// `COPY`), a value is quoted, never spliced in as it is.
public enum SQLText {
  /// `'it''s'`
  public static func literal(_ text: String) -> String {
    "'" + text.replacing("'", with: "''") + "'"
  }

  /// `"a ""name"""`
  public static func identifier(_ name: String) -> String {
    "\"" + name.replacing("\"", with: "\"\"") + "\""
  }

  /// A list of literals: `['a', 'b']`
  public static func list(_ texts: [String]) -> String {
    "[" + texts.map(literal).joined(separator: ", ") + "]"
  }

  /// A path as a pattern that matches it alone. DuckDB has no pattern for a backslash: such a path is not found.
  public static func pattern(ofPath path: String) -> String {
    var result = ""
    for character in path {
      switch character {
      case "*", "?", "[": result += "[\(character)]"
      default: result.append(character)
      }
    }
    return result
  }
}
