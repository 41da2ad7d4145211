/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of confine_calls.c: what a program would try that an image has taken over. */
#include "disk_root.h"

#include <errno.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include "disk/command.h"
#include "disk/confine.h"

/* Numbers that the C library's header may be too old for; the same on all architectures. */
#define NR_OPEN_TREE	    428
#define NR_MOVE_MOUNT	    429
#define NR_FSOPEN	    430
#define NR_PIDFD_OPEN	    434
#define NR_CLONE3	    435
#define NR_OPENAT2	    437
#define NR_PIDFD_GETFD	    438
#define NR_PROCESS_MADVISE  440
#define NR_MOUNT_SETATTR    442
#define NR_QUOTACTL_FD	    443
#define NR_CREATE_RULESET   444
#define NR_MEMFD_SECRET	    447
#define NR_PROCESS_MRELEASE 448
#define NR_FCHMODAT2	    452

/* The kernel's own, by which the C library's are made. */
#define KERNEL_F_SETOWN	   8
#define KERNEL_F_SETSIG	   10
#define KERNEL_F_SETOWN_EX 15

/* What an attack has, and aims at. */
static struct aim {
	pid_t victim; /* of the same user */
	int pipe;
	int given;    /* an open file */
	int listener; /* of an AF_UNIX socket */
	struct sockaddr_un address;
	char beside[PATH_MAX * 2]; /* a file that is not given */
	char new[PATH_MAX * 2];
} aim;

struct attack {
	const char *name;
	long call;
	long args[6];
	int error;  /* that it has to end with */
	bool makes; /* a process */
};

static void
check(const struct attack *attack)
{
	const long *a = attack->args;
	long r;

	errno = 0;
	r = syscall(attack->call, a[0], a[1], a[2], a[3], a[4], a[5]);
	/* A process that was made would go on with the test. */
	if (r == 0 && attack->makes)
		_exit(0);
	if (r >= 0 || errno != attack->error) {
		dprintf(STDERR_FILENO, "%s: %ld, %s\n", attack->name, r, strerror(errno));
		_exit(1);
	}
}

/* valgrind takes the calls for its own part, and some of them not at all. */
static void
need_the_kernel(void)
{
	const char *preload = getenv("LD_PRELOAD");

	if (!preload || !strstr(preload, "vgpreload"))
		return;
	print_message("skipped: the calls would be valgrind's\n");
	skip();
}

/* Tries each of them confined, in a child for each, as one may end it. */
static void
try_all(const struct attack *attacks, size_t n)
{
	const struct confine_files files = {
		.program = "/bin/sh", .fds = (int[]){ aim.given, -1 }, .write = true
	};
	int failed = 0;

	need_the_kernel();
	for (size_t i = 0; i < n; i++) {
		struct error err;
		int rules = -1, status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			if (confine_capabilities(0) < 0 ||
			    confine_rules(&files, &rules, &err) < 0 || confine_enter(rules) < 0)
				_exit(2);
			check(&attacks[i]);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status != 0) {
			print_error("'%s': status %x\n", attacks[i].name, status);
			failed++;
		}
		if (kill(aim.victim, 0) < 0 || waitpid(aim.victim, &status, WNOHANG) != 0)
			fail_msg("'%s' has ended the other process", attacks[i].name);
	}
	assert_int_equal(failed, 0);
}

#define TRY(attacks) try_all(attacks, ARRAY_SIZE(attacks))
#define AT(pointer)  ((long)(uintptr_t)(pointer))
#define ROW(name, call, err, makes, ...)                \
	{                                               \
		name, call, { __VA_ARGS__ }, err, makes \
	}
#define ATTACK(call, err, ...) ROW(#call, call, err, false, __VA_ARGS__)
#define MAKES(call, err, ...)  ROW(#call, call, err, true, __VA_ARGS__)

/* Of processes of the same user: all of virtxd's, libvirt's and sanlock's are root's. */
static void
test_other_processes(void **state)
{
	const struct rlimit none = { 0 };
	const struct f_owner {
		int type;
		pid_t pid;
	} owner = { 1, aim.victim };
	unsigned long cpus = 1;
	struct sched_param param = { 0 };
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t times[3];
	} attr = { .size = 48, .nice = 19 };
	char data[128] = { 0 };
	const struct iovec iov = { data, sizeof(data) };
	const long high = 1L << 32; /* no part of a pid_t */
	const struct attack attacks[] = {
		ATTACK(SYS_prlimit64, EPERM, aim.victim, RLIMIT_CPU, AT(&none)),
		ATTACK(SYS_prlimit64, EPERM, aim.victim | high, RLIMIT_CPU, AT(&none)),
		ATTACK(SYS_prlimit64, EPERM, aim.victim, RLIMIT_NOFILE, 0, AT(data)),
		ATTACK(SYS_fcntl, EPERM, aim.pipe, KERNEL_F_SETOWN, aim.victim),
		ATTACK(SYS_fcntl, EPERM, aim.pipe, KERNEL_F_SETOWN | high, aim.victim),
		ATTACK(SYS_fcntl, EPERM, aim.pipe, KERNEL_F_SETOWN_EX, AT(&owner)),
		ATTACK(SYS_fcntl, EPERM, aim.pipe, KERNEL_F_SETSIG, SIGKILL),
		ATTACK(SYS_fcntl, EPERM, aim.given, F_SETLEASE, F_RDLCK),
		ATTACK(SYS_fcntl, EPERM, aim.given, F_NOTIFY, DN_MODIFY),
		ATTACK(SYS_kill, ENOSYS, aim.victim, SIGKILL),
		ATTACK(SYS_tkill, ENOSYS, aim.victim, SIGKILL),
		ATTACK(SYS_tgkill, EPERM, aim.victim, aim.victim, SIGKILL),
		ATTACK(SYS_tgkill, EPERM, aim.victim | high, aim.victim, SIGKILL),
		ATTACK(SYS_rt_sigqueueinfo, ENOSYS, aim.victim, SIGKILL, AT(data)),
		ATTACK(SYS_rt_tgsigqueueinfo, ENOSYS, aim.victim, aim.victim, SIGKILL, AT(data)),
		ATTACK(NR_PIDFD_OPEN, ENOSYS, aim.victim),
		ATTACK(NR_PIDFD_GETFD, ENOSYS, aim.given, 0),
		ATTACK(NR_PROCESS_MADVISE, ENOSYS, aim.given, AT(&iov), 1, 4),
		ATTACK(NR_PROCESS_MRELEASE, ENOSYS, aim.given),
		ATTACK(SYS_setpriority, ENOSYS, PRIO_PROCESS, aim.victim, 19),
		ATTACK(SYS_ioprio_set, ENOSYS, 1, aim.victim, 3 << 13),
		ATTACK(SYS_sched_setaffinity, ENOSYS, aim.victim, sizeof(cpus), AT(&cpus)),
		ATTACK(SYS_sched_setscheduler, ENOSYS, aim.victim, SCHED_BATCH, AT(&param)),
		ATTACK(SYS_sched_setparam, ENOSYS, aim.victim, AT(&param)),
		ATTACK(SYS_sched_setattr, ENOSYS, aim.victim, AT(&attr)),
		ATTACK(SYS_setpgid, ENOSYS, aim.victim, 0),
		ATTACK(SYS_ptrace, ENOSYS, 16, aim.victim),
		ATTACK(SYS_process_vm_readv, ENOSYS, aim.victim, AT(&iov), 1, AT(&iov), 1),
		ATTACK(SYS_process_vm_writev, ENOSYS, aim.victim, AT(&iov), 1, AT(&iov), 1),
		ATTACK(SYS_kcmp, ENOSYS, aim.victim, aim.victim, 0, 0, 1),
		ATTACK(SYS_migrate_pages, ENOSYS, aim.victim, 1, AT(&cpus), AT(&cpus)),
		ATTACK(SYS_move_pages, ENOSYS, aim.victim),
		ATTACK(SYS_get_robust_list, ENOSYS, aim.victim, AT(data), AT(data)),
		ATTACK(SYS_timer_create, ENOSYS, CLOCK_MONOTONIC, 0, AT(data)),
		ATTACK(SYS_shmget, ENOSYS, 0x5643, 4096, 0600 | 01000),
		ATTACK(SYS_semget, ENOSYS, 0x5643, 1, 0600 | 01000),
		ATTACK(SYS_msgget, ENOSYS, 0x5643, 0600 | 01000),
		ATTACK(SYS_mq_open, ENOSYS, AT("virtx"), O_RDWR | O_CREAT, 0600),
	};

	TRY(attacks);
}

#ifdef __s390x__
#define CLONE(flags) MAKES(SYS_clone, EPERM, 0, flags)
#else
#define CLONE(flags) MAKES(SYS_clone, EPERM, flags)
#endif

/* None is made, neither one that outlives this one, nor one in a namespace of its own. */
static void
test_new_processes(void **state)
{
	struct {
		uint64_t flags, more[7];
	} args = { .flags = CLONE_NEWUSER };
	const struct attack attacks[] = {
		CLONE(SIGCHLD),
		CLONE(SIGCHLD | CLONE_PARENT),
		CLONE(SIGCHLD | CLONE_NEWUSER),
		CLONE(SIGCHLD | CLONE_NEWUSER | CLONE_NEWNS),
		CLONE(SIGCHLD | CLONE_NEWPID),
		CLONE(SIGCHLD | CLONE_NEWNET),
		/* With a thread's. */
		CLONE(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWNET),
		MAKES(NR_CLONE3, ENOSYS, AT(&args), sizeof(args)),
#ifdef SYS_fork
		MAKES(SYS_fork, ENOSYS, 0),
#endif
		ATTACK(SYS_unshare, ENOSYS, CLONE_NEWUSER),
		ATTACK(SYS_setns, ENOSYS, aim.given, 0),
		ATTACK(SYS_setsid, ENOSYS, 0),
		/* To live on when the job has gone, or be traced. */
		ATTACK(SYS_prctl, EINVAL, PR_SET_PDEATHSIG, 0),
		ATTACK(SYS_prctl, EINVAL, PR_SET_PTRACER, PR_SET_PTRACER_ANY),
		ATTACK(SYS_prctl, EINVAL, PR_SET_CHILD_SUBREAPER, 1),
	};

	TRY(attacks);
}

/* By root without capabilities, Landlock or not: it does not restrict most of these. */
static void
test_files(void **state)
{
	struct {
		uint64_t flags, mode, resolve;
	} how = { .flags = O_RDONLY };
	const long beside = AT(aim.beside), new = AT(aim.new);
	const struct attack attacks[] = {
		/* O_ACCMODE: opens it for nothing but ioctl(), without a rule. */
		ATTACK(SYS_openat, EPERM, AT_FDCWD, beside, O_ACCMODE),
		ATTACK(SYS_openat, EPERM, AT_FDCWD, beside, O_ACCMODE | O_TRUNC),
		ATTACK(SYS_openat, EPERM, AT_FDCWD, beside, O_RDONLY | O_TRUNC),
#ifdef SYS_open
		ATTACK(SYS_open, ENOSYS, beside, O_ACCMODE),
		ATTACK(SYS_open, ENOSYS, beside, O_RDONLY | O_TRUNC),
		ATTACK(SYS_creat, ENOSYS, new, 0600),
		ATTACK(SYS_chmod, ENOSYS, beside, 04777),
		ATTACK(SYS_chown, ENOSYS, beside, 0, 0),
		ATTACK(SYS_utimes, ENOSYS, beside, 0),
		ATTACK(SYS_mkdir, ENOSYS, new, 0700),
		ATTACK(SYS_unlink, ENOSYS, beside),
		ATTACK(SYS_rename, ENOSYS, beside, new),
		ATTACK(SYS_link, ENOSYS, beside, new),
#endif
		ATTACK(NR_OPENAT2, ENOSYS, AT_FDCWD, beside, AT(&how), sizeof(how)),
		ATTACK(SYS_fchmodat, ENOSYS, AT_FDCWD, beside, 04777),
		ATTACK(NR_FCHMODAT2, ENOSYS, AT_FDCWD, beside, 04777, 0),
		ATTACK(SYS_fchmod, ENOSYS, aim.given, 04777),
		ATTACK(SYS_fchownat, ENOSYS, AT_FDCWD, beside, 0, 0, 0),
		ATTACK(SYS_fchown, ENOSYS, aim.given, 0, 0),
		ATTACK(SYS_truncate, ENOSYS, beside, 0),
		ATTACK(SYS_utimensat, ENOSYS, AT_FDCWD, beside, 0, 0),
		ATTACK(SYS_setxattr, ENOSYS, beside, AT("user.x"), AT("x"), 1),
		ATTACK(SYS_fsetxattr, ENOSYS, aim.given, AT("user.x"), AT("x"), 1),
		ATTACK(SYS_removexattr, ENOSYS, beside, AT("user.x")),
		ATTACK(SYS_unlinkat, ENOSYS, AT_FDCWD, beside, 0),
		ATTACK(SYS_renameat2, ENOSYS, AT_FDCWD, beside, AT_FDCWD, new, 0),
		ATTACK(SYS_linkat, ENOSYS, AT_FDCWD, beside, AT_FDCWD, new),
		ATTACK(SYS_symlinkat, ENOSYS, beside, AT_FDCWD, new),
		ATTACK(SYS_mkdirat, ENOSYS, AT_FDCWD, new, 0700),
		ATTACK(SYS_mknodat, ENOSYS, AT_FDCWD, new, S_IFIFO | 0600),
		ATTACK(SYS_name_to_handle_at, ENOSYS, AT_FDCWD, beside, new, new, 0),
		ATTACK(SYS_open_by_handle_at, ENOSYS, AT_FDCWD, new, 0),
		ATTACK(SYS_inotify_init1, ENOSYS, 0),
		ATTACK(SYS_fanotify_init, ENOSYS, 0, 0),
		ATTACK(SYS_chroot, ENOSYS, AT("/")),
		ATTACK(SYS_pivot_root, ENOSYS, AT("/"), AT("/")),
		ATTACK(SYS_mount, ENOSYS, AT("none"), AT("/"), AT("tmpfs"), 0),
		ATTACK(SYS_umount2, ENOSYS, AT("/"), 2),
		ATTACK(NR_FSOPEN, ENOSYS, AT("tmpfs"), 0),
		ATTACK(NR_OPEN_TREE, ENOSYS, AT_FDCWD, AT("/"), 0),
		ATTACK(NR_MOVE_MOUNT, ENOSYS, aim.given, AT(""), AT_FDCWD, AT("/"), 4),
		ATTACK(NR_MOUNT_SETATTR, ENOSYS, AT_FDCWD, AT("/"), 0, 0, 0),
		ATTACK(SYS_quotactl, ENOSYS, 0, 0, 0, 0),
		ATTACK(NR_QUOTACTL_FD, ENOSYS, aim.given, 0, 0, 0),
		ATTACK(SYS_sync, ENOSYS, 0),
	};
	struct stat before, after;

	assert_int_equal(stat(aim.beside, &before), 0);
	TRY(attacks);
	assert_int_equal(stat(aim.beside, &after), 0);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_int_equal(after.st_size, before.st_size);
	assert_int_equal(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
	assert_int_equal(access(aim.new, F_OK), -1);
}

/* libvirt, virtxd and sanlock know root by the socket's other end, and ask nothing more. */
static void
test_sockets(void **state)
{
	int fds[2], one = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct attack attacks[] = {
		ATTACK(SYS_socket, ENOSYS, AF_UNIX, SOCK_STREAM, 0),
		ATTACK(SYS_socket, ENOSYS, AF_UNIX, SOCK_DGRAM, 0),
		ATTACK(SYS_socket, ENOSYS, AF_INET, SOCK_STREAM, 0),
		ATTACK(SYS_socket, ENOSYS, AF_NETLINK, SOCK_RAW, 0),
		ATTACK(SYS_socket, ENOSYS, AF_VSOCK, SOCK_STREAM, 0),
		ATTACK(SYS_socket, ENOSYS, AF_ALG, SOCK_SEQPACKET, 0),
		ATTACK(SYS_socketpair, ENOSYS, AF_UNIX, SOCK_STREAM, 0, AT(fds)),
		/* By one that it should not have. */
		ATTACK(SYS_connect, ENOSYS, one, AT(&aim.address), sizeof(aim.address)),
		ATTACK(
		    SYS_sendto, ENOSYS, one, AT("x"), 1, 0, AT(&aim.address), sizeof(aim.address)),
		ATTACK(SYS_accept4, ENOSYS, aim.listener, 0, 0, 0),
#ifdef SYS_socketcall
		ATTACK(SYS_socketcall, ENOSYS, 1, 0),
#endif
#ifdef SYS_ipc
		ATTACK(SYS_ipc, ENOSYS, 23, 0x5643, 4096, 01600),
#endif
	};

	assert_true(one >= 0);
	TRY(attacks);
	close(one);
}

/* What the kernel has for few. */
static void
test_kernel(void **state)
{
	char data[256] = { 0 };
	const struct attack attacks[] = {
		ATTACK(SYS_bpf, ENOSYS, 0, AT(data), sizeof(data)),
		ATTACK(SYS_perf_event_open, ENOSYS, AT(data), 0, -1, -1, 0),
		ATTACK(SYS_userfaultfd, ENOSYS, 1),
		ATTACK(NR_MEMFD_SECRET, ENOSYS, 0),
		ATTACK(SYS_memfd_create, ENOSYS, AT("x"), 0),
		ATTACK(SYS_add_key, ENOSYS, AT("user"), AT("x"), AT("x"), 1, -3),
		ATTACK(SYS_request_key, ENOSYS, AT("user"), AT("x"), 0, 0),
		ATTACK(SYS_keyctl, ENOSYS, 0, -3, 0),
		ATTACK(SYS_io_setup, ENOSYS, 1, AT(data)),
		ATTACK(SYS_io_uring_setup, ENOSYS, 1, AT(data)),
		ATTACK(SYS_personality, ENOSYS, 0xffffffff),
		ATTACK(SYS_seccomp, ENOSYS, 2, 0, AT(data)),
		ATTACK(NR_CREATE_RULESET, ENOSYS, 0, 0, 1),
		ATTACK(SYS_reboot, ENOSYS, 0),
		ATTACK(SYS_syslog, ENOSYS, 10, 0, 0),
		ATTACK(SYS_execveat, ENOSYS, aim.given, AT(""), 0, 0, AT_EMPTY_PATH),
		ATTACK(SYS_ioctl, ENOTTY, aim.pipe, TIOCSTI, AT("x")),
		ATTACK(SYS_ioctl, ENOTTY, aim.pipe, TIOCLINUX, AT(data)),
		ATTACK(SYS_ioctl, ENOTTY, aim.pipe, FIOASYNC, AT(data)),
		ATTACK(SYS_ioctl, ENOTTY, aim.given, FS_IOC_SETFLAGS, AT(data)),
		ATTACK(SYS_ioctl, ENOTTY, aim.given, 0x2285, AT(data)), /* SG_IO */
		/* Not one that is coming, either. */
		{ "a call of later", 1000, { 0 }, ENOSYS, false },
	};

	TRY(attacks);
}

#ifdef __x86_64__
/* The other ABIs of the machine number their calls anew: theirs are none of these. */
static int
call_i386(int number)
{
	int r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(number), "b"(0), "c"(0) : "memory");
	return r;
}

static void
test_other_abis(void **state)
{
	const struct attack attacks[] = {
		{ "x32's getpid", 0x40000000 + SYS_getpid, { 0 }, ENOSYS, false },
		{ "x32's ptrace", 0x40000000 + 521, { 16, aim.victim }, ENOSYS, false },
	};
	int status = 0;
	pid_t pid;

	TRY(attacks);
	pid = fork();
	if (pid == 0) {
		if (confine_enter(-1) < 0)
			_exit(2);
		/* 20 is getpid() there, and writev() here. */
		_exit(call_i386(20) == -ENOSYS ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* Where the kernel has no such ABI, it is a fault. */
	assert_true(status == 0 || WIFSIGNALED(status));
}
#endif

/* What the programs do stays: on themselves, and on the files that they are given. */
static void
test_allowed(void **state)
{
	const struct confine_files files = {
		.program = "/bin/sh", .fds = (int[]){ aim.given, -1 }, .write = true
	};
	struct flock lock = { .l_type = F_WRLCK };
	struct rlimit limit;
	struct error err;
	int rules = -1, status = 0;
	char file[64];
	pid_t pid;

	need_the_kernel();
	snprintf(file, sizeof(file), "/proc/self/fd/%d", aim.given);
	pid = fork();
	if (pid == 0) {
		if (confine_capabilities(0) < 0 || confine_rules(&files, &rules, &err) < 0 ||
		    confine_enter(rules) < 0)
			_exit(1);
		if (getrlimit(RLIMIT_CPU, &limit) < 0 || setrlimit(RLIMIT_CPU, &limit) < 0)
			_exit(2);
		if (open(file, O_RDONLY) < 0 || open(file, O_RDWR | O_CREAT | O_TRUNC, 0600) < 0)
			_exit(3);
		if (fcntl(aim.given, F_OFD_SETLK, &lock) < 0 || ftruncate(aim.given, 4096) < 0)
			_exit(4);
		if (prctl(PR_SET_NAME, "worker") < 0 || fcntl(aim.pipe, F_SETFL, O_NONBLOCK) < 0)
			_exit(5);
		abort();
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static int
setup(void **state)
{
	int fds[2];

	if (disk_root_setup(state) < 0)
		return -1;
	aim.victim = fork();
	if (aim.victim == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	snprintf(aim.beside, sizeof(aim.beside), "%s", at("ds/beside"));
	snprintf(aim.new, sizeof(aim.new), "%s", at("ds/new"));
	write_file(aim.beside, "beside", 6);
	aim.given = open(at("ds/given"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	aim.address.sun_family = AF_UNIX;
	/* An abstract one, as paths may be longer than an address. */
	snprintf(
	    aim.address.sun_path + 1, sizeof(aim.address.sun_path) - 1, "virtx-test-%d", getpid());
	aim.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (aim.victim < 0 || aim.given < 0 || pipe2(fds, O_CLOEXEC) < 0 ||
	    bind(aim.listener, (struct sockaddr *)&aim.address, sizeof(aim.address)) < 0 ||
	    listen(aim.listener, 1) < 0)
		return -1;
	aim.pipe = fds[0];
	return 0;
}

static int
teardown(void **state)
{
	kill(aim.victim, SIGKILL);
	waitpid(aim.victim, NULL, 0);
	return disk_root_teardown(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_other_processes),
		cmocka_unit_test(test_new_processes),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_kernel),
#ifdef __x86_64__
		cmocka_unit_test(test_other_abis),
#endif
		cmocka_unit_test(test_allowed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
