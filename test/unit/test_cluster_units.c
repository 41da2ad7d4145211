/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is run as a host leaves: the commands are told, and end as the test says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <spawn.h>

#include "cluster_root.h"
#include "virtx/cluster_fs.h"
#include "virtx/cluster_units.h"

#define RENEW "systemctl disable --now virtx-renew.timer\n"
#define STOP  "systemctl disable --now virtxd.service\n"
#define LEAVE "virtxd --lockspace leave\n"
#define SPACE "systemctl stop virtx-lockspace.service\n"
#define SERF  "systemctl disable --now serf.service\n"
#define LIBVIRT                                         \
	"systemctl stop libvirtd.service\n"             \
	"systemctl disable --now libvirtd-tls.socket\n" \
	"systemctl start libvirtd.service\n"
#define START "systemctl enable --now virtxd.service\n"

static struct buffer ran;
static const char *sanlock_says; /* NULL: nothing */
static bool sanlock_runs;
static const char *fails; /* the command that does */

int __wrap_server_open_socket(const char *path);

int
__wrap_server_open_socket(const char *path)
{
	return sanlock_runs ? dup(STDIN_FILENO) : -ECONNREFUSED;
}

int __real_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *files,
    const posix_spawnattr_t *attributes, char *const argv[], char *const environment[]);
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *files,
    const posix_spawnattr_t *attributes, char *const argv[], char *const environment[]);

int
__wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *files,
    const posix_spawnattr_t *attributes, char *const argv[], char *const environment[])
{
	_buffer_ struct buffer text = { 0 };
	const char *does = "/bin/true";
	char *own[] = { argv[0], NULL, NULL };

	buffer_printf(&text, "%s", argv[0]);
	for (size_t i = 1; argv[i]; i++)
		buffer_printf(&text, " %s", argv[i]);
	buffer_printf(&text, "\n");
	if (strcmp(argv[0], "sanlock") == 0) {
		does = sanlock_says ? "/bin/echo" : "/bin/false";
		own[1] = (char *)sanlock_says;
	} else {
		buffer_add(&ran, text.data, text.len);
		if (fails && strcmp(text.data, fails) == 0)
			does = "/bin/false";
	}
	return __real_posix_spawn(pid, does, files, attributes, own, environment);
}

static struct cluster_site site;
static char *told;
static size_t told_len;
static FILE *out;

/* The host's own root, on which systemd runs. */
static int
setup(void **state)
{
	struct error err = { 0 };

	if (scratch_setup(state) < 0)
		return -1;
	root_make(*state, true);
	root_put(*state, "/run/systemd/system/x", "");
	if (cluster_site_find(&site, *state, "", &err) < 0)
		fail_msg("%s", err.detail);
	site.root_path = "";
	out = open_memstream(&told, &told_len);
	buffer_clear(&ran);
	sanlock_says = fails = NULL;
	sanlock_runs = false;
	return 0;
}

static int
teardown(void **state)
{
	cluster_site_clear(&site);
	fclose(out);
	free(told);
	buffer_clear(&ran);
	return scratch_teardown(state);
}

static void
leaves(int (*run)(const struct cluster_site *, FILE *, struct error *), const char *commands)
{
	struct error err = { 0 };

	buffer_clear(&ran);
	if (run(&site, out, &err) < 0)
		fail_msg("%s", err.detail);
	assert_string_equal(ran.data, commands);
}

static void
test_leave(void **state)
{
	leaves(cluster_units_leave, RENEW STOP SPACE SERF);
	sanlock_says = "s other:1:/srv/ids:0";
	leaves(cluster_units_leave, RENEW STOP SPACE SERF);
	sanlock_says = "s __VIRTX__DISKS__:1:/vms/lock/__VIRTX__DISKS__:0";
	leaves(cluster_units_leave, RENEW STOP LEAVE SPACE SERF);
	sanlock_says = NULL;
	sanlock_runs = true;
	leaves(cluster_units_leave, RENEW STOP LEAVE SPACE SERF);
}

/* A VM is on that nobody has told of: the lockspace is not left, and nothing is taken back. */
static void
test_leave_held(void **state)
{
	struct error err = { 0 };

	sanlock_says = "s __VIRTX__DISKS__:1:/vms/lock/__VIRTX__DISKS__:0";
	fails = LEAVE;
	assert_int_equal(cluster_units_leave(&site, out, &err), -1);
	assert_string_equal(ran.data, RENEW STOP LEAVE);
	assert_non_null(strstr(err.detail, "'virtxd --lockspace leave': it ended with 1"));
	assert_non_null(strstr(err.detail, "'systemctl start virtxd' has it serve"));
	/* Nor by the next run, where the unit has ended. */
	buffer_clear(&ran);
	assert_int_equal(cluster_units_leave(&site, out, &err), -1);
	assert_null(strstr(ran.data, "serf"));
}

/* Where nothing of the cluster's storage is left. */
static void
test_left(void **state)
{
	root_put(*state, "/proc/self/mounts", "x / ext4 rw 0 0\nx /vmsx ext4 rw 0 0\n");
	root_put(*state, "/etc/fstab", "x / ext4 rw 0 0\n");
	leaves(cluster_units_left, LIBVIRT START);
}

/* It would be in the lockspace again, and in the storage with all rights. */
static void
test_left_storage(void **state)
{
	static const struct {
		const char *path, *text;
	} rows[] = {
		{ "/proc/self/mounts", "nfs:/srv/vms /vms nfs4 rw 0 0\n" },
		{ "/proc/self/mounts", "nfs:/srv/ds /vms/ds nfs4 rw 0 0\n" },
		{ "/proc/self/mounts", "systemd-1 /vms autofs rw 0 0\n" },
		{ "/etc/fstab", "nfs:/srv/vms /vms/ nfs bg 0 0\n" },
		{ "/etc/systemd/system/vms.mount", "" },
		{ "/vms/xml/.virtx-storage", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		root_put(*state, rows[i].path, rows[i].text);
		leaves(cluster_units_left, LIBVIRT);
		root_remove(*state, rows[i].path);
	}
	leaves(cluster_units_left, LIBVIRT START);
}

/* What the cluster has said of its place is over, what the host itself has said is not. */
static void
test_left_storage_elsewhere(void **state)
{
	root_put(*state, "/proc/self/mounts", "nfs:/srv/vms /data nfs4 rw 0 0\n");
	root_put(*state, "/etc/virtx/virtxd.conf",
	    CLUSTER_EDIT_BEGIN "\n[virtxd]\nstorage_root = /data\n" CLUSTER_EDIT_END "\n");
	leaves(cluster_units_left, LIBVIRT START);
	root_put(*state, "/etc/virtx/virtxd.conf", "[virtxd]\nstorage_root = /data/vms/\n");
	leaves(cluster_units_left, LIBVIRT);
}

#define UNITS_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		UNITS_TEST(test_leave),
		UNITS_TEST(test_leave_held),
		UNITS_TEST(test_left),
		UNITS_TEST(test_left_storage),
		UNITS_TEST(test_left_storage_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
