// The parts of matrix products that need a processor's own instructions, whatever instruction set the package is built for:
// packing, and the product of packed panels. TensorCore cuts the matrices into blocks and owns the memory.
//
// Products are sums over k in steps: a step multiplies a float of either factor, or a pair of neighbours along k that are rounded
// to bfloat16 when they are packed, and takes the place of a float. A pair that k does not fill ends with zero.
//
// A left factor [rows, k] is packed as panels of so many rows at most, of nearly equal size: a panel of r rows is, for each step, r
// places. A right factor [k, columns] is packed as panels of so many columns: as many places a step, or half of them
// where a last panel has no more columns than that; what it lacks of them is anything.

#ifndef CKERNELS_H
#define CKERNELS_H

#include "PackedWeights.h"
#include "QuantizedWeights.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    // Places that packing a left factor may write beyond its rows · steps.
    CKernels_leftSlack = 16,
};

// A right factor, or a panel of it, where it lies in memory: element (p, c) at start[p · stride + c], or at
// start[c · stride + p] if transposed.
typedef struct {
    const float *start;
    ptrdiff_t stride;
    bool transposed;
} CKernels_Source;

// Packed panels for an instruction set.
typedef struct {
    // Of a panel of the left factor, at most.
    ptrdiff_t rows;
    // Of a panel of the right factor.
    ptrdiff_t columns;
    // Elements of k that a step multiplies.
    ptrdiff_t stepElements;

    // Packs a left factor: element (r, p) is x[r · stride + p], or x[p · stride + r] if transposed.
    void (*packLeft)(const float *x, ptrdiff_t stride, bool transposed, ptrdiff_t rows, ptrdiff_t k, float *packed);

    // Packs a panel of 1 to `columns` columns; `packed` is aligned to 64 bytes.
    void (*packRight)(CKernels_Source source, ptrdiff_t columns, ptrdiff_t k, float *packed);

    // C [rows, columns] ← left · right, or C + left · right if `accumulate`; up to the columns of a panel. Every element is one
    // chain of fused multiplications and additions over ascending steps that starts at zero, and is then added to C: the same
    // bits with every instruction set. Of a pair the second product is added first, and sums smaller than a normal number are zero.
    //
    // Steps of the right panel are `rightStep` apart: as packed, or, of floats, their stride in a source that is read in place,
    // which needs all of a panel's columns. `next` is what will be packed next: it is fetched into the cache meanwhile, if it has a start.
    void (*multiply)(
        const float *left, const float *right, ptrdiff_t rightStep, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t steps,
        bool accumulate, float *c, ptrdiff_t cStride, CKernels_Source next);
} CKernels_Panels;

// NULL where the processor lacks the instructions or the system does not save their registers.
const CKernels_Panels *CKernels_panelsAVX512(void);
const CKernels_Panels *CKernels_panelsAVX2(void);
// With AVX512_BF16, and what gives the same bits slowly with AVX2.
const CKernels_Panels *CKernels_bfloat16PanelsAVX512(void);
const CKernels_Panels *CKernels_bfloat16PanelsAVX2(void);

#endif
