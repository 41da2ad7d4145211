/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The time of ops_host.h: libevent's timers do not run by themselves. */
#ifndef TEST_OPS_TIME_H
#define TEST_OPS_TIME_H

#include <stdbool.h>
#include <stdint.h>

struct event;

#define EPOCH_MS INT64_C(1700000000000) /* now_ms() at monotonic 0 */

/* The timer that is due first until then (monotonic ms), which is off now, or starts anew if it
 * repeats; here.now is when it is due. NULL for none. */
struct event *ops_time_take(int64_t until);
/* Whether any is started. */
bool ops_time_has_timers(void);

#endif
