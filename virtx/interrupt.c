/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/interrupt.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "virtx/failure.h"
#include "virtx/progress.h"

static const int signals[] = { SIGINT, SIGTERM };

/* NULL: the signals are as they were. They are blocked while it is replaced. */
static char *text;
static size_t len;
static struct sigaction was[ARRAY_SIZE(signals)];

static void
on_signal(int signo)
{
	/* Whoever cannot be told has the exit code. */
	ssize_t ignored = write(STDERR_FILENO, text, len);

	(void)ignored;
	_exit(FAILURE_GOES_ON);
}

static void
block(sigset_t *mask)
{
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&blocked, signals[i]);
	sigprocmask(SIG_BLOCK, &blocked, mask);
}

static void
install(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		sigaction(signals[i], NULL, &was[i]);
		/* What is ignored, as by nohup(1), stays so. */
		if (was[i].sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

void
interrupt_say(const struct error *err, bool json)
{
	char *line = NULL;
	size_t line_len;
	FILE *out = open_memstream(&line, &line_len);
	sigset_t mask;

	/* Over what the progress has drawn. */
	if (progress_possible())
		fputs("\r\x1b[K", out);
	failure_print(out, FAILURE_GOES_ON, err, json);
	fclose(out);
	block(&mask);
	if (!text)
		install();
	free(text);
	text = line;
	len = line_len;
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

void
interrupt_forget(void)
{
	sigset_t mask;

	block(&mask);
	for (size_t i = 0; text && i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &was[i], NULL);
	free(steal_ptr(text));
	sigprocmask(SIG_SETMASK, &mask, NULL);
}
