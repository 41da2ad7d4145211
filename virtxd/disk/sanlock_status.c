/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/sanlock_status.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk/command.h"
#include "disk/lease.h"
#include "disk/process.h"
#include "proto/uuid.h"

#define ANSWER_S   5		     /* for it to answer */
#define STATUS_MAX ((size_t)4 << 20) /* bytes: some lines for each of its clients and leases */
#define KEPT_MAX   512

/* The lines "    KEY=VALUE" of one section, which begins with a line without indent. */
struct section {
	const char *from, *to;
};

static const char *
line_end(const char *line)
{
	return line + strcspn(line, "\n");
}

/* The one that follows at; NULL for none. */
static const char *
next_section(const char *at, struct section *ret)
{
	const char *end;

	if (!*at)
		return NULL;
	ret->from = at;
	end = line_end(at);
	while (*end && end[1] == ' ')
		end = line_end(end + 1);
	ret->to = end;
	return *end ? end + 1 : end;
}

/* Its value in the section, NULL for none; *len is its length. */
static const char *
find_value(const struct section *section, const char *key, size_t *len)
{
	const char *line = line_end(section->from);
	size_t n = strlen(key);

	while (line < section->to) {
		const char *word = line + 1 + strspn(line + 1, " ");

		line = line_end(line + 1);
		if (strncmp(word, key, n) != 0 || word[n] != '=')
			continue;
		word += n + 1;
		*len = (size_t)(line - word);
		return word;
	}
	return NULL;
}

/* -1 where it is not there, or no number up to max. */
static int64_t
find_number(const struct section *section, const char *key, int64_t max)
{
	size_t len;
	const char *value = find_value(section, key, &len);
	char *end;
	long long number;

	if (!value || len == 0 || !isdigit((unsigned char)*value))
		return -1;
	errno = 0;
	number = strtoll(value, &end, 10);
	return errno || end != value + len || number > max ? -1 : number;
}

/* Of a process that begins with the daemon, and ends with it: its number, and when it began. */
static void
read_start(const struct section *daemon, struct sanlock_status *ret)
{
	int64_t pid = find_number(daemon, "helper_pid", INT_MAX);
	int64_t start = pid > 0 ? process_start((pid_t)pid) : -1;

	free(ret->start);
	ret->start = start < 0 ? NULL : xasprintf("%" PRId64 ".%" PRId64, pid, start);
}

static int
parse_daemon(const struct section *section, struct sanlock_status *ret, struct error *err)
{
	int64_t use = find_number(section, "use_watchdog", INT_MAX);
	int64_t fire = find_number(section, "watchdog_fire_timeout", INT_MAX);
	size_t len;
	const char *name = find_value(section, "our_host_name", &len);

	if (!name || use < 0)
		return error_set(err, 503, "sanlock's status has no %s",
		    name ? "use_watchdog" : "our_host_name");
	free(ret->host_name);
	ret->host_name = xstrndup(name, len);
	ret->use_watchdog = use > 0;
	ret->fire_timeout = fire > 0 ? (int)fire : SANLOCK_FIRE_TIMEOUT;
	read_start(section, ret);
	return 0;
}

/* Others are those that are being joined or left. */
static bool
is_joined(const struct section *section)
{
	static const char word[] = "spaces";
	size_t len;
	const char *list = find_value(section, "list", &len);

	return list && len == strlen(word) && strncmp(list, word, len) == 0;
}

static void
parse_lockspace(const struct section *section, struct sanlock_status *ret)
{
	static const char start[] = "s " LEASE_LOCKSPACE ":";
	long long id;
	char *end;

	if (strncmp(section->from, start, strlen(start)) != 0 || !is_joined(section))
		return;
	id = strtoll(section->from + strlen(start), &end, 10);
	if (*end != ':' || id < 1 || id > INT_MAX)
		return;
	ret->host_id = (int)id;
	ret->generation = (uint64_t)find_number(section, "host_generation", INT64_MAX);
	ret->io_timeout = (int)find_number(section, "io_timeout", INT_MAX);
	ret->acquired = find_number(section, "acquire_last_success", INT64_MAX);
	/* What is not told is not joined. */
	if (ret->generation == 0 || ret->generation == UINT64_MAX || ret->io_timeout < 1 ||
	    ret->acquired < 0) {
		ret->host_id = ret->io_timeout = 0;
		ret->generation = 0;
		ret->acquired = 0;
	}
}

int
sanlock_status_parse(const char *text, struct sanlock_status *ret, struct error *err)
{
	static const char daemon[] = "daemon ";
	struct section section;

	while ((text = next_section(text, &section))) {
		if (strncmp(section.from, daemon, strlen(daemon)) == 0 &&
		    parse_daemon(&section, ret, err) < 0)
			return -1;
		parse_lockspace(&section, ret);
	}
	return ret->host_name ? 0 : error_set(err, 503, "sanlock does not tell its status");
}

int
sanlock_status_read(struct sanlock_status *ret, struct error *err)
{
	static const char *const argv[] = { "sanlock", "client", "status", "-D", NULL };
	const struct command command = {
		.argv = argv,
		.timeout = ANSWER_S,
		.output_max = STATUS_MAX,
	};
	_buffer_ struct buffer out = { 0 };

	*ret = (struct sanlock_status){ 0 };
	if (command_run(&command, &out, err) < 0)
		return -1;
	buffer_add(&out, "", 1);
	if (sanlock_status_parse(out.data, ret, err) == 0)
		return 0;
	sanlock_status_clear(ret);
	return -1;
}

void
sanlock_status_clear(struct sanlock_status *status)
{
	free(status->host_name);
	free(status->start);
	*status = (struct sanlock_status){ 0 };
}

/* UUID.HOST, as sanlock calls itself where it is not told to: a UUID at random. */
static bool
is_random(const char *name)
{
	char front[UUID_TEXT_SIZE] = "", normal[UUID_TEXT_SIZE];

	if (strlen(name) < UUID_TEXT_SIZE || name[UUID_TEXT_SIZE - 1] != '.')
		return false;
	memcpy(front, name, UUID_TEXT_SIZE - 1);
	return uuid_normalize(front, normal) == 0;
}

/* The file has the starts of two daemons, the last one first: START NAME in a line. */
static int
load_starts(const char *path, struct buffer *ret, struct error *err)
{
	_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? -errno : read_all(fd, ret, KEPT_MAX);

	if (r < 0 && r != -ENOENT)
		return error_errno(err, 503, -r, "cannot read '%s'", path);
	buffer_add(ret, "", 1);
	return 0;
}

static int
save_starts(const char *path, const char *text, struct error *err)
{
	_free_ char *temporary = xasprintf("%s.%ld", path, (long)getpid());
	_close_ int fd =
	    open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : write_all(fd, text, strlen(text));

	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	unlink(temporary);
	return error_errno(err, 507, -r, "cannot keep sanlock's name in '%s'", path);
}

int
sanlock_status_check_name(
    const struct sanlock_status *status, const char *path, char **why, struct error *err)
{
	_free_ char *now = xasprintf("%s %s\n", str_or_empty(status->start), status->host_name);
	_buffer_ struct buffer kept = { 0 };
	const char *before, *name;

	if (load_starts(path, &kept, err) < 0)
		return -1;
	before = kept.data;
	if (strncmp(before, now, strlen(now)) == 0) {
		before += strlen(now);
	} else {
		_free_ char *text =
		    xasprintf("%s%.*s", now, (int)(line_end(before) - before), before);

		if (save_starts(path, text, err) < 0)
			return -1;
	}
	name = strchr(before, ' ');
	if (!is_random(status->host_name) ||
	    (name && strlen(status->host_name) == (size_t)(line_end(name + 1) - name - 1) &&
		strncmp(name + 1, status->host_name, strlen(status->host_name)) == 0))
		*why = xasprintf(
		    "sanlock's our_host_name is fixed, '%s': when sanlock is started again, other "
		    "hosts could take the leases of VMs that run on at once; take it out of "
		    "/etc/sanlock/sanlock.conf and of sanlock's options",
		    status->host_name);
	else if (!status->start)
		*why = xstrdup("sanlock does not tell its helper_pid, by which its starts are told "
			       "from each other");
	else
		*why = xstrdup("");
	return 0;
}
