/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far an operation is, on a terminal. */
#ifndef VIRTX_PROGRESS_H
#define VIRTX_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Start it with progress_start, end it with progress_end. */
struct progress {
	bool on;
	bool drawn;
	int64_t since; /* monotonic_ms() */
};

/* Whether stderr is a terminal that can draw over a line. */
bool progress_possible(void);
/* Nothing is drawn where on is false. */
void progress_start(struct progress *progress, bool on);
/* Draws the operation's name with a bar, or with the time where percent is below 0; one that ends
 * soon is never drawn. */
void progress_draw(struct progress *progress, const char *op, int percent);
/* Takes away what was drawn. */
void progress_end(struct progress *progress);

#endif
