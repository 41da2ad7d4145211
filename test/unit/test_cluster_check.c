/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands in the way of setting up a host: a folder in place of its root, and what its daemons
 * would say. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "cluster_root.h"
#include "virtx/cluster_check.h"
#include "virtx/cluster_fs.h"
#include "virtx/cluster_run.h"
#include "virtx/cluster_setup.h"

static const char *sanlock_says; /* NULL: nothing */
static bool sanlock_runs;

int __wrap_cluster_run_read(const char *const *argv, int seconds, char **ret, struct error *err);

int
__wrap_cluster_run_read(const char *const *argv, int seconds, char **ret, struct error *err)
{
	assert_string_equal(argv[0], "sanlock");
	if (!sanlock_says)
		return error_set(err, CLIENT_ERROR_STATUS, "it ended with 1");
	*ret = xstrdup(sanlock_says);
	return 0;
}

int __wrap_server_open_socket(const char *path);

int
__wrap_server_open_socket(const char *path)
{
	assert_string_equal(path, "/run/sanlock/sanlock.sock");
	return sanlock_runs ? dup(STDIN_FILENO) : -ECONNREFUSED;
}

/* The host's own root, as far as the command knows. */
static void
find(const char *root, struct cluster_site *site)
{
	struct error err = { 0 };

	root_make(root, true);
	if (cluster_site_find(site, root, "192.0.2.1", &err) < 0 ||
	    cluster_material_make(site, &err) < 0)
		fail_msg("%s", err.detail);
	site->root_path = "";
}

/* What --yes comes to before anything is written. */
static int
ask(const struct cluster_site *site, struct error *err)
{
	_free_ char *out = NULL;
	size_t len;
	struct writer writer = { .out = open_memstream(&out, &len) };
	struct command_call call = { .writer = &writer, .counts = { ['y'] = 1 } };
	int rc;

	*err = (struct error){ 0 };
	rc = cluster_setup_ask(&call, site, err);
	fclose(writer.out);
	return rc;
}

static void
check_fails(const struct cluster_site *site, const char *words)
{
	struct error err;

	assert_int_equal(ask(site, &err), -1);
	if (!strstr(err.detail, words))
		fail_msg("'%s' has no '%s'", err.detail, words);
}

static void
check_passes(const struct cluster_site *site)
{
	struct error err;

	if (ask(site, &err) != 1)
		fail_msg("%s", err.detail);
}

/* sanlock and wdmd do not end then, and what was restarted before would not be taken back. */
static void
test_lockspace(void **state)
{
	struct cluster_site site;

	find(*state, &site);
	sanlock_says = NULL;
	check_passes(&site);
	sanlock_runs = true;
	check_fails(&site, "it runs, and does not tell");
	assert_true(cluster_check_may_be_in_lockspace(&site));
	sanlock_runs = false;
	assert_false(cluster_check_may_be_in_lockspace(&site));
	sanlock_says = "";
	check_passes(&site);
	sanlock_says = "s virtx:1:/vms/lock/ids:0 \n";
	check_fails(&site, "systemctl stop virtx-lockspace");
	assert_false(cluster_fs_exists(site.root, "/etc/virtx"));
	sanlock_says = "warning\ns virtx:1:/vms/lock/ids:0 ADD\n";
	check_fails(&site, BOARD " --wait");
	/* A folder has no lockspace. */
	site.root_path = *state;
	check_passes(&site);
	cluster_site_clear(&site);
}

/* By hand it was set up as it is to be: neither of the two has to be restarted. */
static void
test_lockspace_as_it_is(void **state)
{
	struct cluster_site site;

	find(*state, &site);
	site.sanlock_has = SANLOCK_GID;
	root_put(*state, "/etc/default/sanlock", "sanlock_opts=\"\"\n");
	root_put(*state, "/etc/sanlock/sanlock.conf", "max_worker_threads = 9\n");
	root_put(*state, "/etc/modules-load.d/virtx.conf", "softdog\n");
	sanlock_says = "s virtx:1:/vms/lock/ids:0 \n";
	check_passes(&site);
	/* Its group can only be changed while it does not run. */
	site.sanlock_has = 114;
	check_fails(&site, "lockspace");
	site.sanlock_has = SANLOCK_GID;
	root_put(*state, "/etc/sanlock/sanlock.conf", "our_host_name = other\n");
	check_fails(&site, "lockspace");
	cluster_site_clear(&site);
}

/* A storage would be made in the folder below a mount that is late. */
static void
test_late_mount(void **state)
{
	static const struct {
		const char *fstab, *unit, *mounts;
		const char *late; /* NULL for nothing */
	} rows[] = {
		{ "", NULL, "proc /proc proc rw 0 0\n", NULL },
		{ "# x\nnfs:/srv/vms /vms nfs bg 0 0\n", NULL, "x / ext4 rw 0 0\n", "'/vms'" },
		{ "nfs:/srv/vms /vms/ nfs bg 0 0\n", NULL, "x / ext4 rw 0 0\n", "'/vms'" },
		{ "nfs:/srv/vms /vms nfs bg 0 0\n", NULL, "nfs:/srv/vms /vms nfs4 rw 0 0\n", NULL },
		{ "nfs:/srv/vms /vms nfs bg 0 0\n", NULL, "systemd-1 /vms autofs rw 0 0\n", NULL },
		{ "nfs:/ds /vms/ds nfs bg 0 0\n", NULL, "nfs:/vms /vms nfs rw 0 0\n", "'/vms/ds'" },
		{ "x /vmsx ext4 ro 0 0\nx none swap sw 0 0\n", NULL, "x / ext4 rw 0 0\n", NULL },
		{ "", "vms.mount", "x / ext4 rw 0 0\n", "'/etc/systemd/system/vms.mount'" },
		{ "", "vms.mount", "nfs:/vms /vms nfs rw 0 0\n", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *unit =
		    rows[i].unit ? xasprintf("/etc/systemd/system/%s", rows[i].unit) : NULL;
		struct cluster_site site;

		find(*state, &site);
		sanlock_says = NULL;
		root_put(*state, "/etc/fstab", rows[i].fstab);
		root_put(*state, "/proc/self/mounts", rows[i].mounts);
		if (unit)
			root_put(*state, unit, "");
		if (rows[i].late)
			check_fails(&site, rows[i].late);
		else
			check_passes(&site);
		if (unit)
			root_remove(*state, unit);
		cluster_site_clear(&site);
	}
}

/* The storage is at another place, below a mount. */
static void
test_late_mount_above(void **state)
{
	struct cluster_site site;

	find(*state, &site);
	sanlock_says = NULL;
	root_put(*state, "/proc/self/mounts", "x / ext4 rw 0 0\n");
	root_put(*state, "/etc/virtx/virtxd.conf", "[virtxd]\nstorage_root = /srv/a-b/vms\n");
	check_passes(&site);
	root_put(*state, "/etc/systemd/system/srv-a\\x2db.mount", "");
	check_fails(&site, "'/srv/a-b'");
	root_put(*state, "/proc/self/mounts", "x /srv/a-b ext4 rw 0 0\n");
	check_passes(&site);
	root_put(*state, "/etc/fstab", "x /srv ext4 rw 0 0\n");
	check_fails(&site, "'/srv'");
	/* As the cluster says. */
	str_set(&site.storage_root, "/data");
	check_passes(&site);
	cluster_site_clear(&site);
}

/* Nor where all files are there, and only the storage is made yet. */
static void
test_late_mount_only(void **state)
{
	struct cluster_site site;
	struct cluster_plan plan;
	struct error err = { 0 };

	find(*state, &site);
	sanlock_says = NULL;
	assert_int_equal(cluster_plan_make(&site, &plan, &err), 0);
	assert_int_equal(cluster_plan_write(&site, &plan, &err), 0);
	assert_int_equal(cluster_plan_note(&site, 0, plan.parts, &err), 0);
	cluster_plan_clear(&plan);
	check_passes(&site);
	root_put(*state, "/etc/fstab", "nfs:/srv/vms /vms nfs bg 0 0\n");
	root_put(*state, "/proc/self/mounts", "x / ext4 rw 0 0\n");
	check_fails(&site, "nothing is mounted");
	cluster_site_clear(&site);
}

#define CHECK_TEST(function) \
	cmocka_unit_test_setup_teardown(function, scratch_setup, scratch_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CHECK_TEST(test_lockspace),
		CHECK_TEST(test_lockspace_as_it_is),
		CHECK_TEST(test_late_mount),
		CHECK_TEST(test_late_mount_above),
		CHECK_TEST(test_late_mount_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
