// The system's zlib (Debian: zlib1g-dev), for .gz files and .npz archives.
#ifndef KILN_CZLIB_H
#define KILN_CZLIB_H

#include <zlib.h>

#endif
