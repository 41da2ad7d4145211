/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/model.h"
#include "virtx/command.h"

static const struct option_row options[] = {
	{ 's', "state", ARG_WORD("STATE", &vmrunstate_enum, VMRUNSTATE_POWEROFF), "a state" },
	{ 'n', "number", ARG_TEXT("N"), "a number" },
	{ 'f', "force", NULL, "counted" },
	{ 0 },
};

static const struct command get_vm_command = {
	.words = "get vm",
	.operands = { ARG_VM },
	.options = options,
	.summary = "Get",
	.help = "More of it.",
	.examples = "virtx get vm u\nvirtx get vm -f u\n",
};
static const struct command get_runstate_vm_command = {
	.words = "get runstate vm",
	.operands = { ARG_VM },
	.summary = "State",
};
static const struct command put_vm_command = {
	.words = "put vm",
	.operands = { ARG_VM, ARG_FILE },
	.options = options,
	.summary = "Put",
};
static const struct command list_vm_command = { .words = "list vm", .summary = "List" };
static const struct command delete_vm_command = {
	.words = "delete vm",
	.operands = { ARG_VM },
	.summary = "Delete",
};
static const struct command drop_command = {
	.words = "drop",
	.operands = { ARG_VM, ARG_CONTEXT_USED },
	.summary = "Drop",
};
static const struct command *const commands[] = {
	&get_vm_command,
	&get_runstate_vm_command,
	&put_vm_command,
	&drop_command,
	&list_vm_command,
	&delete_vm_command,
	NULL,
};

/* Parses a line of words separated by one space. */
static enum command_result
parse(const char *line, struct command_call *call, struct error *err)
{
	static char copy[256];
	char *argv[16] = { NULL };
	int argc = 0;

	snprintf(copy, sizeof(copy), "virtx %s", line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	*call = (struct command_call){ 0 };
	*err = (struct error){ 0 };
	return command_parse(commands, argc, argv, call, err);
}

static void
test_words_and_operands(void **state)
{
	struct command_call call;
	struct error err;

	assert_int_equal(parse("get vm u", &call, &err), COMMAND_OK);
	assert_ptr_equal(call.command, &get_vm_command);
	assert_string_equal(call.operands[0], "u");
	assert_int_equal(parse("get runstate vm u", &call, &err), COMMAND_OK);
	assert_ptr_equal(call.command, &get_runstate_vm_command);
	assert_int_equal(parse("put vm u -", &call, &err), COMMAND_OK);
	assert_string_equal(call.operands[1], "-");
	assert_int_equal(parse("get vm -- -u", &call, &err), COMMAND_OK);
	assert_string_equal(call.operands[0], "-u");
	/* One in brackets may be missing. */
	assert_int_equal(parse("drop u lab", &call, &err), COMMAND_OK);
	assert_string_equal(call.operands[1], "lab");
	assert_int_equal(parse("drop u", &call, &err), COMMAND_OK);
	assert_string_equal(call.operands[0], "u");
	assert_null(call.operands[1]);
}

static void
test_other_words(void **state)
{
	static const struct {
		const char *line;
		const struct command *command;
	} cases[] = {
		{ "vm get u", &get_vm_command },
		{ "-D vm -A h get u", &get_vm_command },
		{ "ls vm", &list_vm_command },
		{ "vm ls", &list_vm_command },
		{ "ps", &list_vm_command },
		{ "list vm", &list_vm_command },
		{ "rm vm u", &delete_vm_command },
		{ "vm rm u", &delete_vm_command },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct command_call call;
		struct error err;

		if (parse(cases[i].line, &call, &err) != COMMAND_OK)
			fail_msg("'%s': %s", cases[i].line, err.detail);
		assert_ptr_equal(call.command, cases[i].command);
	}
}

static void
test_options_anywhere(void **state)
{
	static const char *const lines[] = { "-A h -D get vm -s running -ff u",
		"get -A h vm u -s running -f -Df",
		"get vm u --force --force --state=running -D -A h",
		"get vm --api-server h -D --state running u -ff" };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct command_call call;
		struct error err;

		if (parse(lines[i], &call, &err) != COMMAND_OK)
			fail_msg("'%s': %s", lines[i], err.detail);
		assert_string_equal(call.operands[0], "u");
		assert_string_equal(call.values['A'], "h");
		assert_string_equal(call.values['s'], "running");
		assert_int_equal(call.counts['f'], 2);
		assert_int_equal(call.counts['D'], 1);
	}
}

static void
test_bad_lines(void **state)
{
	static const struct {
		const char *line, *why;
	} cases[] = {
		{ "", "a command is missing" },
		{ "get", "a command is missing" },
		{ "nosuch", "unknown command 'nosuch'" },
		{ "lst vm", "unknown command 'lst'; did you mean 'list'?" },
		{ "get host", "unknown command 'get host'" },
		{ "put web", "unknown command 'put web'; did you mean 'put vm'?" },
		{ "vm dlete u", "unknown command 'vm dlete'; did you mean 'vm delete'?" },
		{ "list vn", "unknown command 'list vn'; did you mean 'list vm'?" },
		{ "get runstat vm", "unknown command 'get runstat'; did you mean 'get runstate'?" },
		{ "dorp u", "unknown command 'dorp'; did you mean 'drop'?" },
		{ "vm nosuch", "unknown command 'vm nosuch'" },
		{ "vm", "a command is missing" },
		{ "ls ls ls ls ls", "unknown command 'list list'" },
		{ "ps ps ps", "'ps' is one argument too many" },
		{ "get vm u --forse",
		    "option '--forse' is not known here; did you mean '--force'?" },
		{ "get vm u --sttae=x",
		    "option '--sttae=x' is not known here; did you mean '--state'?" },
		{ "get vm u --outptu json", "did you mean '--output'?" },
		{ "get host", "unknown command 'get host'" },
		{ "get vm", "get vm VM: VM is missing" },
		{ "put vm u", "FILE is missing" },
		{ "drop", "drop VM [NAME]: VM is missing" },
		{ "drop u lab x", "'x' is one argument too many" },
		{ "get vm u v", "'v' is one argument too many" },
		{ "get vm u --state=1 -x", "option '-x' is not known here" },
		{ "get vm u --nosuch", "option '--nosuch' is not known here" },
		{ "get runstate vm u -f", "option '-f' is not known here" },
		{ "get vm u -s", "option '-s' needs an argument" },
		{ "get vm u --state", "option '-s' needs an argument" },
		{ "-s running get vm u", "option '-s' is not known here" },
		{ "get vm u --force=2", "option '-f' takes no argument" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct command_call call;
		struct error err;

		assert_int_equal(parse(cases[i].line, &call, &err), COMMAND_USAGE);
		if (!strstr(err.detail, cases[i].why))
			fail_msg("'%s': %s", cases[i].line, err.detail);
		assert_null(call.command);
	}
}

/* What parsing the line prints; it must not find a command to run. The caller frees. */
static char *
printed(const char *line)
{
	_buffer_ struct buffer out = { 0 };
	int saved = dup(STDOUT_FILENO), fd = memfd_create("stdout", MFD_CLOEXEC);
	enum command_result result;
	struct command_call call;
	struct error err;

	assert_true(saved >= 0 && fd >= 0);
	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	result = parse(line, &call, &err);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	assert_int_equal(result, COMMAND_OK);
	assert_null(call.command);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(read_all(fd, &out, 1 << 16), 0);
	close(fd);
	return buffer_steal(&out, NULL);
}

static void
test_help_of_all(void **state)
{
	static const char *const lines[] = { "--help", "-?", "-h", "-D --help", "help" };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_free_ char *out = printed(lines[i]);

		assert_non_null(strstr(out, "Commands:\n"
					    "  get vm VM                  Get\n"
					    "  get runstate vm VM         State\n"
					    "  put vm VM FILE             Put\n"
					    "  drop VM [NAME]             Drop\n"
					    "  list vm                    List\n"
					    "  delete vm VM               Delete\n"
					    "\n"));
		assert_non_null(strstr(out, "  -o, --output FORMAT            table"));
		assert_non_null(strstr(out, "      --version                  show the version\n"));
	}
}

static void
test_help_of_some(void **state)
{
	_free_ char *out = printed("get --help"), *word = printed("help get"),
		    *turned = printed("vm --help");

	assert_string_equal(out, word);
	assert_non_null(strstr(turned, "  get vm VM "));
	assert_null(strstr(turned, "  drop"));

	assert_non_null(strstr(out, "  get vm VM "));
	assert_non_null(strstr(out, "  get runstate vm VM "));
	assert_null(strstr(out, "put vm"));
}

static void
test_help_of_one(void **state)
{
	_free_ char *word = printed("help get vm"), *other = printed("help vm get");
	_free_ char *out = printed("get vm --help u"), *bare = printed("get runstate vm -?");

	assert_non_null(strstr(out, "Usage: virtx get vm [OPTION]... VM\n"
				    "Get.\n"
				    "More of it.\n"
				    "\n"
				    "Options:\n"
				    "  -s, --state STATE              a state\n"
				    "  -n, --number N                 a number\n"
				    "  -f, --force                    counted\n"
				    "\n"
				    "Options of every command:\n"
				    "  -A, --api-server SERVER "));
	assert_non_null(strstr(out, "\n\nExamples:\n"
				    "  virtx get vm u\n"
				    "  virtx get vm -f u\n"));
	assert_string_equal(out, word);
	assert_string_equal(out, other);
	assert_non_null(strstr(bare, "State.\n\nOptions of every command:\n"));
	assert_null(strstr(bare, "Examples"));
}

static void
test_version(void **state)
{
	static const char *const lines[] = { "--version", "get --version", "get vm --version" };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_free_ char *out = printed(lines[i]);

		assert_string_equal(out, "virtx " VIRTX_VERSION "\n");
	}
}

static void
test_number(void **state)
{
	struct command_call call;
	struct error err;
	long n;

	parse("get vm u -n 4094", &call, &err);
	assert_int_equal(command_number(&call, 'n', 0, 4094, &n, &err), 0);
	assert_int_equal(n, 4094);
	parse("get vm u", &call, &err);
	assert_int_equal(command_number(&call, 'n', 1, 4094, &n, &err), 0);
	assert_int_equal(n, 0);
	static const char *const bad[] = { "get vm u -n 4095", "get vm u -n -1", "get vm u -n 1x",
		"get vm u -n x", "get vm u -n=", "get vm u -n 99999999999999999999" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(bad[i], &call, &err), COMMAND_OK);
		assert_int_equal(command_number(&call, 'n', 0, 4094, &n, &err), -1);
		assert_non_null(strstr(err.detail, "--number needs a whole number from 0 to 4094"));
	}
}

static void
test_enum(void **state)
{
	struct command_call call;
	struct error err;
	int value;

	parse("get vm u -s running", &call, &err);
	assert_int_equal(command_enum(&call, 's', &value, &err), 0);
	assert_int_equal(value, VMRUNSTATE_RUNNING);
	parse("get vm u -s 5", &call, &err);
	assert_int_equal(command_enum(&call, 's', &value, &err), 0);
	assert_int_equal(value, VMRUNSTATE_PAUSED);
	parse("get vm u -s 10", &call, &err);
	assert_int_equal(command_enum(&call, 's', &value, &err), -1);
	assert_non_null(strstr(err.detail, "--state needs one of none, deleted, poweroff"));
	assert_non_null(strstr(err.detail, "not '10'"));
	assert_null(strstr(err.detail, "did you mean"));
	parse("get vm u -s runing", &call, &err);
	assert_int_equal(command_enum(&call, 's', &value, &err), -1);
	assert_non_null(strstr(err.detail, "not 'runing'; did you mean 'running'?"));
}

static void
test_read(void **state)
{
	struct error err = { 0 };
	size_t len;
	char *text;

	assert_null(command_read("/nonexistent/file", 10, &len, &err));
	assert_string_equal(
	    err.detail, "cannot open '/nonexistent/file': No such file or directory");
	assert_null(command_read("/dev/zero", 4096, &len, &err));
	assert_string_equal(err.detail, "'/dev/zero' is larger than 4 KiB");
	text = command_read("/dev/null", 10, &len, &err);
	assert_string_equal(text, "");
	assert_int_equal(len, 0);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_and_operands),
		cmocka_unit_test(test_other_words),
		cmocka_unit_test(test_options_anywhere),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_help_of_all),
		cmocka_unit_test(test_help_of_some),
		cmocka_unit_test(test_help_of_one),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_enum),
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
