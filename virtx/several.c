/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/several.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/json.h"
#include "virtx/failure.h"
#include "virtx/terminal.h"

#define NAMES_MAX 20 /* that the question lists */

enum turn_state {
	TURN_WAITS, /* not begun */
	TURN_RUNS,
	TURN_DONE,
	TURN_FAILED,
	TURN_LEFT, /* it had begun when the command was interrupted */
};

/* What the process of a VM tells. */
struct outcome {
	enum command_result result;
	struct error err;
};

/* One VM's. */
struct turn {
	const struct known *vm;
	char *label; /* at the start of its line */
	char *shown; /* in messages: "'web' (UUID)" */
	enum turn_state state;
	pid_t pid;
	int fd; /* from the process */
	struct outcome outcome;
	const char *already; /* why there was nothing to be done, NULL else */
};

struct turns {
	const struct command_call *call;
	struct turn *items;
	size_t n;
	bool lines;	/* each says how it ends as it does */
	sigset_t mask;	/* the signals as they were */
	size_t n_begun; /* those behind wait */
};

static const char *const table_titles[] = { "UUID", "NAME", "CODE", "RESULT" };

static const int signals[] = { SIGINT, SIGTERM };

static volatile sig_atomic_t interrupted;

static void
on_signal(int signo)
{
	interrupted = signo;
}

/* The name, and where others of them are called so or it has none, the UUID. */
static char *
make_label(const struct known_list *known, size_t at)
{
	const struct known *vm = &known->items[at];
	_free_ char *text = NULL;
	bool alone = true;

	for (size_t i = 0; i < known->n && alone; i++)
		alone = i == at || strcmp(known->items[i].name, vm->name) != 0;
	if (!*vm->name)
		return xstrdup(vm->id);
	text = alone ? xstrdup(vm->name) : xasprintf("%s (%s)", vm->name, vm->id);
	return writer_safe(text);
}

static void
turns_make(struct turns *turns, const struct known_list *known)
{
	turns->items = xcalloc(known->n, sizeof(*turns->items));
	turns->n = known->n;
	for (size_t i = 0; i < known->n; i++) {
		struct turn *turn = &turns->items[i];
		const struct known *vm = &known->items[i];
		_free_ char *shown = *vm->name ? xasprintf("'%s' (%s)", vm->name, vm->id)
					       : xasprintf("'%s'", vm->id);

		turn->vm = vm;
		turn->label = make_label(known, i);
		turn->shown = writer_safe(shown);
		turn->fd = -1;
		turn->already = vm->already;
		turn->state = vm->already ? TURN_DONE : TURN_WAITS;
	}
}

static void
turns_clear(struct turns *turns)
{
	for (size_t i = 0; i < turns->n; i++) {
		free(turns->items[i].label);
		free(turns->items[i].shown);
	}
	free(turns->items);
}

/* Whether it is to be done; COMMAND_OK for a yes. */
static enum command_result
ask(const struct turns *turns, struct error *err)
{
	const struct command_call *call = turns->call;
	const struct several *several = call->command->several;
	const char *danger = several->danger ? several->danger(call) : NULL;
	_buffer_ struct buffer question = { 0 };

	if (!danger || call->counts[SEVERAL_OPTION_YES] > 0)
		return COMMAND_OK;
	buffer_printf(&question, "%s %zu VM%s: ", danger, turns->n, turns->n == 1 ? "" : "s");
	for (size_t i = 0; i < turns->n && i < NAMES_MAX; i++)
		buffer_printf(&question, "%s%s", i ? ", " : "", turns->items[i].label);
	if (turns->n > NAMES_MAX)
		buffer_printf(&question, " and %zu more", turns->n - NAMES_MAX);
	if (!terminal_is_there()) {
		error_set(err, CLIENT_ERROR_STATUS,
		    "%s: without a terminal nobody can be asked: --yes says that it is wanted; "
		    "nothing is done",
		    question.data);
		return COMMAND_USAGE;
	}
	buffer_printf(&question, "?");
	if (terminal_ask(question.data))
		return COMMAND_OK;
	error_set(err, CLIENT_ERROR_STATUS, "the answer was no: nothing is done");
	return COMMAND_FAILED;
}

/* The process of one VM; it never returns. The signals stay blocked: its parent hears of them and
 * ends it. */
static void
run_child(const struct turns *turns, const struct turn *turn, int fd)
{
	struct command_call call = *turns->call;
	struct client client = *call.client;
	struct outcome outcome = { 0 };

	client.vm = turn->label;
	call.client = &client;
	call.operands[0] = turn->vm->id;
	call.shown[0] = turn->shown;
	outcome.result = call.command->run(&call, &outcome.err);
	_exit(write(fd, &outcome, sizeof(outcome)) == sizeof(outcome) ? 0 : 1);
}

static void
fail(struct turn *turn, const char *what, int errnum)
{
	turn->state = TURN_FAILED;
	turn->outcome.result = COMMAND_FAILED;
	error_errno(&turn->outcome.err, CLIENT_ERROR_STATUS, errnum, "%s", what);
}

static void
begin(struct turns *turns, struct turn *turn)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0) {
		fail(turn, "cannot make a pipe", errno);
		return;
	}
	turn->pid = fork();
	if (turn->pid == 0)
		run_child(turns, turn, fds[1]);
	close(fds[1]);
	if (turn->pid < 0) {
		fail(turn, "cannot start a process", errno);
		close(fds[0]);
		return;
	}
	turn->fd = fds[0];
	turn->state = TURN_RUNS;
}

/* Without "cannot boot vm 'web' (UUID): " before it, which the line says. */
static const char *
reason(const struct turn *turn)
{
	const char *detail = turn->outcome.err.detail, *at = strstr(detail, turn->shown);

	if (!at || strncmp(at + strlen(turn->shown), ": ", 2) != 0)
		return detail;
	return at + strlen(turn->shown) + 2;
}

static const char *
turn_text(const struct turns *turns, const struct turn *turn)
{
	switch (turn->state) {
	case TURN_DONE:
		if (turn->already)
			return turn->already;
		return turns->call->command->several->done(turns->call);
	case TURN_FAILED:
		return reason(turn);
	case TURN_WAITS:
		return "not begun";
	case TURN_RUNS:
	case TURN_LEFT:
		break;
	}
	return "may go on";
}

static void
print_line(const struct turns *turns, const struct turn *turn)
{
	_free_ char *text = writer_safe(turn_text(turns, turn));
	FILE *out = turns->call->writer->out;

	if (!turns->lines)
		return;
	fprintf(out, "%s: %s\n", turn->label, text);
	fflush(out);
}

/* One that was not named, and is so already, is done with. */
static void
forgive(const struct turns *turns, struct turn *turn)
{
	const struct several *several = turns->call->command->several;

	if (several->already == ERROR_BY_STATUS || turns->call->n_named > 0 ||
	    turn->outcome.result != COMMAND_FAILED || turn->outcome.err.type != several->already)
		return;
	turn->outcome = (struct outcome){ .result = COMMAND_OK };
	turn->already = several->is_already;
}

/* Takes what the process has told; without that, it has been ended. */
static void
end(const struct turns *turns, struct turn *turn)
{
	ssize_t n;
	int status = 0;

	do
		n = read(turn->fd, &turn->outcome, sizeof(turn->outcome));
	while (n < 0 && errno == EINTR);
	close(turn->fd);
	turn->fd = -1;
	while (waitpid(turn->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (n == (ssize_t)sizeof(turn->outcome)) {
		forgive(turns, turn);
		turn->state = turn->outcome.result == COMMAND_OK ? TURN_DONE : TURN_FAILED;
	} else if (interrupted) {
		turn->state = TURN_LEFT;
	} else {
		turn->state = TURN_FAILED;
		turn->outcome.result = COMMAND_FAILED;
		error_set(&turn->outcome.err, CLIENT_ERROR_STATUS,
		    "its process was ended (%d): what was asked for may go on", status);
	}
	print_line(turns, turn);
}

/* Waits until at least one of those that run has ended, or a signal comes. */
static void
wait_for_one(const struct turns *turns)
{
	struct pollfd polls[SEVERAL_PARALLEL_MAX];
	struct turn *polled[SEVERAL_PARALLEL_MAX];
	nfds_t n = 0;

	for (size_t i = 0; i < turns->n_begun && n < SEVERAL_PARALLEL_MAX; i++) {
		if (turns->items[i].state != TURN_RUNS)
			continue;
		polls[n] = (struct pollfd){ .fd = turns->items[i].fd, .events = POLLIN };
		polled[n++] = &turns->items[i];
	}
	if (ppoll(polls, n, NULL, &turns->mask) <= 0)
		return;
	for (nfds_t i = 0; i < n; i++)
		if (polls[i].revents)
			end(turns, polled[i]);
}

static size_t
count(const struct turns *turns, enum turn_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < turns->n; i++)
		n += turns->items[i].state == state;
	return n;
}

/* What has come of signals, also while others end. */
static bool
is_interrupted(const struct turns *turns)
{
	sigset_t blocked;

	sigprocmask(SIG_SETMASK, &turns->mask, &blocked);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	return interrupted != 0;
}

/* Each has the deadline of its calls. */
static void
run_all(struct turns *turns, size_t parallel)
{
	while (!is_interrupted(turns)) {
		while (turns->n_begun < turns->n && count(turns, TURN_RUNS) < parallel) {
			struct turn *turn = &turns->items[turns->n_begun++];

			if (turn->state == TURN_WAITS)
				begin(turns, turn);
			if (turn->state != TURN_RUNS)
				print_line(turns, turn);
		}
		if (count(turns, TURN_RUNS) == 0)
			return;
		wait_for_one(turns);
	}
	for (size_t i = 0; i < turns->n; i++)
		if (turns->items[i].state == TURN_RUNS)
			kill(turns->items[i].pid, SIGKILL);
	for (size_t i = 0; i < turns->n; i++) {
		if (turns->items[i].state == TURN_RUNS)
			end(turns, &turns->items[i]);
		else if (turns->items[i].state == TURN_WAITS)
			print_line(turns, &turns->items[i]);
	}
}

/* The same where signals come meanwhile; what is ignored, as by nohup(1), stays so. */
static void
run_interruptible(struct turns *turns, size_t parallel)
{
	struct sigaction action = { .sa_handler = on_signal }, was[ARRAY_SIZE(signals)];
	sigset_t blocked;

	interrupted = 0;
	sigemptyset(&blocked);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&blocked, signals[i]);
	sigprocmask(SIG_BLOCK, &blocked, &turns->mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		sigaction(signals[i], NULL, &was[i]);
		if (was[i].sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
	run_all(turns, parallel);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &was[i], NULL);
	sigprocmask(SIG_SETMASK, &turns->mask, NULL);
}

static enum failure_code
turn_code(const struct turn *turn)
{
	if (turn->state == TURN_LEFT)
		return FAILURE_GOES_ON;
	return turn->state == TURN_WAITS ? FAILURE_OTHER
					 : failure_code(turn->outcome.result, &turn->outcome.err);
}

/* A list with an object for each; its YAML has a line for each. */
static void
print_document(const struct turns *turns)
{
	const struct writer *w = turns->call->writer;
	bool json = w->format == WRITER_JSON;

	fprintf(w->out, json ? "[" : "");
	for (size_t i = 0; i < turns->n; i++) {
		const struct turn *turn = &turns->items[i];
		const struct error *err = &turn->outcome.err;
		_free_ char *name = json_quote(turn->vm->name);
		_free_ char *detail = json_quote(turn_text(turns, turn));
		_free_ char *text =
		    xasprintf("{\"vm\": \"%s\", \"name\": %s, \"code\": %d, \"status\": %d, "
			      "\"detail\": %s, \"operation\": \"%s\"}",
			turn->vm->id, name, (int)turn_code(turn), err->status > 0 ? err->status : 0,
			detail, err->operation);
		_free_ char *safe = writer_safe_json(text);

		if (json)
			fprintf(w->out, "%s\n  %s", i ? "," : "", safe);
		else
			fprintf(w->out, "- %s\n", safe);
	}
	fprintf(w->out, json ? "\n]\n" : "");
}

static void
print_table(const struct turns *turns)
{
	struct writer *w = turns->call->writer;

	/* The filter was for the VMs. */
	w->table.filter = NULL;
	writer_begin(w, table_titles, ARRAY_SIZE(table_titles));
	for (size_t i = 0; i < turns->n; i++) {
		const struct turn *turn = &turns->items[i];

		writer_cell(w, "%s", turn->vm->id);
		writer_cell(w, "%s", turn->vm->name);
		writer_cell(w, "%d", (int)turn_code(turn));
		writer_cell(w, "%s", turn_text(turns, turn));
	}
	writer_end(w);
}

/* A mistake in what is to be shown is told before anything is done. */
static int
check_table(const struct writer *w, struct error *err)
{
	const struct view_table table = {
		.titles = table_titles,
		.n_titles = ARRAY_SIZE(table_titles),
		.columns = w->table.columns,
		.sort = w->table.sort,
	};
	struct view view = { 0 };
	int rc = view_make(&table, &view, err);

	view_clear(&view);
	return rc;
}

static enum command_result
summarize(const struct turns *turns, struct error *err)
{
	size_t done = count(turns, TURN_DONE), failed = count(turns, TURN_FAILED);

	if (done + failed < turns->n) {
		error_set(err, CLIENT_GOES_ON_STATUS,
		    "interrupted: %zu done, %zu failed, %zu may go on, %zu not begun; 'virtx list "
		    "operation' shows what goes on",
		    done, failed, count(turns, TURN_LEFT), count(turns, TURN_WAITS));
		return COMMAND_FAILED;
	}
	if (failed == 0) {
		fprintf(stderr, "virtx: %zu done\n", done);
		return COMMAND_OK;
	}
	for (size_t i = 0; i < FAILURE_CODES; i++) {
		for (size_t k = 0; k < turns->n; k++) {
			const struct turn *turn = &turns->items[k];

			if (turn->state != TURN_FAILED || turn_code(turn) != failure_order[i])
				continue;
			error_set(
			    err, turn->outcome.err.status, "%zu done, %zu failed", done, failed);
			return turn->outcome.result;
		}
	}
	return COMMAND_FAILED;
}

enum command_result
several_run(const struct command_call *call, const struct known_list *known, struct error *err)
{
	const struct writer *w = call->writer;
	struct turns turns = { .call = call };
	enum command_result result;
	long parallel;

	if (command_number(call, SEVERAL_OPTION_PARALLEL, 1, SEVERAL_PARALLEL_MAX, &parallel, err) <
		0 ||
	    check_table(w, err) < 0)
		return COMMAND_USAGE;
	turns.lines = w->format <= WRITER_WIDE && !w->quiet && !w->no_headers &&
		      !w->table.columns && !w->table.sort;
	turns_make(&turns, known);
	result = ask(&turns, err);
	if (result == COMMAND_OK) {
		run_interruptible(&turns, parallel ? (size_t)parallel : SEVERAL_PARALLEL);
		if (writer_is_document(w))
			print_document(&turns);
		else if (!turns.lines)
			print_table(&turns);
		result = summarize(&turns, err);
	}
	turns_clear(&turns);
	return result;
}
