#include "QuantizedWeights.h"

#include "PackedWeights.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INLINED static inline __attribute__((always_inline))
#define UNROLLED _Pragma("clang loop unroll(full)")

enum {
    lanes = CKernels_weightColumns,
    // Inputs whose products are added up at once.
    group = CKernels_quantizedGroup,
    mostNarrowRows = 5,
    mostRows = 12,
    // Bytes of quantised rows that are multiplied by all panels before the next: they stay in the second-level cache.
    blockBytes = 1 << 17,
};

typedef float Lanes __attribute__((vector_size(64), aligned(4)));
typedef int32_t Integers __attribute__((vector_size(64), aligned(4)));
typedef int8_t Bytes __attribute__((vector_size(16), aligned(1)));

float CKernels_quantizeRow(const float *x, ptrdiff_t count, ptrdiff_t padded, int bound, int8_t *quantized) {
    Lanes largest = {0};
    float maximum = 0;
    ptrdiff_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        largest = __builtin_elementwise_max(largest, __builtin_elementwise_abs(*(const Lanes *)(x + i)));
    }
    for (int lane = 0; lane < lanes; lane++) maximum = largest[lane] > maximum ? largest[lane] : maximum;
    for (; i < count; i++) maximum = fabsf(x[i]) > maximum ? fabsf(x[i]) : maximum;
    float factor = maximum > 0 ? (float)bound / maximum : 0, check = 0;
    // What is not finite, or too small to be scaled, gives no integers: it makes the scale NaN, or the row zero.
    if (!(factor < INFINITY)) factor = 0;
    Lanes checks = {0};
    for (i = 0; i + lanes <= count; i += lanes) {
        Lanes values = *(const Lanes *)(x + i);
        checks += values * 0;
        Lanes rounded = __builtin_elementwise_roundeven(values * factor);
        // NaN has no integer.
        rounded = (Lanes)((Integers)rounded & (Integers)(rounded == rounded));
        *(Bytes *)(quantized + i) = __builtin_convertvector(__builtin_convertvector(rounded, Integers), Bytes);
    }
    for (int lane = 0; lane < lanes; lane++) check += checks[lane];
    for (; i < count; i++) {
        check += x[i] * 0;
        float value = rintf(x[i] * factor);
        quantized[i] = value == value ? (int8_t)value : 0;
    }
    for (; i < padded; i++) quantized[i] = 0;
    return maximum / (float)bound + check;
}

void CKernels_makeUnsigned(int8_t *quantized, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; i++) quantized[i] = (int8_t)(quantized[i] ^ 0x80);
}

// Σ over k of x · w for a tile, [rows][lanes].
typedef void Tile(const int8_t *x, ptrdiff_t xStride, const int8_t *panel, const int32_t *sums, ptrdiff_t k, int32_t *out);

#if defined(__x86_64__)

INLINED int32_t fourBytes(const int8_t *x) {
    int32_t four;
    __builtin_memcpy(&four, x, sizeof four);
    return four;
}

// x + 128 is unsigned, as the instructions want it, and 128 · Σ w is taken off at the end. Weights of 7 bits: a pair of products
// fits 16 bits. VNNI has 32 bits for four, and the same integers.
INLINED void multiplyTile(
    const int rows, const int8_t *x, ptrdiff_t xStride, const int8_t *panel, const int32_t *sums, ptrdiff_t k, int32_t *out
) {
    __m256i sum[mostNarrowRows][2], ones = _mm256_set1_epi16(1);
    UNROLLED for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = _mm256_setzero_si256();
    for (ptrdiff_t p = 0; p < k; p += group, panel += group * lanes) {
        __m256i low = _mm256_loadu_si256((const __m256i *)panel), high = _mm256_loadu_si256((const __m256i *)(panel + 32));
        UNROLLED for (int i = 0; i < rows; i++) {
            __m256i four = _mm256_set1_epi32(fourBytes(x + i * xStride + p));
            sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(_mm256_maddubs_epi16(four, low), ones));
            sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(_mm256_maddubs_epi16(four, high), ones));
        }
    }
    UNROLLED for (int j = 0; j < 2; j++) {
        __m256i excess = _mm256_slli_epi32(_mm256_loadu_si256((const __m256i *)(sums + 8 * j)), 7);
        UNROLLED for (int i = 0; i < rows; i++) {
            _mm256_storeu_si256((__m256i *)(out + i * lanes + 8 * j), _mm256_sub_epi32(sum[i][j], excess));
        }
    }
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) INLINED void multiplyWideTile(
    const int rows, const int8_t *x, ptrdiff_t xStride, const int8_t *panel, const int32_t *sums, ptrdiff_t k, int32_t *out
) {
    __m512i sum[mostRows], excess = _mm512_slli_epi32(_mm512_loadu_si512(sums), 7);
    UNROLLED for (int i = 0; i < rows; i++) sum[i] = _mm512_setzero_si512();
    for (ptrdiff_t p = 0; p < k; p += group, panel += group * lanes) {
        __m512i weights = _mm512_loadu_si512(panel);
        UNROLLED for (int i = 0; i < rows; i++) {
            sum[i] = _mm512_dpbusd_epi32(sum[i], _mm512_set1_epi32(fourBytes(x + i * xStride + p)), weights);
        }
    }
    UNROLLED for (int i = 0; i < rows; i++) _mm512_storeu_si512(out + i * lanes, _mm512_sub_epi32(sum[i], excess));
}

#define NARROW(ROWS)                                                                                                         \
    static void tile##ROWS(                                                                                                  \
        const int8_t *x, ptrdiff_t xStride, const int8_t *panel, const int32_t *sums, ptrdiff_t k, int32_t *out              \
    ) {                                                                                                                      \
        multiplyTile(ROWS, x, xStride, panel, sums, k, out);                                                                 \
    }
NARROW(1) NARROW(2) NARROW(3) NARROW(4) NARROW(5)
static Tile *const tiles[] = {tile1, tile2, tile3, tile4, tile5};

#define WIDE(ROWS)                                                                                                           \
    __attribute__((target("avx512f,avx512bw,avx512vnni"))) static void wideTile##ROWS(                                       \
        const int8_t *x, ptrdiff_t xStride, const int8_t *panel, const int32_t *sums, ptrdiff_t k, int32_t *out              \
    ) {                                                                                                                      \
        multiplyWideTile(ROWS, x, xStride, panel, sums, k, out);                                                             \
    }
WIDE(1) WIDE(2) WIDE(3) WIDE(4) WIDE(5) WIDE(6) WIDE(7) WIDE(8) WIDE(9) WIDE(10) WIDE(11) WIDE(12)
static Tile *const wideTiles[] = {wideTile1, wideTile2, wideTile3, wideTile4, wideTile5, wideTile6,
                                  wideTile7, wideTile8, wideTile9, wideTile10, wideTile11, wideTile12};

static bool hasVNNI(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni");
}

#else

#define NARROW(ROWS)                                                                                                         \
    static void tile##ROWS(                                                                                                  \
        const int8_t *x, ptrdiff_t xStride, const int8_t *panel, const int32_t *sums, ptrdiff_t k, int32_t *out              \
    ) {                                                                                                                      \
        (void)sums;                                                                                                          \
        for (int i = 0; i < ROWS * lanes; i++) out[i] = 0;                                                                   \
        for (ptrdiff_t p = 0; p < k; p++) {                                                                                  \
            const int8_t *weights = panel + p / group * group * lanes + p % group;                                           \
            for (int i = 0; i < ROWS; i++) {                                                                                 \
                int factor = (int)(uint8_t)x[i * xStride + p] - 128;                                                         \
                for (int c = 0; c < lanes; c++) out[i * lanes + c] += factor * weights[c * group];                           \
            }                                                                                                                \
        }                                                                                                                    \
    }
NARROW(1) NARROW(2) NARROW(3) NARROW(4) NARROW(5)
static Tile *const tiles[] = {tile1, tile2, tile3, tile4, tile5};

#endif

INLINED void scaleSums(
    const int width, const int32_t *restrict sums, float scale, const float *restrict scales, const float *restrict bias,
    bool rectified, float *restrict out
) {
    for (int c = 0; c < width; c++) {
        float value = __builtin_elementwise_fma((float)sums[c], scale * scales[c], bias[c]);
        out[c] = !rectified || value > 0 ? value : 0;
    }
}

void CKernels_multiplyQuantized(
    const int8_t *x, const float *xScales, ptrdiff_t rows, CKernels_QuantizedWeights weights, ptrdiff_t columns,
    const float *bias, bool rectified, float *out, ptrdiff_t outStride
) {
    Tile *const *tileOfRows = tiles;
    ptrdiff_t height = sizeof tiles / sizeof *tiles, k = weights.k;
#if defined(__x86_64__)
    if (hasVNNI()) {
        tileOfRows = wideTiles;
        height = sizeof wideTiles / sizeof *wideTiles;
    }
#endif
    ptrdiff_t block = blockBytes / (k > 0 ? k : 1) / height * height;
    if (block < height) block = height;
    for (ptrdiff_t begin = 0; begin < rows; begin += block) {
        ptrdiff_t end = begin + block < rows ? begin + block : rows;
        for (ptrdiff_t column = 0; column < columns; column += lanes) {
            ptrdiff_t width = columns - column < lanes ? columns - column : lanes;
            float added[lanes] = {0};
            if (bias) memcpy(added, bias + column, (size_t)width * sizeof(float));
            for (ptrdiff_t row = begin; row < end; row += height) {
                ptrdiff_t count = end - row < height ? end - row : height;
                int32_t sums[mostRows * lanes];
                tileOfRows[count - 1](x + row * k, k, weights.panels + column * k, weights.sums + column, k, sums);
                for (ptrdiff_t i = 0; i < count; i++) {
                    float *to = out + (row + i) * outStride + column, scale = xScales[row + i];
                    if (width == lanes) {
                        scaleSums(lanes, sums + i * lanes, scale, weights.scales + column, added, rectified, to);
                    } else {
                        scaleSums((int)width, sums + i * lanes, scale, weights.scales + column, added, rectified, to);
                    }
                }
            }
        }
    }
}
