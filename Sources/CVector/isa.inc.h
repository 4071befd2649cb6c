// Everything that is compiled once per ISA. The including file defines KV(name), KV_HAS_FMA and KV_HAS_MASKS.
#include "kv_kernels.h"
#include "kv_random.h"
#include "vector_types.inc.h"
//
#include "vector_math.inc.h"
//
#include "vector_double.inc.h"
//
#include "denormals.inc.h"
//
#include "loops_float.inc.h"
//
#include "loops_plain.inc.h"
//
#include "loops_random.inc.h"
//
#include "reduce.inc.h"
//
#include "dot.inc.h"
//
#include "rowwise.inc.h"
//
#include "axpy.inc.h"
//
#include "adam.inc.h"
//
#include "direct.inc.h"
//
#include "pool_rows.inc.h"
//
#include "transpose.inc.h"
//
#include "product.inc.h"
//
#include "pixels.inc.h"
//
#include "winograd.inc.h"
//
#include "attention.inc.h"
//
#include "table.inc.h"
