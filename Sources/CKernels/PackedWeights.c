#include "PackedWeights.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INLINED static inline __attribute__((always_inline))
#define UNROLLED _Pragma("clang loop unroll(full)")

enum {
    lanes = CKernels_weightColumns,
    mostRows = 12,
    // Floats of x that are multiplied by all panels before the next: they stay in the second-level cache.
    blockFloats = 1 << 16,
    // Rows and columns of a tile of listed inputs: the fewer rows, the more inputs are zero in all of them.
    listedRows = 3,
    listedColumns = 2 * lanes,
    // Inputs that such tiles take at a time: as many of their panels stay in the first-level cache.
    listedInputs = 128,
    // Inputs of products whose zeros are looked for: fewer are not worth it.
    fewestInputs = 64,
    mostLists = blockFloats / fewestInputs / listedRows + 1,
};

// Sixteen floats: two registers of AVX2 or one of AVX-512, as the function says that this is inlined into.
typedef float Lanes __attribute__((vector_size(64), aligned(4)));
typedef int Bits __attribute__((vector_size(64), aligned(4)));

// One register of AVX2.
typedef float Half __attribute__((vector_size(32), aligned(4)));

// A macro: no function returns registers that its callers may lack.
#define REPEATED(x) ((Lanes){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x})

// A tile: `rows` rows of x times one panel, the sums held in registers while k runs. x is read where it lies: one factor serves
// sixteen lanes, and packing it would cost more than it saves.
INLINED void multiplyTile(
    const int rows, const float *x, ptrdiff_t xStride, const float *panel, ptrdiff_t k, const float *bias, bool rectified,
    float *out, ptrdiff_t outStride
) {
    Lanes sum[mostRows];
    UNROLLED for (int i = 0; i < rows; i++) sum[i] = REPEATED(0);
    for (ptrdiff_t p = 0; p < k; p++, panel += lanes) {
        Lanes weights = *(const Lanes *)panel;
        UNROLLED for (int i = 0; i < rows; i++) {
            float factor = x[i * xStride + p];
            sum[i] = __builtin_elementwise_fma(REPEATED(factor), weights, sum[i]);
        }
    }
    Lanes zero = REPEATED(0), added = bias ? *(const Lanes *)bias : zero;
    UNROLLED for (int i = 0; i < rows; i++) {
        Lanes result = bias ? sum[i] + added : sum[i];
        if (rectified) result = (Lanes)((Bits)result & (Bits)(result > zero));
        *(Lanes *)(out + i * outStride) = result;
    }
}

typedef void Tile(
    const float *x, ptrdiff_t xStride, const float *panel, ptrdiff_t k, const float *bias, bool rectified, float *out,
    ptrdiff_t outStride);

#define TILE(NAME, TARGET, ROWS)                                                                                             \
    TARGET static void NAME##ROWS(                                                                                           \
        const float *x, ptrdiff_t xStride, const float *panel, ptrdiff_t k, const float *bias, bool rectified, float *out,   \
        ptrdiff_t outStride                                                                                                  \
    ) {                                                                                                                      \
        multiplyTile(ROWS, x, xStride, panel, k, bias, rectified, out, outStride);                                           \
    }
#define SIX(NAME, TARGET)                                                                                                    \
    TILE(NAME, TARGET, 1) TILE(NAME, TARGET, 2) TILE(NAME, TARGET, 3)                                                        \
    TILE(NAME, TARGET, 4) TILE(NAME, TARGET, 5) TILE(NAME, TARGET, 6)

// Twelve registers of sums, of the sixteen there are.
SIX(tile, )
static Tile *const tiles[] = {tile1, tile2, tile3, tile4, tile5, tile6};

#if defined(__x86_64__)
#define AVX512 __attribute__((target("avx512f")))
SIX(wideTile, AVX512)
TILE(wideTile, AVX512, 7) TILE(wideTile, AVX512, 8) TILE(wideTile, AVX512, 9)
TILE(wideTile, AVX512, 10) TILE(wideTile, AVX512, 11) TILE(wideTile, AVX512, 12)
static Tile *const wideTiles[] = {wideTile1, wideTile2, wideTile3, wideTile4, wideTile5, wideTile6,
                                  wideTile7, wideTile8, wideTile9, wideTile10, wideTile11, wideTile12};
#endif

// A panel whose columns are not all there: through a tile of its own.
static void multiplyLastPanel(
    Tile *tile, int rows, const float *x, ptrdiff_t xStride, const float *panel, ptrdiff_t k, const float *bias,
    bool rectified, float *out, ptrdiff_t outStride, ptrdiff_t columns
) {
    float whole[mostRows * lanes], wholeBias[lanes] = {0};
    if (bias) memcpy(wholeBias, bias, (size_t)columns * sizeof(float));
    tile(x, xStride, panel, k, bias ? wholeBias : NULL, rectified, whole, lanes);
    for (int i = 0; i < rows; i++) memcpy(out + i * outStride, whole + i * lanes, (size_t)columns * sizeof(float));
}

// A product, or a part of it.
typedef struct {
    const float *x;
    ptrdiff_t xStride, rows;
    const float *packed;
    ptrdiff_t k, columns;
    const float *bias;
    bool rectified;
    float *out;
    ptrdiff_t outStride;
} Product;

static ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

static void multiplyAll(Tile *const *tileOfRows, ptrdiff_t height, const Product *product) {
    ptrdiff_t k = product->k, xStride = product->xStride, outStride = product->outStride;
    for (ptrdiff_t column = 0; column < product->columns; column += lanes) {
        const float *panel = product->packed + column * k, *bias = product->bias ? product->bias + column : NULL;
        for (ptrdiff_t row = 0; row < product->rows; row += height) {
            ptrdiff_t count = smaller(product->rows - row, height);
            Tile *tile = tileOfRows[count - 1];
            const float *from = product->x + row * xStride;
            float *to = product->out + row * outStride + column;
            if (product->columns - column >= lanes) {
                tile(from, xStride, panel, k, bias, product->rectified, to, outStride);
            } else {
                multiplyLastPanel(
                    tile, (int)count, from, xStride, panel, k, bias, product->rectified, to, outStride,
                    product->columns - column);
            }
        }
    }
}

// Lists the inputs first ..< first + 4 whose bit is set; returns how many. Writes four places. (Of the processors that this is
// for, some take hundreds of cycles for the instructions that gather bits.)
static ptrdiff_t listFour(unsigned some, ptrdiff_t first, uint16_t *listed) {
    static const uint16_t taken[16][4] = {
        {0},    {0},    {1},    {0, 1},    {2},    {0, 2},    {1, 2},    {0, 1, 2},
        {3},    {0, 3}, {1, 3}, {0, 1, 3}, {2, 3}, {0, 2, 3}, {1, 2, 3}, {0, 1, 2, 3},
    };
    for (int i = 0; i < 4; i++) listed[i] = (uint16_t)(taken[some][i] + first);
    return __builtin_popcount(some);
}

// Lists the inputs, of `count` of them, that are not zero in every row; returns how many. Writes up to eight places further.
static ptrdiff_t listInputs(const float *x, ptrdiff_t xStride, ptrdiff_t rows, ptrdiff_t count, uint16_t *listed) {
    ptrdiff_t found = 0, p = 0;
#if defined(__x86_64__)
    for (; p + 8 <= count; p += 8) {
        __m256i bits = _mm256_setzero_si256();
        for (ptrdiff_t i = 0; i < rows; i++) {
            bits = _mm256_or_si256(bits, _mm256_loadu_si256((const __m256i *)(x + i * xStride + p)));
        }
        // Without the sign: -0 is zero.
        __m256i isZero = _mm256_cmpeq_epi32(_mm256_slli_epi32(bits, 1), _mm256_setzero_si256());
        unsigned some = ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(isZero)) & 0xFF;
        found += listFour(some & 0xF, p, listed + found);
        found += listFour(some >> 4, p + 4, listed + found);
    }
#endif
    for (; p < count; p++) {
        bool isZero = true;
        for (ptrdiff_t i = 0; i < rows; i++) isZero &= x[i * xStride + p] == 0;
        listed[found] = (uint16_t)p;
        found += !isZero;
    }
    return found;
}

// out += x · w of the inputs that are listed, for two panels, `panelStride` apart. The factors of all rows are held beside the sums, and
// one register of weights.
INLINED void addListed(
    const int rows, const float *x, ptrdiff_t xStride, const float *panel, ptrdiff_t panelStride, const uint16_t *listed,
    ptrdiff_t count, float *out, ptrdiff_t outStride
) {
    enum { halves = listedColumns / 8 };
    Half sum[listedRows][halves];
    UNROLLED for (int i = 0; i < rows; i++) {
        UNROLLED for (int j = 0; j < halves; j++) sum[i][j] = *(const Half *)(out + i * outStride + 8 * j);
    }
    for (ptrdiff_t n = 0; n < count; n++) {
        ptrdiff_t p = listed[n];
        Half factors[listedRows];
        UNROLLED for (int i = 0; i < rows; i++) {
            float factor = x[i * xStride + p];
            factors[i] = (Half){factor, factor, factor, factor, factor, factor, factor, factor};
        }
        UNROLLED for (int j = 0; j < halves; j++) {
            Half weights = *(const Half *)(panel + j / 2 * panelStride + p * lanes + j % 2 * 8);
            UNROLLED for (int i = 0; i < rows; i++) {
                sum[i][j] = __builtin_elementwise_fma(factors[i], weights, sum[i][j]);
            }
        }
    }
    UNROLLED for (int i = 0; i < rows; i++) {
        UNROLLED for (int j = 0; j < halves; j++) *(Half *)(out + i * outStride + 8 * j) = sum[i][j];
    }
}

// After a rectifier many inputs are zero in some rows one after another, and add nothing to their sums: only the others are
// multiplied. Columns are whole pairs of panels, and there are no epilogues.
static void multiplyListed(const Product *product) {
    uint16_t listed[mostLists][listedInputs + 8];
    ptrdiff_t found[mostLists], xStride = product->xStride, outStride = product->outStride;
    for (ptrdiff_t row = 0; row < product->rows; row++) {
        memset(product->out + row * outStride, 0, (size_t)product->columns * sizeof(float));
    }
    for (ptrdiff_t first = 0; first < product->k; first += listedInputs) {
        ptrdiff_t count = smaller(product->k - first, listedInputs);
        for (ptrdiff_t row = 0, n = 0; row < product->rows; row += listedRows, n++) {
            ptrdiff_t rows = smaller(product->rows - row, listedRows);
            found[n] = listInputs(product->x + row * xStride + first, xStride, rows, count, listed[n]);
        }
        for (ptrdiff_t column = 0; column < product->columns; column += listedColumns) {
            const float *panel = product->packed + column * product->k + first * lanes;
            for (ptrdiff_t row = 0, n = 0; row < product->rows; row += listedRows, n++) {
                const float *from = product->x + row * xStride + first;
                float *to = product->out + row * outStride + column;
                ptrdiff_t panelStride = product->k * lanes;
                switch (smaller(product->rows - row, listedRows)) {
                case 1: addListed(1, from, xStride, panel, panelStride, listed[n], found[n], to, outStride); break;
                case 2: addListed(2, from, xStride, panel, panelStride, listed[n], found[n], to, outStride); break;
                default: addListed(3, from, xStride, panel, panelStride, listed[n], found[n], to, outStride);
                }
            }
        }
    }
    for (ptrdiff_t row = 0; row < product->rows; row++) {
        float *out = product->out + row * outStride;
        for (ptrdiff_t column = 0; product->bias && column < product->columns; column++) out[column] += product->bias[column];
        for (ptrdiff_t column = 0; product->rectified && column < product->columns; column++) {
            out[column] = out[column] > 0 ? out[column] : 0;
        }
    }
}

// Whether it is worth it: whether the first rows have inputs of zero among the first ones.
static bool hasZeros(const Product *product) {
    enum { sampled = 16 };
    uint16_t listed[sampled + 8];
    ptrdiff_t rows = smaller(product->rows, listedRows);
    return product->k >= fewestInputs && product->columns % listedColumns == 0
        && listInputs(product->x, product->xStride, rows, sampled, listed) < sampled;
}

void CKernels_multiplyWeights(
    const float *x, ptrdiff_t xStride, ptrdiff_t rows, const float *packed, ptrdiff_t k, ptrdiff_t columns, const float *bias,
    bool rectified, float *out, ptrdiff_t outStride
) {
    Tile *const *tileOfRows = tiles;
    ptrdiff_t height = sizeof tiles / sizeof *tiles;
    bool isWide = false;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        tileOfRows = wideTiles;
        height = sizeof wideTiles / sizeof *wideTiles;
        isWide = true;
    }
#endif
    ptrdiff_t block = blockFloats / (k > 0 ? k : 1) / height * height;
    if (block < height) block = height;
    for (ptrdiff_t begin = 0; begin < rows; begin += block) {
        Product product = {
            x + begin * xStride, xStride, smaller(rows - begin, block), packed, k, columns, bias, rectified,
            out + begin * outStride, outStride,
        };
        // Tiles of listed inputs would leave half of AVX-512's registers empty.
        if (!isWide && hasZeros(&product)) {
            multiplyListed(&product);
        } else {
            multiplyAll(tileOfRows, height, &product);
        }
    }
}
