/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

#include "virtx/answer.h"

#define LINE_MAX_BYTES 4096 /* of a terminal's line */

/* What would end the program while the terminal does not show what is typed. */
static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

static volatile sig_atomic_t caught;

bool
terminal_is_there(void)
{
	return isatty(STDIN_FILENO) == 1;
}

bool
terminal_ask(const char *question)
{
	char answer[16] = "";

	/* What was typed or pasted before the question is no answer to it. */
	(void)tcflush(STDIN_FILENO, TCIFLUSH);
	fprintf(stderr, "%s [y/N] ", question);
	if (!fgets(answer, sizeof(answer), stdin))
		return false;
	answer[strcspn(answer, "\n")] = '\0';
	return strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
}

static void
on_signal(int signo)
{
	caught = signo;
}

/* Reads a line, as long as no signal comes; those that are in mask do not. */
static ssize_t
read_line(char line[LINE_MAX_BYTES], const sigset_t *mask)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };

	return ppoll(&fd, 1, NULL, mask) < 0 ? -1 : read(STDIN_FILENO, line, LINE_MAX_BYTES - 1);
}

/* The same while the terminal does not show it, which it does again whatever comes. */
static ssize_t
read_quietly(char line[LINE_MAX_BYTES], const struct termios *shown)
{
	struct sigaction action = { .sa_handler = on_signal }, was[ARRAY_SIZE(signals)];
	struct termios quiet = *shown;
	sigset_t blocked, mask;
	ssize_t n;
	int why;

	quiet.c_lflag &= ~(tcflag_t)ECHO;
	/* Stopped, it would leave it so. */
	quiet.c_cc[VSUSP] = _POSIX_VDISABLE;
	sigemptyset(&blocked);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&blocked, signals[i]);
	sigprocmask(SIG_BLOCK, &blocked, &mask);
	caught = 0;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		sigaction(signals[i], NULL, &was[i]);
		/* What is ignored, as by nohup(1), stays so. */
		if (was[i].sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	n = read_line(line, &mask);
	why = errno;
	(void)tcsetattr(STDIN_FILENO, TCSANOW, shown);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &was[i], NULL);
	if (caught)
		(void)raise(caught);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	errno = why;
	return n;
}

char *
terminal_secret(const char *prompt, struct error *err)
{
	char line[LINE_MAX_BYTES] = "";
	struct termios shown;
	char *secret;
	ssize_t n;

	fprintf(stderr, "%s", prompt);
	n = tcgetattr(STDIN_FILENO, &shown) < 0 ? -1 : read_quietly(line, &shown);
	if (n < 0) {
		error_errno(
		    err, CLIENT_ERROR_STATUS, errno, "cannot read what is typed at the terminal");
		return NULL;
	}
	fputc('\n', stderr);
	secret = xmemdup(line, (size_t)n);
	explicit_bzero(line, sizeof(line));
	return secret;
}
