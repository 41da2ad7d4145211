/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Settings in a file that others write, too: they stand in a block of their own at its end, and
 * what said something else before is a comment. So all of it can be taken back.
 */
#ifndef VIRTX_CLUSTER_EDIT_H
#define VIRTX_CLUSTER_EDIT_H

#include "proto/util.h"

#define CLUSTER_EDIT_BEGIN "# virtx cluster: begin"
#define CLUSTER_EDIT_END   "# virtx cluster: end"
#define CLUSTER_EDIT_WAS   "#virtx# " /* in front of what said something else */

/*
 * The text with these settings: lines KEY = VALUE, KEY=VALUE, or [SECTION]. Of a key that may be
 * there several times (NULL for none) only what has the same first word is replaced. The same
 * again changes nothing. The caller frees.
 */
char *cluster_edit_set(const char *text, const char *settings, const char *several);
/* The text as it was without; the caller frees. */
char *cluster_edit_undo(const char *text);
/* Whether the text says the same as the settings, and nothing else of their keys, with no block of
 * its own. */
bool cluster_edit_says(const char *text, const char *settings);
/* The value of the first KEY = VALUE in no section, without quotes; NULL for none, else the
 * caller's. */
char *cluster_edit_get(const char *text, const char *key);

#endif
