// The OpenCL C sources in this folder, embedded in the binary.
#pragma once
#include <stddef.h>

/// The text of a kernel file by its name without ".cl" (zero-terminated, lives for ever), or NULL when there is none.
const char* kiln_kernel_source(const char* name);
/// The names in order, NULL after the last.
const char* kiln_kernel_name(size_t index);
