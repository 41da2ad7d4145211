/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dice.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "proto/uuid.h"

static uint64_t state;

void __wrap_uuid_make(char out[UUID_TEXT_SIZE]);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned int flags);

void
dice_seed(uint64_t seed)
{
	state = seed;
}

/* splitmix64 */
static uint64_t
next(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

int64_t
dice_below(int64_t n)
{
	return (int64_t)(next() % (uint64_t)n);
}

int64_t
dice_between(int64_t low, int64_t high)
{
	return low + dice_below(high - low + 1);
}

bool
dice_permille(int permille)
{
	return dice_below(1000) < permille;
}

void
__wrap_uuid_make(char out[UUID_TEXT_SIZE])
{
	uint64_t a = next(), b = next();

	snprintf(out, UUID_TEXT_SIZE, "%08x-%04x-4%03x-8%03x-%04x%08x", (unsigned int)(a >> 32),
	    (unsigned int)(a >> 16 & 0xffff), (unsigned int)(a & 0xfff), (unsigned int)(b >> 52),
	    (unsigned int)(b >> 32 & 0xffff), (unsigned int)(b & 0xffffffff));
}

ssize_t
__wrap_getrandom(void *buf, size_t len, unsigned int flags)
{
	unsigned char *out = buf;

	for (size_t i = 0; i < len; i++)
		out[i] = (unsigned char)next();
	return (ssize_t)len;
}
