// The parts of matrix products that need AVX-512F, whatever instruction set the package is built for: packing, and the
// product of packed panels. TensorCore cuts the matrices into blocks and owns the memory.
//
// Call nothing else where CKernels_supportsAVX512 says false: there the functions end the process.
//
// A left factor [rows, k] is packed as panels of 14 rows at most, of nearly equal size: a panel of r rows is k times r
// elements. A right factor [k, columns] is packed as panels of 32 columns: k times 32 elements, or 16 where a last panel has
// no more than 16 columns; what it lacks of them is anything.

#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    CKernels_panelRows = 14,
    CKernels_panelColumns = 32,
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

// Whether the processor has AVX-512F and the system saves its registers.
bool CKernels_supportsAVX512(void);

// Packs a left factor: element (r, p) is x[r · stride + p], or x[p · stride + r] if transposed.
void CKernels_packLeft(
    const float *x, ptrdiff_t stride, bool transposed, ptrdiff_t rows, ptrdiff_t k, float *packed);

// Packs a panel of 1 to 32 columns; `packed` is aligned to 64 bytes.
void CKernels_packRight(CKernels_Source source, ptrdiff_t columns, ptrdiff_t k, float *packed);

// C [rows, columns] ← left · right, or C + left · right if `accumulate`; 1 to 32 columns. Every element is one chain of fused
// multiplications and additions over ascending k that starts at zero, and is then added to C.
//
// Rows of the right panel are `rightStep` apart: 32 or 16 in a packed one, its stride for 32 columns that are read in place.
// `next` is what will be packed next: it is fetched into the cache meanwhile, if it has a start.
void CKernels_multiply(
    const float *left, const float *right, ptrdiff_t rightStep, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t k,
    bool accumulate, float *c, ptrdiff_t cStride, CKernels_Source next);

#endif
