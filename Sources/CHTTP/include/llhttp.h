// llhttp 8 as Debian's node-llhttp ships it: sources, no library. They are compiled by the wrappers beside.
#include "/usr/share/include/llhttp/llhttp.h"
