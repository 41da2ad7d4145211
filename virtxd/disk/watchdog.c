/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/watchdog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <wdmd.h>

#define ANSWER_S      5 /* for a daemon to answer */
#define ATTRIBUTE_MAX 128
#define TEST_INTERVAL 10 /* s between wdmd's keepalives, where it does not tell */
#define KEEPALIVES    3	 /* of them that may be missing: the next one may be late on a busy host */

static void
add(struct buffer *why, const char *text)
{
	buffer_printf(why, "%s%s", why->len ? "; " : "", text);
}

/* An attribute of a device, without its newline; "" where it has none. */
static void
read_attribute(const char *devices, const char *device, const char *name, char ret[ATTRIBUTE_MAX])
{
	_free_ char *path = xasprintf("%s/%s/%s", devices, device, name);
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, ret, ATTRIBUTE_MAX - 1);

	ret[n < 0 ? 0 : n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

void
watchdog_check_devices(const char *devices, struct buffer *why)
{
	_buffer_ struct buffer found = { 0 };
	DIR *dir = opendir(devices);
	const struct dirent *entry;
	bool active = false;

	while (dir && (entry = readdir(dir))) {
		char state[ATTRIBUTE_MAX], identity[ATTRIBUTE_MAX];

		if (entry->d_name[0] == '.')
			continue;
		read_attribute(devices, entry->d_name, "state", state);
		read_attribute(devices, entry->d_name, "identity", identity);
		/* A kernel may be built without these attributes: then wdmd's word counts alone. */
		active |= str_empty(state) || str_equal(state, "active");
		buffer_printf(&found, "%s%s (%s)", found.len ? ", " : "", entry->d_name, identity);
	}
	if (dir)
		closedir(dir);
	if (active)
		return;
	if (found.len)
		buffer_printf(
		    why, "%sno watchdog device is active: %s", why->len ? "; " : "", found.data);
	else
		add(why, "the host has no watchdog device");
}

void
watchdog_check_wdmd(
    const struct watchdog_wdmd *wdmd, int fire_timeout, int64_t now, struct buffer *why)
{
	int64_t age = now - wdmd->last_keepalive;
	int interval = wdmd->test_interval > 0 ? wdmd->test_interval : TEST_INTERVAL;

	if (fire_timeout > 0 && wdmd->fire_timeout != fire_timeout) {
		_free_ char *text = xasprintf("wdmd's fire timeout is %d s, and sanlock's %d s",
		    wdmd->fire_timeout, fire_timeout);

		add(why, text);
	}
	if (age > (int64_t)KEEPALIVES * interval) {
		_free_ char *text =
		    xasprintf("wdmd has not renewed its watchdog device for %" PRId64 " s", age);

		add(why, text);
	}
}

/* -1 when it is there and does not answer. */
static int
check_wdmd(struct watchdog_use *use, struct buffer *why)
{
	const struct timeval patience = { .tv_sec = ANSWER_S };
	struct watchdog_wdmd wdmd = { 0 };
	int rv, con = wdmd_connect();
	_close_ int fd = con;
	uint64_t last = 0;

	use->fire_timeout = 0;
	if (con < 0) {
		buffer_printf(why, "%swdmd does not run: %s", why->len ? "; " : "", strerror(-con));
		return 0;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	rv = wdmd_status(fd, &wdmd.test_interval, &wdmd.fire_timeout, &last);
	/* An end of the connection is no error to libwdmd. */
	if (rv < 0 || wdmd.fire_timeout <= 0)
		return -1;
	use->fire_timeout = wdmd.fire_timeout;
	wdmd.last_keepalive = last > INT64_MAX ? INT64_MAX : (int64_t)last;
	watchdog_check_wdmd(
	    &wdmd, use->known ? use->sanlock.fire_timeout : 0, monotonic_ms() / 1000, why);
	return 0;
}

void
watchdog_forget(struct watchdog_use *use)
{
	sanlock_status_clear(&use->sanlock);
	use->known = false;
}

static int
ask_sanlock(struct watchdog_use *use, struct error *err)
{
	watchdog_forget(use);
	if (sanlock_status_read(&use->sanlock, err) < 0)
		return -1;
	use->known = true;
	return 0;
}

int
watchdog_look(
    const char *devices, bool sanlock, struct watchdog_use *use, char **why, struct error *err)
{
	_buffer_ struct buffer found = { 0 }, untold = { 0 };
	struct error cause = { 0 };

	if (!use->known && (!sanlock || ask_sanlock(use, &cause) < 0))
		buffer_printf(&untold, "sanlock does not say whether it uses a watchdog%s%s",
		    cause.status ? ": " : "", cause.detail);
	else if (!use->sanlock.use_watchdog)
		add(&found, "sanlock does not use a watchdog: it runs with -w 0");
	if (check_wdmd(use, &found) < 0)
		add(&untold, "wdmd does not answer");
	watchdog_check_devices(devices, &found);
	/* One part that is missing is enough, whatever the others would say. */
	if (untold.len && !found.len)
		return error_set(err, 503, "%s", untold.data);
	if (untold.len)
		add(&found, untold.data);
	*why = buffer_steal(&found, NULL);
	return 0;
}
