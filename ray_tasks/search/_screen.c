/* The k best items by inner product, exactly, for half the work: a product in bfloat16 says which scores need computing.

   Rounding a vector to bfloat16 loses a known part of it, so that the product of the rounded vectors tells a score within
   a known distance (Cauchy-Schwarz; screened.py). A score that lies further below its user's threshold than that cannot
   be in the list. The few others are computed in float32. A tile is 24 users x 16 items: a register of sums per user, and
   one line of a panel, two dimensions of 16 items. */
#include <stdint.h>

#if defined(__x86_64__) && (__GNUC__ >= 10 || __clang_major__ >= 9)
#include <float.h>
#include <immintrin.h>

#include "_best.h"

#define SHORT __attribute__((target("avx2,fma,avx512f,avx512bf16")))

enum { TALL = 24 };

int topk_screens(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16"); }

/* For each of 24 users, a bit for every item whose product is not below the user's goal. Returns whether there is any. */
SHORT static inline __attribute__((always_inline)) int screen(const int32_t *a, const int32_t *b, int64_t pairs,
                                                              const float *goals, uint16_t *above)
{
    __m512 sums[TALL];
    int any = 0;
#pragma GCC unroll 24
    for (int row = 0; row < TALL; row++) sums[row] = _mm512_setzero_ps();
    for (int64_t i = 0; i < pairs; i++) {
        __m512bh items = (__m512bh)_mm512_load_si512(b + i * COLUMNS);
#pragma GCC unroll 24
        for (int row = 0; row < TALL; row++)
            sums[row] = _mm512_dpbf16_ps(sums[row], items, (__m512bh)_mm512_set1_epi32(a[i * TALL + row]));
    }
#pragma GCC unroll 24
    for (int row = 0; row < TALL; row++) {
        above[row] = _mm512_cmp_ps_mask(sums[row], _mm512_set1_ps(goals[row]), _CMP_NLE_UQ); /* also what is no number */
        any |= above[row];
    }
    return any;
}

/* A score, always summed in the same order. */
SHORT static inline float product(const float *a, const float *b, int64_t d)
{
    __m512 even = _mm512_setzero_ps(), odd = even;
    int64_t i = 0;
    for (; i + 32 <= d; i += 32) {
        even = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), even);
        odd = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16), odd);
    }
    for (; i < d; i += 16) {
        __mmask16 there = d - i < 16 ? (1u << (d - i)) - 1 : 0xFFFF;
        even = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(there, a + i), _mm512_maskz_loadu_ps(there, b + i), even);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(even, odd));
}

/* As topk_block, with users (n, d) and items (all, d) as they are, and rounded: halves (n, pairs) and panels (panels,
   pairs, 16), two dimensions in 32 bits. A product is further from its score than slack[u][0] * reach[p][0] + slack[u][1] *
   reach[p][1], for slack (n, 2) and reach (panels, 2), in no case but where it underflows. */
SHORT int topk_screened(const float *users, const int32_t *halves, const float *slack, int64_t n, int64_t d,
                        const float *items, const int32_t *panels, const float *reach, const int32_t *positions,
                        int64_t columns, const int64_t *seen, const int64_t *offsets, int64_t k, int64_t room,
                        int32_t *found, float *scores)
{
    int64_t groups = (n + TALL - 1) / TALL, n_panels = (columns + COLUMNS - 1) / COLUMNS, pairs = (d + 1) / 2;
    int32_t *packed = aligned_alloc(LINE, (groups * TALL * pairs * 4 + LINE - 1) / LINE * LINE);
    int32_t *buffers = malloc(n * room * 8);
    float *thresholds = malloc(n * 4);
    Best *best = calloc(n, sizeof(Best));
    int failed = !packed || !thresholds || !buffers || !best;
    for (int64_t u = 0; !failed && u < groups * TALL; u++) {
        if (u < n) thresholds[u] = -INFINITY;
        for (int64_t i = 0; i < pairs; i++)
            packed[(u / TALL * pairs + i) * TALL + u % TALL] = u < n ? halves[u * pairs + i] : 0;
    }
    if (!failed) begin(best, buffers, n, room, seen, offsets);
    for (int64_t p = 0; !failed && p < n_panels; p++) {
        uint16_t valid = (1u << MIN(columns - p * COLUMNS, COLUMNS)) - 1, above[TALL];
        const int32_t *b = panels + p * pairs * COLUMNS;
        int64_t each = (pairs + groups - 1) / groups;
        for (int64_t g = 0; g < groups; g++) {
            int64_t from = g * TALL, rows = MIN(n - from, TALL);
            float goals[TALL] = {0};
            for (int64_t i = g * each; p + 1 < n_panels && i < MIN(pairs, (g + 1) * each); i++)
                __builtin_prefetch(b + (pairs + i) * COLUMNS, 0, 2);
            for (int64_t row = 0; row < rows; row++) {
                const float *own = slack + (from + row) * 2;
                goals[row] = thresholds[from + row] - (own[0] * reach[p * 2] + own[1] * reach[p * 2 + 1]) - d * 4 * FLT_MIN;
            }
            if (!screen(packed + from * pairs, b, pairs, goals, above)) continue;
            for (int64_t row = 0; row < rows; row++)
                for (unsigned bits = above[row] & valid; bits; bits &= bits - 1) {
                    int32_t position = positions[p * COLUMNS + __builtin_ctz(bits)];
                    int64_t u = from + row;
                    float score = product(users + u * d, items + position * d, d);
                    if (score > thresholds[u]) offer(&best[u], score, position, k, room, thresholds + u);
                }
        }
    }
    if (!failed) finish(best, n, k, found, scores);
    free(packed), free(thresholds), free(buffers), free(best);
    return failed;
}
#else
int topk_screens(void) { return 0; }
#endif
