/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What each command says of itself. */
#include "verb_fixture.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool
is_line(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && !strchr(text, '\n') && text[len - 1] != '.';
}

static void
test_entries(void **state)
{
	for (size_t i = 0; verbs[i]; i++) {
		const struct command *command = verbs[i];
		size_t len;

		assert_non_null(command->run);
		if (!is_line(command->summary) || !isupper((unsigned char)command->summary[0]))
			fail_msg("'%s': '%s'", command->words, command->summary);
		assert_null(command_word(command, COMMAND_WORDS_MAX, &len));
		assert_null(command->operands[COMMAND_OPERANDS_MAX]);
		for (size_t k = 0; verbs[k]; k++) {
			size_t n = strlen(verbs[k]->words);

			/* The longer one is found, where no operand may be meant. */
			if (k != i && strncmp(command->words, verbs[k]->words, n) == 0 &&
			    strchr(" ", command->words[n]) && verbs[k]->operands[0])
				fail_msg("'%s' hides '%s'", verbs[k]->words, command->words);
		}
	}
}

/* Among them and those of every command. */
static void
test_options(void **state)
{
	for (size_t i = 0; verbs[i]; i++) {
		const struct option_row *const tables[] = { verbs[i]->options, command_globals };
		bool letters[COMMAND_LETTERS] = { false };
		_buffer_ struct buffer names = { 0 };

		buffer_printf(&names, "\n");
		for (size_t k = 0; k < 2; k++) {
			for (const struct option_row *row = tables[k]; row && row->letter; row++) {
				_free_ char *name = xasprintf("\n%s\n", row->name);

				assert_in_range(row->letter, 1, COMMAND_LETTERS - 1);
				if (letters[row->letter] || strstr(names.data, name))
					fail_msg("'%s' has two --%s, or two of its letter",
					    verbs[i]->words, row->name);
				assert_false(str_empty(row->help));
				letters[row->letter] = true;
				buffer_printf(&names, "%s", name + 1);
			}
		}
	}
}

static void
test_arguments(void **state)
{
	for (size_t i = 0; verbs[i]; i++) {
		for (const struct option_row *row = verbs[i]->options; row && row->letter; row++) {
			if (!row->arg)
				continue;
			assert_true(isupper((unsigned char)row->arg->name[0]));
			assert_int_equal(row->arg->kind == ARGUMENT_WORD, row->arg->words != NULL);
			if (row->arg->words)
				assert_in_range(row->arg->first, 0, row->arg->words->n_words - 1);
		}
		for (size_t k = 0; verbs[i]->operands[k]; k++) {
			const char *name = verbs[i]->operands[k]->name;

			/* Only the last one may be left out. */
			assert_true(*name != '[' || !verbs[i]->operands[k + 1]);
			assert_true(isupper((unsigned char)name[*name == '[']));
		}
	}
}

/* Parses the example from its "virtx" to what ends a command in a shell. */
static const struct command *
parse_example(const char *line, struct error *err)
{
	_free_ char *copy = xstrndup(line, strcspn(line, "|>\n"));
	struct command_call call = { 0 };
	char *argv[16], *start = strstr(copy, "virtx ");
	int argc = 0;

	assert_non_null(start);
	for (char *word = strtok(start, " '"); word; word = strtok(NULL, " '"))
		argv[argc++] = word;
	argv[argc] = NULL;
	if (command_parse(verbs, argc, argv, &call, err) != COMMAND_OK)
		return NULL;
	return call.command;
}

/* One of them at least shows the command itself. */
static void
test_examples(void **state)
{
	size_t n = 0;

	for (size_t i = 0; verbs[i]; i++) {
		const char *examples = str_or_empty(verbs[i]->examples);
		bool shown = !*examples;

		while (*examples) {
			struct error err = { 0 };
			const struct command *command = parse_example(examples, &err);

			if (!command)
				fail_msg("%s: %s", examples, err.detail);
			shown |= command == verbs[i];
			examples = strchr(examples, '\n');
			assert_non_null(examples);
			examples++;
			n++;
		}
		if (!shown)
			fail_msg("no example of '%s' has it", verbs[i]->words);
	}
	assert_true(n > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_examples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
