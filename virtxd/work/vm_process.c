/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_process.h"

#include <fcntl.h>
#include <string.h>

#include "work/hypervisor.h"

/* Where the system's libvirtd keeps what it knows of running VMs. */
#define PID_FILE    "/run/libvirt/qemu/%s.pid"
#define CMDLINE_MAX (1 << 20)

static int
read_text(const char *path, struct buffer *buffer)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int r = fd < 0 ? -1 : read_all(fd, buffer, CMDLINE_MAX);

	if (r == 0)
		buffer_add(buffer, "", 1);
	return r;
}

/* Whether the command line, its words NUL-terminated, has the uuid in it. */
static bool
names_uuid(const struct buffer *cmdline, const char *uuid)
{
	return memmem(cmdline->data, cmdline->len, uuid, strlen(uuid)) != NULL;
}

int
vm_process_find(virDomainPtr domain, pid_t *ret, struct error *err)
{
	_free_ char *path = xasprintf(PID_FILE, virDomainGetName(domain)), *cmdline = NULL;
	_buffer_ struct buffer text = { 0 }, words = { 0 };
	char uuid[VIR_UUID_STRING_BUFLEN];
	char *end;
	long pid;

	if (virDomainGetUUIDString(domain, uuid) < 0)
		return hypervisor_error(err, 424, "cannot read a VM's uuid");
	if (read_text(path, &text) < 0) {
		error_set(err, 404, "there is no '%s' to read", path);
		return 1;
	}
	pid = strtol(text.data, &end, 10);
	cmdline = xasprintf("/proc/%ld/cmdline", pid);
	/* Its number may have become another's. */
	if (end == text.data || pid <= 0 || read_text(cmdline, &words) < 0 ||
	    !names_uuid(&words, uuid)) {
		error_set(
		    err, 404, "process %ld of '%s' is not the QEMU of VM '%s'", pid, path, uuid);
		return 1;
	}
	*ret = (pid_t)pid;
	return 0;
}
