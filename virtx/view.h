/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of a table is shown: which columns and rows, and in which order. */
#ifndef VIRTX_VIEW_H
#define VIRTX_VIEW_H

#include "proto/error.h"

#define VIEW_COLUMNS_MAX  16
#define VIEW_ERROR_STATUS -1 /* of what the user asks of a table that has it not */

/* What a title may start with, in this order. */
#define VIEW_TITLE_SPARE "~" /* the column goes where the terminal is too narrow */
#define VIEW_TITLE_RIGHT ">" /* its cells are at the right */

struct view_cell {
	char *text;
	int width; /* on a terminal */
};

/* A table, and what the user wants of it. */
struct view_table {
	const char *const *titles; /* NULL for none */
	size_t n_titles;
	struct view_cell *cells; /* row by row */
	size_t n_cells;
	const char *columns, *filter, *sort; /* borrowed, NULL for all of it as it comes */
	int width;			     /* of the terminal, 0 for no limit */
};

/* Zero-initialise it. */
struct view {
	size_t columns[VIEW_COLUMNS_MAX]; /* of the table, from 0 */
	size_t n_columns;
	size_t *rows;
	size_t n_rows;
};

/*
 * Makes the view that the table's columns, filter and sort ask for. One that names no column of
 * the table is told in err (-1), and the view is of the whole table. view_clear frees it.
 */
int view_make(const struct view_table *table, struct view *view, struct error *err);
void view_clear(struct view *view);
/* Drops columns that may be (VIEW_TITLE_SPARE), the last one first, until the others fit
 * table->width; widths is by columns of the table. */
void view_fit(const struct view_table *table, struct view *view, const int *widths);

/* The text of a cell. */
const char *view_cell_text(const struct view_table *table, size_t row, size_t column);
/* The title without its marks. */
const char *view_title(const char *title);
/* Whether the title is the one of len bytes: in any case, and with '-' or '_' for a space. */
bool view_is_title(const char *title, const char *name, size_t len);

#endif
