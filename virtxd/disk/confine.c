/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk/confine_calls.h"

/*
 * Landlock by its own numbers: the C library has no calls for it, and the kernel's headers may be
 * older than the kernel. These are the same on all architectures.
 */
#define NR_CREATE_RULESET 444
#define NR_ADD_RULE	  445
#define NR_RESTRICT_SELF  446
#define ASK_VERSION	  1u
#define RULE_PATH_BENEATH 1

#define FS_EXECUTE    (UINT64_C(1) << 0)
#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_READ_FILE  (UINT64_C(1) << 2)
#define FS_READ_DIR   (UINT64_C(1) << 3)
#define FS_TRUNCATE   (UINT64_C(1) << 14)
#define FS_IOCTL_DEV  (UINT64_C(1) << 15)
#define FS_READ	      (FS_READ_FILE | FS_READ_DIR)

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct path_beneath_attr {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

/* What each version of Landlock knows, from 1; a newer one knows the last row's, too. */
static const struct {
	size_t size; /* of the attributes */
	struct ruleset_attr handled;
} versions[] = {
	{ 8, { .fs = 0x1fff } }, { 8, { .fs = 0x3fff } },    /* links to other folders */
	{ 8, { .fs = 0x7fff } },			     /* truncation */
	{ 16, { .fs = 0x7fff, .net = 0x3 } },		     /* TCP */
	{ 16, { .fs = 0xffff, .net = 0x3 } },		     /* ioctl of devices */
	{ 24, { .fs = 0xffff, .net = 0x3, .scoped = 0x3 } }, /* abstract sockets, signals */
};

/* What programs need to start, and what their libraries look at. What is not there is left out. */
static const struct {
	const char *path;
	uint64_t allowed;
} system_files[] = {
	{ "/usr", FS_EXECUTE | FS_READ },
	{ "/bin", FS_EXECUTE | FS_READ },
	{ "/sbin", FS_EXECUTE | FS_READ },
	{ "/lib", FS_EXECUTE | FS_READ },
	{ "/lib64", FS_EXECUTE | FS_READ },
	{ "/etc/ld.so.cache", FS_READ_FILE },
	{ "/etc/localtime", FS_READ_FILE },
	/* What gnutls and OpenSSL, which are in QEMU's programs, do not start without where it is
	 * there. */
	{ "/etc/crypto-policies", FS_READ },
	{ "/etc/gnutls", FS_READ },
	{ "/etc/ssl/openssl.cnf", FS_READ_FILE },
	{ "/proc/sys/crypto", FS_READ },
	{ "/sys/devices/system", FS_READ },
	{ "/sys/dev/block", FS_READ },
	{ "/dev/null", FS_READ_FILE | FS_WRITE_FILE | FS_IOCTL_DEV },
	{ "/dev/zero", FS_READ_FILE },
	{ "/dev/random", FS_READ_FILE },
	{ "/dev/urandom", FS_READ_FILE },
};

/* ENOSYS and the like: none in the kernel, or not switched on. EPERM is a filter of system calls
 * around this process that does not know it. */
static bool
is_missing(int error)
{
	return error == ENOSYS || error == EOPNOTSUPP || error == EPERM;
}

const char *
confine_missing(void)
{
	if (syscall(NR_CREATE_RULESET, NULL, 0, ASK_VERSION) >= 0 || !is_missing(errno))
		return NULL;
	switch (errno) {
	case ENOSYS:
		return "the kernel has no Landlock";
	case EOPNOTSUPP:
		return "Landlock is not switched on: it is not among lsm= of the kernel";
	default:
		return "the system calls of Landlock are refused";
	}
}

static int
add_rule(int rules, int fd, uint64_t allowed, uint64_t handled)
{
	const uint64_t for_files =
	    FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV;
	struct path_beneath_attr rule = { .allowed = allowed & handled, .fd = fd };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rule.allowed &= for_files;
	return syscall(NR_ADD_RULE, rules, RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static int
add_path(int rules, const char *path, uint64_t allowed, uint64_t handled)
{
	_close_ int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : add_rule(rules, fd, allowed, handled);
}

static int
add_files(int rules, const struct confine_files *files, uint64_t handled)
{
	uint64_t given = FS_READ_FILE;
	int r = 0;

	if (files->write)
		given |= FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV;
	for (size_t i = 0; i < ARRAY_SIZE(system_files); i++) {
		r = add_path(rules, system_files[i].path, system_files[i].allowed, handled);
		if (r < 0 && r != -ENOENT && r != -EACCES)
			return r;
	}
	r = add_path(rules, files->program, FS_EXECUTE | FS_READ_FILE, handled);
	for (const int *fd = files->fds; r == 0 && fd && *fd >= 0; fd++)
		r = add_rule(rules, *fd, given, handled);
	if (r == 0 && files->folder)
		r = add_path(rules, files->folder, FS_READ, handled);
	return r;
}

int
confine_rules(const struct confine_files *files, int *ret_fd, struct error *err)
{
	long version = syscall(NR_CREATE_RULESET, NULL, 0, ASK_VERSION);
	_close_ int rules = -1;
	size_t row;
	int r;

	*ret_fd = -1;
	if (version < 0 && is_missing(errno))
		return 0;
	if (version < 1)
		return error_errno(err, 507, errno, "cannot ask for the version of Landlock");
	row =
	    (size_t)version > ARRAY_SIZE(versions) ? ARRAY_SIZE(versions) - 1 : (size_t)version - 1;
	rules = (int)syscall(NR_CREATE_RULESET, &versions[row].handled, versions[row].size, 0);
	if (rules < 0)
		return error_errno(err, 507, errno, "cannot make rules of Landlock");
	/* Its descriptor is close-on-exec from the start. */
	r = add_files(rules, files, versions[row].handled.fs);
	if (r < 0)
		return error_errno(err, 507, -r, "cannot add a rule of Landlock");
	*ret_fd = steal_fd(&rules);
	return 0;
}

int
confine_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	/* Where the process may not, what follows does: a program gets no more than is permitted.
	 */
	for (int cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (!(keep & CAPABILITY(cap)))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	}
	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		uint32_t kept = (uint32_t)(keep >> (32 * i));

		data[i].permitted &= kept;
		data[i].effective &= kept;
		data[i].inheritable = 0;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &header, data) < 0)
		return -errno;
	return 0;
}

int
confine_enter(int rules)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (rules >= 0 && syscall(NR_RESTRICT_SELF, rules, 0) < 0)
		return -errno;
	return confine_calls();
}
