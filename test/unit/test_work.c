/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <linux/capability.h>

#include "disk/confine.h"
#include "work/work.h"

static void
test_each_work_has_its_own_function(void **state)
{
	for (int i = 0; i < WORK_N; i++) {
		if (!works[i].run)
			fail_msg("work %d has no function", i);
		for (int k = 0; k < i; k++) {
			if (works[i].run == works[k].run)
				fail_msg("works %d and %d have the same function", k, i);
		}
	}
}

static void
test_each_row_is_complete(void **state)
{
	for (int i = 0; i < WORK_N; i++) {
		if (str_empty(works[i].name) || str_empty(works[i].summary))
			fail_msg("work %d has no name or no summary", i);
		/* Each has at least an environment to work in. */
		assert_non_null(works[i].request);
		/* Nothing may run without end. */
		assert_true(works[i].deadline > 0);
	}
}

/* A name that two rows have would run the first of them for both. */
static void
test_each_is_found_by_its_name(void **state)
{
	for (int i = 0; i < WORK_N; i++)
		assert_ptr_equal(work_find(works[i].name), &works[i]);
	assert_null(work_find("vm-"));
	assert_null(work_find(""));
}

/* Starts a work as a process of its own, as virtxd does: *in is its stdin, *from its stdout. */
static pid_t
start_job(const char *name, bool resident, int *in, int *from)
{
	int to[2], back[2];
	pid_t pid;

	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(back), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(to[0], STDIN_FILENO);
		dup2(back[1], STDOUT_FILENO);
		close(to[1]);
		close(back[0]);
		close(back[1]);
		exit(work_main(name, resident));
	}
	close(to[0]);
	close(back[1]);
	*in = to[1];
	*from = back[0];
	return pid;
}

/* Runs one to its end; what it writes is the caller's. */
static char *
run_job(const char *name, bool resident, const char *request, int *status)
{
	_buffer_ struct buffer out = { 0 };
	int in, from, r;
	pid_t pid = start_job(name, resident, &in, &from);

	/* One that is refused at once reads nothing. */
	r = write_all(in, request, strlen(request));
	assert_true(r == 0 || r == -EPIPE);
	close(in);
	assert_int_equal(read_all(from, &out, 1 << 20), 0);
	close(from);
	assert_int_equal(waitpid(pid, status, 0), pid);
	assert_true(WIFEXITED(*status));
	*status = WEXITSTATUS(*status);
	buffer_add(&out, "", 1);
	return buffer_steal(&out, NULL);
}

/* A work that ends writes one line, its result or why there is none. */
static void
test_a_process_of_its_own(void **state)
{
	static const struct {
		const char *name, *request, *frame;
		int status;
	} rows[] = {
		{ "inspect", "{\"vms\":[{\"uuid\":\"a\"}]}", "result {\"vms\":[{\"uuid\":\"a\"",
		    0 },
		{ "probe", "{\"uri\":\"test:///no/such/file\"}", "error {\"type\":\"", 1 },
		{ "probe", "{\"uri\":4}", "the request of job 'probe'", 1 },
		{ "probe", "[", "the request of job 'probe'", 1 },
		{ "probes", "{}", "there is no job 'probes'; `virtxd --job list` tells", 1 },
		/* A lock that cannot be made is none of what it was asked for. */
		{ "vm-boot", "{\"env\":{\"run_dir\":\"/no/such/folder\"},\"uuid\":\"x\"}",
		    "error {\"type\":\"", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int status;
		_free_ char *out = run_job(rows[i].name, false, rows[i].request, &status);

		if (!strstr(out, rows[i].frame) || status != rows[i].status)
			fail_msg("%s: %d: %s", rows[i].name, status, out);
		/* One line. */
		assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
	}
}

/* The effective capabilities of a process, by its number. */
static uint64_t
capabilities_of(pid_t pid)
{
	_free_ char *path = xasprintf("/proc/%d/status", (int)pid);
	char line[256];
	unsigned long long set = 0;
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) && sscanf(line, "CapEff: %llx", &set) != 1)
		;
	fclose(file);
	return set;
}

/* What a work has no use for its process has not: here by those that stay, so that they can be
 * looked at when they have answered. */
static void
test_it_keeps_what_it_needs(void **state)
{
	const uint64_t own = capabilities_of(getpid());

	for (int i = 0; i < WORK_N; i++) {
		int in, from, status;
		pid_t pid;
		char c;

		if (!works[i].resident)
			continue;
		pid = start_job(works[i].name, true, &in, &from);
		assert_int_equal(write(in, "[\n", 2), 2);
		assert_int_equal(read(from, &c, 1), 1);
		if (capabilities_of(pid) != (own & works[i].capabilities))
			fail_msg("work '%s' has 0x%llx", works[i].name,
			    (unsigned long long)capabilities_of(pid));
		close(in);
		close(from);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	assert_int_equal(works[WORK_PROBE].capabilities, 0);
	assert_int_equal(works[WORK_MIGRATION_INFO].capabilities, 0);
	/* None has root's others, as to mount, to trace, or to change the network. */
	for (int i = 0; i < WORK_N; i++) {
		if (works[i].capabilities &
		    ~(CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_DAC_OVERRIDE) |
			CAPABILITY(CAP_DAC_READ_SEARCH) | CAPABILITY(CAP_FOWNER) |
			CAPABILITY(CAP_FSETID) | CAPABILITY(CAP_SETGID) | CAPABILITY(CAP_SETUID) |
			CAPABILITY(CAP_SETPCAP) | CAPABILITY(CAP_KILL)))
			fail_msg("work '%s' may too much", works[i].name);
	}
}

/* Only what comes again and again, and is of no VM, may stay: nothing waits for such a child. */
static void
test_resident_ones_wait_for_nobody(void **state)
{
	for (int i = 0; i < WORK_N; i++) {
		if (works[i].resident &&
		    (!works[i].own_lane || strncmp(works[i].name, "vm-", 3) == 0))
			fail_msg("work '%s' is resident", works[i].name);
	}
}

/* Who makes or revokes a token does not wait for VMs that are made, which may take hours. */
static void
test_tokens_wait_for_nobody(void **state)
{
	assert_true(works[WORK_TOKENS_LOAD].own_lane);
	assert_true(works[WORK_TOKEN_SAVE].own_lane);
	assert_true(works[WORK_TOKEN_REVOKE].own_lane);
	assert_true(works[WORK_HOST_OUT].own_lane);
}

/* Requests are answered one after the other, also behind one that fails, until stdin ends. */
static void
test_a_process_that_stays(void **state)
{
	static const struct {
		const char *request, *words;
	} rows[] = {
		{ "{\"env\":{\"root\":\"/no/such/folder\"}}\n", "'/no/such/folder'" },
		{ "4\n", "the request of job 'storage-check'" },
		{ "{\"env\":{\"root\":\"/no/other/folder\"}}\n", "'/no/other/folder'" },
	};
	int in, from, status;
	pid_t pid = start_job("storage-check", true, &in, &from);
	FILE *out = fdopen(from, "r");

	assert_non_null(out);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *line = NULL;
		size_t size = 0;

		assert_int_equal(write_all(in, rows[i].request, strlen(rows[i].request)), 0);
		assert_true(getline(&line, &size, out) > 0);
		if (strncmp(line, "error {", 7) != 0 || !strstr(line, rows[i].words))
			fail_msg("%s: %s", rows[i].request, line);
	}
	close(in);
	assert_int_equal(fgetc(out), EOF);
	fclose(out);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* It is read each second how far a migration is. */
static void
test_a_migration_is_read_by_one_that_stays(void **state)
{
	static const char request[] = "{\"env\":{\"uri\":\"test:///default\"},"
				      "\"uuid\":\"10000000-0000-4000-8000-000000000001\"}\n";
	int status;
	_free_ char *out = run_job("migration-info", true, request, &status);

	if (!strstr(out, "no VM '10000000-0000-4000-8000-000000000001' on this host"))
		fail_msg("%s", out);
	assert_int_equal(status, 0);
}

/* What changes a VM has a process of its own. */
static void
test_a_process_that_may_not_stay(void **state)
{
	int status;
	_free_ char *out = run_job("vm-boot", true, "{}\n", &status);

	assert_non_null(strstr(out, "job 'vm-boot' is not resident"));
	assert_int_equal(status, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_work_has_its_own_function),
		cmocka_unit_test(test_each_row_is_complete),
		cmocka_unit_test(test_each_is_found_by_its_name),
		cmocka_unit_test(test_it_keeps_what_it_needs),
		cmocka_unit_test(test_resident_ones_wait_for_nobody),
		cmocka_unit_test(test_tokens_wait_for_nobody),
		cmocka_unit_test(test_a_process_of_its_own),
		cmocka_unit_test(test_a_process_that_stays),
		cmocka_unit_test(test_a_migration_is_read_by_one_that_stays),
		cmocka_unit_test(test_a_process_that_may_not_stay),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
