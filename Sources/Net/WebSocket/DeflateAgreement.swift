/// What both sides have agreed on for permessage-deflate (RFC 7692, 7.1).
struct DeflateAgreement: Equatable {
  static let name = "permessage-deflate"

  var serverKeepsContext = true
  var clientKeepsContext = true
  var serverWindowBits = 15
  var clientWindowBits = 15

  // MARK: Client

  /// The client's offer.
  static func offer(_ options: WebSocketOptions) -> String {
    let bits = options.deflateWindowBits
    var text = name
    if !options.deflateKeepsContext { text += "; server_no_context_takeover; client_no_context_takeover" }
    if bits < 15 { text += "; server_max_window_bits=\(bits)" }
    return text + (bits < 15 ? "; client_max_window_bits=\(bits)" : "; client_max_window_bits")
  }

  /// The agreement in a server's answer; nil when that isn't one to ``offer(_:)``.
  init?(answer: WebSocketExtension, to options: WebSocketOptions) {
    guard let terms = Terms(answer) else { return nil }
    let bits = options.deflateWindowBits
    serverKeepsContext = !terms.serverDropsContext
    clientKeepsContext = !terms.clientDropsContext && options.deflateKeepsContext
    serverWindowBits = terms.serverWindowBits ?? 15
    clientWindowBits = min(bits, terms.clientWindowBits ?? 15)
    if terms.clientWindowIsOpen { return nil }
    if bits < 15, serverWindowBits > bits { return nil }
    if !options.deflateKeepsContext, serverKeepsContext { return nil }
  }

  // MARK: Server

  /// The server's view of one offer; nil to decline it.
  init?(offer: WebSocketExtension, options: WebSocketOptions) {
    guard let terms = Terms(offer) else { return nil }
    let bits = options.deflateWindowBits
    serverKeepsContext = !terms.serverDropsContext && options.deflateKeepsContext
    clientKeepsContext = !terms.clientDropsContext && options.deflateKeepsContext
    serverWindowBits = min(bits, terms.serverWindowBits ?? 15)
    // zlib has no raw deflate with a window of 256 bytes.
    guard serverWindowBits >= 9 else { return nil }
    // A client that doesn't say so cannot be told to use a smaller window.
    clientWindowBits = 15
    if terms.clientWindowIsOpen || terms.clientWindowBits != nil {
      clientWindowBits = min(bits, terms.clientWindowBits ?? 15)
    }
    answersServerWindow = terms.serverWindowBits != nil
  }

  private var answersServerWindow = false

  /// The server's answer.
  var answer: String {
    var text = DeflateAgreement.name
    if !serverKeepsContext { text += "; server_no_context_takeover" }
    if !clientKeepsContext { text += "; client_no_context_takeover" }
    if answersServerWindow || serverWindowBits < 15 { text += "; server_max_window_bits=\(serverWindowBits)" }
    if clientWindowBits < 15 { text += "; client_max_window_bits=\(clientWindowBits)" }
    return text
  }

  init() {}

  // MARK: Parameters

  /// The parameters as they stand, each at most once; nil for an unknown one or an impossible value.
  private struct Terms {
    var serverDropsContext = false
    var clientDropsContext = false
    var serverWindowBits: Int?
    var clientWindowBits: Int?
    /// `client_max_window_bits` without a value: any will do.
    var clientWindowIsOpen = false

    init?(_ element: WebSocketExtension) {
      guard element.name == DeflateAgreement.name else { return nil }
      var seen: Set<String> = []
      for parameter in element.parameters {
        guard seen.insert(parameter.name).inserted else { return nil }
        switch (parameter.name, parameter.value) {
        case ("server_no_context_takeover", nil): serverDropsContext = true
        case ("client_no_context_takeover", nil): clientDropsContext = true
        case ("client_max_window_bits", nil): clientWindowIsOpen = true
        case ("client_max_window_bits", let value?):
          guard let bits = Terms.windowBits(value) else { return nil }
          clientWindowBits = bits
        case ("server_max_window_bits", let value?):
          guard let bits = Terms.windowBits(value) else { return nil }
          serverWindowBits = bits
        default: return nil
        }
      }
    }

    private static func windowBits(_ text: String) -> Int? {
      let all = ["8", "9", "10", "11", "12", "13", "14", "15"]
      return all.firstIndex(of: text).map { $0 + 8 }
    }
  }
}
