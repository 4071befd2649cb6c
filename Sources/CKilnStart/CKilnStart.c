#include "CKilnStart.h"

__attribute__((constructor)) static void register_devices(void) { kiln_register_devices(); }

void kiln_start_keep(void) {}
