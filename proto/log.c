/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/utf8.h"

/* With PIPE_BUF (4096) or less in one write, lines of several processes never mix. */
#define LINE_MAX_BYTES 4096
#define WINDOW_MS      60000

static enum log_level log_level = LOG_LEVEL_INFO;
static bool log_to_journal;
static char log_tag[64];

/* Whether stderr is what JOURNAL_STREAM ("device:inode") says; it may have been redirected since.
 */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char expected[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(expected, sizeof(expected), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, expected) == 0;
}

void
log_init(enum log_level level, const char *tag)
{
	log_level = level;
	log_to_journal = stderr_is_journal();
	snprintf(log_tag, sizeof(log_tag), "%s", str_or_empty(tag));
}

void
log_set_level(enum log_level level)
{
	log_level = level;
}

enum log_level
log_get_level(void)
{
	return log_level;
}

static const struct {
	enum log_level level;
	const char *word;
} log_words[] = {
	{ LOG_LEVEL_ERROR, "error" },
	{ LOG_LEVEL_WARNING, "warning" },
	{ LOG_LEVEL_INFO, "info" },
	{ LOG_LEVEL_DEBUG, "debug" },
};

int
log_level_from_word(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(log_words); i++) {
		if (str_equal(log_words[i].word, word))
			return (int)log_words[i].level;
	}
	return -1;
}

static const char *
level_word(enum log_level level)
{
	for (size_t i = 0; i < ARRAY_SIZE(log_words); i++) {
		if (log_words[i].level == level)
			return log_words[i].word;
	}
	return "?";
}

/* Writes what stands before the text into line; returns its length. */
static size_t
write_prefix(char *line, size_t size, enum log_level level, const char *subsystem)
{
	const char *open = log_tag[0] ? "[" : "";
	const char *close = log_tag[0] ? "] " : "";
	int n;

	if (log_to_journal) {
		n = snprintf(
		    line, size, "<%d>%s%s%s%s: ", (int)level, open, log_tag, close, subsystem);
	} else {
		int64_t now = now_ms();
		time_t seconds = (time_t)(now / 1000);
		char stamp[32];
		struct tm tm;

		gmtime_r(&seconds, &tm);
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
		n = snprintf(line, size, "%s.%03dZ %s %s%s%s%s: ", stamp, (int)(now % 1000),
		    level_word(level), open, log_tag, close, subsystem);
	}
	if (n < 0)
		return 0;
	return (size_t)n < size ? (size_t)n : size - 1;
}

/* One character as it stands in a log line; returns the number of bytes of text it takes. */
static size_t
escape(const char *text, size_t len, char out[8])
{
	uint32_t code = 0;
	size_t n = utf8_char(text, len, &code);

	if (n > 0 && !utf8_is_control(code) && !utf8_is_hidden(code)) {
		memcpy(out, text, n);
		out[n] = '\0';
		return n;
	}
	if (*text == '\n')
		strcpy(out, "\\n");
	else if (*text == '\t')
		strcpy(out, "\\t");
	else
		snprintf(out, 8, "\\x%02x", (unsigned char)*text);
	return 1;
}

static void
log_text(enum log_level level, const char *subsystem, const char *text)
{
	static const char more[] = "...";
	char line[LINE_MAX_BYTES];
	size_t len = write_prefix(line, 256, level, subsystem);
	size_t left = strlen(text);
	int saved = errno;

	while (left > 0) {
		char piece[8];
		size_t used = escape(text, left, piece);
		size_t n = strlen(piece);

		if (len + n + sizeof(more) > sizeof(line)) {
			memcpy(line + len, more, sizeof(more) - 1);
			len += sizeof(more) - 1;
			break;
		}
		memcpy(line + len, piece, n);
		len += n;
		text += used;
		left -= used;
	}
	line[len++] = '\n';
	(void)!write(STDERR_FILENO, line, len);
	errno = saved;
}

static void PRINTF(3, 0)
    write_va(enum log_level level, const char *subsystem, const char *fmt, va_list ap)
{
	char text[LINE_MAX_BYTES];
	int saved = errno;

	vsnprintf(text, sizeof(text), fmt, ap);
	errno = saved;
	log_text(level, subsystem, text);
}

static void PRINTF(3, 0)
    log_va(enum log_level level, const char *subsystem, const char *fmt, va_list ap)
{
	if (level <= log_level)
		write_va(level, subsystem, fmt, ap);
}

#define LOG_FUNCTION(name, level)                              \
	void name(const char *subsystem, const char *fmt, ...) \
	{                                                      \
		va_list ap;                                    \
                                                               \
		va_start(ap, fmt);                             \
		log_va(level, subsystem, fmt, ap);             \
		va_end(ap);                                    \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

void
log_notice(const char *subsystem, const char *fmt, ...)
{
	va_list ap;

	if (log_level < LOG_LEVEL_WARNING)
		return;
	va_start(ap, fmt);
	write_va(LOG_LEVEL_INFO, subsystem, fmt, ap);
	va_end(ap);
}

bool
log_limit_take(struct log_limit *limit, unsigned int burst, const char *subsystem)
{
	int64_t now = monotonic_ms();

	if (limit->count == 0 || now - limit->window_ms >= WINDOW_MS) {
		if (limit->dropped > 0)
			log_warning(subsystem, "%u more lines like the next one were held back",
			    limit->dropped);
		*limit = (struct log_limit){ .window_ms = now };
	}
	if (limit->count >= burst) {
		limit->dropped++;
		return false;
	}
	limit->count++;
	return true;
}

void
log_limited(
    struct log_limit *limit, unsigned int burst, const char *subsystem, const char *fmt, ...)
{
	va_list ap;

	if (!log_limit_take(limit, burst, subsystem))
		return;
	va_start(ap, fmt);
	log_va(LOG_LEVEL_WARNING, subsystem, fmt, ap);
	va_end(ap);
}
