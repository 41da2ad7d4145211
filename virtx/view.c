/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/view.h"

#include <ctype.h>
#include <string.h>

#define GAP 2 /* between columns */

const char *
view_title(const char *title)
{
	return title + strspn(title, VIEW_TITLE_SPARE VIEW_TITLE_RIGHT);
}

bool
view_is_title(const char *title, const char *name, size_t len)
{
	const char *text = view_title(title);

	if (strlen(text) != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = name[i] == '-' || name[i] == '_' ? ' ' : name[i];

		if (toupper((unsigned char)c) != toupper((unsigned char)text[i]))
			return false;
	}
	return true;
}

const char *
view_cell_text(const struct view_table *table, size_t row, size_t column)
{
	return table->cells[row * table->n_titles + column].text;
}

/* The column of a name, from 0; -1 with what there are. */
static int
find_column(const struct view_table *table, const char *option, const char *name, size_t len,
    struct error *err)
{
	_buffer_ struct buffer titles = { 0 };

	for (size_t i = 0; i < table->n_titles; i++) {
		const char *title = view_title(table->titles[i]);

		if (view_is_title(table->titles[i], name, len))
			return (int)i;
		buffer_printf(&titles, "%s", i ? ", " : "");
		for (; *title; title++)
			buffer_printf(
			    &titles, "%c", *title == ' ' ? '-' : tolower((unsigned char)*title));
	}
	return error_set(err, VIEW_ERROR_STATUS, "%s: there is no column '%.*s', but %s", option,
	    (int)len, name, titles.data);
}

static int
choose_columns(const struct view_table *table, struct view *view, struct error *err)
{
	const char *at = table->columns;

	if (!at) {
		for (size_t i = 0; i < table->n_titles; i++)
			view->columns[view->n_columns++] = i;
		return 0;
	}
	for (;; at++) {
		size_t len = strcspn(at, ",");
		int column = find_column(table, "--columns", at, len, err);

		if (column < 0)
			return -1;
		if (view->n_columns == VIEW_COLUMNS_MAX)
			return error_set(err, VIEW_ERROR_STATUS, "--columns: more than %d of them",
			    VIEW_COLUMNS_MAX);
		view->columns[view->n_columns++] = (size_t)column;
		at += len;
		if (!*at)
			return 0;
	}
}

/* A term of a filter: COLUMN=VALUE, COLUMN!=VALUE, COLUMN~PART or COLUMN!~PART. */
struct term {
	size_t column;
	bool not, part;
	const char *value;
	size_t len;
};

static int
read_term(const struct view_table *table, const char *text, size_t len, struct term *ret,
    struct error *err)
{
	size_t name = strcspn(text, "=~!,");
	const char *at = text + name;
	int column;

	ret->not = *at == '!';
	at += ret->not ;
	if (name == 0 || (*at != '=' && *at != '~'))
		return error_set(err, VIEW_ERROR_STATUS,
		    "--filter: '%.*s' is none of COLUMN=VALUE, COLUMN!=VALUE, COLUMN~PART, "
		    "COLUMN!~PART",
		    (int)len, text);
	ret->part = *at == '~';
	ret->value = at + 1;
	ret->len = len - (size_t)(ret->value - text);
	column = find_column(table, "--filter", text, name, err);
	ret->column = column < 0 ? 0 : (size_t)column;
	return column < 0 ? -1 : 0;
}

static bool
term_fits(const struct term *term, const char *cell)
{
	size_t len = strlen(cell);
	bool fits;

	if (term->part)
		fits = term->len == 0 || memmem(cell, len, term->value, term->len);
	else
		fits = len == term->len && memcmp(cell, term->value, len) == 0;
	return fits != term->not ;
}

/* Takes the rows away that a term does not fit. */
static void
keep_rows(const struct view_table *table, const struct term *term, struct view *view)
{
	size_t n = 0;

	for (size_t i = 0; i < view->n_rows; i++) {
		if (term_fits(term, view_cell_text(table, view->rows[i], term->column)))
			view->rows[n++] = view->rows[i];
	}
	view->n_rows = n;
}

static int
filter_rows(const struct view_table *table, struct view *view, struct error *err)
{
	const char *at = table->filter;

	while (at) {
		size_t len = strcspn(at, ",");
		struct term term = { 0 };

		if (read_term(table, at, len, &term, err) < 0)
			return -1;
		keep_rows(table, &term, view);
		at = at[len] ? at + len + 1 : NULL;
	}
	return 0;
}

/* Numbers by their value, whatever their unit, which all of a column have. */
static int
compare_cells(const char *a, const char *b)
{
	char *end_a, *end_b;
	double one = strtod(a, &end_a), other = strtod(b, &end_b);

	if (end_a > a && end_b > b && strcmp(end_a, end_b) == 0 && one != other)
		return one < other ? -1 : 1;
	return strcmp(a, b);
}

struct order {
	const struct view_table *table;
	size_t column;
	int sign;
};

static int
compare_rows(const void *a, const void *b, void *arg)
{
	const struct order *order = arg;
	size_t one = *(const size_t *)a, other = *(const size_t *)b;
	int r = compare_cells(view_cell_text(order->table, one, order->column),
	    view_cell_text(order->table, other, order->column));

	if (r != 0)
		return r * order->sign;
	return one < other ? -1 : one > other;
}

static int
sort_rows(const struct view_table *table, struct view *view, struct error *err)
{
	const char *name = table->sort;
	struct order order = { .table = table, .sign = 1 };
	int column;

	if (!name)
		return 0;
	if (*name == '-') {
		order.sign = -1;
		name++;
	}
	column = find_column(table, "--sort", name, strlen(name), err);
	if (column < 0)
		return -1;
	order.column = (size_t)column;
	if (view->n_rows > 1)
		qsort_r(view->rows, view->n_rows, sizeof(*view->rows), compare_rows, &order);
	return 0;
}

int
view_make(const struct view_table *table, struct view *view, struct error *err)
{
	const struct view_table whole = { .titles = table->titles, .n_titles = table->n_titles };
	size_t n = table->n_titles > 0 ? table->n_cells / table->n_titles : 0;

	view->rows = xcalloc(n ? n : 1, sizeof(*view->rows));
	for (size_t i = 0; i < n; i++)
		view->rows[view->n_rows++] = i;
	if (choose_columns(table, view, err) == 0 && filter_rows(table, view, err) == 0 &&
	    sort_rows(table, view, err) == 0)
		return 0;
	view->n_columns = view->n_rows = 0;
	(void)choose_columns(&whole, view, err);
	for (size_t i = 0; i < n; i++)
		view->rows[view->n_rows++] = i;
	return -1;
}

void
view_clear(struct view *view)
{
	free(view->rows);
	*view = (struct view){ 0 };
}

static int
width_of(const struct view *view, const int *widths)
{
	int width = -GAP;

	for (size_t i = 0; i < view->n_columns; i++)
		width += GAP + widths[view->columns[i]];
	return width;
}

void
view_fit(const struct view_table *table, struct view *view, const int *widths)
{
	for (size_t i = view->n_columns; i-- > 0 && width_of(view, widths) > table->width;) {
		if (table->titles[view->columns[i]][0] != VIEW_TITLE_SPARE[0])
			continue;
		memmove(&view->columns[i], &view->columns[i + 1],
		    (view->n_columns - i - 1) * sizeof(view->columns[0]));
		view->n_columns--;
	}
}
