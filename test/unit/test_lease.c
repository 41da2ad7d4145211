/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of lease.c, lease_list.c, lockfile.c and lockspace.c as far as they need no sanlock; the
 * rest is test/integration/test_lease.py. */
#include "disk_root.h"

#include <errno.h>
#include <grp.h>
#include <sanlock.h>
#include <sanlock_rv.h>

#include "disk/lease.h"
#include "disk/lockfile.h"

/* A resource file with this LVB; NULL for one that is too short. */
static void
make_resource(const char *name, const void *lvb, size_t len)
{
	_free_ char *path = lease_path(disk_root, name);
	_free_ char *data = xcalloc(1, 1 << 20);
	char below[128];

	mkdir(at("lock"), 0750);
	snprintf(below, sizeof(below), "lock/%s", name);
	mkdir(at(below), 0750);
	if (lvb)
		memcpy(data + 2002 * 512, lvb, len);
	write_file(path, data, lvb ? 1 << 20 : 5000);
}

static void
test_path_of(void **state)
{
	_free_ char *path = lease_path("/vms", "abc");

	assert_string_equal(path, "/vms/lock/abc/abc");
}

static void
expect_owner(const char *name, const char *owner, int status, const char *words)
{
	struct error err = { 0 };
	char uuid[37] = "unset";
	int rc = lease_owner(disk_root, name, uuid, &err);

	assert_string_equal(uuid, owner);
	assert_int_equal(err.status, status);
	assert_int_equal(rc, status ? -1 : 0);
	if (status && !strstr(err.detail, words))
		fail_msg("'%s' is not in '%s'", words, err.detail);
}

static void
test_owner(void **state)
{
	char upper[] = TEST_VM, owner[37];
	struct error err = { 0 };
	bool there = true;

	expect_owner("none", "", 404, "No such file");
	assert_int_equal(lease_look_up(disk_root, "none", &there, owner, &err), 0);
	assert_false(there);
	assert_string_equal(owner, "");
	make_resource("mine", TEST_VM, 36);
	expect_owner("mine", TEST_VM, 0, NULL);
	assert_int_equal(lease_look_up(disk_root, "mine", &there, owner, &err), 0);
	assert_true(there);
	assert_string_equal(owner, TEST_VM);
	make_resource("free", "", 0);
	expect_owner("free", "", 0, NULL);
	for (char *c = upper; *c; c++)
		*c = *c >= 'a' ? *c - 32 : *c;
	make_resource("upper", upper, 36);
	expect_owner("upper", TEST_VM, 0, NULL);
	make_resource("short", NULL, 0);
	expect_owner("short", "", 507, "too short");
	make_resource("noise", "no uuid", 7);
	expect_owner("noise", "", 507, "its owner is no uuid");
	make_resource("longer", TEST_VM "x", 37);
	expect_owner("longer", "", 507, "its owner is no uuid");
}

static void
expect_health(const char *name, enum lease_health health, const char *words)
{
	_free_ char *path = lease_path(disk_root, name);
	enum lease_health found = LEASE_SOUND;
	struct error why = { 0 }, err = { 0 };
	char owner[37] = "unset";

	if (lease_health(disk_root, name, &found, owner, &why, &err) < 0)
		fail_msg("%s", err.detail);
	assert_int_equal(found, health);
	assert_string_equal(owner, "");
	if (!strstr(why.detail, words) || !strstr(why.detail, path))
		fail_msg("'%s' is not in '%s'", words, why.detail);
}

/* What the file alone tells; what sanlock says of its front is in test_repair.py. Then what is left
 * of it goes. */
static void
test_health(void **state)
{
	struct error err = { 0 };
	char text[] = "no uuid";

	make_resource("ill", "", 0);
	expect_health("ill", LEASE_DAMAGED, "is damaged: no VM is written in it");
	make_resource("ill", text, sizeof(text));
	expect_health("ill", LEASE_DAMAGED, "is damaged: what is written in it is no VM");
	make_resource("ill", NULL, 0);
	expect_health("ill", LEASE_DAMAGED, "is damaged: of its file 5000 bytes are left");
	assert_int_equal(unlink(at("lock/ill/ill")), 0);
	expect_health("ill", LEASE_MISSING, "is missing");
	assert_int_equal(mkdir(at("lock/ill/ill"), 0700), 0);
	expect_health("ill", LEASE_DAMAGED, "is damaged: it is a directory");
	assert_int_equal(rmdir(at("lock/ill/ill")), 0);
	make_resource("ill", NULL, 0);
	assert_int_equal(lease_discard(disk_root, "ill", TEST_VM, &err), 0);
	assert_int_equal(access(at("lock/ill"), F_OK), -1);
	assert_int_equal(access(at("lock/.ill." TEST_VM ".deleted"), F_OK), -1);
	assert_int_equal(lease_discard(disk_root, "ill", TEST_VM, &err), 0);
	expect_health("ill", LEASE_MISSING, "is missing");
}

static void
test_names(void **state)
{
	static const char *const bad[] = { "", "..", ".hidden", "a/b", "../ds",
		"1234567890123456789012345678901234567890123456789" };
	static const char longest[] = "123456789012345678901234567890123456789012345678";

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct lease lease = LEASE_INIT;
		struct error err = { 0 };

		expect_owner(bad[i], "", 400, "is no name of a lease");
		assert_int_equal(lease_create(disk_root, bad[i], TEST_VM, &err), -1);
		assert_int_equal(err.status, 400);
		assert_int_equal(lease_undo(disk_root, bad[i], TEST_VM, &err), -1);
		assert_int_equal(err.status, 400);
		assert_int_equal(lease_acquire(disk_root, bad[i], TEST_VM, &lease, &err), -1);
		assert_int_equal(err.status, 400);
	}
	make_resource(longest, TEST_VM, 36);
	expect_owner(longest, TEST_VM, 0, NULL);
}

/* Without a daemon: nothing is left, and the error says whose words they are. */
static void
test_no_daemon(void **state)
{
	struct lease lease = LEASE_INIT;
	enum lockspace_state is;
	struct error err = { 0 };
	int id, before;

	setenv("SANLOCK_RUN_DIR", disk_root, 1);
	make_resource("there", TEST_VM, 36);
	before = entries(at("lock"));
	assert_int_equal(lease_create(disk_root, "fresh", TEST_VM, &err), -1);
	assert_non_null(strstr(err.detail, "cannot create resource 'fresh': sanlock cannot write"));
	assert_int_equal(entries(at("lock")), before);
	assert_int_equal(lease_create(disk_root, "fresh", "no uuid", &err), -1);
	assert_int_equal(err.status, 400);
	assert_int_equal(entries(at("lock")), before);

	assert_int_equal(lease_acquire(disk_root, "there", TEST_VM, &lease, &err), -1);
	assert_int_equal(err.status, 503);
	assert_non_null(strstr(err.detail, "sanlock daemon does not answer"));
	assert_int_equal(lease.sock, -1);
	assert_null(lease.path);
	lease_release(&lease);
	assert_int_equal(lease_delete(disk_root, &lease, &err), -1);
	assert_int_equal(lease_acquire(disk_root, "none", TEST_VM, &lease, &err), -1);
	assert_int_equal(err.status, 404);

	assert_int_equal(lockspace_state(disk_root, &is, &id, &err), -1);
	assert_int_equal(err.status, 503);
	assert_int_equal(lockspace_join(disk_root, 1, 1, &id, &err), -1);
	assert_int_equal(err.status, 503);
	assert_int_equal(lockspace_join(disk_root, 0, 1, &id, &err), -1);
	assert_int_equal(err.status, 400);
	before = entries(disk_root);
	assert_int_equal(lockspace_create(disk_root, 1, &err), -1);
	assert_int_equal(entries(disk_root), before);
	unsetenv("SANLOCK_RUN_DIR");
}

static void
test_create_exists(void **state)
{
	struct error err = { 0 };

	make_resource("taken", TEST_OTHER, 36);
	assert_int_equal(lease_create(disk_root, "taken", TEST_VM, &err), -1);
	assert_int_equal(err.status, 507);
	assert_non_null(strstr(err.detail, "belongs to VM '" TEST_OTHER "'"));
	expect_owner("taken", TEST_OTHER, 0, NULL);
}

static void
test_undo(void **state)
{
	struct error err = { 0 };
	int before;

	mkdir(at("lock"), 0750);
	before = entries(at("lock"));
	assert_int_equal(lease_undo(disk_root, "u", TEST_VM, &err), 0);
	assert_int_equal(mkdir(at("lock/.u." TEST_VM), 0750), 0);
	write_file(at("lock/.u." TEST_VM "/u"), "x", 1);
	assert_int_equal(mkdir(at("lock/.u." TEST_VM ".deleted"), 0750), 0);
	assert_int_equal(mkdir(at("lock/.u." TEST_OTHER), 0750), 0);

	/* In the way of a creation, which does not know whose it is. */
	assert_int_equal(lease_create(disk_root, "u", TEST_VM, &err), -1);
	assert_non_null(strstr(err.detail, "a leftover of an earlier operation"));

	assert_int_equal(lease_undo(disk_root, "u", TEST_VM, &err), 0);
	assert_int_equal(entries(at("lock")), before + 1);
	assert_int_equal(rmdir(at("lock/.u." TEST_OTHER)), 0);

	/* No registry at all. */
	assert_int_equal(lease_undo("/nonexistent", "u", TEST_VM, &err), 0);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void
test_list(void **state)
{
	_free_ char(*names)[LEASE_NAME_SIZE] = NULL;
	struct error err = { 0 };
	char name[32];
	size_t n;

	assert_int_equal(rename(at("lock"), at("lock.old")), 0);
	assert_int_equal(lease_list(disk_root, &names, &n, &err), -1);
	assert_int_equal(err.status, 507);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "r%02d", i);
		make_resource(name, TEST_VM, 36);
	}
	write_file(at("lock/" LEASE_LOCKSPACE), "x", 1);
	assert_int_equal(mkdir(at("lock/.r." TEST_VM), 0750), 0);
	assert_int_equal(lease_list(disk_root, &names, &n, &err), 0);
	assert_int_equal(n, 100);
	qsort(names, n, sizeof(*names), by_name);
	assert_string_equal(names[0], "r00");
	assert_string_equal(names[99], "r99");
}

static void
test_leftovers(void **state)
{
	static const char *const others[] = { ".x", "." TEST_VM, ".." TEST_VM, ".n.x" TEST_VM,
		".n." TEST_VM ".delete", "n." TEST_VM, "..n." TEST_VM };
	_free_ struct lease_leftover *left = NULL;
	struct error err = { 0 };
	char name[128];
	size_t n = 0;

	assert_int_equal(rename(at("lock"), at("lock.older")), 0);
	assert_int_equal(mkdir(at("lock"), 0750), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		snprintf(name, sizeof(name), "lock/%s", others[i]);
		assert_int_equal(mkdir(at(name), 0750), 0);
	}
	assert_int_equal(lease_list_leftovers(disk_root, &left, &n, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(mkdir(at("lock/.some.name." TEST_VM), 0750), 0);
	assert_int_equal(mkdir(at("lock/.n." TEST_OTHER ".deleted"), 0750), 0);
	assert_int_equal(lease_list_leftovers(disk_root, &left, &n, &err), 0);
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++) {
		_free_ char *path = lease_leftover_path(disk_root, &left[i]);

		assert_int_equal(access(path, F_OK), 0);
		assert_string_equal(left[i].uuid, left[i].deleted ? TEST_OTHER : TEST_VM);
		assert_string_equal(left[i].name, left[i].deleted ? "n" : "some.name");
	}
}

static void
test_lockfile(void **state)
{
	int parent = open(disk_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct group *group = getgrnam("sanlock");
	struct error err = { 0 };
	struct stat st;

	/* One without anything in it may be what an NFS server had made and did not tell of. */
	assert_int_equal(lockfile_make_dir(parent, "new"), 0);
	assert_int_equal(lockfile_make_dir(parent, "new"), 0);
	assert_int_equal(lockfile_make(parent, "new", 02771, "it", &fd, &err), 0);
	assert_int_equal(stat(at("new"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 02771);
	if (group && geteuid() == 0)
		assert_int_equal(st.st_gid, group->gr_gid);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	if (group && geteuid() == 0)
		assert_int_equal(st.st_gid, group->gr_gid);
	assert_int_equal(lockfile_make_dir(parent, "new"), -EEXIST);
	assert_int_equal(access(at("new/it"), F_OK), 0);
	assert_int_equal(lockfile_make_dir(parent, "new/it"), -EEXIST);
	assert_int_equal(lockfile_make_dir(parent, "away/it"), -ENOENT);

	/* Only onto what holds nothing. */
	assert_int_equal(mkdir(at("old"), 0700), 0);
	write_file(at("old/it"), "x", 1);
	assert_int_equal(lockfile_publish(parent, "new", fd, "old"), -EEXIST);
	assert_int_equal(access(at("new/it"), F_OK), 0);
	assert_int_equal(lockfile_publish(parent, "new", fd, "third"), 0);
	assert_int_equal(access(at("third/it"), F_OK), 0);
	assert_int_equal(lockfile_remove(parent, "third", "it"), 0);
	assert_int_equal(lockfile_remove(parent, "third", "it"), 0);
	assert_int_equal(lockfile_remove(parent, "old", "other"), -ENOTEMPTY);
	assert_int_equal(lockfile_remove(parent, "old", "it"), 0);
	close(fd);
	close(parent);
}

static void
test_words(void **state)
{
	struct error err = { 0 };

	assert_int_equal(lockfile_error(&err, 409, SANLK_ACQUIRE_IDLIVE, "it %d", 1), -1);
	assert_int_equal(err.status, 409);
	assert_string_equal(err.detail, "it 1: Lease is held by another host (sanlock -243)");
	lockfile_error(&err, 507, -ENOENT, "it");
	assert_string_equal(err.detail, "it: No such file or directory");
	lockfile_error(&err, 507, -1, "it");
	assert_int_equal(err.status, 503);
	assert_string_equal(err.detail, "it: the sanlock daemon hung up");
}

/* A file that the daemon cannot open here. */
static void
test_other_group(void **state)
{
	struct group *group = getgrnam("sanlock");
	struct error err = { 0 };
	char words[64];

	if (!group || geteuid() != 0)
		skip();
	write_file(at("file"), "", 0);
	assert_int_equal(chown(at("file"), 0, group->gr_gid), 0);
	error_set(&err, 503, "cannot join");
	lockfile_append_group(&err, at("file"));
	assert_string_equal(err.detail, "cannot join");
	assert_int_equal(chown(at("file"), 0, group->gr_gid + 1), 0);
	lockfile_append_group(&err, at("none"));
	assert_string_equal(err.detail, "cannot join");
	lockfile_append_group(&err, at("file"));
	snprintf(words, sizeof(words), "is for the group %u, and 'sanlock' is %u on this host",
	    (unsigned int)group->gr_gid + 1, (unsigned int)group->gr_gid);
	assert_non_null(strstr(err.detail, words));
	assert_int_equal(err.status, 503);
}

static void
test_default_id(void **state)
{
	/* The front of what `printf UUID | md5sum` says. */
	assert_int_equal(lockspace_default_id(TEST_VM), 0xb3e8aa46 % 2000 + 1);
	assert_int_equal(lockspace_default_id(TEST_OTHER), 0x62317ee9 % 2000 + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path_of),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_health),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_daemon),
		cmocka_unit_test(test_create_exists),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_leftovers),
		cmocka_unit_test(test_lockfile),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_other_group),
		cmocka_unit_test(test_default_id),
	};

	return cmocka_run_group_tests(tests, disk_root_setup, disk_root_teardown);
}
