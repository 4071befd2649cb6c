#include "CDigits.h"

static const uint8_t digits[] = {
#embed "digits.csv.gz"
};

const uint8_t* kiln_digits_data(void) { return digits; }
size_t kiln_digits_size(void) { return sizeof digits; }
