/* What both kernels of exact search do with a score: a user's k best so far, without what the user has seen.

   Scores come by ascending position, and one enters only above the threshold, which is the k-th best as of late: of equal
   scores, the one of the lower position stays. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WIDE __attribute__((target("avx2,fma")))
#define INLINED WIDE static inline __attribute__((always_inline))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

enum { COLUMNS = 16, LINE = 64 };

/* One user's best so far: `held` keys and positions, by ascending position, and the seen positions still ahead. */
typedef struct {
    int32_t *key, *position;
    int64_t held;
    const int64_t *seen, *seen_end;
} Best;

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

/* No user has anything yet: `buffers` (n, 2, room), and the positions that each has seen, or no offsets. */
INLINED void begin(Best *best, int32_t *buffers, int64_t n, int64_t room, const int64_t *seen, const int64_t *offsets)
{
    for (int64_t u = 0; u < n; u++) {
        best[u].key = buffers + u * room * 2, best[u].position = best[u].key + room;
        if (offsets) best[u].seen = seen + offsets[u], best[u].seen_end = seen + offsets[u + 1];
    }
}

/* Writes found and scores (n, k) by ascending position, -1 and -infinity where there are no more. */
INLINED void finish(Best *best, int64_t n, int64_t k, int32_t *found, float *scores)
{
    for (int64_t u = 0; u < n; u++) {
        if (best[u].held > k) keep_best(&best[u], k);
        for (int64_t i = 0; i < k; i++) {
            found[u * k + i] = i < best[u].held ? best[u].position[i] : -1;
            scores[u * k + i] = i < best[u].held ? score_of(best[u].key[i]) : -INFINITY;
        }
    }
}
