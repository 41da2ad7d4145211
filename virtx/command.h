/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shape of a command: its words, operands and options, and the call of one. */
#ifndef VIRTX_COMMAND_H
#define VIRTX_COMMAND_H

#include "virtx/client.h"
#include "virtx/writer.h"

#define COMMAND_WORDS_MAX    3
#define COMMAND_OPERANDS_MAX 2
#define COMMAND_LETTERS	     128

/* Exit codes. */
enum command_result {
	COMMAND_OK = 0,
	COMMAND_FAILED = 1,
	COMMAND_USAGE = 2,
};

struct option_row {
	int letter;	  /* an ASCII letter; an upper number for an option without a short form */
	const char *name; /* the long form */
	const char *arg;  /* how its argument is called, NULL for an option without one */
	const char *help;
};

struct command_call {
	const struct command *command;
	const struct client *client;
	struct writer *writer;
	const char *operands[COMMAND_OPERANDS_MAX];
	const char *values[COMMAND_LETTERS]; /* an option's argument, by its letter; NULL without */
	int counts[COMMAND_LETTERS];	     /* how often it was given */
};

/* Does the work; on COMMAND_FAILED and COMMAND_USAGE err says why. */
typedef enum command_result (*command_run)(struct command_call *call, struct error *err);

struct command {
	const char *words[COMMAND_WORDS_MAX + 1]; /* NULL-terminated */
	const char *operands[COMMAND_OPERANDS_MAX + 1];
	const struct option_row *options; /* ends with a row of 0; NULL for none */
	command_run run;
	const char *summary; /* one line */
	const char *help;    /* what else the help says, NULL for nothing */
};

/* The options that every command has; ends with a row of 0. */
extern const struct option_row command_globals[];
enum {
	COMMAND_OPTION_HELP = 1, /* the long form of -? */
	COMMAND_OPTION_TIMEOUT,
	COMMAND_OPTION_VERSION,
};

/*
 * Finds the command that argv names among rows (which ends with a row without words) and fills
 * call: options may stand anywhere, but those of one command only behind its words. Help and
 * version that were asked for are printed here: then call->command is NULL with COMMAND_OK. On
 * COMMAND_USAGE err says what is wrong.
 */
enum command_result command_parse(const struct command *rows, int argc, char **argv,
    struct command_call *call, struct error *err);

/* For command_run: a whole number in min..max; 0 in *ret when the option was not given. */
int command_number(
    const struct command_call *call, int letter, long min, long max, long *ret, struct error *err);
/* A word of the enum or its number. */
int command_enum(const struct command_call *call, int letter, const struct enumdef *e, int *ret,
    struct error *err);
/* Checks a UUID (what says of what) and writes it in lower case. */
int command_uuid(const char *what, const char *text, char out[37], struct error *err);
/* The contents of a file, "-" for standard input, at most max bytes; NULL with err set. */
char *command_read(const char *file, size_t max, size_t *len, struct error *err);

#endif
