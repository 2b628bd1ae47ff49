// Products with weights that are packed once: those of decoding. On any processor; the widest registers there are serve.

#ifndef PACKED_WEIGHTS_H
#define PACKED_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>

// Columns of a panel of packed weights.
enum { CKernels_weightColumns = 16 };

// out [rows, columns] ← x [rows, k] · wᵀ + bias, and 0 for what is not positive if `rectified`; no bias: NULL. The weights w
// [columns, k] are packed as panels of 16 of their rows, each k times 16 elements, the last one filled up. Every element is
// one chain of fused multiplications and additions over ascending k, whatever rows and columns are computed with it; where x is 0 a
// link may be left out, which changes nothing but the sign of a sum that is 0, the weights being finite.
void CKernels_multiplyWeights(
    const float *x, ptrdiff_t xStride, ptrdiff_t rows, const float *packed, ptrdiff_t k, ptrdiff_t columns, const float *bias,
    bool rectified, float *out, ptrdiff_t outStride);

#endif
