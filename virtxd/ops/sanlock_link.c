/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/sanlock_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#define STAT_MAX 1024

struct sanlock_link {
	struct event_base *base;
	sanlock_link_ended ended;
	void *arg;
	int fd;
	struct event *readable;
	pid_t pid; /* the daemon's */
	int state; /* its /proc/PID/stat, which stays its own; -1 until it is read */
	int32_t number;
};

static void
drop(struct sanlock_link *link)
{
	if (link->readable)
		event_free(link->readable);
	link->readable = NULL;
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	util_close(&link->state);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct sanlock_link *link = arg;
	char byte;

	if (recv(link->fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
		return;
	/* It has nothing to say to who asks nothing: that is as good as its end. */
	drop(link);
	link->ended(link->arg);
}

/* Where libsanlock looks for it, too. */
static int
socket_address(struct sockaddr_un *ret, struct error *err)
{
	const char *dir = getenv("SANLOCK_RUN_DIR");
	int n = snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/sanlock.sock",
	    str_empty(dir) ? "/run/sanlock" : dir);

	ret->sun_family = AF_UNIX;
	if (n < 0 || (size_t)n >= sizeof(ret->sun_path))
		return error_set(err, 503, "the path of sanlock's socket is too long");
	return 0;
}

static int
connect_to(struct sanlock_link *link, struct error *err)
{
	struct sockaddr_un address;
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (socket_address(&address, err) < 0)
		return -1;
	link->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->fd < 0 ||
	    connect(link->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    getsockopt(link->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		error_errno(err, 503, errno, "sanlock does not run: '%s'", address.sun_path);
		drop(link);
		return -1;
	}
	link->pid = peer.pid;
	link->number++;
	link->readable = event_new(link->base, link->fd, EV_READ | EV_PERSIST, on_readable, link);
	event_add(link->readable, NULL);
	return 0;
}

/* By the state in /proc/PID/stat, behind the name in parentheses. */
static bool
is_stopped(struct sanlock_link *link)
{
	_free_ char *path = NULL;
	char text[STAT_MAX];
	const char *name_end;
	ssize_t n;

	if (link->state < 0) {
		path = xasprintf("/proc/%ld/stat", (long)link->pid);
		link->state = open(path, O_RDONLY | O_CLOEXEC);
	}
	n = pread(link->state, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return false;
	text[n] = '\0';
	name_end = strrchr(text, ')');
	return name_end && (strncmp(name_end, ") T", 3) == 0 || strncmp(name_end, ") t", 3) == 0);
}

int
sanlock_link_check(struct sanlock_link *link, struct error *err)
{
	if (link->fd < 0 && connect_to(link, err) < 0)
		return -1;
	if (is_stopped(link))
		return error_set(err, 503, "sanlock does not answer: its process %ld is stopped",
		    (long)link->pid);
	return 0;
}

int32_t
sanlock_link_number(const struct sanlock_link *link)
{
	return link->number;
}

struct sanlock_link *
sanlock_link_new(struct event_base *base, sanlock_link_ended ended, void *arg)
{
	struct sanlock_link *link = xcalloc(1, sizeof(*link));

	*link = (struct sanlock_link){
		.base = base, .ended = ended, .arg = arg, .fd = -1, .state = -1
	};
	return link;
}

void
sanlock_link_free(struct sanlock_link *link)
{
	drop(link);
	free(link);
}
