/* The k best items by inner product for each user of a block, exactly. Loaded by kernel.py, which says how it is called.

   A product of two matrices that is never written down. A tile of 6 users x 16 items is summed over the dimensions in
   registers, by the scheme of GotoBLAS and BLIS (Goto and van de Geijn 2008, Van Zee and van de Geijn 2015): 16 items
   are a panel, of which so many dimensions stay in the L1 cache while all users of the block pass by from the L2 cache.
   New is the end: a tile's scores are compared with the users' thresholds while they are still in registers, and only
   those above reach a buffer. A user's threshold is the k-th best score as of late.

   Items come by ascending position, and a score enters only above the threshold: of equal scores, the one of the lower
   position stays. Every score is summed in the same order wherever its user and item stand, so that neither blocks nor
   threads change a result. All inputs are finite, and so are the scores: the caller sees to that. */
#include <stdint.h>

/* Read by kernel.py, which refuses a library that was built from another version of this file. */
const int topk_interface = 3;

#if defined(__x86_64__)
#include <immintrin.h>

#include "_best.h"

enum { ROWS = 6, TILE = ROWS * COLUMNS, DEPTH = 256 };

int topk_fits(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

/* Adds a (steps, 6) times b (steps, 16) to the tile, or begins it unless `resume`. With thresholds (6), returns whether
   any score is above its row's; if so, `above` has bit 16 * row + column, 64 bits a word. The tile is only complete in
   memory where it is needed: for the next dimensions, or because a score is above. Twelve sums of eight floats, two of
   the items and one of a user fill the sixteen registers. */
INLINED int sum(const float *a, const float *b, int64_t steps, int resume, const float *thresholds, float *tile,
                uint64_t *above)
{
    __m256 sums[ROWS][2], any = _mm256_setzero_ps();
#pragma GCC unroll 6
    for (int row = 0; row < ROWS; row++) {
        sums[row][0] = resume ? _mm256_load_ps(tile + row * COLUMNS) : _mm256_setzero_ps();
        sums[row][1] = resume ? _mm256_load_ps(tile + row * COLUMNS + 8) : _mm256_setzero_ps();
    }
#pragma GCC unroll 4
    for (int64_t i = 0; i < steps; i++) {
        __m256 left = _mm256_load_ps(b + i * COLUMNS), right = _mm256_load_ps(b + i * COLUMNS + 8);
#pragma GCC unroll 6
        for (int row = 0; row < ROWS; row++) {
            __m256 user = _mm256_broadcast_ss(a + i * ROWS + row);
            sums[row][0] = _mm256_fmadd_ps(user, left, sums[row][0]);
            sums[row][1] = _mm256_fmadd_ps(user, right, sums[row][1]);
        }
    }
    if (thresholds) {
#pragma GCC unroll 6
        for (int row = 0; row < ROWS; row++) {
            __m256 goal = _mm256_broadcast_ss(thresholds + row);
            any = _mm256_or_ps(any, _mm256_cmp_ps(sums[row][0], goal, _CMP_GT_OQ));
            any = _mm256_or_ps(any, _mm256_cmp_ps(sums[row][1], goal, _CMP_GT_OQ));
        }
        if (!_mm256_movemask_ps(any)) return 0;
        above[0] = above[1] = 0;
#pragma GCC unroll 6
        for (int row = 0; row < ROWS; row++) {
            __m256 goal = _mm256_broadcast_ss(thresholds + row);
            uint64_t left = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(sums[row][0], goal, _CMP_GT_OQ));
            uint64_t right = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(sums[row][1], goal, _CMP_GT_OQ));
            above[row / 4] |= (left | right << 8) << 16 * (row % 4);
        }
    }
#pragma GCC unroll 6
    for (int row = 0; row < ROWS; row++) {
        _mm256_store_ps(tile + row * COLUMNS, sums[row][0]);
        _mm256_store_ps(tile + row * COLUMNS + 8, sums[row][1]);
    }
    return thresholds != 0;
}

/* users (n, d); panels (panels, d, 16) with the items' positions (columns), ascending; per user the ascending positions
   seen[offsets[u]:offsets[u + 1]], or no offsets; room > k: places in a user's buffer. Writes found and scores (n, k) by
   ascending position, -1 and -infinity where there are no more. Returns 0, or 1 where there is no memory. */
WIDE int topk_block(const float *users, int64_t n, int64_t d, const float *panels, const int32_t *positions,
                    int64_t columns, const int64_t *seen, const int64_t *offsets, int64_t k, int64_t room,
                    int32_t *found, float *scores)
{
    int64_t groups = (n + ROWS - 1) / ROWS, n_panels = (columns + COLUMNS - 1) / COLUMNS;
    int64_t passes = (d + DEPTH - 1) / DEPTH, depth = (d + passes - 1) / passes;
    float *packed = aligned_alloc(LINE, (groups * ROWS * d * 4 + LINE - 1) / LINE * LINE);
    float *tiles = aligned_alloc(LINE, groups * TILE * 4), *thresholds = malloc(groups * ROWS * 4);
    int32_t *buffers = malloc(n * room * 8);
    Best *best = calloc(n, sizeof(Best));
    int failed = !packed || !tiles || !thresholds || !buffers || !best;
    for (int64_t u = 0; !failed && u < groups * ROWS; u++) {
        thresholds[u] = u < n ? -INFINITY : INFINITY;
        for (int64_t i = 0; i < d; i++) packed[(u / ROWS * d + i) * ROWS + u % ROWS] = u < n ? users[u * d + i] : 0;
    }
    if (!failed) begin(best, buffers, n, room, seen, offsets);
    for (int64_t p = 0; !failed && p < n_panels; p++) {
        uint64_t valid = ((1ull << MIN(columns - p * COLUMNS, COLUMNS)) - 1) * 0x0001000100010001ull, above[2];
        for (int64_t from = 0; from < d; from += depth) {
            int64_t steps = MIN(depth, d - from), each = (steps + groups - 1) / groups;
            const float *b = panels + (p * d + from) * COLUMNS;
            for (int64_t g = 0; g < groups; g++) {
                float *tile = tiles + g * TILE, *goals = thresholds + g * ROWS;
                /* A cache line is one dimension of a panel: each group fetches its share of the next panel's ahead. */
                for (int64_t i = g * each; p + 1 < n_panels && i < MIN(steps, (g + 1) * each); i++)
                    __builtin_prefetch(b + (d + i) * COLUMNS, 0, 2);
                float *last = from + steps == d ? goals : 0;
                if (!sum(packed + (g * d + from) * ROWS, b, steps, from > 0, last, tile, above)) continue;
                for (int half = 0; half < 2; half++)
                    for (uint64_t bits = above[half] & valid; bits; bits &= bits - 1) {
                        int at = 64 * half + __builtin_ctzll(bits), row = at / COLUMNS, column = at % COLUMNS;
                        offer(&best[g * ROWS + row], tile[at], positions[p * COLUMNS + column], k, room, goals + row);
                    }
            }
        }
    }
    if (!failed) finish(best, n, k, found, scores);
    free(packed), free(tiles), free(thresholds), free(buffers), free(best);
    return failed;
}
#else
int topk_fits(void) { return 0; }
#endif
