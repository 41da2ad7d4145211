/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Log lines on stderr: journald's priority prefix where stderr is the journal, else a time stamp
 * and the level; then "subsystem: text". Each is one write(2) of at most 4096 bytes. */
#ifndef PROTO_LOG_H
#define PROTO_LOG_H

#include "proto/util.h"

enum log_level {
	LOG_LEVEL_ERROR = 3, /* syslog's numbers, as journald reads them */
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* Sets the level, and the tag that job children put before each line (NULL for the daemon). Picks
 * the prefix style from JOURNAL_STREAM. */
void log_init(enum log_level level, const char *tag);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* "error", "warning", "info", "debug" to a level; -1 for another word. */
int log_level_from_word(const char *word);

/* subsystem is one lower-case word: http, job, libvirt, serf, ... Control characters in the text
 * are escaped. */
void log_error(const char *subsystem, const char *fmt, ...) PRINTF(2, 3);
void log_warning(const char *subsystem, const char *fmt, ...) PRINTF(2, 3);
void log_info(const char *subsystem, const char *fmt, ...) PRINTF(2, 3);
void log_debug(const char *subsystem, const char *fmt, ...) PRINTF(2, 3);
/* As log_info, but also where the level is that of warnings. */
void log_notice(const char *subsystem, const char *fmt, ...) PRINTF(2, 3);

/*
 * For lines that a peer can cause at will: at most burst lines a minute for each struct log_limit
 * (zero-initialised, static at the call), then one line that says how many were held back. They are
 * warnings.
 */
struct log_limit {
	int64_t window_ms;
	unsigned int count;
	unsigned int dropped;
};
/* Whether one more of such lines may be written now; says how many were held back before it. */
bool log_limit_take(struct log_limit *limit, unsigned int burst, const char *subsystem);
void log_limited(struct log_limit *limit, unsigned int burst, const char *subsystem,
    const char *fmt, ...) PRINTF(4, 5);

#endif
