#include "CKernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <stdint.h>

#define KERNEL __attribute__((target("avx512f")))
// Inlined, so that rows and vectors are constants: the loops over them unroll, and the sums stay in registers.
#define INLINED KERNEL static inline __attribute__((always_inline))
#define UNROLLED _Pragma("clang loop unroll(full)")

enum {
    lanes = 16,
    maximumRows = CKernels_panelRows,
    maximumVectors = CKernels_panelColumns / lanes,
    // Steps over k between looks at how far it is. C is fetched into the first-level cache for the last of these only: many
    // of its lines compete for a place there if its rows are a power of two apart.
    chunk = 32,
    // A chain of this length or less ends before lines come that are asked for when it starts.
    shortChain = 64,
    // Lines and floats of a square of a transposed source that is fetched as a whole.
    square = CKernels_panelColumns,
};

bool CKernels_supportsAVX512(void) { return __builtin_cpu_supports("avx512f"); }

// The first `count` lanes.
INLINED __mmask16 firstLanes(ptrdiff_t count) { return (__mmask16)((1u << count) - 1); }

// MARK: - Packing

// Turns 16 rows of 16 into 16 columns of 16.
INLINED void transpose(__m512 r[lanes]) {
    __m512 t[lanes];
    UNROLLED for (int i = 0; i < lanes; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLLED for (int i = 0; i < lanes; i += 4) {
        for (int half = 0; half < 2; half++) {
            __m512d upper = _mm512_castps_pd(t[i + half]), lower = _mm512_castps_pd(t[i + half + 2]);
            r[i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(upper, lower));
            r[i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(upper, lower));
        }
    }
    // Now r[4 q + i] has, in its four quarters, columns i, 4 + i, 8 + i, 12 + i of rows 4 q ..< 4 q + 4.
    UNROLLED for (int i = 0; i < 4; i++) {
        __m512 even0 = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88), odd0 = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xDD);
        __m512 even1 = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88), odd1 = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xDD);
        t[i] = _mm512_shuffle_f32x4(even0, even1, 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);
        t[i + 8] = _mm512_shuffle_f32x4(even0, even1, 0xDD);
        t[i + 12] = _mm512_shuffle_f32x4(odd0, odd1, 0xDD);
    }
    UNROLLED for (int i = 0; i < lanes; i++) r[i] = t[i];
}

// packed[p · step + line] ← x[line · stride + p] for up to 16 lines. Writes 16 lanes for each p, in ascending order: with a step
// of less than 16 each overwrites the excess of the one before.
KERNEL static void packLines(
    const float *x, ptrdiff_t stride, ptrdiff_t lines, ptrdiff_t k, float *packed, ptrdiff_t step
) {
    // The last line stands for those that there are not, so that every loop is over 16.
    const float *line[lanes];
    UNROLLED for (int i = 0; i < lanes; i++) line[i] = x + (i < lines ? i : lines - 1) * stride;
    __m512 r[lanes];
    ptrdiff_t p = 0;
    for (; p + lanes <= k; p += lanes) {
        UNROLLED for (int i = 0; i < lanes; i++) r[i] = _mm512_loadu_ps(line[i] + p);
        transpose(r);
        UNROLLED for (int i = 0; i < lanes; i++) _mm512_storeu_ps(packed + (p + i) * step, r[i]);
    }
    if (p == k) return;
    __mmask16 mask = firstLanes(k - p);
    UNROLLED for (int i = 0; i < lanes; i++) r[i] = _mm512_maskz_loadu_ps(mask, line[i] + p);
    transpose(r);
    UNROLLED for (int i = 0; i < lanes; i++) {
        if (i < k - p) _mm512_storeu_ps(packed + (p + i) * step, r[i]);
    }
}

// packed[p · step + c] ← x[p · stride + c] for up to 16 columns c.
KERNEL static void packColumns(
    const float *x, ptrdiff_t stride, ptrdiff_t columns, ptrdiff_t k, float *packed, ptrdiff_t step
) {
    __mmask16 mask = firstLanes(columns);
    for (ptrdiff_t p = 0; p < k; p++) _mm512_store_ps(packed + p * step, _mm512_maskz_loadu_ps(mask, x + p * stride));
}

// How the rows of a left factor are cut: the first `larger` panels have a row more than `size`. Divided once a call.
typedef struct {
    ptrdiff_t panels, size, larger;
} Cut;

static Cut cut(ptrdiff_t rows) {
    ptrdiff_t panels = (rows + maximumRows - 1) / maximumRows;
    return (Cut){panels, rows / panels, rows % panels};
}

static ptrdiff_t panelRows(Cut cut, ptrdiff_t panel) { return cut.size + (panel < cut.larger); }

// Some rows of the matrix as it is stored at a time, for all panels: a column of panels alone would touch as many pages as
// there are rows, once for each.
KERNEL static void packLeftTransposed(const float *x, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t k, float *packed) {
    Cut rowCut = cut(rows);
    for (ptrdiff_t begin = 0; begin < k; begin += lanes) {
        ptrdiff_t end = begin + lanes < k ? begin + lanes : k;
        for (ptrdiff_t panel = 0, start = 0; panel < rowCut.panels; start += panelRows(rowCut, panel), panel++) {
            ptrdiff_t count = panelRows(rowCut, panel);
            __mmask16 mask = firstLanes(count);
            const float *from = x + begin * stride + start;
            float *to = packed + start * k + begin * count;
            for (ptrdiff_t p = begin; p < end; p++, from += stride, to += count) {
                _mm512_mask_storeu_ps(to, mask, _mm512_maskz_loadu_ps(mask, from));
            }
        }
    }
}

KERNEL void CKernels_packLeft(
    const float *x, ptrdiff_t stride, bool transposed, ptrdiff_t rows, ptrdiff_t k, float *packed
) {
    if (transposed) return packLeftTransposed(x, stride, rows, k, packed);
    Cut rowCut = cut(rows);
    for (ptrdiff_t panel = 0, start = 0; panel < rowCut.panels; start += panelRows(rowCut, panel), panel++) {
        ptrdiff_t count = panelRows(rowCut, panel);
        packLines(x + start * stride, stride, count, k, packed + start * k, count);
    }
}

KERNEL void CKernels_packRight(CKernels_Source source, ptrdiff_t columns, ptrdiff_t k, float *packed) {
    const float *x = source.start;
    ptrdiff_t stride = source.stride, step = columns > lanes ? 2 * lanes : lanes;
    if (!source.transposed && columns == 2 * lanes) {
        for (ptrdiff_t p = 0; p < k; p++, x += stride, packed += step) {
            _mm512_store_ps(packed, _mm512_loadu_ps(x));
            _mm512_store_ps(packed + lanes, _mm512_loadu_ps(x + lanes));
        }
        return;
    }
    for (ptrdiff_t c = 0; c < columns; c += lanes) {
        ptrdiff_t count = columns - c < lanes ? columns - c : lanes;
        if (source.transposed) packLines(x + c * stride, stride, count, k, packed + c, step);
        else packColumns(x + c, stride, count, k, packed + c, step);
    }
}

// MARK: - Products

// What a call fetches for the next: k places of two lines each, spread over the steps of all its tiles. Fetched with the first
// tile they are more than a core can have under way, and the tile waits for them.
typedef struct {
    // An integer: the walk may end beyond the matrix.
    uintptr_t start;
    // Bytes from a place to the next, and from the first of `square` places to the next `square`.
    ptrdiff_t inner, outer;
    // Places walked and places a step, in units of 2^-32.
    uint64_t position, rate;
} Walk;

static Walk walk(CKernels_Source source, ptrdiff_t panels) {
    ptrdiff_t stride = source.stride * (ptrdiff_t)sizeof(float);
    return (Walk){
        .start = (uintptr_t)source.start, .inner = stride,
        .outer = square * (source.transposed ? (ptrdiff_t)sizeof(float) : stride),
        .rate = ((uint64_t)1 << 32) / (uint64_t)panels};
}

INLINED void fetch(const Walk *walk, uint64_t position) {
    uint64_t place = position >> 32;
    uintptr_t address = walk->start + place % square * (uintptr_t)walk->inner + place / square * (uintptr_t)walk->outer;
    _mm_prefetch((const char *)address, _MM_HINT_T0);
    _mm_prefetch((const char *)(address + lanes * sizeof(float)), _MM_HINT_T0);
}

INLINED void multiplySteps(
    const int rows, const int vectors, __m512 sum[maximumRows][maximumVectors], const float **left, const float **right,
    ptrdiff_t rightStep, ptrdiff_t steps, Walk *ahead
) {
    const float *a = *left, *b = *right;
    uint64_t position = ahead->position;
#pragma clang loop unroll_count(2)
    for (ptrdiff_t p = 0; p < steps; p++) {
        __m512 x[maximumVectors];
        UNROLLED for (int j = 0; j < vectors; j++) x[j] = _mm512_loadu_ps(b + lanes * j);
        fetch(ahead, position);
        UNROLLED for (int i = 0; i < rows; i++) {
            __m512 factor = _mm512_set1_ps(a[i]);
            UNROLLED for (int j = 0; j < vectors; j++) sum[i][j] = _mm512_fmadd_ps(factor, x[j], sum[i][j]);
        }
        a += rows;
        b += rightStep;
        position += ahead->rate;
    }
    *left = a;
    *right = b;
    ahead->position = position;
}

// The lines of a tile of C.
#define FETCH_TILE(c, hint)                                                                                                  \
    UNROLLED for (int i = 0; i < rows; i++) {                                                                                \
        uintptr_t address = (uintptr_t)(c) + (uintptr_t)(i * cStride) * sizeof(float);                                       \
        _mm_prefetch((const char *)address, hint);                                                                           \
        if (vectors > 1) _mm_prefetch((const char *)(address + (lanes * vectors - 1) * sizeof(float)), hint);                \
    }

// A tile of C, its sums held in registers while k runs. Meanwhile the lines of the tile at `early` come into the second-level
// cache.
INLINED void multiplyTile(
    const int rows, const int vectors, const float *left, const float *right, ptrdiff_t rightStep, ptrdiff_t k,
    __mmask16 lastMask, bool accumulate, float *c, ptrdiff_t cStride, uintptr_t early, Walk ahead
) {
    __m512 sum[maximumRows][maximumVectors];
    UNROLLED for (int i = 0; i < rows; i++) {
        UNROLLED for (int j = 0; j < vectors; j++) sum[i][j] = _mm512_setzero_ps();
    }
    FETCH_TILE(early, _MM_HINT_T1)
    for (; k > chunk; k -= chunk) multiplySteps(rows, vectors, sum, &left, &right, rightStep, chunk, &ahead);
    FETCH_TILE(c, _MM_HINT_T0)
    multiplySteps(rows, vectors, sum, &left, &right, rightStep, k, &ahead);
    UNROLLED for (int i = 0; i < rows; i++) {
        UNROLLED for (int j = 0; j < vectors; j++) {
            float *target = c + i * cStride + lanes * j;
            __mmask16 mask = j == vectors - 1 ? lastMask : 0xFFFF;
            __m512 result = sum[i][j];
            if (accumulate) result = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, target), result);
            _mm512_mask_storeu_ps(target, mask, result);
        }
    }
}

typedef void Tile(
    const float *left, const float *right, ptrdiff_t rightStep, ptrdiff_t k, __mmask16 lastMask, bool accumulate, float *c,
    ptrdiff_t cStride, uintptr_t early, Walk ahead);

#define TILE(ROWS, VECTORS)                                                                                                  \
    KERNEL static void tile##ROWS##x##VECTORS(                                                                               \
        const float *left, const float *right, ptrdiff_t rightStep, ptrdiff_t k, __mmask16 lastMask, bool accumulate,        \
        float *c, ptrdiff_t cStride, uintptr_t early, Walk ahead                                                             \
    ) {                                                                                                                      \
        multiplyTile(ROWS, VECTORS, left, right, rightStep, k, lastMask, accumulate, c, cStride, early, ahead);              \
    }
#define TILES(ROWS) TILE(ROWS, 1) TILE(ROWS, 2)
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6) TILES(7)
TILES(8) TILES(9) TILES(10) TILES(11) TILES(12) TILES(13) TILES(14)

#define NAMES(ROWS) {tile##ROWS##x1, tile##ROWS##x2}
static Tile *const tiles[maximumRows][maximumVectors] = {
    NAMES(1), NAMES(2), NAMES(3), NAMES(4), NAMES(5), NAMES(6), NAMES(7),
    NAMES(8), NAMES(9), NAMES(10), NAMES(11), NAMES(12), NAMES(13), NAMES(14),
};

KERNEL void CKernels_multiply(
    const float *left, const float *right, ptrdiff_t rightStep, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t k,
    bool accumulate, float *c, ptrdiff_t cStride, CKernels_Source next
) {
    int vectors = columns > lanes ? 2 : 1;
    __mmask16 lastMask = firstLanes(columns - lanes * (vectors - 1));
    Cut rowCut = cut(rows);
    // A walk that stands still costs nothing, and a tile without one would be as much code again.
    Walk ahead = next.start ? walk(next, rowCut.panels) : (Walk){.start = (uintptr_t)right};
    for (ptrdiff_t panel = 0, start = 0; panel < rowCut.panels; start += panelRows(rowCut, panel), panel++) {
        ptrdiff_t count = panelRows(rowCut, panel);
        float *tile = c + start * cStride;
        float *following = panel + 1 < rowCut.panels ? tile + count * cStride : c + CKernels_panelColumns;
        tiles[count - 1][vectors - 1](
            left + start * k, right, rightStep, k, lastMask, accumulate, tile, cStride,
            (uintptr_t)(k > shortChain ? tile : following), ahead);
        ahead.position += (uint64_t)k * ahead.rate;
    }
}

#else

#include <stdlib.h>

bool CKernels_supportsAVX512(void) { return false; }

void CKernels_packLeft(
    const float *x, ptrdiff_t stride, bool transposed, ptrdiff_t rows, ptrdiff_t k, float *packed
) {
    abort();
}

void CKernels_packRight(CKernels_Source source, ptrdiff_t columns, ptrdiff_t k, float *packed) { abort(); }

void CKernels_multiply(
    const float *left, const float *right, ptrdiff_t rightStep, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t k,
    bool accumulate, float *c, ptrdiff_t cStride, CKernels_Source next
) {
    abort();
}

#endif
