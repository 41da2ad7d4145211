/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "history.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"

static struct {
	bool loud;
	char *violation;
	uint64_t sum;
} history;

void
history_reset(bool loud)
{
	free(history.violation);
	history.violation = NULL;
	history.loud = loud;
	history.sum = UINT64_C(0xcbf29ce484222325);
}

/* FNV-1a */
static void
add_to_sum(const char *text)
{
	for (; *text; text++)
		history.sum = (history.sum ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
}

static void
add(int host, const char *fmt, va_list ap)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "%6" PRId64 ".%03d ", clock_now() / 1000,
	    (int)(clock_now() % 1000));

	n += snprintf(text + n, sizeof(text) - (size_t)n, host < 0 ? "--  " : "h%d  ", host + 1);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	add_to_sum(text);
	if (history.loud)
		puts(text);
}

void
history_add(int host, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(host, fmt, ap);
	va_end(ap);
}

void
history_violation(const char *fmt, ...)
{
	va_list ap;

	if (history.violation)
		return;
	va_start(ap, fmt);
	history.violation = xvasprintf(fmt, ap);
	va_end(ap);
	history_add(CLOCK_NOBODY, "VIOLATION: %s", history.violation);
}

const char *
history_first_violation(void)
{
	return history.violation;
}

uint64_t
history_sum(void)
{
	return history.sum;
}
