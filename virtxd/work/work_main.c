/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A job's process from inside: its request, its frames, its end. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk/confine.h"
#include "proto/json.h"
#include "proto/log.h"
#include "proto/problem.h"
#include "work/work.h"

#define REQUEST_MAX (4 << 20)

/* The process has one work, which reports its progress from wherever it is. */
static int frames = STDOUT_FILENO;
static int last_percent = -1;
static bool resident;

const struct work *
work_find(const char *name)
{
	for (size_t i = 0; i < WORK_N; i++) {
		/* A table of a test may have gaps. */
		if (works[i].name && strcmp(works[i].name, name) == 0)
			return &works[i];
	}
	return NULL;
}

/* Writes one line. That nobody reads it any more (the daemon ended) stops no work. */
static void
write_frame(const char *kind, const char *text, size_t len)
{
	_buffer_ struct buffer line = { 0 };

	buffer_printf(&line, "%s ", kind);
	buffer_add(&line, text, len);
	buffer_add(&line, "\n", 1);
	if (write_all(frames, line.data, line.len) < 0)
		log_debug("job", "nobody reads the '%s' of this job", kind);
}

void
work_progress(int percent)
{
	char text[16];

	if (percent == last_percent || percent < 0 || percent > 100)
		return;
	last_percent = percent;
	snprintf(text, sizeof(text), "%d", percent);
	write_frame("progress", text, strlen(text));
}

void
work_stage(enum work_stage stage)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)stage);
	write_frame("stage", text, strlen(text));
}

static struct buffer late; /* what is told when a call does not return */

static void
on_alarm(int signum)
{
	(void)!write(frames, late.data, late.len);
	_exit(1);
}

void
work_wait(int seconds, const struct error *err)
{
	_free_ char *text = NULL;
	size_t len;

	text = problem_encode(err, &len);
	buffer_clear(&late);
	buffer_printf(&late, "error %s\n", text);
	signal(SIGALRM, on_alarm);
	alarm((unsigned int)seconds);
}

void
work_waited(void)
{
	alarm(0);
}

/*
 * Keeps the frames apart from what a library prints and a helper inherits: those get stderr as
 * their stdout.
 */
static int
move_stdout(struct error *err)
{
	frames = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (frames < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return error_errno(err, 500, errno, "cannot set up the output of a job");
	return 0;
}

static int
too_large(const struct work *work, struct error *err)
{
	return error_set(err, 413, "the request of job '%s' is larger than %d MiB", work->name,
	    REQUEST_MAX >> 20);
}

static int
read_request(const struct work *work, struct buffer *ret, struct error *err)
{
	int rc = read_all(STDIN_FILENO, ret, REQUEST_MAX);

	if (rc == -EFBIG)
		return too_large(work, err);
	return rc < 0
		   ? error_errno(err, 500, -rc, "cannot read the request of job '%s'", work->name)
		   : 0;
}

/* A zeroed object of the model, NULL for none. */
static void *
model_new(const struct model *m)
{
	return m ? xcalloc(1, m->size) : NULL;
}

static int
run(const struct work *work, const char *text, size_t text_len, struct error *err)
{
	_free_ void *request = model_new(work->request);
	_free_ void *result = model_new(work->result);
	_free_ char *answer = NULL;
	size_t len = 2;
	int rc = 0;

	last_percent = -1;
	if (work->request && json_decode(work->request, text, text_len, request, err) < 0)
		rc = error_wrap(err, "the request of job '%s'", work->name);
	if (rc == 0)
		rc = work->run(request, result, err);
	/* Of what a job does not find, only a VM or a token is what was asked for. */
	if (rc < 0 && error_is(err, ERROR_NOT_FOUND) && err->type != ERROR_NOT_FOUND) {
		err->status = error_types[ERROR_MISSING].status;
		err->type = ERROR_MISSING;
	}
	if (rc == 0) {
		answer = work->result ? json_encode(work->result, result, &len) : xstrdup("{}");
		write_frame("result", answer, len);
	}
	if (work->request)
		model_clear(work->request, request);
	if (work->result)
		model_clear(work->result, result);
	return rc;
}

static void
write_error(const char *name, struct error *err)
{
	_free_ char *text = NULL;
	size_t len;

	if (err->status == 0)
		error_set(err, 500, "job '%s' failed without a reason", name);
	text = problem_encode(err, &len);
	write_frame("error", text, len);
}

static int
run_once(const struct work *work, struct error *err)
{
	_buffer_ struct buffer input = { 0 };

	if (read_request(work, &input, err) < 0)
		return -1;
	return run(work, input.data ? input.data : "", input.len, err);
}

/* A request is a line. Who wrote what is no line has ended, or is not understood any more. */
static int
run_each(const struct work *work, struct error *err)
{
	_buffer_ struct buffer input = { 0 };
	char chunk[16384];
	ssize_t n;

	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0) {
		struct error failure = { 0 };

		if (n < 0 && errno != EINTR)
			return error_errno(
			    err, 500, errno, "cannot read the request of job '%s'", work->name);
		if (n < 0)
			continue;
		buffer_add(&input, chunk, (size_t)n);
		if (input.len > REQUEST_MAX + 1)
			return too_large(work, err);
		if (chunk[n - 1] != '\n')
			continue;
		if (run(work, input.data, input.len - 1, &failure) < 0)
			write_error(work->name, &failure);
		buffer_clear(&input);
	}
	return 0;
}

static int
drop_capabilities(const struct work *work, struct error *err)
{
	int r = confine_capabilities(work->capabilities);

	return r < 0 ? error_errno(err, 500, -r, "job '%s' cannot drop what it may", work->name)
		     : 0;
}

bool
work_is_resident(void)
{
	return resident;
}

int
work_main(const char *name, bool stays)
{
	const struct work *work = work_find(name);
	_free_ char *tag = xasprintf("%s[%d]", name, (int)getpid());
	struct error err = { 0 };
	int rc;

	resident = stays;
	signal(SIGPIPE, SIG_IGN);
	log_init(log_get_level(), tag);
	rc = move_stdout(&err);
	if (rc == 0 && !work)
		rc = error_set(
		    &err, 404, "there is no job '%s'; `virtxd --job list` tells which", name);
	if (rc == 0 && stays && !work->resident)
		rc = error_set(&err, 400, "job '%s' is not resident", name);
	if (rc == 0)
		rc = drop_capabilities(work, &err);
	if (rc == 0)
		rc = stays ? run_each(work, &err) : run_once(work, &err);
	if (rc != 0)
		write_error(name, &err);
	log_init(log_get_level(), NULL);
	return rc == 0 ? 0 : 1;
}

static const char *
kind_word(const struct field *field)
{
	switch (field->kind) {
	case KIND_BOOL:
		return "boolean";
	case KIND_INT16:
	case KIND_INT32:
	case KIND_INT64:
		return "integer";
	case KIND_FLOAT:
		return "number";
	case KIND_STRING:
		return "string";
	case KIND_ENUM:
		return "integer:";
	case KIND_STRUCT:
		return "object";
	case KIND_ARRAY:
		return "array of objects";
	}
	return "?";
}

static void
print_fields(const struct model *m, int indent)
{
	for (unsigned int i = 0; m && i < m->n_fields; i++) {
		const struct field *field = &m->fields[i];

		printf("%*s%s: %s", indent, "", field->name, kind_word(field));
		for (unsigned int n = 0; field->kind == KIND_ENUM && n < field->words->n_words; n++)
			printf("%s %u %s", n ? "," : "", n, field->words->words[n]);
		printf("\n");
		print_fields(field->sub, indent + 2);
	}
}

void
work_print_list(void)
{
	for (size_t i = 0; i < WORK_N; i++) {
		const struct work *work = &works[i];

		printf("%s%s: %s (at most %d s%s)\n", i ? "\n" : "", work->name, work->summary,
		    work->deadline, work->resident ? "; resident" : "");
		printf("  request\n");
		print_fields(work->request, 4);
		printf("  result\n");
		print_fields(work->result, 4);
	}
}
