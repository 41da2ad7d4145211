/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of virtx, and how one is run. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/coredump.h"
#include "virtx/choice.h"
#include "virtx/client.h"
#include "virtx/command.h"
#include "virtx/complete.h"
#include "virtx/failure.h"
#include "virtx/named.h"
#include "virtx/output.h"
#include "virtx/secret_file.h"
#include "virtx/verbs.h"

#define VERB_ROW(name) &name##_command,
static const struct command *const commands[] = { VERBS(VERB_ROW) NULL };

/* The program's own options: server, format, timeout. */
static enum command_result
configure(
    struct command_call *call, struct client *client, struct writer *writer, struct error *err)
{
	const struct choice choice = choice_of(call);
	long timeout;

	if ((!call->command->local && choice_make(&choice, client, err) < 0) ||
	    output_configure(call, writer, err) < 0 ||
	    command_number(call, COMMAND_OPTION_TIMEOUT, 1, 86400, &timeout, err) < 0)
		return COMMAND_USAGE;
	if (client->token && !client->server.tls)
		fprintf(stderr,
		    "virtx: warning: by http:// the token can be read on its way to '%s'\n",
		    client->server.host);
	client->timeout = timeout ? (int)timeout : CLIENT_TIMEOUT;
	client->debug = call->counts['D'] > 0;
	client->json = str_equal(call->values['o'], "json");
	output_set_terminal(writer);
	return COMMAND_OK;
}

static void
give_up(int signo)
{
	_exit(COMMAND_OK);
}

/* For a shell, whose user waits: no name service may take longer than a server. */
static enum command_result
complete_in_time(int n, char **words)
{
	signal(SIGALRM, give_up);
	alarm(COMPLETE_DEADLINE);
	complete(commands, n, words, COMPLETE_DEADLINE, stdout);
	return COMMAND_OK;
}

/* Where a standard descriptor is closed the next file would get its number, and what is said would
 * go there. It still cannot be read or written. */
static void
occupy_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int
main(int argc, char **argv)
{
	struct writer writer = { .out = stdout };
	struct client client = { 0 };
	struct command_call call = { .client = &client, .writer = &writer };
	struct error err = { 0 };
	enum command_result result;
	enum failure_code code;
	int rc;

	coredump_forbid();
	occupy_descriptors();
	setlocale(LC_TIME, "");
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && strcmp(argv[1], COMPLETE_WORD) == 0)
		return complete_in_time(argc - 2, argv + 2);
	result = command_parse(commands, argc, argv, &call, &err);
	if (result == COMMAND_OK && call.command) {
		result = configure(&call, &client, &writer, &err);
		if (result == COMMAND_OK)
			result = named_run(&call, &err);
	}
	rc = writer_finish(&writer);
	server_clear(&client.server);
	secret_file_free(client.token);
	if (result == COMMAND_OK && writer.wrong.detail[0]) {
		result = COMMAND_USAGE;
		err = writer.wrong;
	}
	/* Who reads no more, as head(1), has what it wants. */
	if (rc < 0 && rc != -EPIPE && result == COMMAND_OK) {
		result = COMMAND_FAILED;
		error_errno(&err, CLIENT_ERROR_STATUS, -rc, "cannot write the output");
	}
	code = failure_code(result, &err);
	if (code != FAILURE_NONE)
		failure_print(stderr, code, &err, str_equal(call.values['o'], "json"));
	return (int)code;
}
