/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the word at the cursor may become: the completion of the shells asks this. */
#ifndef VIRTX_COMPLETE_H
#define VIRTX_COMPLETE_H

#include <stdio.h>

#include "virtx/command.h"

#define COMPLETE_WORD	  "__complete" /* the hidden command */
#define COMPLETE_DEADLINE 1	       /* seconds that the server of a shell has to answer */
#define COMPLETE_FILES	  ":files"     /* the line that stands for the names of files */

/*
 * words are those behind the program's name up to the cursor; the last one is completed, and is ""
 * where a new one begins. Each line on out is a candidate, with what it is behind a tab where that
 * is known, or COMPLETE_FILES. UUIDs and ids are asked from the server that the words or the
 * environment name; one that does not answer within timeout seconds has none. Where no UUID starts
 * with the word, but one name does, its UUID is the candidate; where several do, these names are.
 */
void complete(
    const struct command *const *commands, int n, char *const *words, int timeout, FILE *out);

#endif
