/* The k best items by inner product for each user of a block, exactly. Loaded by kernel.py, which says how it is called.

   A product of two matrices that is never written down. A tile of 6 users x 16 items is summed over the dimensions in
   registers, by the scheme of GotoBLAS and BLIS (Goto and van de Geijn 2008, Van Zee and van de Geijn 2015): 16 items
   are a panel, of which so many dimensions stay in the L1 cache while all users of the block pass by from the L2 cache.
   New is the end: a tile's scores are compared with the users' thresholds while they are still in registers, and only
   those above reach a buffer. A user's threshold is the k-th best score as of late.

   Items come by ascending position, and a score enters only above the threshold: of equal scores, the one of the lower
   position stays. Every score is summed in the same order wherever its user and item stand, so that neither blocks nor
   threads change a result. All inputs are finite, and so are the scores: the caller sees to that. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Read by kernel.py, which refuses a library that was built from another version of this file. */
const int topk_interface = 2;

#if defined(__x86_64__)
#include <immintrin.h>

#define WIDE __attribute__((target("avx2,fma")))
#define INLINED WIDE static inline __attribute__((always_inline))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

enum { ROWS = 6, COLUMNS = 16, TILE = ROWS * COLUMNS, DEPTH = 256, LINE = 64 };

/* One user's best so far: `held` keys and positions, by ascending position, and the seen positions still ahead. */
typedef struct {
    int32_t *key, *position;
    int64_t held;
    const int64_t *seen, *seen_end;
} Best;

int topk_fits(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

/* A score's bits as an integer in the order of the scores, and back. */
INLINED int32_t turned(int32_t bits) { return bits ^ ((bits >> 31) & INT32_MAX); }

INLINED float score_of(int32_t key)
{
    float score;
    key = turned(key);
    memcpy(&score, &key, sizeof score);
    return score;
}

INLINED int64_t reaching(const Best *best, int32_t floor)
{
    int32_t count = 0;
    for (int64_t i = 0; i < best->held; i++) count += best->key[i] >= floor;
    return count;
}

/* Keeps the k best of more than k, in their order, and returns the lowest kept score.
   The floor is found by halving its range: counting has no branches, where a heap or a quickselect guesses. */
INLINED float keep_best(Best *best, int64_t k)
{
    int32_t low = INT32_MAX, high = -INT32_MAX, least = INT32_MAX;
    for (int64_t i = 0; i < best->held; i++) low = MIN(low, best->key[i]), high = -MIN(-high, -best->key[i]);
    for (int64_t count = best->held; low < high && count > k;) {
        int32_t middle = (int32_t)(high - ((int64_t)high - low) / 2);
        int64_t reached = reaching(best, middle);
        if (reached >= k) low = middle, count = reached;
        else high = middle - 1;
    }
    /* Now k reach the floor, or more with ties at it: of these the first ones stay. */
    int64_t ties = k - reaching(best, low + 1), kept = 0;
    for (int64_t i = 0; i < best->held; i++) {
        int32_t key = best->key[i], position = best->position[i];
        int equal = key == low, takes = (key > low) | (equal & (ties > 0));
        ties -= equal;
        best->key[kept] = key, best->position[kept] = position;
        least = takes & (key < least) ? key : least;
        kept += takes;
    }
    best->held = kept;
    return score_of(least);
}

/* Takes a score in, unless the user has seen the item. A user's scores come by ascending position. */
INLINED void offer(Best *best, float score, int32_t position, int64_t k, int64_t room, float *threshold)
{
    while (best->seen < best->seen_end && *best->seen < position) best->seen++;
    if (best->seen < best->seen_end && *best->seen == position) return;
    int32_t bits;
    score += 0.0f; /* -0 becomes 0, since the two are a tie */
    memcpy(&bits, &score, sizeof bits);
    best->key[best->held] = turned(bits);
    best->position[best->held++] = position;
    if (__builtin_expect(best->held == room, 0)) *threshold = keep_best(best, k);
}

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
        if (u < n) best[u].key = buffers + u * room * 2, best[u].position = best[u].key + room;
        if (u < n && offsets) best[u].seen = seen + offsets[u], best[u].seen_end = seen + offsets[u + 1];
    }
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
    for (int64_t u = 0; !failed && u < n; u++) {
        if (best[u].held > k) keep_best(&best[u], k);
        for (int64_t i = 0; i < k; i++) {
            found[u * k + i] = i < best[u].held ? best[u].position[i] : -1;
            scores[u * k + i] = i < best[u].held ? score_of(best[u].key[i]) : -INFINITY;
        }
    }
    free(packed), free(tiles), free(thresholds), free(buffers), free(best);
    return failed;
}
#else
int topk_fits(void) { return 0; }
#endif
