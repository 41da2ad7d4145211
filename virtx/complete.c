/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the word at the cursor may become. The parser must not be asked: the line is not whole. */
#include "virtx/complete.h"

#include <string.h>

#include "proto/model.h"
#include "virtx/choice.h"
#include "virtx/context.h"
#include "virtx/field_info.h"
#include "virtx/known.h"
#include "virtx/secret_file.h"

/* What stands before the word at the cursor. */
struct line {
	const struct command *const *commands;
	int timeout;			      /* of the server, seconds */
	const char *words[COMMAND_WORDS_MAX]; /* of the command */
	size_t n_words;
	bool unknown;		       /* no command starts with them */
	const struct command *command; /* that they name in full, else NULL */
	size_t n_operands;
	const struct option_row *open; /* the option that still has no argument, else NULL */
	struct choice choice;	       /* what the options say so far */
	bool no_options;	       /* behind "--" */
};

/* Where candidates go. */
struct offers {
	FILE *out;
	const char *prefix; /* of each: "--state=", or "" */
	const char *start;  /* what is there of the word already, behind the prefix */
};

static bool
starts_with(const char *text, size_t len, const char *start)
{
	size_t n = strlen(start);

	return n <= len && memcmp(text, start, n) == 0;
}

/* Offers a text of len bytes where it starts as the word does; about may be NULL. */
static void
offer(const struct offers *offers, const char *text, size_t len, const char *about)
{
	_free_ char *safe = writer_safe(str_or_empty(about));

	if (starts_with(text, len, offers->start))
		fprintf(offers->out, "%s%.*s%s%s\n", offers->prefix, (int)len, text,
		    *safe ? "\t" : "", safe);
}

/* The option whose long name starts with the first len bytes of name; the one that has no more is
 * the first. */
static const struct option_row *
find_long(const struct command *command, const char *name, size_t len)
{
	const struct option_row *tables[] = { command ? command->options : NULL, command_globals };
	const struct option_row *found = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		for (const struct option_row *row = tables[i]; row && row->letter; row++) {
			if (strncmp(row->name, name, len) != 0)
				continue;
			if (!row->name[len])
				return row;
			if (!found)
				found = row;
		}
	}
	return found;
}

static void
take_argument(struct line *line, const struct option_row *row, const char *argument)
{
	if (row->letter == 'A')
		line->choice.server = argument;
	else if (row->letter == COMMAND_OPTION_CONTEXT)
		line->choice.context = argument;
	else if (row->letter == COMMAND_OPTION_CA)
		line->choice.ca_file = argument;
	else if (row->letter == COMMAND_OPTION_TOKEN)
		line->choice.token_file = argument;
	else if (row->letter == COMMAND_OPTION_CERTIFICATE)
		line->choice.certificate = argument;
	else if (row->letter == COMMAND_OPTION_KEY)
		line->choice.key = argument;
	line->open = NULL;
}

/* "--name", "--name=argument" */
static void
take_long(struct line *line, const char *name)
{
	size_t len = strcspn(name, "=");
	const struct option_row *row = find_long(line->command, name, len);

	if (!row || !row->arg)
		return;
	if (name[len])
		take_argument(line, row, name + len + 1);
	else
		line->open = row;
}

/* "-abc", "-abargument" */
static void
take_letters(struct line *line, const char *letters)
{
	for (; *letters; letters++) {
		const struct option_row *row = command_option(line->command, *letters);

		if (!row || !row->arg)
			continue;
		if (letters[1])
			take_argument(line, row, letters + 1);
		else
			line->open = row;
		return;
	}
}

/* One command may go on where another one ends. */
static bool
take_longer(struct line *line, const char *word)
{
	const struct command *longer;
	bool any;

	if (line->n_operands > 0 || line->n_words == COMMAND_WORDS_MAX)
		return false;
	line->words[line->n_words] = word;
	longer = command_find(line->commands, line->words, line->n_words + 1, &any);
	if (!longer)
		return false;
	line->command = longer;
	line->n_words++;
	return true;
}

static void
take_word(struct line *line, const char *word)
{
	bool any;

	if (line->open) {
		take_argument(line, line->open, word);
	} else if (!line->no_options && strcmp(word, "--") == 0) {
		line->no_options = true;
	} else if (!line->no_options && strncmp(word, "--", 2) == 0) {
		take_long(line, word + 2);
	} else if (!line->no_options && word[0] == '-' && word[1]) {
		take_letters(line, word + 1);
	} else if (line->command) {
		if (!take_longer(line, word))
			line->n_operands++;
	} else if (!line->unknown) {
		command_add_word(line->words, &line->n_words, word);
		line->command = command_find(line->commands, line->words, line->n_words, &any);
		line->unknown = !any;
	}
}

/* The next words of the commands that start as the line does; those of equal start stand together.
 */
static void
offer_words(const struct line *line, const struct offers *offers)
{
	_buffer_ struct buffer seen = { 0 };
	bool any = false;

	if (line->unknown)
		return;
	for (const struct command *const *at = line->commands; *at; at++)
		any = any || command_starts_with(*at, line->words, line->n_words);
	buffer_printf(&seen, "\n");
	for (const struct command *const *at = line->commands; *at; at++) {
		_free_ char *key = NULL;
		size_t len;
		bool turned = !any && command_turned(*at, line->words, line->n_words);
		const char *word = command_word(*at, turned ? 0 : line->n_words, &len);

		if (!word || (!turned && !command_starts_with(*at, line->words, line->n_words)))
			continue;
		key = xasprintf("\n%.*s\n", (int)len, word);
		if (strstr(seen.data, key))
			continue;
		buffer_printf(&seen, "%s", key + 1);
		offer(offers, word, len, word[len] && !turned ? NULL : (*at)->summary);
	}
}

static void
offer_options(const struct command *command, const struct offers *offers)
{
	const struct option_row *tables[] = { command ? command->options : NULL, command_globals };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		for (const struct option_row *row = tables[i]; row && row->letter; row++) {
			_free_ char *name = xasprintf("--%s", row->name);
			const char letter[] = { '-', (char)row->letter };

			/* A shell would take the '?' for a pattern. */
			if (row->letter >= ' ' && row->letter != '?')
				offer(offers, letter, sizeof(letter), row->help);
			offer(offers, name, strlen(name), row->help);
		}
	}
}

/* Whether it can stand on a command line as it is, whatever the server says that it is called. */
static bool
is_plain(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_.-";

	return *text && *text != '-' && !text[strspn(text, plain)];
}

static void
offer_known(const struct known_list *known, const struct offers *offers)
{
	const struct offers whole = { offers->out, offers->prefix, "" };
	const struct known *named = NULL;
	size_t n_ids = 0, n_names = 0;

	for (size_t i = 0; i < known->n; i++) {
		const struct known *item = &known->items[i];

		if (!is_plain(item->id))
			continue;
		if (starts_with(item->id, strlen(item->id), offers->start)) {
			offer(offers, item->id, strlen(item->id), item->name);
			n_ids++;
		} else if (starts_with(item->name, strlen(item->name), offers->start)) {
			named = item;
			n_names++;
		}
	}
	if (n_ids > 0)
		return;
	if (n_names == 1)
		offer(&whole, named->id, strlen(named->id), named->name);
	for (size_t i = 0; n_names > 1 && i < known->n; i++)
		if (is_plain(known->items[i].name))
			offer(offers, known->items[i].name, strlen(known->items[i].name),
			    known->items[i].id);
}

/* What the server knows of a kind. */
static void
offer_asked(const struct line *line, known_ask ask, const struct offers *offers)
{
	struct client client = { .timeout = line->timeout };
	_known_ struct known_list known = { 0 };
	struct error ignored;

	if (choice_make(&line->choice, &client, &ignored) == 0)
		(void)ask(&client, "", &known, &ignored);
	offer_known(&known, offers);
	server_clear(&client.server);
	secret_file_free(client.token);
}

static void
offer_contexts(const struct offers *offers)
{
	struct context_names names;
	struct error ignored;

	(void)context_list(&names, &ignored);
	for (size_t i = 0; i < names.n; i++)
		offer(offers, names.items[i], strlen(names.items[i]), NULL);
	offer(offers, CONTEXT_NONE, strlen(CONTEXT_NONE), "this host");
	context_names_clear(&names);
}

static void
offer_fields(const struct offers *offers)
{
	struct field_info_list list = { 0 };
	struct error ignored;

	(void)field_info_read("", &list, &ignored);
	for (size_t i = 0; i < list.n_items; i++)
		offer(offers, list.items[i].path, strlen(list.items[i].path), list.items[i].type);
	model_clear(&field_info_list_model, &list);
}

static void
offer_argument(
    const struct line *line, const struct argument *argument, const struct offers *offers)
{
	switch (argument->kind) {
	case ARGUMENT_TEXT:
		break;
	case ARGUMENT_FILE:
		fprintf(offers->out, "%s\n", COMPLETE_FILES);
		break;
	case ARGUMENT_WORD:
		for (size_t i = (size_t)argument->first; i < argument->words->n_words; i++)
			offer(offers, argument->words->words[i], strlen(argument->words->words[i]),
			    NULL);
		break;
	case ARGUMENT_VM:
		offer_asked(line, known_vms, offers);
		break;
	case ARGUMENT_HOST:
		offer_asked(line, known_hosts, offers);
		break;
	case ARGUMENT_OPERATION:
		offer_asked(line, known_operations, offers);
		break;
	case ARGUMENT_CONTEXT:
		offer_contexts(offers);
		break;
	case ARGUMENT_FIELD:
		offer_fields(offers);
		break;
	}
}

/* "--name=" with what is there of the argument. */
static void
offer_long_argument(const struct line *line, const char *word, FILE *out)
{
	size_t len = strcspn(word, "=");
	_free_ char *prefix = xstrndup(word, len + 1);
	const struct option_row *row = find_long(line->command, word + 2, len - 2);
	const struct offers offers = { out, prefix, word + len + 1 };

	if (row && row->arg)
		offer_argument(line, row->arg, &offers);
}

void
complete(const struct command *const *commands, int n, char *const *words, int timeout, FILE *out)
{
	struct line line = { .commands = commands, .timeout = timeout };
	struct offers offers = { out, "", n > 0 ? words[n - 1] : "" };
	const struct argument *operand;

	for (int i = 0; i < n - 1; i++)
		take_word(&line, words[i]);
	if (line.open) {
		offer_argument(&line, line.open->arg, &offers);
	} else if (!line.no_options && offers.start[0] == '-') {
		if (strncmp(offers.start, "--", 2) == 0 && strchr(offers.start, '='))
			offer_long_argument(&line, offers.start, out);
		else
			offer_options(line.command, &offers);
	} else if (!line.command) {
		offer_words(&line, &offers);
	} else if (line.n_operands < COMMAND_OPERANDS_MAX || line.command->several) {
		if (line.n_operands == 0)
			offer_words(&line, &offers);
		operand = line.command->operands[line.command->several ? 0 : line.n_operands];
		if (operand)
			offer_argument(&line, operand, &offers);
	}
}
