/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far an operation is, on a terminal. */
#include "virtx/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/util.h"
#include "virtx/writer.h"

#define SOON_MS 300
#define NAME	20 /* characters of an operation's name that are shown */
#define CELLS	40

bool
progress_possible(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

void
progress_start(struct progress *progress, bool on)
{
	*progress = (struct progress){ .on = on, .since = monotonic_ms() };
}

void
progress_draw(struct progress *progress, const char *op, int percent)
{
	_free_ char *name = writer_safe(str_or_empty(op));
	int64_t elapsed = monotonic_ms() - progress->since;
	char bar[CELLS + 1];
	int full;

	if (!progress->on || elapsed < SOON_MS)
		return;
	progress->drawn = true;
	if (percent < 0) {
		fprintf(stderr, "\r%.*s %lld s\x1b[K", NAME, name, (long long)elapsed / 1000);
		return;
	}
	full = percent < 100 ? percent * CELLS / 100 : CELLS;
	memset(bar, ' ', CELLS);
	memset(bar, '=', full);
	if (full < CELLS)
		bar[full] = '>';
	bar[CELLS] = '\0';
	fprintf(stderr, "\r%.*s [%s] %3d%%\x1b[K", NAME, name, bar, percent < 100 ? percent : 100);
}

void
progress_end(struct progress *progress)
{
	if (progress->drawn)
		fputs("\r\x1b[K", stderr);
	progress->drawn = false;
}
