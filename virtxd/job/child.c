/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A job's process: spawn, pipes, frames, deadline. */
#include "job/child.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/timer.h"
#include "proto/log.h"
#include "proto/problem.h"

#define OUTPUT_MAX (16 << 20) /* all that a child may write to its stdout for a request */

extern char **environ;

enum child_state {
	CHILD_RUNNING,
	CHILD_RESTING,	  /* a resident one has answered */
	CHILD_TERMINATED, /* SIGTERM is sent */
	CHILD_KILLED,	  /* SIGKILL is sent, or there is nobody to send it to */
	CHILD_WRITTEN_OFF,
	CHILD_STATE_N,
};

static const char *const state_names[CHILD_STATE_N] = { "running", "resting", "terminated",
	"killed", "written off" };

/* As in the header. */
static const unsigned int transitions[CHILD_STATE_N] = {
	[CHILD_RUNNING] = 1 << CHILD_RESTING | 1 << CHILD_TERMINATED | 1 << CHILD_KILLED,
	[CHILD_RESTING] = 1 << CHILD_RUNNING | 1 << CHILD_KILLED,
	[CHILD_TERMINATED] = 1 << CHILD_KILLED,
	[CHILD_KILLED] = 1 << CHILD_WRITTEN_OFF,
};

enum frame {
	FRAME_NONE,
	FRAME_RESULT,
	FRAME_ERROR,
};

struct child {
	const struct work *work;
	const struct child_ops *ops;
	void *arg;
	pid_t pid; /* also the id of its group */
	int grace_ms;
	enum child_state state;
	bool late;
	bool flooded;
	bool spoilt; /* a resident one wrote what nobody asked for */

	bool exited; /* the process itself */
	int status;
	bool gone; /* all of its group */
	bool told; /* ended is called, or about to be */
	int answers;

	int in; /* -1 once the request is written, but of a resident one */
	char *request;
	size_t request_len;
	size_t request_written;
	int out; /* -1 at EOF */
	struct buffer output;
	size_t scanned; /* up to here output has no newline */
	size_t total;
	enum work_stage stage;
	enum frame frame; /* the first one counts */
	char *text;
	size_t text_len;

	struct event *in_event;
	struct event *out_event;
	struct timer *timer;
	struct timer *end;
};

static void
set_state(struct child *child, enum child_state state)
{
	assert(transitions[child->state] & 1U << state);
	log_debug("job", "job '%s', process %d: %s, then %s", child->work->name, (int)child->pid,
	    state_names[child->state], state_names[state]);
	child->state = state;
}

static void
child_tell(struct child *child)
{
	if (child->told)
		return;
	child->told = true;
	timer_stop(child->timer);
	/* From a clean stack: who is told may free this one and others. */
	timer_soon(child->end);
}

static void
child_check_end(struct child *child)
{
	if (child->out < 0 && child->gone)
		child_tell(child);
}

/* While any of the group is there, reaped or not, its id cannot belong to somebody else. */
static void
child_signal(struct child *child, int signum)
{
	if (!child->gone)
		kill(-child->pid, signum);
}

/* Sends SIGTERM, which starts the clock for the rest. */
static void
child_terminate(struct child *child)
{
	child_signal(child, SIGTERM);
	set_state(child, CHILD_TERMINATED);
	timer_start(child->timer, child->grace_ms);
}

/* The request is written, or cannot be. */
static void
child_end_in(struct child *child)
{
	if (child->in_event)
		event_del(child->in_event);
	util_free(&child->request);
	child->request = NULL;
	if (child->work->resident)
		return;
	util_close(&child->in);
	child->in = -1;
}

static void
child_close_out(struct child *child)
{
	event_del(child->out_event);
	util_close(&child->out);
	child->out = -1;
	buffer_clear(&child->output);
	child_check_end(child);
}

/* Writes what the pipe takes; what goes wrong shows in how the child ends. */
static void
child_write(struct child *child)
{
	ssize_t n;

	while (child->request_written < child->request_len) {
		n = write(child->in, child->request + child->request_written,
		    child->request_len - child->request_written);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			child->spoilt = true;
			break;
		}
		child->request_written += (size_t)n;
	}
	child_end_in(child);
}

static void
child_on_in(evutil_socket_t fd, short what, void *arg)
{
	child_write(arg);
}

/* Takes a line without its newline; returns a percentage to report, or -1. */
static int
child_take_line(struct child *child, const char *line, size_t len)
{
	enum frame frame;
	const char *text;
	int percent;
	char end;

	if (len > 9 && len < 13 && memcmp(line, "progress ", 9) == 0) {
		char number[4] = "";

		memcpy(number, line + 9, len - 9);
		if (sscanf(number, "%3d%c", &percent, &end) == 1 && percent >= 0 && percent <= 100)
			return percent;
	}
	if (len == 7 && memcmp(line, "stage ", 6) == 0 && line[6] >= '0' &&
	    line[6] < '0' + WORK_STAGE_N) {
		child->stage = (enum work_stage)(line[6] - '0');
		return -1;
	}
	if (len >= 7 && memcmp(line, "result ", 7) == 0) {
		frame = FRAME_RESULT;
		text = line + 7;
	} else if (len >= 6 && memcmp(line, "error ", 6) == 0) {
		frame = FRAME_ERROR;
		text = line + 6;
	} else {
		log_debug("job", "job '%s' wrote a line that is no frame", child->work->name);
		return -1;
	}
	if (child->frame != FRAME_NONE)
		return -1;
	child->frame = frame;
	child->text_len = len - (size_t)(text - line);
	child->text = xmemdup(text, child->text_len);
	/* Told to end, it is waited for. */
	if (child->work->resident && child->state == CHILD_RUNNING) {
		set_state(child, CHILD_RESTING);
		child->answers++;
		if (child->request)
			child->spoilt = true; /* it did not wait for the end of it */
		child_tell(child);
	}
	return -1;
}

static void
child_on_out(evutil_socket_t fd, short what, void *arg)
{
	struct child *child = arg;
	struct buffer *output = &child->output;
	enum work_stage stage = child->stage;
	char chunk[65536], *newline;
	int percent, last = -1;
	size_t start = 0;
	ssize_t n;

	n = read(child->out, chunk, sizeof(chunk));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		child_close_out(child);
		return;
	}
	if (child->state == CHILD_RESTING) {
		child->spoilt = true;
		return;
	}
	child->total += (size_t)n;
	if (child->total > OUTPUT_MAX) {
		child->flooded = true;
		if (child->state == CHILD_RUNNING)
			child_terminate(child);
		child_close_out(child);
		return;
	}
	/* One that is gone leaves what is still in the pipe, which must be read before time is up.
	 */
	if (child->gone && child->state != CHILD_WRITTEN_OFF)
		timer_start(child->timer, child->grace_ms);

	buffer_add(output, chunk, (size_t)n);
	while (child->state != CHILD_RESTING && (newline = memchr(output->data + child->scanned,
						     '\n', output->len - child->scanned)) != NULL) {
		size_t end = (size_t)(newline - output->data);

		percent = child_take_line(child, output->data + start, end - start);
		last = percent >= 0 ? percent : last;
		start = child->scanned = end + 1;
	}
	if (child->state == CHILD_RESTING && start < output->len)
		child->spoilt = true;
	memmove(output->data, output->data + start, output->len - start);
	output->len -= start;
	child->scanned = output->len;
	if ((last >= 0 || child->stage != stage) && child->state != CHILD_WRITTEN_OFF)
		child->ops->progress(child->arg, last, child->stage);
}

static void
child_on_timer(void *arg)
{
	struct child *child = arg;

	switch (child->state) {
	case CHILD_RUNNING:
		child->late = true;
		child_terminate(child);
		break;
	case CHILD_TERMINATED:
		child_signal(child, SIGKILL);
		set_state(child, CHILD_KILLED);
		timer_start(child->timer, child->grace_ms);
		break;
	case CHILD_KILLED:
		set_state(child, CHILD_WRITTEN_OFF);
		child->ops->stuck(child->arg);
		break;
	case CHILD_RESTING:
	case CHILD_WRITTEN_OFF:
	case CHILD_STATE_N:
		break;
	}
}

static void
child_on_end(void *arg)
{
	struct child *child = arg;

	if (child->frame == FRAME_RESULT && child->status != 0)
		log_warning("job", "job '%s' gave its result, but ended with wait status 0x%x",
		    child->work->name, (unsigned int)child->status);
	child->ops->ended(child->arg);
}

void
child_reap(struct child *child)
{
	int status;
	pid_t pid;

	while (!child->gone) {
		pid = waitpid(-child->pid, &status, WNOHANG);
		if (pid == 0)
			break;
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			child->gone = true;
		if (pid == child->pid) {
			child->exited = true;
			child->status = status;
		}
	}
	if (child->told)
		return;
	if (child->exited && !child->gone && child->state == CHILD_RUNNING)
		child_terminate(child); /* nobody waits for what it left behind */
	if (child->gone && child->out >= 0 && child->state < CHILD_KILLED) {
		set_state(child, CHILD_KILLED);
		timer_start(child->timer, child->grace_ms);
	}
	child_check_end(child);
}

/*
 * The program of this process, so that a new version on disk never meets an old one in memory. The
 * name is preferred because a tool that wraps the program (valgrind) is what runs from /proc.
 */
static void
self_path(char path[PATH_MAX])
{
	static const char self[] = "/proc/self/exe", deleted[] = " (deleted)";
	ssize_t len = readlink(self, path, PATH_MAX - 1);

	if (len > 0)
		path[len] = '\0';
	if (len <= 0 || len == PATH_MAX - 1 ||
	    ((size_t)len >= strlen(deleted) &&
		strcmp(path + (size_t)len - strlen(deleted), deleted) == 0))
		strcpy(path, self);
}

/* Starts the process on the far ends of its pipes; 0 or a positive errno. */
static int
spawn(pid_t *pid, const struct work *work, int in, int out)
{
	char command[] = "virtxd", resident[] = "--resident", option[] = "--job", path[PATH_MAX];
	_free_ char *name = xstrdup(work->name);
	char *once[] = { command, option, name, NULL };
	char *stays[] = { command, resident, option, name, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	self_path(path);

	rc = posix_spawnattr_init(&attr);
	if (rc)
		return rc;
	rc = posix_spawn_file_actions_init(&files);
	if (rc)
		goto attr;
	posix_spawnattr_setflags(
	    &attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setpgroup(&attr, 0);
	rc = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	/* Not all that libevent opens is close-on-exec. */
	if (!rc)
		rc = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	if (!rc)
		rc = posix_spawn(pid, path, &files, &attr, work->resident ? stays : once, environ);
	posix_spawn_file_actions_destroy(&files);
attr:
	posix_spawnattr_destroy(&attr);
	return rc;
}

/* Takes the request: of one that is resident the newline ends it, and the others' an EOF. */
static void
child_take(struct child *child, const struct child_call *call)
{
	child->ops = call->ops;
	child->arg = call->arg;
	child->request = call->request;
	child->request_len = call->request_len;
	child->request_written = 0;
	if (!child->work->resident)
		return;
	child->request = xrealloc(child->request, child->request_len + 1, 1);
	child->request[child->request_len++] = '\n';
}

static void
child_await(struct child *child)
{
	timer_start(child->timer, child->work->deadline * INT64_C(1000));
	if (child->request)
		event_add(child->in_event, NULL);
}

struct child *
child_spawn(struct event_base *base, const struct work *work, int grace_ms,
    const struct child_call *call, struct error *err)
{
	struct child *child = xcalloc(1, sizeof(*child));
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, rc = 0;

	child->work = work;
	child->grace_ms = grace_ms;
	child_take(child, call);
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || fcntl(in[1], F_SETFL, O_NONBLOCK) ||
	    fcntl(out[0], F_SETFL, O_NONBLOCK))
		rc = errno;
	child->in = in[1];
	child->out = out[0];
	/* Before there is a reader, which so never takes a request for an empty one. */
	if (!rc)
		child_write(child);
	if (!rc)
		rc = spawn(&child->pid, work, in[0], out[1]);
	util_close(&in[0]);
	util_close(&out[1]);
	if (rc) {
		child_free(child);
		error_errno(err, 500, rc, "cannot start job '%s'", work->name);
		return NULL;
	}

	child->out_event = event_new(base, child->out, EV_READ | EV_PERSIST, child_on_out, child);
	child->timer = timer_new(base, child_on_timer, child);
	child->end = timer_new(base, child_on_end, child);
	if (child->in >= 0)
		child->in_event =
		    event_new(base, child->in, EV_WRITE | EV_PERSIST, child_on_in, child);
	event_add(child->out_event, NULL);
	child_await(child);
	return child;
}

void
child_ask(struct child *child, const struct child_call *call)
{
	child_take(child, call);
	set_state(child, CHILD_RUNNING);
	child->told = false;
	child->total = 0;
	child->stage = WORK_STAGE_NONE;
	child->frame = FRAME_NONE;
	free(child->text);
	child->text = NULL;
	child->text_len = 0;
	child_write(child);
	child_await(child);
}

bool
child_rests(const struct child *child)
{
	return child->state == CHILD_RESTING && !child->spoilt && !child->exited && child->out >= 0;
}

void
child_spoil(struct child *child)
{
	child->spoilt = true;
}

int
child_answers(const struct child *child)
{
	return child->answers;
}

void
child_free(struct child *child)
{
	if (!child)
		return;
	if (child->in_event)
		event_free(child->in_event);
	if (child->out_event)
		event_free(child->out_event);
	timer_free(child->timer);
	timer_free(child->end);
	util_close(&child->in);
	util_close(&child->out);
	buffer_clear(&child->output);
	free(child->request);
	free(child->text);
	free(child);
}

void
child_dismiss(struct child *child)
{
	if (child->state == CHILD_RESTING)
		child_signal(child, SIGKILL);
	child_free(child);
}

const char *
child_result(const struct child *child, size_t *len, struct error *err)
{
	const char *name = child->work->name;
	int code;

	*len = child->text_len;
	if (child->frame == FRAME_RESULT)
		return child->text;

	if (child->frame == FRAME_ERROR)
		problem_decode(err, 0, child->text, child->text_len);
	else if (child->flooded)
		error_set(err, 500, "job '%s' wrote more than %d MiB", name, OUTPUT_MAX >> 20);
	else if (child->state == CHILD_WRITTEN_OFF)
		error_set(err, 504,
		    "job '%s' does not end: its process %d was killed and is still there", name,
		    (int)child->pid);
	else if (child->late)
		error_set(err, 504, "job '%s' was ended because it took longer than %d seconds",
		    name, child->work->deadline);
	else if (WIFSIGNALED(child->status) && WTERMSIG(child->status) == SIGTERM)
		error_set(err, 503,
		    "job '%s' was ended by signal %d (%s), as sanlock does when it loses the lease "
		    "under which a job works",
		    name, SIGTERM, strsignal(SIGTERM));
	else if (WIFSIGNALED(child->status))
		error_set(err, 500, "job '%s' was killed by signal %d (%s)", name,
		    WTERMSIG(child->status), strsignal(WTERMSIG(child->status)));
	else {
		code = WEXITSTATUS(child->status);
		error_set(
		    err, 500, "job '%s' ended with exit code %d without a result", name, code);
	}
	return NULL;
}

pid_t
child_pid(const struct child *child)
{
	return child->pid;
}

bool
child_is_late(const struct child *child)
{
	return child->late;
}

const struct work *
child_work(const struct child *child)
{
	return child->work;
}
