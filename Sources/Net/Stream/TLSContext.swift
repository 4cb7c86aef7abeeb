import CTLS
import Core
import Glibc

/// Keys, certificates and trust for TLS connections; TLS 1.2 or later.
///
/// A client verifies the peer's chain and that the certificate is for the host (or address) it connects to;
/// there is no way to turn that off. For a private authority, name its file.
public final class TLSContext {
  let context: OpaquePointer
  let isServer: Bool

  /// - Parameters:
  ///   - certificate: PEM file with the certificate and its chain.
  ///   - key: PEM file with the private key.
  /// - Throws: ``NetError/certificate(_:_:)`` when a file cannot be read or the two don't belong together.
  public init(certificate: String, key: String) throws(NetError) {
    isServer = true
    context = SSL_CTX_new(TLS_server_method())
    weir_tls_modes(context)
    ERR_clear_error()
    guard SSL_CTX_use_certificate_chain_file(context, certificate) == 1 else {
      throw .certificate(certificate, TLSContext.fileReason(certificate))
    }
    guard SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1 else {
      throw .certificate(key, TLSContext.fileReason(key))
    }
    guard SSL_CTX_check_private_key(context) == 1 else {
      throw .certificate(key, "it is not the key of \(certificate)")
    }
  }

  /// - Parameter authorities: PEM file of trusted authorities; nil for the system's.
  public init(trusting authorities: String? = nil) throws(NetError) {
    isServer = false
    context = SSL_CTX_new(TLS_client_method())
    weir_tls_modes(context)
    ERR_clear_error()
    if let authorities {
      guard SSL_CTX_load_verify_locations(context, authorities, nil) == 1 else {
        throw .certificate(authorities, TLSContext.fileReason(authorities))
      }
    } else {
      SSL_CTX_set_default_verify_paths(context)
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
  }

  deinit { SSL_CTX_free(context) }

  /// A session over a connected socket. `host` is what the certificate must be for.
  func makeSession(descriptor: Int32, host: String) -> OpaquePointer {
    guard let session = SSL_new(context) else { preconditionFailure("out of memory") }
    SSL_set_fd(session, descriptor)
    if isServer {
      SSL_set_accept_state(session)
      return session
    }
    SSL_set_connect_state(session)
    if SocketAddress(numeric: host, port: 0) != nil {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host)
    } else {
      _ = weir_tls_server_name(session, host)
      SSL_set1_host(session, host)
    }
    return session
  }

  private static func fileReason(_ path: String) -> String {
    if access(path, R_OK) != 0 { return String(cString: strerror(errno)) }
    return NetError.tlsReason() + "; it must be a PEM file"
  }

  /// Why a handshake failed, in words.
  static func failure(_ session: OpaquePointer) -> String {
    let verdict = SSL_get_verify_result(session)
    guard verdict != Int(X509_V_OK) else { return NetError.tlsReason() }
    ERR_clear_error()
    return "the certificate was refused: " + String(cString: X509_verify_cert_error_string(verdict))
  }
}
