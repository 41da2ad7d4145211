/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Settings in a file that others write, too: they stand in a block of their own at its end, and
 * what said something else before is a comment. So all of it can be taken back.
 */
#ifndef VIRTX_CLUSTER_EDIT_H
#define VIRTX_CLUSTER_EDIT_H

#include <stdio.h>

#include "proto/util.h"

#define CLUSTER_EDIT_BEGIN "# virtx cluster: begin"
#define CLUSTER_EDIT_END   "# virtx cluster: end"
#define CLUSTER_EDIT_WAS   "#virtx# " /* in front of what said something else */
/* What is wrong where a block has no end. */
#define CLUSTER_EDIT_LOST \
	"the line '" CLUSTER_EDIT_END "' is missing behind '" CLUSTER_EDIT_BEGIN "'"

/* What of a file is a comment then, beside what says something else of the same keys. */
struct cluster_edit_rule {
	/* Of this key, which may be there several times, only what has the same first word is
	 * replaced. */
	const char *several;
	/* What cannot stay beside the settings. */
	bool (*drops)(const char *section, const char *key, const char *value);
	/* What nobody is to have again by the way, where the settings go: it stays a comment. */
	bool (*stays)(const char *section, const char *key, const char *value);
	/* A key that is in no section, and is not to be set at all; NULL for none. */
	const char *never;
};

/*
 * The text with these settings: lines KEY = VALUE, KEY=VALUE, KEY: VALUE, or [SECTION]. Where there
 * are none, "", there is no block either. The rule may be NULL. The same again changes nothing. The
 * caller frees; NULL where the text has a block without an end, of which nobody knows what else is
 * in it.
 */
char *cluster_edit_set(
    const char *text, const char *settings, const struct cluster_edit_rule *rule);
/* The text as it was without, but for what stays a comment by the rule, which may be NULL; the
 * caller frees. NULL likewise. */
char *cluster_edit_undo(const char *text, const struct cluster_edit_rule *rule);
/* Whether the text has a block of ours. */
bool cluster_edit_has(const char *text);
/* Tells on out which settings are comments of ours in the text, a line for each behind these words.
 * Of values only that of the key which may be there several times is shown: others may be secrets.
 */
void cluster_edit_show(
    const char *text, const struct cluster_edit_rule *rule, const char *words, FILE *out);
/* Whether the text says the same as the settings, and nothing that they would replace, with no
 * block of its own. */
bool cluster_edit_says(
    const char *text, const char *settings, const struct cluster_edit_rule *rule);
/* The first word of the value of the first KEY = VALUE in the section ("" for none), without
 * quotes; NULL where there is none, else the caller's. */
char *cluster_edit_get(const char *text, const char *section, const char *key);

#endif
