// Products with weights of bytes: those of decoding, on any processor.

#ifndef QUANTIZED_WEIGHTS_H
#define QUANTIZED_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Rows of x are integers of -127 to 127 times a scale, rows of weights -63 to 63 times another. Sums are exact, so that every
// processor has the same bits.
enum { CKernels_quantizedGroup = 4 };

// Weights [columns, k], k a multiple of 4. A panel is 16 columns: for every 4 inputs, 16 times 4 bytes. `scales` and `sums`, which
// are those of a column's integers, have an element for each column, and the last panel is filled up.
typedef struct {
    const int8_t *panels;
    const float *scales;
    const int32_t *sums;
    ptrdiff_t k;
} CKernels_QuantizedWeights;

// quantized [padded] ← x [count] / scale, rounded, and zeros; returns the scale, the largest |x| / bound, and NaN if something is
// not finite. bound is 127 at most.
float CKernels_quantizeRow(const float *x, ptrdiff_t count, ptrdiff_t padded, int bound, int8_t *quantized);

// quantized += 128, as unsigned bytes.
void CKernels_makeUnsigned(int8_t *quantized, ptrdiff_t count);

// out [rows, columns] ← (x · wᵀ) · scales + bias, as CKernels_multiplyWeights; rows of x are k bytes apart, and unsigned.
void CKernels_multiplyQuantized(
    const int8_t *x, const float *xScales, ptrdiff_t rows, CKernels_QuantizedWeights weights, ptrdiff_t columns,
    const float *bias, bool rectified, float *out, ptrdiff_t outStride);

#endif
