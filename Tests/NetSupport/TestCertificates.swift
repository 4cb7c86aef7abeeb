import CTLS
import Glibc

/// An authority made for one test, and the certificates it signs, as PEM files in a folder of their own, which
/// goes away with this object.
public final class TestCertificates {
  public let folder: String
  /// The authority's certificate: what a client must trust.
  public var authority: String { folder + "/authority.pem" }

  private let authorityKey: OpaquePointer
  private let authorityCertificate: OpaquePointer
  private var serial = 1

  public struct Pair {
    public let certificate: String
    public let key: String
  }

  public init() {
    var template = Array("/tmp/weir-certificates-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { fatalError("cannot make a folder in /tmp") }
    folder = String(cString: made)
    authorityKey = TestCertificates.makeKey()
    authorityCertificate = TestCertificates.makeCertificate(
      key: authorityKey, name: "Weir test authority", serial: 1, seconds: -3600...86_400,
      extensions: [(NID_basic_constraints, "critical,CA:TRUE"), (NID_key_usage, "critical,keyCertSign")],
      signer: nil)
    TestCertificates.write(authority) { PEM_write_bio_X509($0, authorityCertificate) }
  }

  deinit {
    X509_free(authorityCertificate)
    EVP_PKEY_free(authorityKey)
    if let directory = opendir(folder) {
      while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        unlink(folder + "/" + name)
      }
      closedir(directory)
    }
    rmdir(folder)
  }

  /// A server's certificate with its key.
  ///
  /// - Parameters:
  ///   - names: as OpenSSL writes alternative names.
  ///   - seconds: its validity, from now.
  public func pair(
    names: String = "DNS:localhost,IP:127.0.0.1", seconds: ClosedRange<Int> = -3600...86_400
  ) -> Pair {
    serial += 1
    let key = TestCertificates.makeKey()
    defer { EVP_PKEY_free(key) }
    let certificate = TestCertificates.makeCertificate(
      key: key, name: "Weir test server", serial: serial, seconds: seconds,
      extensions: [(NID_subject_alt_name, names), (NID_basic_constraints, "critical,CA:FALSE")],
      signer: (authorityCertificate, authorityKey))
    defer { X509_free(certificate) }
    let pair = Pair(certificate: "\(folder)/\(serial).pem", key: "\(folder)/\(serial).key")
    TestCertificates.write(pair.certificate) { PEM_write_bio_X509($0, certificate) }
    TestCertificates.write(pair.key) { PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) }
    return pair
  }

  private static func makeKey() -> OpaquePointer {
    let context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nil)
    defer { EVP_PKEY_CTX_free(context) }
    var key: OpaquePointer?
    check(EVP_PKEY_keygen_init(context) == 1)
    check(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1)
    check(EVP_PKEY_keygen(context, &key) == 1)
    return key!
  }

  private static func makeCertificate(
    key: OpaquePointer, name: String, serial: Int, seconds: ClosedRange<Int>,
    extensions: [(Int32, String)], signer: (certificate: OpaquePointer, key: OpaquePointer)?
  ) -> OpaquePointer {
    let certificate = X509_new()!
    check(X509_set_version(certificate, 2) == 1)
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial)
    X509_gmtime_adj(X509_getm_notBefore(certificate), seconds.lowerBound)
    X509_gmtime_adj(X509_getm_notAfter(certificate), seconds.upperBound)
    check(X509_set_pubkey(certificate, key) == 1)
    let subject = X509_get_subject_name(certificate)
    check(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, name, -1, -1, 0) == 1)
    let issuer = signer.map { X509_get_subject_name($0.certificate) } ?? subject
    check(X509_set_issuer_name(certificate, issuer) == 1)
    for (kind, value) in extensions {
      guard let made = X509V3_EXT_conf_nid(nil, nil, kind, value) else {
        fatalError("bad extension \(value)")
      }
      check(X509_add_ext(certificate, made, -1) == 1)
      X509_EXTENSION_free(made)
    }
    check(X509_sign(certificate, signer?.key ?? key, EVP_sha256()) > 0)
    return certificate
  }

  private static func write(_ path: String, _ body: (OpaquePointer) -> Int32) {
    guard let file = BIO_new_file(path, "w") else { fatalError("cannot write \(path)") }
    check(body(file) == 1)
    BIO_free(file)
  }

  private static func check(_ isTrue: Bool) {
    if !isTrue { fatalError("OpenSSL cannot make a certificate") }
  }
}
