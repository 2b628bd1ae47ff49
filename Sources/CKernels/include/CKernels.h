// The parts of matrix products that need a processor's own instructions, whatever instruction set the package is built for:
// packing, and the product of packed panels. TensorCore cuts the matrices into blocks and owns the memory.
//
// A left factor [rows, k] is packed as panels of so many rows at most, of nearly equal size: a panel of r rows is k times r
// elements. A right factor [k, columns] is packed as panels of so many columns: k times as many elements, or half of them
// where a last panel has no more columns than that; what it lacks of them is anything.

#ifndef CKERNELS_H
#define CKERNELS_H

#include "PackedWeights.h"
#include "QuantizedWeights.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    // Floats that packing a left factor may write beyond its rows · k.
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

    // Packs a left factor: element (r, p) is x[r · stride + p], or x[p · stride + r] if transposed.
    void (*packLeft)(const float *x, ptrdiff_t stride, bool transposed, ptrdiff_t rows, ptrdiff_t k, float *packed);

    // Packs a panel of 1 to `columns` columns; `packed` is aligned to 64 bytes.
    void (*packRight)(CKernels_Source source, ptrdiff_t columns, ptrdiff_t k, float *packed);

    // C [rows, columns] ← left · right, or C + left · right if `accumulate`; up to the columns of a panel. Every element is one
    // chain of fused multiplications and additions over ascending k that starts at zero, and is then added to C: the same bits
    // with every instruction set.
    //
    // Rows of the right panel are `rightStep` apart: as packed, or their stride in a source that is read in place, which needs
    // all of a panel's columns. `next` is what will be packed next: it is fetched into the cache meanwhile, if it has a start.
    void (*multiply)(
        const float *left, const float *right, ptrdiff_t rightStep, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t k,
        bool accumulate, float *c, ptrdiff_t cStride, CKernels_Source next);
} CKernels_Panels;

// NULL where the processor lacks the instructions or the system does not save their registers.
const CKernels_Panels *CKernels_panelsAVX512(void);
const CKernels_Panels *CKernels_panelsAVX2(void);

#endif
