/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The writer of every output format. */
#include "virtx/writer.h"

#include <errno.h>
#include <locale.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "proto/json.h"
#include "proto/utf8.h"
#include "virtx/yaml.h"

#define NOTHING "-" /* what a table has for an empty text */

static const char *const writer_format_words[] = {
	"table",
	"wide",
	"json",
	"yaml",
	"csv",
	"name",
};
const struct enumdef writer_format_enum = { "format", writer_format_words,
	ARRAY_SIZE(writer_format_words) };

struct writer_field {
	const char *name;
	char *value;
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

bool
writer_is_document(const struct writer *w)
{
	return w->format == WRITER_JSON || w->format == WRITER_YAML;
}

/* How many columns of a terminal a (safe) text takes, whatever the locale is. */
static int
text_width(const char *text)
{
	static locale_t utf8;
	size_t len = strlen(text);
	locale_t before;
	int width = 0;

	if (!utf8)
		utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	before = utf8 ? uselocale(utf8) : (locale_t)0;
	while (len > 0) {
		uint32_t code;
		bool shown;
		size_t n = next_char(text, len, &code, &shown);
		int cells = code < 0x80 ? 1 : wcwidth((wchar_t)code);

		width += cells < 0 ? 1 : cells;
		text += n;
		len -= n;
	}
	if (before)
		uselocale(before);
	return width;
}

static char *format_value(const char *fmt, va_list ap) PRINTF(1, 0);

static char *
format_value(const char *fmt, va_list ap)
{
	_free_ char *raw = xvasprintf(fmt, ap);

	return raw[0] ? writer_safe(raw) : xstrdup(NOTHING);
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
	_free_ char *text = NULL, *safe = NULL;

	if (!writer_is_document(w))
		return;
	text = w->format == WRITER_JSON ? json_encode_pretty(m, obj, NULL) : yaml_encode(m, obj);
	safe = writer_safe_json(text);
	fprintf(w->out, "%s%s", safe, w->format == WRITER_JSON ? "\n" : "");
}

void
writer_text(struct writer *w, const char *text)
{
	_free_ char *quoted = writer_is_document(w) ? json_quote(text) : NULL;
	_free_ char *shown = quoted ? writer_safe_json(quoted) : writer_safe(text);

	fprintf(w->out, "%s\n", shown);
}

/* A blank line between sections. */
static void
begin_section(struct writer *w)
{
	if (w->started && !w->quiet && w->format != WRITER_NAME)
		fputc('\n', w->out);
	w->started = true;
}

/* A value of CSV, as RFC 4180 has it. */
static void
print_csv(struct writer *w, const char *text, bool last)
{
	if (strcmp(text, NOTHING) == 0)
		text = "";
	if (strpbrk(text, ",\"")) {
		fputc('"', w->out);
		for (; *text; text++)
			fprintf(w->out, "%s%c", *text == '"' ? "\"" : "", *text);
		fputc('"', w->out);
	} else {
		fputs(text, w->out);
	}
	fputs(last ? "\n" : ",", w->out);
}

/* One field in the format that is asked for. */
static void
print_field(struct writer *w, size_t at, int widest)
{
	const struct writer_field *field = &w->fields[at];

	if (w->quiet || w->format == WRITER_NAME) {
		if (w->quiet ? at == 0 : strcmp(field->name, "name") == 0)
			fprintf(w->out, "%s\n", field->value);
	} else if (w->format == WRITER_CSV) {
		print_csv(w, field->name, false);
		print_csv(w, field->value, true);
	} else {
		fprintf(w->out, "%s:%*s %s\n", field->name, widest - text_width(field->name), "",
		    field->value);
	}
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
	for (size_t i = 0; i < w->n_fields; i++)
		print_field(w, i, widest);
	for (size_t i = 0; i < w->n_fields; i++)
		free(w->fields[i].value);
	free(steal_ptr(w->fields));
	w->n_fields = 0;
}

void
writer_field(struct writer *w, const char *name, const char *fmt, ...)
{
	struct writer_field *field;
	va_list ap;

	if (writer_is_document(w))
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
	w->table.titles = titles;
	w->table.n_titles = n_titles;
}

void
writer_cell(struct writer *w, const char *fmt, ...)
{
	struct view_cell *cell;
	va_list ap;

	if (writer_is_document(w))
		return;
	cell = model_append(&w->table.cells, &w->table.n_cells);
	va_start(ap, fmt);
	cell->text = format_value(fmt, ap);
	va_end(ap);
	cell->width = text_width(cell->text);
}

/* The colour of a state, NULL for none. */
static const char *
colour_of(const char *state)
{
	static const struct {
		const char *state, *colour;
	} colours[] = {
		{ "running", "32" },
		{ "active", "32" },
		{ "completed", "32" },
		{ "paused", "33" },
		{ "started", "33" },
		{ "migrating", "33" },
		{ "crashed", "31" },
		{ "failed", "31" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(colours); i++) {
		size_t len = strlen(colours[i].state);

		if (strncmp(state, colours[i].state, len) == 0 &&
		    (!state[len] || state[len] == ' '))
			return colours[i].colour;
	}
	return NULL;
}

/* One cell of a line; nothing is padded behind the last one. */
static void
print_cell(struct writer *w, const char *title, const char *text, int column_width, bool last)
{
	bool right = title[strspn(title, VIEW_TITLE_SPARE)] == VIEW_TITLE_RIGHT[0];
	bool is_state = w->colour && strcmp(view_title(title), "STATE") == 0;
	const char *colour = is_state ? colour_of(text) : NULL;
	int pad = column_width - text_width(text);

	fprintf(w->out, "%*s", right ? pad : 0, "");
	if (colour)
		fprintf(w->out, "\x1b[%sm%s\x1b[0m", colour, text);
	else
		fputs(text, w->out);
	fprintf(w->out, "%*s%s", right || last ? 0 : pad, "", last ? "\n" : "  ");
}

static void
print_table(struct writer *w, struct view *view)
{
	int widths[VIEW_COLUMNS_MAX];
	size_t n = w->table.n_titles;

	for (size_t i = 0; i < n; i++)
		widths[i] = w->no_headers ? 0 : text_width(view_title(w->table.titles[i]));
	for (size_t i = 0; i < view->n_rows; i++)
		for (size_t j = 0; j < n; j++) {
			int width = w->table.cells[view->rows[i] * n + j].width;

			widths[j] = width > widths[j] ? width : widths[j];
		}
	if (w->table.width > 0 && w->format == WRITER_TABLE && !w->table.columns)
		view_fit(&w->table, view, widths);
	for (size_t j = 0; j < view->n_columns && !w->no_headers; j++)
		print_cell(w, w->table.titles[view->columns[j]],
		    view_title(w->table.titles[view->columns[j]]), widths[view->columns[j]],
		    j + 1 == view->n_columns);
	for (size_t i = 0; i < view->n_rows; i++)
		for (size_t j = 0; j < view->n_columns; j++)
			print_cell(w, w->table.titles[view->columns[j]],
			    view_cell_text(&w->table, view->rows[i], view->columns[j]),
			    widths[view->columns[j]], j + 1 == view->n_columns);
}

static void
print_csv_table(struct writer *w, const struct view *view)
{
	for (size_t j = 0; j < view->n_columns && !w->no_headers; j++)
		print_csv(
		    w, view_title(w->table.titles[view->columns[j]]), j + 1 == view->n_columns);
	for (size_t i = 0; i < view->n_rows; i++)
		for (size_t j = 0; j < view->n_columns; j++)
			print_csv(w, view_cell_text(&w->table, view->rows[i], view->columns[j]),
			    j + 1 == view->n_columns);
}

/* One column alone: the name, or what identifies. */
static void
print_names(struct writer *w, const struct view *view)
{
	size_t column = 0;

	for (size_t j = 0; j < w->table.n_titles && !w->quiet; j++)
		if (view_is_title(w->table.titles[j], "name", 4))
			column = j;
	for (size_t i = 0; i < view->n_rows; i++)
		fprintf(w->out, "%s\n", view_cell_text(&w->table, view->rows[i], column));
}

void
writer_end(struct writer *w)
{
	struct view view = { 0 };

	if (!writer_is_document(w) && w->table.n_titles > 0) {
		begin_section(w);
		(void)view_make(&w->table, &view, &w->wrong);
		if (w->quiet || w->format == WRITER_NAME)
			print_names(w, &view);
		else if (w->format == WRITER_CSV)
			print_csv_table(w, &view);
		else
			print_table(w, &view);
		view_clear(&view);
	}
	for (size_t i = 0; i < w->table.n_cells; i++)
		free(w->table.cells[i].text);
	free(steal_ptr(w->table.cells));
	w->table.n_cells = 0;
	w->table.titles = NULL;
	w->table.n_titles = 0;
}

int
writer_finish(struct writer *w)
{
	if (w->table.titles)
		writer_end(w);
	flush_fields(w);
	if (fflush(w->out) || ferror(w->out))
		return -(errno ? errno : EIO);
	return 0;
}
