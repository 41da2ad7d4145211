/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The writer of every output format. */
#include "virtx/writer.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "proto/json.h"
#include "proto/utf8.h"

static const char *const writer_format_words[] = {
	"table",
	"json",
};
const struct enumdef writer_format_enum = { "format", writer_format_words,
	ARRAY_SIZE(writer_format_words) };

struct writer_field {
	const char *name;
	char *value;
};

struct writer_cell {
	char *text;
	int width;
};

/* The length of the character at the front, its number, and whether a terminal may have it. */
static size_t
next_char(const char *text, size_t len, uint32_t *code, bool *shown)
{
	size_t n = utf8_char(text, len, code);

	*shown = n > 0 && !utf8_is_control(*code) && !utf8_is_hidden(*code);
	if (n > 0)
		return n;
	*code = 0xfffd;
	return 1;
}

char *
writer_safe(const char *text)
{
	size_t len = strlen(text);
	char *out = xcalloc(len + 1, 1), *to = out;

	while (len > 0) {
		uint32_t code;
		bool shown;
		size_t n = next_char(text, len, &code, &shown);

		if (shown)
			to = mempcpy(to, text, n);
		else
			*to++ = '?';
		text += n;
		len -= n;
	}
	return out;
}

char *
writer_safe_json(const char *json)
{
	size_t len = strlen(json);
	struct buffer out = { 0 };

	while (len > 0) {
		uint32_t code;
		bool shown;
		size_t n = next_char(json, len, &code, &shown);

		if (shown || code == '\n')
			buffer_add(&out, json, n);
		else if (code < 0x10000)
			buffer_printf(&out, "\\u%04x", (unsigned int)code);
		else
			buffer_printf(&out, "\\u%04x\\u%04x", 0xd7c0 + (unsigned int)(code >> 10),
			    0xdc00 + (unsigned int)(code & 0x3ff));
		json += n;
		len -= n;
	}
	return buffer_steal(&out, NULL);
}

/* How many columns a (safe) text takes: its number of characters. */
static int
text_width(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static char *format_value(const char *fmt, va_list ap) PRINTF(1, 0);

static char *
format_value(const char *fmt, va_list ap)
{
	_free_ char *raw = xvasprintf(fmt, ap);

	return raw[0] ? writer_safe(raw) : xstrdup("-");
}

const char *
writer_time(int64_t ms, char out[WRITER_TIME_SIZE])
{
	time_t seconds = ms / 1000;
	struct tm tm;

	if (ms == 0 || !localtime_r(&seconds, &tm) ||
	    strftime(out, WRITER_TIME_SIZE, "%Y-%m-%dT%H:%M:%S%z", &tm) == 0)
		out[0] = '\0';
	return out;
}

const char *
writer_runstate(enum vmrunstate runstate)
{
	return runstate == VMRUNSTATE_NONE ? "unknown" : enum_word(&vmrunstate_enum, runstate);
}

void
writer_document(struct writer *w, const struct model *m, const void *obj)
{
	_free_ char *json = NULL, *safe = NULL;

	if (w->format != WRITER_JSON)
		return;
	json = json_encode_pretty(m, obj, NULL);
	safe = writer_safe_json(json);
	fprintf(w->out, "%s\n", safe);
}

void
writer_text(struct writer *w, const char *text)
{
	_free_ char *quoted = w->format == WRITER_JSON ? json_quote(text) : NULL;
	_free_ char *shown = quoted ? writer_safe_json(quoted) : writer_safe(text);

	fprintf(w->out, "%s\n", shown);
}

/* A blank line between sections. */
static void
begin_section(struct writer *w)
{
	if (w->started)
		fputc('\n', w->out);
	w->started = true;
}

static void
flush_fields(struct writer *w)
{
	int widest = 0;

	if (w->n_fields == 0)
		return;
	begin_section(w);
	for (size_t i = 0; i < w->n_fields; i++) {
		int width = text_width(w->fields[i].name);

		widest = width > widest ? width : widest;
	}
	for (size_t i = 0; i < w->n_fields; i++) {
		fprintf(w->out, "%s:%*s %s\n", w->fields[i].name,
		    widest - text_width(w->fields[i].name), "", w->fields[i].value);
		free(w->fields[i].value);
	}
	free(steal_ptr(w->fields));
	w->n_fields = 0;
}

void
writer_field(struct writer *w, const char *name, const char *fmt, ...)
{
	struct writer_field *field;
	va_list ap;

	if (w->format != WRITER_TABLE)
		return;
	field = model_append(&w->fields, &w->n_fields);
	field->name = name;
	va_start(ap, fmt);
	field->value = format_value(fmt, ap);
	va_end(ap);
}

void
writer_begin(struct writer *w, const char *const *titles, size_t n_titles)
{
	flush_fields(w);
	w->titles = titles;
	w->n_titles = n_titles;
}

void
writer_cell(struct writer *w, const char *fmt, ...)
{
	struct writer_cell *cell;
	va_list ap;

	if (w->format != WRITER_TABLE)
		return;
	cell = model_append(&w->cells, &w->n_cells);
	va_start(ap, fmt);
	cell->text = format_value(fmt, ap);
	va_end(ap);
	cell->width = text_width(cell->text);
}

/* One cell of a line; nothing is padded behind the last one. */
static void
print_cell(struct writer *w, const char *text, int width, int column_width, bool right, bool last)
{
	int pad = column_width - width;

	fprintf(w->out, "%*s%s%*s%s", right ? pad : 0, "", text, right || last ? 0 : pad, "",
	    last ? "\n" : "  ");
}

void
writer_end(struct writer *w)
{
	int widths[WRITER_COLUMNS_MAX];
	size_t n = w->n_titles;

	if (w->format == WRITER_TABLE && n > 0) {
		begin_section(w);
		for (size_t i = 0; i < n; i++)
			widths[i] = text_width(w->titles[i] + (w->titles[i][0] == '>'));
		for (size_t i = 0; i < w->n_cells; i++)
			if (w->cells[i].width > widths[i % n])
				widths[i % n] = w->cells[i].width;
		for (size_t i = 0; i < n; i++) {
			bool right = w->titles[i][0] == '>';

			print_cell(w, w->titles[i] + right, text_width(w->titles[i] + right),
			    widths[i], right, i == n - 1);
		}
		for (size_t i = 0; i < w->n_cells; i++)
			print_cell(w, w->cells[i].text, w->cells[i].width, widths[i % n],
			    w->titles[i % n][0] == '>', i % n == n - 1);
	}
	for (size_t i = 0; i < w->n_cells; i++)
		free(w->cells[i].text);
	free(steal_ptr(w->cells));
	w->n_cells = 0;
	w->titles = NULL;
	w->n_titles = 0;
}

int
writer_finish(struct writer *w)
{
	if (w->titles)
		writer_end(w);
	flush_fields(w);
	if (fflush(w->out) || ferror(w->out))
		return -(errno ? errno : EIO);
	return 0;
}
