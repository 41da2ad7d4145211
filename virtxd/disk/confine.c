/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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

void
confine_core(void)
{
	const struct rlimit none = { 0 };

	setrlimit(RLIMIT_CORE, &none);
	/* A core_pattern with a program in it does not obey the limit. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
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

/*
 * Nothing that a program on images and devices needs. The network and other processes are here as
 * well as in Landlock, which has them from Linux 6.7 and 6.12 on; io_uring would go around this
 * filter.
 */
static const uint16_t refused[] = {
	SYS_socket,
	SYS_socketpair,
	SYS_connect,
	SYS_kill,
	SYS_tkill,
	SYS_rt_sigqueueinfo,
	SYS_rt_tgsigqueueinfo,
	SYS_pidfd_open,
	SYS_pidfd_send_signal,
	SYS_pidfd_getfd,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_io_uring_setup,
	SYS_unshare,
	SYS_setns,
	SYS_mount,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_open_by_handle_at,
};

/* Numbers from here on are of x86-64's other ABI. */
#define OTHER_ABI 0x40000000
/* The low half of an argument, which the numbers of processes are. */
#define LOW_HALF (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0)

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__powerpc64__)
#define ARCHITECTURE \
	(__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? AUDIT_ARCH_PPC64 : AUDIT_ARCH_PPC64LE)
#elif defined(__s390x__)
#define ARCHITECTURE AUDIT_ARCH_S390X
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#else
#error "the architecture is not known to the filter of system calls"
#endif

#define LOAD(member, half) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member) + (half))
#define WHERE(test, value, yes, no) BPF_JUMP(BPF_JMP | (test) | BPF_K, value, yes, no)
#define ANSWER(value)		    BPF_STMT(BPF_RET | BPF_K, value)

static int
filter_system_calls(void)
{
	const struct sock_filter head[] = {
		LOAD(arch, 0),
		WHERE(BPF_JEQ, ARCHITECTURE, 0, ARRAY_SIZE(refused) + 6),
		LOAD(nr, 0),
		WHERE(BPF_JGE, OTHER_ABI, ARRAY_SIZE(refused) + 4, 0),
	};
	const struct sock_filter tail[] = {
		/* A signal to itself, as abort() sends it. */
		WHERE(BPF_JEQ, SYS_tgkill, 0, 2),
		LOAD(args, LOW_HALF),
		WHERE(BPF_JEQ, (uint32_t)getpid(), 0, 1),
		ANSWER(SECCOMP_RET_ALLOW),
		ANSWER(SECCOMP_RET_ERRNO | EPERM),
	};
	struct sock_filter code[ARRAY_SIZE(head) + ARRAY_SIZE(refused) + ARRAY_SIZE(tail)];
	struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };

	memcpy(code, head, sizeof(head));
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		uint8_t to_refusal = (uint8_t)(ARRAY_SIZE(refused) - 1 - i + 4);

		code[ARRAY_SIZE(head) + i] =
		    (struct sock_filter)WHERE(BPF_JEQ, refused[i], to_refusal, 0);
	}
	memcpy(code + ARRAY_SIZE(head) + ARRAY_SIZE(refused), tail, sizeof(tail));
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 ? -errno : 0;
}

int
confine_enter(int rules)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (rules >= 0 && syscall(NR_RESTRICT_SELF, rules, 0) < 0)
		return -errno;
	r = filter_system_calls();
	/* A kernel without filters, or a tool around the program that does not know of them. */
	return r == -EINVAL || r == -ENOSYS ? 0 : r;
}
