/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running qemu-img and its like: never a shell, limits of time, memory and output. */
#include "disk/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_BYTES (64 * 1024)
#define WORDS_MAX      4096
#define TERM_GRACE_MS  2000
#define KILL_GRACE_MS  5000
#define TICK_MS	       1000
#define LEFT_READS     64
#define REAP_MS	       5   /* between looks at one that has closed its pipes */
#define LOOK_MS	       100 /* and at one that has not: others may hold them */

extern char **environ;

enum reason {
	REASON_NONE,
	REASON_TIMEOUT,
	REASON_OUTPUT,
	REASON_LINE,
};

struct run {
	const struct command *command;
	struct buffer *out;
	pid_t pid;
	int status; /* as waitpid tells it, once it has ended */
	int out_fd;
	int err_fd;
	struct buffer line;  /* the unfinished one */
	struct buffer words; /* from stderr */
	size_t taken;
	enum reason reason; /* why it was told to end */
	int answer;	    /* of the line callback */
	bool killed;
	int64_t deadline; /* until the next step of ending it */
};

static void
run_clear(struct run *run)
{
	util_close(&run->out_fd);
	util_close(&run->err_fd);
	buffer_clear(&run->line);
	buffer_clear(&run->words);
}

/*
 * The command line with its limits in front: posix_spawn can set neither a resource limit nor the
 * signal that comes when the parent dies, and a blkdiscard must not outlive the lease that this
 * process holds for it.
 */
static const char **
limited_argv(const struct command *command, char memory[32])
{
	const char *prefix[] = { "setpriv", "--pdeathsig=KILL", "--", "prlimit", "--core=0", memory,
		"--" };
	const char **argv;
	size_t n = 0;

	snprintf(memory, 32, command->memory ? "--as=%zu" : "--as=unlimited", command->memory);
	while (command->argv[n])
		n++;
	argv = xcalloc(ARRAY_SIZE(prefix) + n + 1, sizeof(*argv));
	memcpy(argv, prefix, sizeof(prefix));
	memcpy(argv + ARRAY_SIZE(prefix), command->argv, n * sizeof(*argv));
	return argv;
}

static int
start(struct run *run, int out, int words)
{
	const struct command *command = run->command;
	_free_ const char **argv = NULL;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	char memory[32];
	int r;

	argv = limited_argv(command, memory);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, words, STDERR_FILENO);
	/* Onto itself: this only takes close-on-exec away, in the child. */
	for (const int *fd = command->fds; fd && *fd >= 0; fd++)
		posix_spawn_file_actions_adddup2(&actions, *fd, *fd);

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);

	r = posix_spawnp(&run->pid, argv[0], &actions, &attr, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static void
stop(struct run *run, enum reason reason)
{
	if (run->reason != REASON_NONE)
		return;
	run->reason = reason;
	run->deadline = monotonic_ms() + TERM_GRACE_MS;
	kill(run->pid, SIGTERM);
}

/* The deadline has passed: asks it to end, then kills it; false when even that did not help. */
static bool
escalate(struct run *run)
{
	if (run->reason == REASON_NONE) {
		stop(run, REASON_TIMEOUT);
		return true;
	}
	if (run->killed)
		return false;
	run->killed = true;
	run->deadline = monotonic_ms() + KILL_GRACE_MS;
	kill(run->pid, SIGKILL);
	return true;
}

static void
give_line(struct run *run, const char *line, size_t len)
{
	if (run->reason != REASON_NONE)
		return;
	run->answer = run->command->line(line, len, run->command->arg);
	if (run->answer < 0)
		stop(run, REASON_LINE);
}

static void
take_lines(struct run *run, const char *data, size_t len)
{
	char *at, *end, *newline;

	buffer_add(&run->line, data, len);
	at = run->line.data;
	end = at + run->line.len;
	while ((newline = memchr(at, '\n', end - at))) {
		*newline = '\0';
		give_line(run, at, newline - at);
		at = newline + 1;
	}
	run->line.len = end - at;
	memmove(run->line.data, at, run->line.len + 1);
	if (run->line.len > LINE_MAX_BYTES)
		stop(run, REASON_OUTPUT);
}

/* Takes what stdout has; false at its end. */
static bool
take_out(struct run *run)
{
	const struct command *command = run->command;
	char data[16384];
	ssize_t n;

	n = read(run->out_fd, data, sizeof(data));
	if (n < 0)
		return errno == EINTR;
	if (n == 0)
		return false;
	if ((!run->out && !command->line) || run->reason != REASON_NONE)
		return true;
	if ((size_t)n > command->output_max - run->taken) {
		stop(run, REASON_OUTPUT);
		return true;
	}
	run->taken += n;
	if (command->line)
		take_lines(run, data, n);
	else
		buffer_add(run->out, data, n);
	return true;
}

/* Takes what stderr has, as far as it is kept; false at its end. */
static bool
take_words(struct run *run)
{
	char data[WORDS_MAX];
	ssize_t n;

	n = read(run->err_fd, data, sizeof(data));
	if (n < 0)
		return errno == EINTR;
	if (n == 0)
		return false;
	if ((size_t)n > WORDS_MAX - run->words.len)
		n = WORDS_MAX - run->words.len;
	buffer_add(&run->words, data, n);
	return true;
}

/* Takes what the pipes bring within ms; false when they bring nothing. */
static bool
feed(struct run *run, int ms)
{
	struct pollfd fds[] = {
		{ .fd = run->out_fd, .events = POLLIN },
		{ .fd = run->err_fd, .events = POLLIN },
	};

	if (poll(fds, ARRAY_SIZE(fds), ms) <= 0)
		return false;
	if (fds[0].revents && !take_out(run))
		util_close(&run->out_fd);
	if (fds[1].revents && !take_words(run))
		util_close(&run->err_fd);
	return true;
}

/* Waits for it to end, feeding everyone meanwhile; false when it cannot be killed. */
static bool
follow(struct run *run)
{
	int64_t now = monotonic_ms(), tick = now + TICK_MS;

	while (waitpid(run->pid, &run->status, WNOHANG) != run->pid) {
		int64_t most = run->out_fd < 0 && run->err_fd < 0 ? REAP_MS : LOOK_MS;
		int64_t wait = run->deadline - now;

		feed(run, (int)(wait > most ? most : wait > 0 ? wait : 0));
		now = monotonic_ms();
		if (now >= run->deadline && !escalate(run))
			return false;
		if (now >= tick && run->command->tick && run->reason == REASON_NONE) {
			run->command->tick(run->command->arg);
			tick = now + TICK_MS;
		}
	}
	/* What it left in the pipes; others may go on writing there. */
	for (int i = 0; i < LEFT_READS && feed(run, 0); i++)
		;
	return true;
}

/* What it said on stderr as one line, or how it ended. */
static int
failed(struct run *run, const char *name, struct error *err)
{
	int status = run->status;
	char *words = run->words.data;
	size_t len = run->words.len;

	while (len > 0 && (words[len - 1] == '\n' || words[len - 1] == ' '))
		len--;
	if (len > 0) {
		words[len] = '\0';
		for (char *c = words; *c; c++)
			if (*c == '\n')
				*c = ' ';
		return error_set(err, 507, "%s failed: %s", name, words);
	}
	if (WIFSIGNALED(status))
		return error_set(err, 507, "%s was ended by signal %d", name, WTERMSIG(status));
	return error_set(err, 507, "%s failed with exit status %d", name, WEXITSTATUS(status));
}

static int
result(struct run *run, const char *name, bool ended, struct error *err)
{
	const struct command *command = run->command;

	switch (run->reason) {
	case REASON_TIMEOUT:
		return error_set(err, 507, "%s was not done within %d seconds%s", name,
		    command->timeout, ended ? "" : " and cannot be killed");
	case REASON_OUTPUT:
		return error_set(err, 507, "%s wrote more than %zu bytes", name,
		    command->line && run->line.len > LINE_MAX_BYTES ? (size_t)LINE_MAX_BYTES
								    : command->output_max);
	case REASON_LINE:
		return run->answer;
	case REASON_NONE:
		break;
	}
	if (!WIFEXITED(run->status) || WEXITSTATUS(run->status) != 0)
		return failed(run, name, err);
	if (command->line && run->line.len > 0) {
		give_line(run, run->line.data, run->line.len);
		return run->answer;
	}
	return 0;
}

int
command_run(const struct command *command, struct buffer *out, struct error *err)
{
	__attribute__((cleanup(run_clear))) struct run run = {
		.command = command,
		.out = out,
		.out_fd = -1,
		.err_fd = -1,
	};
	const char *name = strrchr(command->argv[0], '/');
	_close_ int out_end = -1, err_end = -1;
	int fds[2], r;

	name = name ? name + 1 : command->argv[0];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_errno(err, 507, errno, "cannot run %s", name);
	run.out_fd = fds[0];
	out_end = fds[1];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_errno(err, 507, errno, "cannot run %s", name);
	run.err_fd = fds[0];
	err_end = fds[1];

	r = start(&run, out_end, err_end);
	if (r < 0)
		return error_errno(err, 507, -r, "cannot run %s", name);
	util_close(&out_end);
	util_close(&err_end);
	run.deadline = monotonic_ms() + (int64_t)command->timeout * 1000;
	return result(&run, name, follow(&run), err);
}
