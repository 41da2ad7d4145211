/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running qemu-img and its like: never a shell, limits of time, memory, output and files. */
#include "disk/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk/confine.h"

#define LINE_MAX_BYTES (64 * 1024)
#define WORDS_MAX      4096
#define TERM_GRACE_MS  2000
#define KILL_GRACE_MS  5000
#define TICK_MS	       1000
#define LEFT_READS     64
#define REAP_MS	       5   /* between looks at one that has closed its pipes */
#define LOOK_MS	       100 /* and at one that has not: others may hold them */
#define OOM_SCORE      "500"

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

static const char *
name_of(const struct command *command)
{
	const char *slash = strrchr(command->argv[0], '/');

	return slash ? slash + 1 : command->argv[0];
}

/* What the child needs to know, made before the fork. */
struct launch {
	const struct command *command;
	char path[PATH_MAX]; /* of the program */
	int out;
	int words;
	int rules; /* of Landlock, -1 for none */
	pid_t parent;
};

/* How each is confined. */
static const struct {
	bool confined;
	bool write;
	uint64_t keep;
} ways[COMMAND_MAY_N] = {
	[COMMAND_ALL] = { false, true, ~UINT64_C(0) },
	[COMMAND_READ] = { true, false, CAPABILITY(CAP_DAC_READ_SEARCH) },
	[COMMAND_WRITE] = { true, true, 0 },
};

/* Looks it up in PATH; 0 or a negative errno. */
static int
find_program(const char *name, char path[PATH_MAX])
{
	const char *from = getenv("PATH");

	if (strchr(name, '/')) {
		snprintf(path, PATH_MAX, "%s", name);
		return access(path, X_OK) < 0 ? -errno : 0;
	}
	if (!from || !*from)
		from = "/usr/sbin:/usr/bin:/sbin:/bin";
	while (*from) {
		int len = (int)strcspn(from, ":");

		if (snprintf(path, PATH_MAX, "%.*s/%s", len, from, name) < PATH_MAX &&
		    access(path, X_OK) == 0)
			return 0;
		from += len + (from[len] == ':');
	}
	return -ENOENT;
}

static int
limit(int resource, uint64_t soft, uint64_t hard)
{
	const struct rlimit rlimit = { .rlim_cur = soft, .rlim_max = hard };

	return setrlimit((__rlimit_resource_t)resource, &rlimit) < 0 ? -errno : 0;
}

static int
set_limits(const struct command *command)
{
	bool write = ways[command->may].write;
	int r = limit(RLIMIT_CORE, 0, 0);

	if (r == 0 && command->memory)
		r = limit(RLIMIT_AS, command->memory, command->memory);
	if (r == 0 && (command->file_max || !write))
		r = limit(RLIMIT_FSIZE, (uint64_t)command->file_max, (uint64_t)command->file_max);
	if (r == 0 && ways[command->may].confined) {
		uint64_t seconds = (uint64_t)command->timeout;

		r = limit(RLIMIT_CPU, seconds, seconds + 1);
	}
	return r;
}

static int
set_signals(void)
{
	sigset_t none;

	/* Those of the C library refuse it. */
	for (int signum = 1; signum < NSIG; signum++)
		signal(signum, SIG_DFL);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

static int
set_files(const struct launch *launch)
{
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (in < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(launch->out, STDOUT_FILENO) < 0 ||
	    dup2(launch->words, STDERR_FILENO) < 0)
		return -errno;
	/* All is close-on-exec, but for what a library may have open: that would be under no rules.
	 * A kernel before 5.11 does not know the call. */
	(void)close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	for (const int *fd = launch->command->fds; fd && *fd >= 0; fd++) {
		if (fcntl(*fd, F_SETFD, 0) < 0)
			return -errno;
	}
	return 0;
}

/* Rather than a VM or virtxd, whose own preference it has. It helps, and is no more than that. */
static void
prefer_for_oom(void)
{
	_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, OOM_SCORE, strlen(OOM_SCORE));
}

static int
set_confinement(const struct launch *launch)
{
	enum command_may may = launch->command->may;
	int r;

	if (!ways[may].confined)
		return 0;
	prefer_for_oom();
	r = confine_capabilities(ways[may].keep);
	return r < 0 ? r : confine_enter(launch->rules);
}

/* The rest of the child's life as this program; what goes wrong is told as the other's words. */
_Noreturn static void
become(const struct launch *launch)
{
	const char *what = "set its files";
	int r = set_files(launch);

	if (r == 0) {
		what = "set its limits";
		r = set_limits(launch->command);
	}
	/* A blkdiscard must not outlive the lease that this process's parent holds for it. What is
	 * confined cannot take it back. */
	if (r == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		r = -errno;
	if (r == 0 && getppid() != launch->parent)
		_exit(127);
	if (r == 0)
		r = set_signals();
	if (r == 0) {
		what = "confine it";
		r = set_confinement(launch);
	}
	if (r == 0) {
		what = "run it";
		execv(launch->path, (char *const *)launch->command->argv);
		r = -errno;
	}
	dprintf(STDERR_FILENO, "cannot %s: %s", what, strerror(-r));
	_exit(127);
}

static int
make_rules(struct launch *launch, struct error *err)
{
	const struct command *command = launch->command;
	const struct confine_files files = {
		.fds = command->fds,
		.write = ways[command->may].write,
		.folder = command->folder,
		.program = launch->path,
	};

	if (!ways[command->may].confined)
		return 0;
	if (confine_rules(&files, &launch->rules, err) < 0)
		return error_wrap(err, "cannot run %s", name_of(command));
	return 0;
}

/*
 * By fork and not by posix_spawn, which has none of the limits. The process is a job, and has one
 * thread.
 */
static int
start(struct run *run, int out, int words, struct error *err)
{
	struct launch launch = {
		.command = run->command,
		.out = out,
		.words = words,
		.rules = -1,
		.parent = getpid(),
	};
	sigset_t all, before;
	int r = find_program(run->command->argv[0], launch.path);

	if (r == 0 && make_rules(&launch, err) < 0)
		return -1;
	if (r == 0) {
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, &before);
		run->pid = fork();
		if (run->pid == 0)
			become(&launch);
		r = run->pid < 0 ? -errno : 0;
		sigprocmask(SIG_SETMASK, &before, NULL);
	}
	util_close(&launch.rules);
	return r < 0 ? error_errno(err, 507, -r, "cannot run %s", name_of(run->command)) : 0;
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
	const char *name = name_of(command);
	_close_ int out_end = -1, err_end = -1;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_errno(err, 507, errno, "cannot run %s", name);
	run.out_fd = fds[0];
	out_end = fds[1];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_errno(err, 507, errno, "cannot run %s", name);
	run.err_fd = fds[0];
	err_end = fds[1];

	if (start(&run, out_end, err_end, err) < 0)
		return -1;
	util_close(&out_end);
	util_close(&err_end);
	run.deadline = monotonic_ms() + (int64_t)command->timeout * 1000;
	return result(&run, name, follow(&run), err);
}
