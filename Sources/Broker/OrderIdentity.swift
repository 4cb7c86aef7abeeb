import Core

/// An order's id on the exchange (`newClientOrderId`), made from the signal's id alone, so that the same
/// signal always asks for the same order and a repeat is recognised.
///
/// The exchange wants `^[\.A-Z\:/a-z0-9_-]{1,36}$`. A signal's id fits for symbols of up to 14 letters and is
/// then taken as it is. Any other becomes a colon, which begins no signal's id, and the 32 hexadecimal digits
/// of its FNV-1a hash of 128 bits (Fowler, Noll, Vo; RFC 9923).
public func orderID(signalID: String) -> String {
  let utf8 = signalID.utf8
  let isPlain = utf8.allSatisfy { byte in
    switch byte {
    case 0x2D, 0x2E, 0x2F, 0x30...0x3A, 0x41...0x5A, 0x5F, 0x61...0x7A: true
    default: false
    }
  }
  if isPlain, (1...36).contains(utf8.count), utf8.first != 0x3A { return signalID }
  var hash = UInt128(0x6c62_272e_07bb_0142) << 64 | UInt128(0x62b8_2175_6295_c58d)
  let prime = UInt128(1) << 88 | 0x13B
  for byte in utf8 { hash = (hash ^ UInt128(byte)) &* prime }
  var writer = ByteWriter(capacity: 64)
  writer.append(byte: 0x3A)
  writer.append(hex: UInt64(truncatingIfNeeded: hash >> 64), digits: 16)
  writer.append(hex: UInt64(truncatingIfNeeded: hash), digits: 16)
  return writer.string()
}
