import CTLS
import Core
import Glibc

/// An authority and a certificate of its for this machine, as PEM files in a folder.
struct HTTPTestCertificate {
  let authority: String
  let certificate: String
  let key: String

  init(in folder: TemporaryFolder, host: String = "127.0.0.1") {
    let authorityKey = HTTPTestCertificate.makeKey()
    let leafKey = HTTPTestCertificate.makeKey()
    defer {
      EVP_PKEY_free(authorityKey)
      EVP_PKEY_free(leafKey)
    }
    let root = HTTPTestCertificate.make(
      "Weir test authority", serial: 1, key: authorityKey, issuer: nil, signer: authorityKey,
      extensions: [(NID_basic_constraints, "critical,CA:TRUE"), (NID_key_usage, "keyCertSign")])
    let leaf = HTTPTestCertificate.make(
      host, serial: 2, key: leafKey, issuer: root, signer: authorityKey,
      extensions: [(NID_subject_alt_name, "IP:\(host)")])
    authority = folder.path + "/authority.pem"
    certificate = folder.path + "/certificate.pem"
    key = folder.path + "/key.pem"
    for (path, made) in [(authority, root), (certificate, leaf)] {
      let file = fopen(path, "w")
      PEM_write_X509(file, made)
      fclose(file)
      X509_free(made)
    }
    let file = fopen(key, "w")
    PEM_write_PrivateKey(file, leafKey, nil, nil, 0, nil, nil)
    fclose(file)
  }

  private static func makeKey() -> OpaquePointer {
    let context = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, nil)
    defer { EVP_PKEY_CTX_free(context) }
    var key: OpaquePointer?
    precondition(EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_keygen(context, &key) == 1)
    return key!
  }

  private static func make(
    _ name: String, serial: Int, key: OpaquePointer, issuer: OpaquePointer?, signer: OpaquePointer,
    extensions: [(Int32, String)]
  ) -> OpaquePointer {
    let certificate = X509_new()!
    X509_set_version(certificate, 2)
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial)
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600)
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600)
    X509_set_pubkey(certificate, key)
    let subject = X509_get_subject_name(certificate)
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0)
    X509_set_issuer_name(certificate, issuer.map { X509_get_subject_name($0) } ?? subject)
    for (kind, value) in extensions {
      let made = X509V3_EXT_conf_nid(nil, nil, kind, value)
      precondition(made != nil)
      X509_add_ext(certificate, made, -1)
      X509_EXTENSION_free(made)
    }
    precondition(X509_sign(certificate, signer, nil) > 0)
    return certificate
  }
}
