// UCI's 8x8 handwritten digits, embedded as a gzipped CSV file. See NOTICE.md for source and licence.
#ifndef KILN_CDIGITS_H
#define KILN_CDIGITS_H

#include <stddef.h>
#include <stdint.h>

// The bytes of digits.csv.gz: 1,797 lines of 64 values 0-16 and the label 0-9.
const uint8_t* kiln_digits_data(void);
size_t kiln_digits_size(void);

#endif
