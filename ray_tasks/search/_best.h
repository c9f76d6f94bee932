/* One user's best items so far, for _topk.c: a buffer that takes what comes and now and then keeps only the k best. */
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Inlined into every variant, so that the compiler makes the loops as wide as the variant's vectors are. */
#define SHARED static inline __attribute__((always_inline))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* `held` keys and positions, by ascending position, and the user's seen positions that are still ahead. */
typedef struct {
    int32_t *key, *position;
    int64_t held;
    const int64_t *seen, *seen_end;
} Best;

/* Integers in the order of the scores. -0 becomes 0, since the two are a tie. */
SHARED int32_t key_of(float score)
{
    int32_t bits;
    score += 0.0f;
    memcpy(&bits, &score, sizeof bits);
    return bits ^ ((bits >> 31) & INT32_MAX);
}

SHARED float score_of(int32_t key)
{
    float score;
    key ^= (key >> 31) & INT32_MAX;
    memcpy(&score, &key, sizeof score);
    return score;
}

SHARED int64_t reaching(const Best *best, int32_t floor)
{
    int32_t count = 0;
    for (int64_t i = 0; i < best->held; i++) count += best->key[i] >= floor;
    return count;
}

/* Keeps the k best of more than k, in their order, and returns the lowest kept score.
   The floor is found by halving its range: counting has no branches, where a heap or a quickselect guesses. */
SHARED float keep_best(Best *best, int64_t k)
{
    int32_t low = INT32_MAX, high = INT32_MIN, least = INT32_MAX;
    for (int64_t i = 0; i < best->held; i++) {
        low = best->key[i] < low ? best->key[i] : low;
        high = best->key[i] > high ? best->key[i] : high;
    }
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
        best->key[kept] = key;
        best->position[kept] = position;
        least = takes & (key < least) ? key : least;
        kept += takes;
    }
    best->held = kept;
    return score_of(least);
}

/* Takes a score in, unless the user has seen the item. A user's scores come by ascending position. */
SHARED void offer(Best *best, float score, int32_t position, int64_t k, int64_t room, float *threshold)
{
    while (best->seen < best->seen_end && *best->seen < position) best->seen++;
    if (best->seen < best->seen_end && *best->seen == position) return;
    best->key[best->held] = key_of(score);
    best->position[best->held++] = position;
    if (__builtin_expect(best->held == room, 0)) *threshold = keep_best(best, k);
}

/* Ascending order of n words by merging; `spare` has as many. Returns where they are. */
static uint64_t *sorted(uint64_t *words, uint64_t *spare, int64_t n)
{
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t start = 0; start < n; start += 2 * width) {
            int64_t middle = MIN(start + width, n), end = MIN(start + 2 * width, n);
            int64_t left = start, right = middle, at = start;
            while (left < middle && right < end) {
                uint64_t one = words[left], other = words[right];
                int takes_other = other < one;
                spare[at++] = takes_other ? other : one;
                right += takes_other;
                left += !takes_other;
            }
            memcpy(spare + at, words + left, (size_t)(middle - left) * sizeof *words);
            memcpy(spare + at + middle - left, words + right, (size_t)(end - right) * sizeof *words);
        }
        uint64_t *swap = words;
        words = spare, spare = swap;
    }
    return words;
}

/* A user's list: score descending, position ascending; position -1 and score -infinity where there are no more.
   `words` has room for 2k. */
SHARED void write_list(Best *best, int64_t k, uint64_t *words, int32_t *found, float *scores)
{
    if (best->held > k) keep_best(best, k);
    for (int64_t i = 0; i < best->held; i++)
        words[i] = (uint64_t)~((uint32_t)best->key[i] ^ 0x80000000u) << 32 | (uint32_t)best->position[i];
    words = sorted(words, words + k, best->held);
    for (int64_t i = 0; i < k; i++) {
        int there = i < best->held;
        found[i] = there ? (int32_t)(uint32_t)words[i] : -1;
        scores[i] = there ? score_of((int32_t)(~(uint32_t)(words[i] >> 32) ^ 0x80000000u)) : -INFINITY;
    }
}
