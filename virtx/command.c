/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding a command and its options in the arguments, and the help for both. */
#include "virtx/command.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/certificate.h"

#define OPTIONS_MAX 32

const struct option_row command_globals[] = {
	{ 'A', "api-server", ARG_TEXT("SERVER"),
	    "HOST, HOST:PORT, URL or unix:PATH (default: VIRTX_API_SERVER, the context, this "
	    "host)" },
	{ COMMAND_OPTION_CONTEXT, "context", ARG_CONTEXT,
	    "a server that 'virtx login' keeps (default: VIRTX_CONTEXT, then the one in use)" },
	{ 'o', "output", ARG_WORD("FORMAT", &writer_format_enum, 0),
	    "table (the default), wide, json, yaml, csv or name" },
	{ COMMAND_OPTION_COLUMNS, "columns", ARG_TEXT("NAME,..."), "only these columns of tables" },
	{ COMMAND_OPTION_FILTER, "filter", ARG_TEXT("TERM,..."),
	    "only lines with COLUMN=VALUE, !=, ~ or !~ (has it in it, or not)" },
	{ COMMAND_OPTION_SORT, "sort", ARG_TEXT("COLUMN"),
	    "the order of the lines; backwards with a '-' before it" },
	{ COMMAND_OPTION_NO_HEADERS, "no-headers", NULL, "tables without their titles" },
	{ 'q', "quiet", NULL, "only the first column, as the UUIDs" },
	{ COMMAND_OPTION_CA, "ca-file", ARG_FILE,
	    "who answers for the server's certificate (default: that of the context, "
	    "else VIRTX_CA_FILE, " CERTIFICATE_CA ")" },
	{ COMMAND_OPTION_TOKEN, "token-file", ARG_FILE,
	    "has the secret of a token (default: that of the context, else VIRTX_TOKEN_FILE)" },
	{ COMMAND_OPTION_CERTIFICATE, "certificate", ARG_FILE,
	    "a user's, which a server is shown (default without a context: "
	    "VIRTX_CERTIFICATE_FILE)" },
	{ COMMAND_OPTION_KEY, "key", ARG_FILE,
	    "its key (default: VIRTX_KEY_FILE, then the certificate's file)" },
	{ COMMAND_OPTION_TIMEOUT, "timeout", ARG_TEXT("SECONDS"),
	    "how long to wait for an answer (360)" },
	{ 'D', "debug", NULL, "show the heads of request and answer on stderr" },
	{ '?', "help", NULL, "show this help" },
	{ COMMAND_OPTION_VERSION, "version", NULL, "show the version" },
	{ 0 },
};

static enum command_result
usage_error(struct error *err)
{
	err->status = CLIENT_ERROR_STATUS;
	return COMMAND_USAGE;
}

static void
print_options(const struct option_row *rows)
{
	for (; rows->letter; rows++) {
		_free_ char *left = xasprintf(
		    "--%s%s%s", rows->name, rows->arg ? " " : "", rows->arg ? rows->arg->name : "");
		char letter[4] = "   ";

		if (rows->letter >= ' ')
			snprintf(letter, sizeof(letter), "-%c,", (char)rows->letter);
		printf("  %s %-26s %s\n", letter, left, rows->help);
	}
}

/* The command as its usage line says it: "get vm [OPTION]... UUID". */
static char *
usage_line(const struct command *command, bool with_options)
{
	struct buffer line = { 0 };

	buffer_printf(&line, "%s%s", command->words, with_options ? " [OPTION]..." : "");
	for (size_t i = 0; command->operands[i]; i++)
		buffer_printf(&line, " %s%s", command->operands[i]->name,
		    command->several || (command->more && !command->operands[i + 1]) ? "..." : "");
	return buffer_steal(&line, NULL);
}

static void
print_command_help(const struct command *command)
{
	_free_ char *line = usage_line(command, true);

	printf("Usage: virtx %s\n%s.\n", line, command->summary);
	if (command->help)
		printf("%s\n", command->help);
	if (command->options) {
		printf("\nOptions:\n");
		print_options(command->options);
	}
	printf("\nOptions of every command:\n");
	print_options(command_globals);
	if (command->examples)
		printf("\nExamples:\n");
	for (const char *at = str_or_empty(command->examples); *at; at = strchr(at, '\n') + 1)
		printf("  %.*s\n", (int)strcspn(at, "\n"), at);
}

const char *
command_word(const struct command *command, size_t at, size_t *len)
{
	const char *word = command->words;

	while (at-- > 0 && word) {
		word = strchr(word, ' ');
		word = word ? word + 1 : NULL;
	}
	*len = word ? strcspn(word, " ") : 0;
	return word;
}

bool
command_starts_with(const struct command *command, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len;
		const char *word = command_word(command, i, &len);

		if (!word || strlen(words[i]) != len || memcmp(word, words[i], len) != 0)
			return false;
	}
	return true;
}

bool
command_turned(const struct command *command, const char *const *words, size_t n)
{
	size_t first, last, len;
	const char *one = command_word(command, 0, &first),
		   *other = command_word(command, 1, &last);

	if (n == 0 || n > 2 || !other || command_word(command, 2, &len))
		return false;
	return strlen(words[0]) == last && memcmp(words[0], other, last) == 0 &&
	       (n == 1 || (strlen(words[1]) == first && memcmp(words[1], one, first) == 0));
}

const struct command *
command_find(const struct command *const *commands, const char *const *words, size_t n, bool *any)
{
	const struct command *found = NULL;
	bool turned = n > 0;
	size_t len;

	for (const struct command *const *at = commands; *at; at++)
		turned = turned && !command_starts_with(*at, words, n);
	*any = false;
	for (; *commands; commands++) {
		if (turned ? !command_turned(*commands, words, n)
			   : !command_starts_with(*commands, words, n))
			continue;
		*any = true;
		if (!command_word(*commands, n, &len))
			found = *commands;
	}
	return found;
}

/* What people type for the words of commands. */
static const struct {
	const char *alias;
	const char *words[2];
} aliases[] = {
	{ "ls", { "list", NULL } },
	{ "ps", { "list", "vm" } },
	{ "rm", { "delete", NULL } },
	{ "start", { "boot", NULL } },
	{ "stop", { "shutdown", NULL } },
};

void
command_add_word(const char *words[COMMAND_WORDS_MAX], size_t *n, const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
		if (strcmp(word, aliases[i].alias) != 0)
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(aliases[i].words) && aliases[i].words[j]; j++)
			if (*n < COMMAND_WORDS_MAX)
				words[(*n)++] = aliases[i].words[j];
		return;
	}
	words[(*n)++] = word;
}

/* Words that may stand at a place; zero-initialise it. */
struct known_words {
	char **items;
	size_t n;
};

static void
known_words_add(struct known_words *known, const char *word, size_t len)
{
	for (size_t i = 0; i < known->n; i++)
		if (strlen(known->items[i]) == len && memcmp(known->items[i], word, len) == 0)
			return;
	*model_append(&known->items, &known->n) = xstrndup(word, len);
}

static void
known_words_clear(struct known_words *known)
{
	for (size_t i = 0; i < known->n; i++)
		free(known->items[i]);
	free(known->items);
}

/* Those that may follow n words, of which a command starts so. */
static void
find_next_words(const struct command *const *commands, const char *const *words, size_t n,
    struct known_words *known)
{
	for (; *commands; commands++) {
		bool turned = command_turned(*commands, words, n);
		size_t len;
		const char *word = command_word(*commands, turned ? 0 : n, &len);

		if (word && (turned || command_starts_with(*commands, words, n)))
			known_words_add(known, word, len);
	}
}

/* Says that no command has the last of these words there, and which word may be meant. */
static void
unknown_command(
    const struct command *const *commands, const char *const *words, size_t n, struct error *err)
{
	struct known_words known = { 0 };
	_buffer_ struct buffer before = { 0 };
	const char *last = words[n - 1], *nearest;

	for (size_t i = 0; i + 1 < n; i++)
		buffer_printf(&before, "%s ", words[i]);
	find_next_words(commands, words, n - 1, &known);
	for (size_t i = 0; i < ARRAY_SIZE(aliases) && n == 1; i++)
		known_words_add(&known, aliases[i].alias, strlen(aliases[i].alias));
	nearest = name_nearest((const char *const *)known.items, known.n, last);
	if (!nearest && known.n == 1)
		nearest = known.items[0];
	error_set(err, 0, "unknown command '%s%s'", str_or_empty(before.data), last);
	if (nearest)
		error_append(err, "did you mean '%s%s'?", str_or_empty(before.data), nearest);
	known_words_clear(&known);
}

/* The long option that one that is not known may be meant to be. */
static void
suggest_option(const struct command *command, const char *given, struct error *err)
{
	const struct option_row *tables[] = { command ? command->options : NULL, command_globals };
	_free_ char *name = xstrndup(given + 2, strcspn(given + 2, "="));
	const char *known[2 * OPTIONS_MAX], *nearest;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct option_row *row = tables[i]; row && row->letter; row++)
			if (n < ARRAY_SIZE(known))
				known[n++] = row->name;
	nearest = name_nearest(known, n, name);
	if (nearest)
		error_append(err, "did you mean '--%s'?", nearest);
}

/* Help for the commands that start with these words. */
static void
print_help(const struct command *const *commands, const char *const *words, size_t n_words)
{
	printf("Usage: virtx [OPTION]... COMMAND\nManages virtual machines and hosts through "
	       "virtxd.\n\nCommands:\n");
	for (; *commands; commands++) {
		_free_ char *line = usage_line(*commands, false);

		if (command_starts_with(*commands, words, n_words) ||
		    command_turned(*commands, words, n_words))
			printf("  %-26s %s\n", line, (*commands)->summary);
	}
	printf("\nOptions of every command ('virtx COMMAND --help' shows its own):\n");
	print_options(command_globals);
}

/* The tables of options in the form that getopt_long wants. */
struct getopt_tables {
	char letters[3 + 2 * OPTIONS_MAX];
	struct option longs[OPTIONS_MAX + 1];
};

static void
tables_add(struct getopt_tables *tables, const struct option_row *rows)
{
	char *letters = tables->letters + strlen(tables->letters);
	struct option *longs = tables->longs;

	while (longs->name)
		longs++;
	for (; rows->letter; rows++) {
		if (longs == tables->longs + OPTIONS_MAX)
			abort();
		/* getopt's own '?' is for options that it does not know. */
		*longs++ = (struct option){
			.name = rows->name,
			.has_arg = rows->arg ? required_argument : no_argument,
			.val = rows->letter == '?' ? COMMAND_OPTION_HELP : rows->letter,
		};
		if (rows->letter < ' ' || rows->letter == '?')
			continue;
		*letters++ = (char)rows->letter;
		if (rows->arg)
			*letters++ = ':';
	}
}

/*
 * Takes the options of argv[1..]: all of them for a command, those in front of the next word
 * without one. optind is then at the first operand. *help says that help was asked for.
 */
static enum command_result
parse_options(const struct command *command, int argc, char **argv, struct command_call *call,
    bool *help, struct error *err)
{
	/* '+' stops at the first word, ':' tells a missing argument from an unknown option. */
	struct getopt_tables tables = { .letters = "+:" };
	int letter;

	if (command)
		memcpy(tables.letters, ":", 2);
	tables_add(&tables, command_globals);
	if (command && command->options)
		tables_add(&tables, command->options);
	opterr = 0;
	optind = 0; /* start anew, as glibc has it */
	while ((letter = getopt_long(argc, argv, tables.letters, tables.longs, NULL)) != -1) {
		const char *given = argv[optind - 1];

		if (letter == COMMAND_OPTION_HELP || (letter == '?' && optopt == '?')) {
			*help = true;
		} else if (letter == ':' || letter == '?') {
			const char *why = "is not known here";

			if (!command && optopt == 'h') {
				*help = true;
				continue;
			}
			if (letter == ':')
				why = "needs an argument";
			else if (optopt && strchr(tables.letters, optopt))
				why = "takes no argument";
			if (optopt >= ' ')
				error_set(err, 0, "option '-%c' %s", (char)optopt, why);
			else
				error_set(err, 0, "option '%s' %s", given, why);
			if (letter == '?' && !optopt && strncmp(given, "--", 2) == 0)
				suggest_option(command, given, err);
			return usage_error(err);
		} else {
			call->values[letter] = optarg;
			call->counts[letter]++;
		}
	}
	return COMMAND_OK;
}

bool
command_is_for_several(const struct command_call *call)
{
	return call->command->several &&
	       (call->n_named > 1 || call->counts[SEVERAL_OPTION_ALL] > 0 ||
		   call->counts[COMMAND_OPTION_FILTER] > 0);
}

/* An option that goes with one VM alone: by itself, or as what standard input has is read once. */
static const struct option_row *
find_alone(const struct command_call *call)
{
	for (const struct option_row *row = call->command->options; row && row->letter; row++) {
		if (call->counts[row->letter] == 0)
			continue;
		if (row->letter == call->command->several->alone ||
		    (row->arg && row->arg->kind == ARGUMENT_FILE &&
			str_equal(call->values[row->letter], "-")))
			return row;
	}
	return NULL;
}

/* Whether the words that options have are some that there are. */
static int
check_words(const struct command_call *call, struct error *err)
{
	int ignored;

	for (const struct option_row *row = call->command->options; row && row->letter; row++)
		if (row->arg && row->arg->kind == ARGUMENT_WORD &&
		    command_enum(call, row->letter, &ignored, err) < 0)
			return -1;
	return 0;
}

/* Whether what is said of several fits together. */
static int
check_several(const struct command_call *call, struct error *err)
{
	const struct option_row *alone = find_alone(call);
	long n;

	if (call->n_named > 0 &&
	    (call->counts[SEVERAL_OPTION_ALL] > 0 || call->counts[COMMAND_OPTION_FILTER] > 0))
		return error_set(err, CLIENT_ERROR_STATUS,
		    "%s: either VMs are named, or --all or --filter says which",
		    call->command->words);
	if (alone)
		return error_set(err, CLIENT_ERROR_STATUS, "%s: --%s%s is for one VM alone",
		    call->command->words, alone->name, alone->arg ? " -" : "");
	if (check_words(call, err) < 0 ||
	    (call->command->several->check && call->command->several->check(call, err) < 0))
		return -1;
	return command_number(call, SEVERAL_OPTION_PARALLEL, 1, SEVERAL_PARALLEL_MAX, &n, err);
}

static enum command_result
parse_operands(const struct command *command, int argc, char **argv, struct command_call *call,
    struct error *err)
{
	int n = 0;

	if (command->needed && call->counts[command->needed] == 0) {
		error_set(
		    err, 0, "--%s is missing", command_option(command, command->needed)->name);
		return usage_error(err);
	}
	if (command->several) {
		call->named = argv;
		call->n_named = (size_t)argc;
		call->command = command;
		if (command_is_for_several(call))
			return check_several(call, err) < 0 ? COMMAND_USAGE : COMMAND_OK;
	}
	for (; command->operands[n]; n++) {
		if (n == argc && command->operands[n]->name[0] == '[')
			break;
		if (n == argc) {
			error_set(err, 0, "%s is missing", command->operands[n]->name);
			return usage_error(err);
		}
		call->operands[n] = argv[n];
	}
	if (command->more && n > 0) {
		call->more = argv + n - 1;
		call->n_more = (size_t)(argc - n) + 1;
	} else if (n < argc) {
		error_set(err, 0, "'%s' is one argument too many", argv[n]);
		return usage_error(err);
	}
	call->command = command;
	return COMMAND_OK;
}

/* One command may go on where another one ends: whether the next word does that. */
static bool
find_longer(const struct command *const *commands, const char **words, size_t n_words, int argc,
    char **argv, const struct command **found)
{
	const struct command *longer;
	bool any;

	if (argc < 2 || n_words == COMMAND_WORDS_MAX)
		return false;
	words[n_words] = argv[1];
	longer = command_find(commands, words, n_words + 1, &any);
	if (longer)
		*found = longer;
	return longer;
}

enum command_result
command_parse(const struct command *const *commands, int argc, char **argv,
    struct command_call *call, struct error *err)
{
	const char *words[COMMAND_WORDS_MAX] = { NULL };
	const struct command *found = NULL;
	enum command_result result;
	size_t n_words = 0;
	bool help = false, asked = false; /* by an option, by the word */

	while (!found) {
		bool any;

		result = parse_options(NULL, argc, argv, call, &help, err);
		if (result != COMMAND_OK)
			return result;
		if (call->counts[COMMAND_OPTION_VERSION]) {
			printf("virtx %s\n", VIRTX_VERSION);
			return COMMAND_OK;
		}
		if (help || (asked && optind == argc)) {
			print_help(commands, words, n_words);
			return COMMAND_OK;
		}
		if (optind == argc) {
			error_set(err, 0, "a command is missing");
			return usage_error(err);
		}
		argc -= optind;
		argv += optind;
		if (n_words == 0 && !asked && strcmp(argv[0], "help") == 0) {
			asked = true;
			continue;
		}
		command_add_word(words, &n_words, argv[0]);
		found = command_find(commands, words, n_words, &any);
		if (!any) {
			unknown_command(commands, words, n_words, err);
			return usage_error(err);
		}
	}
	while (find_longer(commands, words, n_words, argc, argv, &found)) {
		n_words++;
		argc--;
		argv++;
	}

	result = parse_options(found, argc, argv, call, &help, err);
	if (result == COMMAND_OK && (help || asked)) {
		print_command_help(found);
		return COMMAND_OK;
	}
	if (result == COMMAND_OK && call->counts[COMMAND_OPTION_VERSION]) {
		printf("virtx %s\n", VIRTX_VERSION);
		return COMMAND_OK;
	}
	if (result == COMMAND_OK)
		result = parse_operands(found, argc - optind, argv + optind, call, err);
	if (result == COMMAND_USAGE) {
		_free_ char *line = usage_line(found, false);

		error_wrap(err, "%s", line);
	}
	return result;
}

const struct option_row *
command_option(const struct command *command, int letter)
{
	const struct option_row *tables[] = { command ? command->options : NULL, command_globals };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct option_row *row = tables[i]; row && row->letter; row++)
			if (row->letter == letter)
				return row;
	return NULL;
}

int
command_number(
    const struct command_call *call, int letter, long min, long max, long *ret, struct error *err)
{
	const char *text = call->values[letter];
	char *end;

	*ret = 0;
	if (!text)
		return 0;
	errno = 0;
	*ret = strtol(text, &end, 10);
	if (errno || end == text || *end || *ret < min || *ret > max)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "--%s needs a whole number from %ld to %ld, not '%s'",
		    command_option(call->command, letter)->name, min, max, text);
	return 0;
}

int
command_enum(const struct command_call *call, int letter, int *ret, struct error *err)
{
	const struct option_row *row = command_option(call->command, letter);
	const struct enumdef *e = row->arg->words;
	const char *text = call->values[letter];
	_buffer_ struct buffer words = { 0 };
	const char *nearest;

	*ret = 0;
	if (!text)
		return 0;
	*ret = enum_parse(e, text);
	if (*ret >= 0)
		return 0;
	for (unsigned int i = 0; i < e->n_words; i++)
		buffer_printf(&words, "%s%s", i ? ", " : "", e->words[i]);
	error_set(err, CLIENT_ERROR_STATUS, "--%s needs one of %s, not '%s'", row->name, words.data,
	    text);
	nearest = name_nearest(e->words, e->n_words, text);
	if (nearest)
		error_append(err, "did you mean '%s'?", nearest);
	return -1;
}

int
command_lifetime(const char *text, int64_t max, int64_t *ret, struct error *err)
{
	static const struct {
		char letter;
		int seconds;
	} units[] = { { 'd', 24 * 3600 }, { 'h', 3600 }, { 'm', 60 } };
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	for (size_t i = 0; i < ARRAY_SIZE(units) && isdigit((unsigned char)*text) && !errno; i++) {
		if (end[0] == units[i].letter && !end[1] && n > 0 && n <= max / units[i].seconds) {
			*ret = n * units[i].seconds;
			return 0;
		}
	}
	return error_set(err, CLIENT_ERROR_STATUS,
	    "--expires: '%s' is no time of up to %lld days, as 90d, 12h or 30m", text,
	    (long long)(max / (24 * 3600)));
}

char *
command_read(const char *file, size_t max, size_t *len, struct error *err)
{
	bool standard = !strcmp(file, "-");
	_buffer_ struct buffer text = { 0 };
	_close_ int fd = -1;
	int rc;

	if (!standard) {
		fd = open(file, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			error_errno(err, CLIENT_ERROR_STATUS, errno, "cannot open '%s'", file);
			return NULL;
		}
	}
	rc = read_all(standard ? STDIN_FILENO : fd, &text, max);
	if (rc == -EFBIG) {
		error_set(
		    err, CLIENT_ERROR_STATUS, "'%s' is larger than %zu KiB", file, max / 1024);
		return NULL;
	}
	if (rc < 0) {
		error_errno(err, CLIENT_ERROR_STATUS, -rc, "cannot read '%s'", file);
		return NULL;
	}
	return buffer_steal(&text, len);
}
