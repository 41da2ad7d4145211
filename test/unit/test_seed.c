/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of seed.c, with the real xorrisofs. */
#include "disk_root.h"

#include "disk/seed.h"

static char run_dir[PATH_MAX];

static int
setup(void **state)
{
	if (disk_root_setup(state) < 0)
		return -1;
	snprintf(run_dir, sizeof(run_dir), "%s", at("run"));
	return mkdir(run_dir, 0755);
}

static struct cloud_init_option
option(const char *name, const char *value)
{
	return (struct cloud_init_option){ .name = xstrdup(name), .value = xstrdup(value) };
}

static int
build(size_t n, struct cloud_init_option *options, struct error *err)
{
	int r = seed_build(disk_root, run_dir, TEST_VM, options, n, err);

	for (size_t i = 0; i < n; i++)
		model_clear(&cloud_init_option_model, &options[i]);
	assert_int_equal(entries(run_dir), 0);
	return r;
}

/* Extracts the CD and compares one of its files; NULL for one that must not be there. */
static void
expect(const char *file, const char *content)
{
	_free_ char *iso = xasprintf("%s/ds/ci/" TEST_VM "/seed.iso", disk_root);
	_free_ char *inside = xasprintf("/%s", file);
	_buffer_ struct buffer text = { 0 };
	const char *out = at("extracted");
	_close_ int fd = -1;
	int r;

	unlink(out);
	r = run_program("xorriso", "-no_rc", "-abort_on", "FATAL", "-report_about", "NEVER",
	    "-osirrox", "on", "-indev", iso, "-extract", inside, out);
	fd = open(out, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd >= 0, content != NULL);
	if (!content)
		return;
	assert_int_equal(r, 0);
	assert_int_equal(read_all(fd, &text, 1 << 20), 0);
	assert_string_equal(text.data ? text.data : "", content);
}

static void
test_contents(void **state)
{
	_free_ char *path = seed_path(disk_root, TEST_VM);
	struct cloud_init_option all[] = { option("ci-networkconfig", "version: 2\n"),
		option("ci-metadata", "instance-id: i\n"),
		option("ci-userdata", "#cloud-config\nx: \xe2\x82\xac\n") };
	struct cloud_init_option net = option("ci-networkconfig", "version: 1\n");
	struct cloud_init_option empty[] = { option("ci-userdata", "u"),
		option("ci-metadata", "") };
	struct error err = { 0 };
	char id[6] = "";
	struct stat st;
	int fd;

	if (build(3, all, &err) < 0)
		fail_msg("%s", err.detail);
	expect("user-data", "#cloud-config\nx: \xe2\x82\xac\n");
	expect("meta-data", "instance-id: i\n");
	expect("network-config", "version: 2\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(entries(at("ds/ci/" TEST_VM)), 1);
	/* The volume is what cloud-init looks for. */
	fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, id, 6, 0x8028), 6);
	close(fd);
	assert_memory_equal(id, "cidata", 6);

	/* Nothing of an earlier one stays. */
	assert_int_equal(build(1, &net, &err), 0);
	expect("network-config", "version: 1\n");
	expect("user-data", "");
	expect("meta-data", "instance-id: " TEST_VM "\nlocal-hostname: " TEST_VM "\n");
	assert_int_equal(build(2, empty, &err), 0);
	expect("user-data", "u");
	expect("meta-data", "instance-id: " TEST_VM "\nlocal-hostname: " TEST_VM "\n");
	expect("network-config", NULL);

	assert_int_equal(seed_delete(disk_root, TEST_VM, &err), 0);
	assert_int_equal(entries(at("ds/ci")), 0);
	assert_int_equal(seed_delete(disk_root, TEST_VM, &err), 0);
}

static void
test_largest(void **state)
{
	struct cloud_init_option options[3];
	struct error err = { 0 };
	char *big = xcalloc(256 * 1024 + 1, 1);
	struct stat st;

	memset(big, 'x', 256 * 1024);
	options[0] = option("ci-userdata", big);
	options[1] = option("ci-metadata", big);
	options[2] = option("ci-networkconfig", big);
	assert_int_equal(build(3, options, &err), 0);
	assert_int_equal(stat(at("ds/ci/" TEST_VM "/seed.iso"), &st), 0);
	assert_true(st.st_size > 3 * 256 * 1024);
	expect("user-data", big);
	free(big);
	assert_int_equal(seed_delete(disk_root, TEST_VM, &err), 0);
}

/* As a build leaves it that was killed. */
static void
test_leftovers(void **state)
{
	_free_ char *sources = xasprintf("%s/ci-" TEST_VM, run_dir);
	_free_ char *user_data = xasprintf("%s/user-data", sources);
	struct cloud_init_option again = option("ci-userdata", "again");
	struct error err = { 0 };

	for (int i = 0; i < 2; i++) {
		assert_int_equal(mkdir(sources, 0700), 0);
		write_file(user_data, "secret", 6);
		mkdir(at("ds/ci"), 0750);
		mkdir(at("ds/ci/" TEST_VM), 0750);
		write_file(at("ds/ci/" TEST_VM "/.seed.iso.new"), "half", 4);
		if (i == 0) {
			assert_int_equal(seed_undo(disk_root, run_dir, TEST_VM, &err), 0);
			assert_int_equal(entries(run_dir), 0);
			assert_int_equal(entries(at("ds/ci/" TEST_VM)), 0);
			assert_int_equal(seed_undo(disk_root, run_dir, TEST_VM, &err), 0);
		}
	}
	assert_int_equal(build(1, &again, &err), 0);
	expect("user-data", "again");
	assert_int_equal(entries(at("ds/ci/" TEST_VM)), 1);
	/* A complete CD stays. */
	assert_int_equal(seed_undo(disk_root, run_dir, TEST_VM, &err), 0);
	assert_int_equal(entries(at("ds/ci/" TEST_VM)), 1);
	assert_int_equal(seed_delete(disk_root, TEST_VM, &err), 0);
}

static void
refuse(int status, const char *words)
{
	struct cloud_init_option options = option("ci-userdata", "the-secret");
	struct error err = { 0 };

	assert_int_equal(build(1, &options, &err), -1);
	assert_int_equal(err.status, status);
	if (!strstr(err.detail, words) || !strstr(err.detail, "seed.iso"))
		fail_msg("'%s' is not in '%s'", words, err.detail);
	assert_null(strstr(err.detail, "the-secret"));
}

static void
test_refusals(void **state)
{
	struct error err = { 0 };
	char *path = getenv("PATH");
	_free_ char *kept = xstrdup(path);

	/* Links lead nowhere. */
	assert_int_equal(mkdir(at("outside"), 0755), 0);
	assert_int_equal(symlink(at("outside"), at("ds/ci/" TEST_VM)), 0);
	refuse(422, "a symbolic link");
	assert_int_equal(seed_delete(disk_root, TEST_VM, &err), -1);
	assert_int_equal(entries(at("outside")), 0);
	assert_int_equal(unlink(at("ds/ci/" TEST_VM)), 0);

	/* A directory where the CD belongs. */
	assert_int_equal(mkdir(at("ds/ci/" TEST_VM), 0755), 0);
	assert_int_equal(mkdir(at("ds/ci/" TEST_VM "/seed.iso"), 0755), 0);
	refuse(507, "Is a directory");
	assert_int_equal(entries(at("ds/ci/" TEST_VM)), 1);
	assert_int_equal(rmdir(at("ds/ci/" TEST_VM "/seed.iso")), 0);

	/* What is not ours is not removed. */
	write_file(at("ds/ci/" TEST_VM "/other"), "", 0);
	assert_int_equal(seed_delete(disk_root, TEST_VM, &err), -1);
	assert_int_equal(err.status, 507);
	assert_int_equal(entries(at("ds/ci/" TEST_VM)), 1);
	assert_int_equal(unlink(at("ds/ci/" TEST_VM "/other")), 0);

	/* No xorrisofs. */
	setenv("PATH", "/nonexistent", 1);
	refuse(507, "cannot run xorrisofs");
	setenv("PATH", kept, 1);
	assert_int_equal(entries(at("ds/ci/" TEST_VM)), 0);
	assert_int_equal(seed_delete(disk_root, TEST_VM, &err), 0);

	assert_int_equal(seed_build(disk_root, run_dir, "../x", NULL, 0, &err), -1);
	assert_int_equal(err.status, 400);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_contents),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_leftovers),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, setup, disk_root_teardown);
}
