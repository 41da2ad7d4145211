/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A folder that stands for the root of a host, as a distribution leaves it. */
#ifndef TEST_UNIT_CLUSTER_ROOT_H
#define TEST_UNIT_CLUSTER_ROOT_H

#include "scratch.h"

#include <sys/stat.h>

#define BOARD "44abfff2-fb05-4c5f-ab3e-13275fc4c40b"

static inline void
root_put(const char *root, const char *path, const char *text)
{
	_free_ char *whole = xasprintf("%s%s", root, path);

	for (char *p = strchr(whole + strlen(root) + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		(void)mkdir(whole, 0755);
		*p = '/';
	}
	scratch_write(root, path + 1, text);
}

/* The content of a file; fails where there is none. The caller frees. */
static inline char *
root_get(const char *root, const char *path)
{
	_free_ char *whole = xasprintf("%s%s", root, path);
	_close_ int fd = open(whole, O_RDONLY | O_CLOEXEC);
	struct buffer b = { 0 };

	if (fd < 0)
		fail_msg("there is no '%s'", path);
	assert_int_equal(read_all(fd, &b, 1 << 20), 0);
	return buffer_steal(&b, NULL);
}

static inline void
root_remove(const char *root, const char *path)
{
	_free_ char *whole = xasprintf("%s%s", root, path);

	assert_int_equal(unlink(whole), 0);
}

static inline void
root_make(const char *root, bool debian)
{
	const char *user = debian ? "libvirt-qemu" : "qemu";
	_free_ char *passwd =
	    xasprintf("root:x:0:0::/:/bin/sh\n%s:x:555:556::/:/bin/false\n", user);
	_free_ char *group =
	    xasprintf("root:x:0:\n%s:x:556:\nvirtx:x:777:\nsanlock:x:114:\n", user);

	root_put(root, "/etc/passwd", passwd);
	root_put(root, "/etc/group", group);
	root_put(root, "/sys/class/dmi/id/product_uuid", BOARD "\n");
	root_put(root, "/etc/libvirt/qemu.conf", "lock_manager = \"lockd\"\nvnc_tls = 0\n");
	if (debian) {
		root_put(root, "/etc/debian_version", "12\n");
		root_put(root, "/lib/systemd/system/libvirtd.service", "");
		root_put(root, "/etc/default/sanlock", "sanlock_opts=\"-w 0\"\n");
	} else {
		root_put(root, "/usr/lib/systemd/system/virtqemud.service", "");
		root_put(root, "/usr/lib/systemd/system/libvirtd.service", "");
	}
}

#endif
