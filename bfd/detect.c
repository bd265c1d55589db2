/* SPDX-License-Identifier: BSD-2-Clause */
/* The sweep: see detect.h. */
#include "bfd/detect.h"

/* Vectors are spelt out so that the speed does not depend on the optimiser's mood. 16 bytes are what every
 * x86-64 and arm64 has. */
typedef uint32_t vec __attribute__((vector_size(16)));
#define VEC_LANES 4u
#define BLOCK_VECS (BFD_DETECT_BLOCK / VEC_LANES)

static inline bool block_has_late(const uint32_t *deadline, uint32_t now)
{
	const vec *d = (const vec *)__builtin_assume_aligned(deadline, sizeof(vec));
	vec now_vec = {now, now, now, now};
	vec early = now_vec - d[0];

	/* All differences negative: the conjunction keeps the sign bit. */
	for (unsigned i = 1; i < BLOCK_VECS; i++)
		early &= now_vec - d[i];
	return (int32_t)(early[0] & early[1] & early[2] & early[3]) >= 0;
}

uint32_t bfd_detect_next(const uint32_t *deadline, uint32_t from, uint32_t n, uint32_t now)
{
	uint32_t i = from;

	for (; i < n && i % BFD_DETECT_BLOCK; i++)
		if (bfd_tick_late(deadline[i], now))
			return i;
	for (; i < n; i += BFD_DETECT_BLOCK) {
		if (!block_has_late(deadline + i, now))
			continue;
		while (!bfd_tick_late(deadline[i], now))
			i++;
		return i;
	}
	return n;
}

uint32_t bfd_detect_slack(const uint32_t *deadline, uint32_t n, uint32_t now)
{
	typedef int32_t svec __attribute__((vector_size(16)));
	const vec *d = (const vec *)__builtin_assume_aligned(deadline, sizeof(vec));
	svec least[2] = {
		{INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}, {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}};
	vec now_vec = {now, now, now, now};
	int32_t best = INT32_MAX;

	/* Two chains: the minimum, made of compare and masks, has some latency. */
	for (uint32_t i = 0; i < n / VEC_LANES; i += 2)
		for (unsigned k = 0; k < 2; k++) {
			svec left = (svec)(d[i + k] - now_vec), less = left < least[k];
			least[k] = (left & less) | (least[k] & ~less);
		}
	for (unsigned k = 0; k < 2 * VEC_LANES; k++) {
		int32_t left = least[k / VEC_LANES][k % VEC_LANES];
		best = left < best ? left : best;
	}
	return best > 0 ? (uint32_t)best : 0;
}
