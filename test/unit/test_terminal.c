/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who sits at a terminal: what is typed is not shown, and afterwards it is again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "virtx/terminal.h"

#define SECRET	"virtx_secret"
#define WAIT_MS 20000

static const int signals[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT };
static void (*handling)(int) = SIG_DFL; /* of these, at the terminal */

struct terminal {
	int fd; /* of who types */
	pid_t pid;
	struct buffer shown;
};

/* In the process at the terminal: 0 where SECRET was typed. */
static int
read_secret(void)
{
	struct error err = { 0 };
	_free_ char *secret = terminal_secret("Token: ", &err);

	return secret && strcmp(secret, SECRET "\n") == 0 ? 0 : 1;
}

static int
answer(void)
{
	return terminal_is_there() && terminal_ask("Trust it?") ? 0 : 1;
}

/* Asks only when it is told to. */
static int
answer_later(void)
{
	sigset_t set;
	int signo;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fprintf(stderr, "Wait.");
	return sigwait(&set, &signo) == 0 ? answer() : 1;
}

static void
begin(struct terminal *t, int (*run)(void))
{
	*t = (struct terminal){ 0 };
	t->pid = forkpty(&t->fd, NULL, NULL, NULL);
	assert_true(t->pid >= 0);
	if (t->pid == 0) {
		/* SIGQUIT is no failure here. */
		(void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
		for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
			(void)signal(signals[i], handling);
		_exit(run());
	}
}

/* Takes what is shown, until these words are in it. */
static void
wait_shown(struct terminal *t, const char *words)
{
	struct pollfd fd = { .fd = t->fd, .events = POLLIN };
	char chunk[256];

	while (!t->shown.data || !strstr(t->shown.data, words)) {
		ssize_t n;

		assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
		n = read(t->fd, chunk, sizeof(chunk));
		assert_true(n > 0);
		buffer_add(&t->shown, chunk, (size_t)n);
	}
}

static bool
shows_typing(const struct terminal *t)
{
	struct termios now;

	assert_int_equal(tcgetattr(t->fd, &now), 0);
	return now.c_lflag & ECHO;
}

static void
wait_quiet(const struct terminal *t)
{
	int64_t end = monotonic_ms() + WAIT_MS;

	while (shows_typing(t)) {
		assert_true(monotonic_ms() < end);
		usleep(1000);
	}
}

/* How it ended. */
static int
finish(struct terminal *t)
{
	int status;

	assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
	assert_true(shows_typing(t));
	close(t->fd);
	buffer_clear(&t->shown);
	return status;
}

static void
type(const struct terminal *t, const char *text)
{
	assert_int_equal(write_all(t->fd, text, strlen(text)), 0);
}

static void
test_secret(void **state)
{
	struct terminal t;

	begin(&t, read_secret);
	wait_shown(&t, "Token: ");
	wait_quiet(&t);
	type(&t, SECRET "\n");
	wait_shown(&t, "\n");
	assert_null(strstr(t.shown.data, SECRET));
	assert_int_equal(finish(&t), 0);
}

/* It is shown again, whatever ends the program. */
static void
test_signals(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct terminal t;
		int status;

		begin(&t, read_secret);
		wait_shown(&t, "Token: ");
		wait_quiet(&t);
		if (signals[i] == SIGINT)
			type(&t, "abc\x03");
		else
			kill(t.pid, signals[i]);
		status = finish(&t);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), signals[i]);
	}
}

/* Whether a signal is on its way to it. */
static bool
has_pending(const struct terminal *t)
{
	_free_ char *path = xasprintf("/proc/%d/status", (int)t->pid);
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_buffer_ struct buffer text = { 0 };

	assert_int_equal(read_all(fd, &text, 1 << 16), 0);
	return strstr(text.data, "ShdPnd:\t0000000000000000\n") == NULL;
}

/* What was not to end it does not. */
static void
test_ignored(void **state)
{
	struct terminal t;

	handling = SIG_IGN;
	begin(&t, read_secret);
	wait_shown(&t, "Token: ");
	wait_quiet(&t);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		kill(t.pid, signals[i]);
	while (has_pending(&t))
		usleep(1000);
	type(&t, SECRET "\n");
	assert_int_equal(finish(&t), 0);
	handling = SIG_DFL;
}

static void
test_question(void **state)
{
	static const struct {
		const char *typed;
		int status;
	} cases[] = { { "y\n", 0 }, { "Yes\n", 0 }, { "n\n", 1 }, { "\n", 1 }, { "\x04", 1 },
		{ "yum\n", 1 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct terminal t;

		begin(&t, answer);
		wait_shown(&t, "Trust it? [y/N] ");
		type(&t, cases[i].typed);
		assert_int_equal(WEXITSTATUS(finish(&t)), cases[i].status);
	}
}

/* What is pasted may have more lines than one. */
static void
test_typed_ahead(void **state)
{
	struct terminal t;

	begin(&t, answer_later);
	wait_shown(&t, "Wait.");
	type(&t, "y\n");
	wait_shown(&t, "y");
	kill(t.pid, SIGUSR1);
	wait_shown(&t, "Trust it? [y/N] ");
	type(&t, "n\n");
	assert_int_equal(WEXITSTATUS(finish(&t)), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_ignored),
		cmocka_unit_test(test_question),
		cmocka_unit_test(test_typed_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
