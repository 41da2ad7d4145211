/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A list of what is allowed: what it does not name, newer calls among it, is not there. The
 * programs need some sixty, all on memory, threads and open files of their own. Landlock has
 * nothing to say of most others, as of chmod() and connect() by a path, and comes in versions; and
 * as they are root's, signals, priorities, limits and shared memory of all of root's processes
 * would be theirs.
 */
#include "disk/confine_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/fiemap.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/util.h"

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

/* Whatever their arguments. Not each architecture, nor each kernel's header, has all. */
static const uint16_t allowed[] = {
	/* Files that are open. No name is made, changed or removed, nor are modes, owners and
	   times. */
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_pwrite64,
	SYS_preadv,
	SYS_pwritev,
	SYS_preadv2,
	SYS_pwritev2,
	SYS_close,
	SYS_dup,
	SYS_dup3,
	SYS_pipe2,
	SYS_lseek,
	SYS_ftruncate,
	SYS_fallocate,
	SYS_fadvise64,
	SYS_fsync,
	SYS_fdatasync,
	SYS_flock,
	SYS_getdents64,
#ifdef SYS_close_range
	SYS_close_range,
#endif
#ifdef SYS_dup2
	SYS_dup2,
#endif
#ifdef SYS_pipe
	SYS_pipe,
#endif
	/* What is told of files. */
	SYS_fstat,
	SYS_newfstatat,
	SYS_statx,
	SYS_statfs,
	SYS_fstatfs,
	SYS_faccessat,
	SYS_readlinkat,
	SYS_getcwd,
	SYS_getxattr,
	SYS_lgetxattr,
	SYS_fgetxattr,
#ifdef SYS_faccessat2
	SYS_faccessat2,
#endif
#ifdef SYS_stat
	SYS_stat,
	SYS_lstat,
#endif
#ifdef SYS_access
	SYS_access,
	SYS_readlink,
#endif
	/* Memory. */
	SYS_mmap,
	SYS_munmap,
	SYS_mprotect,
	SYS_mremap,
	SYS_madvise,
	SYS_brk,
	SYS_membarrier,
#ifdef SYS_mseal
	SYS_mseal,
#endif
#ifdef SYS_map_shadow_stack
	SYS_map_shadow_stack,
#endif
#ifdef SYS_riscv_flush_icache
	SYS_riscv_flush_icache,
#endif
	/* The process, and its threads. A program begins with execve(); it has what this one had.
	 */
	SYS_execve,
	SYS_exit,
	SYS_exit_group,
	SYS_futex,
	SYS_set_robust_list,
	SYS_set_tid_address,
	SYS_sched_yield,
	SYS_sched_getaffinity,
	SYS_getcpu,
	SYS_getpid,
	SYS_getppid,
	SYS_gettid,
	SYS_getuid,
	SYS_geteuid,
	SYS_getgid,
	SYS_getegid,
	SYS_getrusage,
	SYS_uname,
	SYS_sysinfo,
	SYS_getrandom,
#ifdef SYS_rseq
	SYS_rseq,
#endif
#ifdef SYS_futex_wait
	SYS_futex_wait,
	SYS_futex_wake,
	SYS_futex_requeue,
#endif
#ifdef SYS_arch_prctl
	SYS_arch_prctl,
#endif
#ifdef SYS_getrlimit
	SYS_getrlimit,
#endif
#ifdef SYS_riscv_hwprobe
	SYS_riscv_hwprobe,
#endif
	/* Signals that come to it, waiting, and the time. */
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_rt_sigpending,
	SYS_rt_sigsuspend,
	SYS_rt_sigtimedwait,
	SYS_sigaltstack,
	SYS_restart_syscall,
	SYS_ppoll,
	SYS_pselect6,
	SYS_epoll_create1,
	SYS_epoll_ctl,
	SYS_epoll_pwait,
	SYS_eventfd2,
	SYS_signalfd4,
	SYS_nanosleep,
	SYS_clock_nanosleep,
	SYS_clock_gettime,
	SYS_clock_getres,
	SYS_gettimeofday,
#ifdef SYS_epoll_pwait2
	SYS_epoll_pwait2,
#endif
#ifdef SYS_poll
	SYS_poll,
#endif
#ifdef SYS_select
	SYS_select,
#endif
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
#endif
#ifdef SYS_time
	SYS_time,
#endif
};

/*
 * Where the argument, under the mask, has the value. The half of it that the kernel takes: these
 * arguments are of 32 bits, and what is in a register above them is nobody's; clone() takes its
 * flags of more bits by clone3() alone.
 */
struct permit {
	uint16_t call;
	uint8_t arg;
	uint32_t mask;
	uint32_t value;
};

#define EXACTLY UINT32_MAX

/* The C library's for a thread. DETACHED is a word of old without a meaning, which musl says. */
#define THREAD_FLAGS                                                                         \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |  \
	    CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | \
	    CLONE_DETACHED)
#define THREAD_MASK (~(uint32_t)THREAD_FLAGS | CLONE_THREAD)
#ifdef __s390x__
#define CLONE_ARG 1
#else
#define CLONE_ARG 0
#endif

/* The third way of O_ACCMODE opens what Landlock's rules do not have, for ioctl(); and its first
 * versions do not see that O_TRUNC writes. */
#define OPENS(call, arg)                                                                  \
	{ call, arg, O_ACCMODE | O_TRUNC, O_RDONLY }, { call, arg, O_ACCMODE, O_WRONLY }, \
	{                                                                                 \
		call, arg, O_ACCMODE, O_RDWR                                              \
	}
#define FCNTL(command)                         \
	{                                      \
		SYS_fcntl, 1, EXACTLY, command \
	}
#define IOCTL(request)                                     \
	{                                                  \
		SYS_ioctl, 1, EXACTLY, (uint32_t)(request) \
	}
#define PRCTL(option)                         \
	{                                     \
		SYS_prctl, 0, EXACTLY, option \
	}

static const struct permit permits[] = {
	/* A process would not end with this one, or with the job that waits for it. */
	{ SYS_clone, CLONE_ARG, THREAD_MASK, CLONE_THREAD },
	/* Of itself: a limit of processor time ends a process. */
	{ SYS_prlimit64, 0, EXACTLY, 0 },
	OPENS(SYS_openat, 2),
#ifdef SYS_open
	OPENS(SYS_open, 1),
#endif
	/* None that has signals sent, or delays who opens the file. */
	FCNTL(F_DUPFD),
	FCNTL(F_DUPFD_CLOEXEC),
	FCNTL(F_GETFD),
	FCNTL(F_SETFD),
	FCNTL(F_GETFL),
	FCNTL(F_SETFL),
	FCNTL(F_GETLK),
	FCNTL(F_SETLK),
	FCNTL(F_SETLKW),
	FCNTL(F_OFD_GETLK),
	FCNTL(F_OFD_SETLK),
	FCNTL(F_OFD_SETLKW),
	FCNTL(F_GETPIPE_SZ),
	/* Those of block devices, which ask for a descriptor that may write, or for a capability.
	 */
	{ SYS_ioctl, 1, 0xff00, 0x1200 },
	IOCTL(FS_IOC_FIEMAP),
	IOCTL(FS_IOC_GETFLAGS),
	/* qemu-img asks XFS for long extents. */
	IOCTL(FS_IOC_FSGETXATTR),
	IOCTL(FS_IOC_FSSETXATTR),
	/* PR_SET_PDEATHSIG is not here: nor does it stay when the job has gone. */
	PRCTL(PR_SET_NAME),
	PRCTL(PR_GET_NAME),
	PRCTL(PR_SET_TIMERSLACK),
	PRCTL(PR_GET_DUMPABLE),
#ifdef PR_SET_VMA
	PRCTL(PR_SET_VMA),
#endif
};

/*
 * What a call says that is not permitted. All else says ENOSYS, on which C libraries take an older
 * call: clone() for clone3(), whose flags are in memory, which a filter cannot read; openat() for
 * openat2(); threads and poll() for io_uring, which would go around this filter.
 */
static const struct {
	uint16_t call;
	uint16_t error;
} answers[] = {
	{ SYS_ioctl, ENOTTY },
	{ SYS_prctl, EINVAL },
	{ SYS_clone, EPERM },
	{ SYS_prlimit64, EPERM },
	{ SYS_openat, EPERM },
	{ SYS_fcntl, EPERM },
	{ SYS_tgkill, EPERM },
};

#define PERMIT_STEPS 6
#define STEPS_MAX                                                                 \
	(4 + 2 * ARRAY_SIZE(allowed) + PERMIT_STEPS * (ARRAY_SIZE(permits) + 1) + \
	    2 * ARRAY_SIZE(answers) + 2)

struct code {
	struct sock_filter steps[STEPS_MAX];
	unsigned short n;
};

#define LOW_HALF     (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0)
#define LOAD(offset) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offset))
#define AND(mask)    (struct sock_filter) BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask)
/* Goes over as many steps unless it is that value. */
#define UNLESS(value, steps) \
	(struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, steps)
#define ANSWER(what) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, what)

static void
add(struct code *code, struct sock_filter step)
{
	code->steps[code->n++] = step;
}

static void
add_permit(struct code *code, const struct permit *permit)
{
	size_t arg =
	    offsetof(struct seccomp_data, args) + permit->arg * sizeof(uint64_t) + LOW_HALF;

	add(code, LOAD(offsetof(struct seccomp_data, nr)));
	add(code, UNLESS(permit->call, PERMIT_STEPS - 2));
	add(code, LOAD(arg));
	add(code, AND(permit->mask));
	add(code, UNLESS(permit->value, 1));
	add(code, ANSWER(SECCOMP_RET_ALLOW));
}

/* A kernel without filters, or a tool around the program that does not know of them, says EINVAL of
 * any; with them, of a wrong one, and EFAULT of one at NULL. */
static bool
is_missing(int error)
{
	bool missing;

	if (error != EINVAL && error != ENOSYS)
		return false;
	missing = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) < 0 && errno != EFAULT;
	errno = error;
	return missing;
}

int
confine_calls(void)
{
	/* A signal to itself, as abort() sends it. */
	const struct permit itself = { SYS_tgkill, 0, EXACTLY, (uint32_t)getpid() };
	struct code code = { .n = 0 };
	struct sock_fprog program = { .filter = code.steps };

	/* A call of another ABI is another call by the same number; x86-64's other one has its own.
	 */
	add(&code, LOAD(offsetof(struct seccomp_data, arch)));
	add(&code, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
	add(&code, ANSWER(SECCOMP_RET_ERRNO | ENOSYS));
	add(&code, LOAD(offsetof(struct seccomp_data, nr)));
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		add(&code, UNLESS(allowed[i], 1));
		add(&code, ANSWER(SECCOMP_RET_ALLOW));
	}
	add_permit(&code, &itself);
	for (size_t i = 0; i < ARRAY_SIZE(permits); i++)
		add_permit(&code, &permits[i]);
	add(&code, LOAD(offsetof(struct seccomp_data, nr)));
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		add(&code, UNLESS(answers[i].call, 1));
		add(&code, ANSWER(SECCOMP_RET_ERRNO | answers[i].error));
	}
	add(&code, ANSWER(SECCOMP_RET_ERRNO | ENOSYS));
	program.len = code.n;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0)
		return 0;
	return is_missing(errno) ? 0 : -errno;
}
