/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Output in every format. A command hands over the whole answer by writer_document, then shows it
 * by fields and tables: the format decides which of the two is printed.
 */
#ifndef VIRTX_WRITER_H
#define VIRTX_WRITER_H

#include <stdio.h>

#include "proto/model.h"
#include "proto/table.h"
#include "virtx/view.h"

enum writer_format {
	WRITER_TABLE,
	WRITER_WIDE, /* a table of whatever width */
	WRITER_JSON,
	WRITER_YAML,
	WRITER_CSV,
	WRITER_NAME, /* the column NAME, or the first one, alone */
};
extern const struct enumdef writer_format_enum;

/* Zero-initialise it; writer_finish frees what it holds. */
struct writer {
	FILE *out;
	enum writer_format format;
	bool no_headers;
	bool quiet;	    /* the first column alone */
	bool colour;	    /* the terminal shows states in colours */
	bool started;	    /* a section was printed: the next one needs a blank line before it */
	struct error wrong; /* of columns, filter or sort, where wrong.detail is not "" */
	struct writer_field *fields;
	size_t n_fields;
	struct view_table table; /* that is open */
};

/* Whether the answer as it came is printed, and nothing else. */
bool writer_is_document(const struct writer *w);
/* The answer as it came, which is all that JSON and YAML print; YAML has the words of enums. */
void writer_document(struct writer *w, const struct model *m, const void *obj);
/* The same for an answer that is one text. */
void writer_text(struct writer *w, const char *text);

/* A "name: value" line; consecutive ones are aligned. An empty value shows as "-". */
void writer_field(struct writer *w, const char *name, const char *fmt, ...) PRINTF(3, 4);
/*
 * Opens a table; titles must live until writer_end, and may have marks in front. Then one
 * writer_cell for each column of each row.
 */
void writer_begin(struct writer *w, const char *const *titles, size_t n_titles);
void writer_cell(struct writer *w, const char *fmt, ...) PRINTF(2, 3);
/* Prints the table. What the user asks of it and it has not is in w->wrong, and it is whole then.
 */
void writer_end(struct writer *w);

/* Prints what is left, flushes and frees; 0 or -errno of the output. */
int writer_finish(struct writer *w);

/* Milliseconds since the epoch as local time with its offset ("2026-03-01T12:00:00+0100"); "" for
 * 0. Returns out. */
#define WRITER_TIME_SIZE 32
const char *writer_time(int64_t ms, char out[WRITER_TIME_SIZE]);
/* Its word; of one that nobody knows, as its host has failed, "unknown". */
const char *writer_runstate(enum vmrunstate runstate);
/* A copy of text that is safe on a terminal: control characters, those that nobody sees and bytes
 * that are no UTF-8 become '?'; the caller frees. */
char *writer_safe(const char *text);
/* The same for JSON, where they become escapes and newlines stay. */
char *writer_safe_json(const char *json);

#endif
