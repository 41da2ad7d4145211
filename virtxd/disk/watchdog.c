/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/watchdog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <wdmd.h>

#include "disk/command.h"

#define ANSWER_S      5			/* for a daemon to answer */
#define STATUS_MAX    ((size_t)4 << 20) /* bytes: some lines for each of its clients and leases */
#define ATTRIBUTE_MAX 128

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

int
watchdog_check_use(const char *status, struct buffer *why)
{
	static const char key[] = "use_watchdog=";
	const char *value = strstr(status, key);

	if (!value || (value > status && !strchr(" \t\n", value[-1])))
		return -1;
	value += strlen(key);
	if (*value != '0' && *value != '1')
		return -1;
	if (*value == '0')
		add(why, "sanlock does not use a watchdog: it runs with -w 0");
	return 0;
}

static int
ask_sanlock(struct watchdog_use *use, struct error *err)
{
	static const char *const argv[] = { "sanlock", "client", "status", "-D", NULL };
	const struct command command = {
		.argv = argv,
		.timeout = ANSWER_S,
		.output_max = STATUS_MAX,
	};
	_buffer_ struct buffer out = { 0 }, why = { 0 };

	if (command_run(&command, &out, err) < 0)
		return -1;
	if (watchdog_check_use(out.len ? out.data : "", &why) < 0)
		return error_set(err, 503, "its status has no use_watchdog");
	str_set(&use->why, why.len ? why.data : "");
	use->known = true;
	return 0;
}

/* -1 when it is there and does not answer. */
static int
check_wdmd(struct buffer *why)
{
	const struct timeval patience = { .tv_sec = ANSWER_S };
	int interval = 0, fire = 0, rv, con = wdmd_connect();
	_close_ int fd = con;
	uint64_t last = 0;

	if (con < 0) {
		buffer_printf(why, "%swdmd does not run: %s", why->len ? "; " : "", strerror(-con));
		return 0;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	rv = wdmd_status(fd, &interval, &fire, &last);
	/* An end of the connection is no error to libwdmd. */
	return rv < 0 || fire <= 0 ? -1 : 0;
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
	else if (!str_empty(use->why))
		add(&found, use->why);
	if (check_wdmd(&found) < 0)
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
