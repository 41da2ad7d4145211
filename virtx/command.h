/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shape of a command: its words, operands and options, and the call of one. */
#ifndef VIRTX_COMMAND_H
#define VIRTX_COMMAND_H

#include "virtx/client.h"
#include "virtx/writer.h"

#define COMMAND_WORDS_MAX    3
#define COMMAND_OPERANDS_MAX 2
#define COMMAND_LETTERS	     128

/* How a command ends; failure.h makes an exit code of it. */
enum command_result {
	COMMAND_OK = 0,
	COMMAND_FAILED = 1,
	COMMAND_USAGE = 2,
};

/* What an operand or the argument of an option names: what completion offers for it. */
enum argument_kind {
	ARGUMENT_TEXT, /* nothing is offered */
	ARGUMENT_FILE,
	ARGUMENT_WORD, /* of an enum, or its number */
	ARGUMENT_VM,
	ARGUMENT_HOST,
	ARGUMENT_OPERATION,
	ARGUMENT_CONTEXT,
	ARGUMENT_FIELD, /* of a VM's definition */
};

struct argument {
	const char *name; /* in the usage line; one in brackets may be left out */
	enum argument_kind kind;
	const struct enumdef *words; /* of ARGUMENT_WORD */
	int first;		     /* of the words that is offered; those before say nothing */
};

#define ARG_TEXT(text)		     (&(const struct argument){ text, ARGUMENT_TEXT, NULL, 0 })
#define ARG_WORD(text, words, first) (&(const struct argument){ text, ARGUMENT_WORD, words, first })
#define ARG_FILE		     (&(const struct argument){ "FILE", ARGUMENT_FILE, NULL, 0 })
#define ARG_VM			     (&(const struct argument){ "VM", ARGUMENT_VM, NULL, 0 })
#define ARG_HOST		     (&(const struct argument){ "HOST", ARGUMENT_HOST, NULL, 0 })
#define ARG_HOST_MAYBE		     (&(const struct argument){ "[HOST]", ARGUMENT_HOST, NULL, 0 })
#define ARG_OPERATION		     (&(const struct argument){ "ID", ARGUMENT_OPERATION, NULL, 0 })
#define ARG_CONTEXT		     (&(const struct argument){ "NAME", ARGUMENT_CONTEXT, NULL, 0 })
#define ARG_FIELD_MAYBE		     (&(const struct argument){ "[FIELD]", ARGUMENT_FIELD, NULL, 0 })
#define ARG_CONTEXT_USED	     (&(const struct argument){ "[NAME]", ARGUMENT_CONTEXT, NULL, 0 })

struct option_row {
	int letter;	  /* an ASCII letter; an upper number for an option without a short form */
	const char *name; /* the long form */
	const struct argument *arg; /* NULL for an option without one */
	const char *help;
};

struct command_call {
	const struct command *command;
	const struct client *client;
	struct writer *writer;
	const char *operands[COMMAND_OPERANDS_MAX];
	const char *shown[COMMAND_OPERANDS_MAX]; /* as messages have them: "'web' (UUID)" */
	const char *values[COMMAND_LETTERS]; /* an option's argument, by its letter; NULL without */
	int counts[COMMAND_LETTERS];	     /* how often it was given */
	char *const *more; /* of one whose last operand may come again: all of those, borrowed */
	size_t n_more;
	char *const
	    *named; /* of a command that takes several VMs: those that are named, borrowed */
	size_t n_named;
	int64_t since; /* monotonic_ms() when it was begun */
};

/* Does the work; on COMMAND_FAILED and COMMAND_USAGE err says why. */
typedef enum command_result (*command_run)(struct command_call *call, struct error *err);

#define SEVERAL_PARALLEL     8 /* VMs at a time */
#define SEVERAL_PARALLEL_MAX 32

/* The options of the commands that take several VMs; several.h has their rows. */
enum {
	SEVERAL_OPTION_ALL = 20,
	SEVERAL_OPTION_PARALLEL,
	SEVERAL_OPTION_YES,
};
/* What is particular to a command that takes several VMs. */
struct several {
	/* What has become of a VM: "running". */
	const char *(*done)(const struct command_call *call);
	/* What is asked first, where it is: "delete". NULL, or returns NULL, for nothing. */
	const char *(*danger)(const struct command_call *call);
	/* That a VM is so already, of one that --all or --filter chose: the error's type, and what
	 * is said of it. ERROR_BY_STATUS for none. */
	enum error_type already;
	const char *is_already;
	/* Whether one that the server does not know is done with. NULL for no. */
	bool (*may_be_gone)(const struct command_call *call);
	/* Whether its options fit together, before anything is asked; -1 with err. NULL for yes. */
	int (*check)(const struct command_call *call, struct error *err);
	int alone; /* an option that goes with one VM alone, 0 for none */
};

/* All that is known of a command: parser, help and completion read it, and tests hold the man page
 * against it. It stands beside its code; verbs.h has the list. */
struct command {
	const char *words; /* at most COMMAND_WORDS_MAX, a space between: "boot vm" */
	const struct argument *operands[COMMAND_OPERANDS_MAX + 1]; /* NULL-terminated */
	const struct option_row *options; /* ends with a row of 0; NULL for none */
	const char *summary;		  /* one line without a full stop */
	const char *help;		  /* what else the help says, NULL for nothing */
	const char *examples;		  /* command lines, each with its newline; NULL for none */
	command_run run;
	bool more;		       /* the last operand may come again */
	bool local;		       /* it asks no server, or says itself which one */
	int needed;		       /* an option that must be given, 0 for none */
	const struct several *several; /* operand 0, the only one, may be several VMs; NULL else */
};

/* The options that every command has; ends with a row of 0. */
extern const struct option_row command_globals[];
enum {
	COMMAND_OPTION_HELP = 1, /* the long form of -? */
	COMMAND_OPTION_TIMEOUT,
	COMMAND_OPTION_CA,
	COMMAND_OPTION_TOKEN,
	COMMAND_OPTION_CONTEXT,
	COMMAND_OPTION_CERTIFICATE,
	COMMAND_OPTION_KEY,
	COMMAND_OPTION_VERSION,
	COMMAND_OPTION_COLUMNS,
	COMMAND_OPTION_FILTER,
	COMMAND_OPTION_SORT,
	COMMAND_OPTION_NO_HEADERS,
};

/*
 * Finds the command that argv names among the commands (NULL-terminated) and fills call: options
 * may stand anywhere, but those of one command only behind its words. Help and version that were
 * asked for are printed here: then call->command is NULL with COMMAND_OK. On COMMAND_USAGE err says
 * what is wrong.
 */
enum command_result command_parse(const struct command *const *commands, int argc, char **argv,
    struct command_call *call, struct error *err);

/* The word of the command at a place from 0; its length in *len, NULL behind the last. */
const char *command_word(const struct command *command, size_t at, size_t *len);
/* Whether its first words are these. */
bool command_starts_with(const struct command *command, const char *const *words, size_t n);
/* Adds a word, or what it stands for as an alias, to the *n that name a command so far and are no
 * whole one. */
void command_add_word(const char *words[COMMAND_WORDS_MAX], size_t *n, const char *word);
/* Whether it has two words, and these are its first in the other order: "vm", "vm list". */
bool command_turned(const struct command *command, const char *const *words, size_t n);
/* The command that these words name in full, in either order of two; *any tells whether one starts
 * with them. */
const struct command *command_find(
    const struct command *const *commands, const char *const *words, size_t n, bool *any);
/* The row of an option of the command (NULL for none yet), or of every command; NULL where it has
 * none. */
const struct option_row *command_option(const struct command *command, int letter);

/* Whether the call is for several VMs: more than one name, --all or --filter. */
bool command_is_for_several(const struct command_call *call);
/* For command_run: a whole number in min..max; 0 in *ret when the option was not given. */
int command_number(
    const struct command_call *call, int letter, long min, long max, long *ret, struct error *err);
/* The same for an option with an ARG_WORD: one of the words, or its number. */
int command_enum(const struct command_call *call, int letter, int *ret, struct error *err);
/* A time as 90d, 12h or 30m, from a minute to max, in seconds. */
int command_lifetime(const char *text, int64_t max, int64_t *ret, struct error *err);
/* The contents of a file, "-" for standard input, at most max bytes; NULL with err set. */
char *command_read(const char *file, size_t max, size_t *len, struct error *err);

#endif
