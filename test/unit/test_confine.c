/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of confine.c, and of command.c with what it confines. */
#include "disk_root.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "disk/command.h"
#include "disk/confine.h"
#include "proto/coredump.h"

#define SECRET "nobody has to know"

static int
run_script(const char *script, struct command *command, struct buffer *out, struct error *err)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	*err = (struct error){ 0 };
	buffer_clear(out);
	command->argv = argv;
	command->timeout = 10;
	command->output_max = 1 << 20;
	return command_run(command, out, err);
}

static void
must_say(const char *script, struct command *command, const char *answer)
{
	_buffer_ struct buffer out = { 0 };
	struct error err;

	if (run_script(script, command, &out, &err) < 0)
		fail_msg("'%s': %s", script, err.detail);
	assert_string_equal(str_or_empty(out.data), answer);
}

static void
must_fail(const char *script, struct command *command, const char *why)
{
	_buffer_ struct buffer out = { 0 };
	struct error err;

	if (run_script(script, command, &out, &err) == 0)
		fail_msg("'%s' was not refused", script);
	if (!strstr(err.detail, why))
		fail_msg("'%s': %s", script, err.detail);
	assert_null(strstr(str_or_empty(out.data), SECRET));
}

static void
need_landlock(void)
{
	const char *missing = confine_missing();

	if (!missing)
		return;
	print_message("skipped: %s\n", missing);
	skip();
}

static void
need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("skipped: only root has capabilities to lose\n");
	skip();
}

/* What the command does with the file that it is given, and with another one beside it. */
static void
test_files(void **state)
{
	_close_ int fd = -1;
	char script[PATH_MAX * 3];

	need_landlock();
	write_file(at("ds/given"), "given", 5);
	write_file(at("ds/secret"), SECRET, strlen(SECRET));
	fd = open(at("ds/given"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);

	const int fds[] = { fd, -1 };
	struct command reads = { .may = COMMAND_READ, .fds = fds };
	struct command writes = { .may = COMMAND_WRITE, .fds = fds };

	snprintf(script, sizeof(script), "exec cat /proc/self/fd/%d", fd);
	must_say(script, &reads, "given");
	must_say(script, &writes, "given");
	snprintf(script, sizeof(script), "exec cat %s", at("ds/given"));
	must_say(script, &reads, "given");

	snprintf(script, sizeof(script), "exec cat %s", at("ds/secret"));
	must_fail(script, &reads, "Permission denied");
	must_fail(script, &writes, "Permission denied");
	must_fail("exec cat /etc/passwd", &reads, "Permission denied");
	must_fail("exec ls /etc", &writes, "Permission denied");
	snprintf(script, sizeof(script), "echo x > %s", at("ds/new"));
	must_fail(script, &reads, "Permission denied");
	must_fail(script, &writes, "Permission denied");
	snprintf(script, sizeof(script), "exec rm %s", at("ds/given"));
	must_fail(script, &writes, "not implemented");
	snprintf(script, sizeof(script), "exec mv %s %s", at("ds/secret"), at("ds/other"));
	must_fail(script, &writes, "not implemented");
	snprintf(script, sizeof(script), "exec ln %s %s", at("ds/secret"), at("ds/other"));
	must_fail(script, &writes, "not implemented");

	snprintf(script, sizeof(script), "echo more >> /proc/self/fd/%d", fd);
	must_fail(script, &reads, "Permission denied");
	must_say(script, &writes, "");
	snprintf(script, sizeof(script), "exec cat /proc/self/fd/%d", fd);
	must_say(script, &reads, "givenmore\n");
}

static void
test_folder(void **state)
{
	struct command command = { .may = COMMAND_READ };
	char script[PATH_MAX * 3];

	need_landlock();
	assert_int_equal(mkdir(at("ds/folder"), 0700), 0);
	write_file(at("ds/folder/a"), "a", 1);
	write_file(at("ds/beside"), SECRET, strlen(SECRET));
	command.folder = at("ds/folder");
	snprintf(script, sizeof(script), "exec cat %s/*", command.folder);
	must_say(script, &command, "a");
	snprintf(script, sizeof(script), "exec cat %s/../beside", command.folder);
	must_fail(script, &command, "Permission denied");
	snprintf(script, sizeof(script), "echo > %s/b", command.folder);
	must_fail(script, &command, "Permission denied");
}

static void
test_limits(void **state)
{
	_close_ int fd = -1;
	char script[128];

	write_file(at("ds/limited"), "", 0);
	fd = open(at("ds/limited"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);

	const int fds[] = { fd, -1 };
	struct command reads = { .may = COMMAND_READ, .fds = fds };
	struct command writes = { .may = COMMAND_WRITE, .fds = fds, .file_max = 1 << 20 };

	must_say("ulimit -f; ulimit -c; ulimit -t", &reads, "0\n0\n10\n");
	must_say("ulimit -f; ulimit -v", &writes, "2048\nunlimited\n");
	snprintf(script, sizeof(script), "exec truncate -s 1048577 /proc/self/fd/%d", fd);
	must_fail(script, &writes, "ended by signal");
	snprintf(script, sizeof(script), "exec truncate -s 1048576 /proc/self/fd/%d", fd);
	must_say(script, &writes, "");
}

/* Of a program that is confined and runs as root. */
static void
test_capabilities(void **state)
{
	struct command command = { .may = COMMAND_WRITE, .folder = "/proc" };
	char script[256];

	need_root();
	must_say("exec grep -E '^Cap(Prm|Eff|Inh|Amb)|^NoNew' /proc/self/status", &command,
	    "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
	    "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n");
	command.may = COMMAND_READ;
	must_say("exec grep CapEff /proc/self/status", &command, "CapEff:\t0000000000000004\n");
	command.may = COMMAND_ALL;
	snprintf(script, sizeof(script),
	    "test $(awk '/CapEff/ { print $2 }' /proc/self/status) = "
	    "$(awk '/CapEff/ { print $2 }' /proc/%d/status)",
	    getpid());
	must_say(script, &command, "");
}

/* In a child, as nothing comes back. */
static void
test_capabilities_kept(void **state)
{
	const uint64_t keep = CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_FOWNER);
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	int status = 0;
	pid_t pid;

	need_root();
	pid = fork();
	if (pid == 0) {
		if (confine_capabilities(keep) < 0 || syscall(SYS_capget, &header, data) < 0)
			_exit(1);
		if (data[0].permitted & ~(uint32_t)keep || data[0].effective != data[0].permitted ||
		    data[1].permitted || data[0].inheritable)
			_exit(2);
		/* A program of root's has no more. */
		execl("/bin/sh", "sh", "-c",
		    "exec grep -q 'CapEff:.000000000000000[0189]' /proc/self/status", NULL);
		_exit(3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
test_no_core(void **state)
{
	struct rlimit limit;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		coredump_forbid();
		_exit(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 ||
		      getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_max != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Neither the network nor another process; a signal to itself is sent. */
static void
test_others(void **state)
{
	struct command command = { .may = COMMAND_WRITE };
	char script[128];

	snprintf(script, sizeof(script), "kill -0 %d", getpid());
	must_fail(script, &command, "not implemented");
	must_fail("exec perl -MSocket -e 'socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!'",
	    &command, "not implemented");
	must_fail("exec perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die $!'",
	    &command, "not implemented");
	must_fail("cat /dev/null", &command, "Cannot fork");
	must_fail("exec perl -MPOSIX -e 'POSIX::abort()'", &command, "signal 6");
}

/* What is open under no rule is not handed on, be it not close-on-exec. */
static void
test_left_open(void **state)
{
	struct command command = { .may = COMMAND_WRITE };
	int fds[2];
	char script[64];

	assert_int_equal(pipe(fds), 0);
	snprintf(script, sizeof(script), "echo x >&%d", fds[1]);
	must_fail(script, &command, "Bad file descriptor");
	command.may = COMMAND_ALL;
	must_fail(script, &command, "Bad file descriptor");
	close(fds[0]);
	close(fds[1]);
}

/* A VM is not ended for the memory that one of these takes. */
static void
test_oom(void **state)
{
	struct command command = { .may = COMMAND_WRITE, .folder = "/proc" };

	must_say("exec cat /proc/self/oom_score_adj", &command, "500\n");
	if (!confine_missing())
		must_fail("echo 0 > /proc/self/oom_score_adj", &command, "Permission denied");
}

/* The programs themselves, with all that they have threads for. */
static void
test_programs(void **state)
{
	const struct {
		const char *script; /* with the file that is given */
		enum command_may may;
	} cases[] = {
		{ "qemu-img create -q -f raw -o preallocation=falloc %s 4M", COMMAND_WRITE },
		{ "qemu-img create -q -f raw -o preallocation=full %s 4M", COMMAND_WRITE },
		{ "qemu-img map --output=json -f raw %s", COMMAND_READ },
		{ "qemu-img create -q -f qcow2 -o preallocation=falloc %s 4M", COMMAND_WRITE },
		{ "qemu-img create -q -f qcow2 -o preallocation=metadata %s 64M", COMMAND_WRITE },
		{ "qemu-img info --force-share --output=json -f qcow2 %s", COMMAND_READ },
		{ "qemu-img map --force-share --output=json -f qcow2 %s", COMMAND_READ },
		{ "qemu-img check -q -f qcow2 %s", COMMAND_READ },
		{ "qemu-img measure --output=json -O qcow2 --size 1G", COMMAND_READ },
		{ "wipefs -a -q %s", COMMAND_WRITE },
		{ "blkdiscard --version", COMMAND_WRITE },
	};
	_close_ int fd = open(at("ds/program"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	const int fds[] = { fd, -1 };

	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct command command = { .may = cases[i].may, .fds = fds };
		_buffer_ struct buffer out = { 0 };
		struct error err;
		char file[32], script[256], exec[300];

		snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
		snprintf(script, sizeof(script), cases[i].script, file);
		snprintf(exec, sizeof(exec), "exec %s", script);
		if (run_script(exec, &command, &out, &err) < 0)
			fail_msg("'%s': %s", script, err.detail);
	}
}

/* qemu-img VERB of the image, as what may that. */
static int
look(const char *verb, const char *image, enum command_may may, struct error *err)
{
	_buffer_ struct buffer out = { 0 };
	_close_ int fd = open(image, O_RDONLY | O_CLOEXEC);
	char file[32];
	const int fds[] = { fd, -1 };
	const char *const argv[] = { "qemu-img", verb, "--force-share", "--output=json", "-f",
		"qcow2", file, NULL };
	struct command command = {
		.argv = argv,
		.fds = fds,
		.may = may,
		.timeout = 60,
		.output_max = 1 << 20,
	};

	assert_true(fd >= 0);
	*err = (struct error){ 0 };
	snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	return command_run(&command, &out, err);
}

/*
 * Images whose headers are changed when they are read for the second time, after the check of them
 * has passed: qemu-img follows what they name, and gets nothing.
 */
static void
look_at_hostile_images(void)
{
	_free_ char *named = xstrdup(at("ds/named"));
	_free_ char *data_file = xasprintf("data_file=%s,data_file_raw=on", named);
	_free_ char *json = xasprintf(
	    "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"%s\"}}", named);
	struct {
		const char *image, *option, *value, *more, *verb;
	} cases[] = {
		{ "data.qcow2", "-o", data_file, "lazy_refcounts=off", "info" },
		{ "data.qcow2", "-o", data_file, "lazy_refcounts=off", "map" },
		{ "backing.qcow2", "-b", named, "backing_fmt=raw", "map" },
		{ "json.qcow2", "-b", json, "backing_fmt=raw", "map" },
	};
	struct error err;

	write_file(named, SECRET, strlen(SECRET));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *image = at("ds/image.qcow2");

		unlink(image);
		assert_int_equal(
		    run_program("qemu-img", "create", "-q", "-f", "qcow2", cases[i].option,
			cases[i].value, "-o", cases[i].more, image, "1M"),
		    0);
		if (look(cases[i].verb, image, COMMAND_ALL, &err) < 0)
			fail_msg("%s of %s: %s", cases[i].verb, cases[i].image, err.detail);
		/* Versions with CVE-2024-4467 mended do not open it for that. */
		if (look(cases[i].verb, image, COMMAND_READ, &err) == 0) {
			if (str_equal(cases[i].verb, "info"))
				continue;
			fail_msg("%s of %s opens what that names", cases[i].verb, cases[i].image);
		}
		if (!strstr(err.detail, "Permission denied"))
			fail_msg("%s of %s: %s", cases[i].verb, cases[i].image, err.detail);
	}
}

static void
test_hostile_images(void **state)
{
	need_landlock();
	look_at_hostile_images();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_folder),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_capabilities_kept),
		cmocka_unit_test(test_no_core),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_left_open),
		cmocka_unit_test(test_oom),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_hostile_images),
	};

	return cmocka_run_group_tests(tests, disk_root_setup, disk_root_teardown);
}
