// The low-level SHA-256, whose state can be kept (EVP's cannot), is marked deprecated in favour of EVP.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/sha.h>
