import Testing

@testable import CommandLineKit

@Suite("Text table")
struct TextTableTests {
  @Test func numbersGoRightAndNoLineEndsInSpaces() {
    var table = TextTable(["symbol", "rows", "share", "note"])
    table.add(["BTCUSDT", "1,234", "12 %", "ok"])
    table.add(["币安USDT", "-7", "–", ""])
    table.add(["X", "", "0.5 %", "late"])
    #expect(
      table.text() == """
        symbol     rows  share  note
        BTCUSDT   1,234   12 %  ok
        币安USDT     -7      –
        X                0.5 %  late

        """)
  }

  @Test func onlyTheHeaderIsStressed() {
    var table = TextTable(["a"])
    table.add(["b\u{1B}[31m"])
    #expect(table.text(TerminalStyle(isStyled: true)) == "\u{1B}[1ma\u{1B}[0m\nb\\u{1B}[31m\n")
  }

  @Test func textsWithDigitsStayLeft() {
    var table = TextTable(["day", "n"])
    table.add(["2024-07-18T00:00", "1"])
    table.add(["x", "2"])
    #expect(table.text() == "day               n\n2024-07-18T00:00  1\nx                 2\n")
  }
}
