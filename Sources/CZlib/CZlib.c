// The header is all there is: this file only makes the folder a C target.
#include "CZlib.h"
