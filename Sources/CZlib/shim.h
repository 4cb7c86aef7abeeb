#include <zlib.h>

// Raw deflate streams, as permessage-deflate has them; zlib's own initialisers are macros.
static inline int weir_deflate_start(z_stream *stream, int level, int windowBits, int memoryLevel) {
  return deflateInit2(stream, level, Z_DEFLATED, -windowBits, memoryLevel, Z_DEFAULT_STRATEGY);
}
static inline int weir_inflate_start(z_stream *stream, int windowBits) {
  return inflateInit2(stream, -windowBits);
}
