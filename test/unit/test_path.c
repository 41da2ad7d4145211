/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk_root.h"

#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "disk/path.h"

static void
expect_dir(const char *path, bool make, int status, const char *words)
{
	struct error err = { 0 };
	const char *base = NULL;
	int fd = -1, rc;

	rc = path_open_dir(disk_root, path, make, &fd, &base, &err);
	if (status == 0) {
		assert_string_equal(err.detail, "");
		assert_int_equal(rc, 0);
		assert_true(fd >= 0);
		assert_int_equal(fsync(fd), 0);
		assert_string_equal(base, strrchr(path, '/') + 1);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		close(fd);
		return;
	}
	assert_int_equal(rc, -1);
	assert_int_equal(fd, -1);
	assert_int_equal(err.status, status);
	if (!strstr(err.detail, words))
		fail_msg("'%s' is not in '%s'", words, err.detail);
}

static void
expect_file(const char *path, int status, const char *words)
{
	struct error err = { 0 };
	struct stat st;
	int fd = -1, rc;

	rc = path_open_file(disk_root, path, O_RDONLY, &fd, &st, &err);
	if (status == 0) {
		assert_string_equal(err.detail, "");
		assert_int_equal(rc, 0);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		close(fd);
		return;
	}
	assert_int_equal(rc, -1);
	assert_int_equal(fd, -1);
	assert_int_equal(err.status, status);
	if (!strstr(err.detail, words))
		fail_msg("'%s' is not in '%s'", words, err.detail);
}

/* What is missing is no failure where it may be; all else is. */
static void
test_may_be_missing(void **state)
{
	struct error err = { 0 };
	const char *base;
	struct stat st;
	int fd = 7;

	assert_int_equal(path_look_dir(disk_root, at("ds/gone/a"), PATH_FIND, &fd, &base, &err), 0);
	assert_int_equal(fd, -1);
	fd = 7;
	assert_int_equal(path_look_file(disk_root, at("ds/gone/a"), O_RDONLY, &fd, &st, &err), 0);
	assert_int_equal(fd, -1);
	fd = 7;
	assert_int_equal(path_look_file(disk_root, at("ds/gone"), O_RDONLY, &fd, &st, &err), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(err.status, 0);

	assert_int_equal(mkdir(at("ds/folder"), 0750), 0);
	assert_int_equal(path_look_file(disk_root, at("ds/folder"), O_RDONLY, &fd, &st, &err), -1);
	assert_int_equal(err.status, 422);
	assert_int_equal(fd, -1);
	assert_int_equal(path_look_dir(disk_root, "/etc/passwd", PATH_FIND, &fd, &base, &err), -1);
	assert_int_equal(err.status, 400);
	assert_int_equal(
	    path_look_dir(disk_root, at("ds/folder/a"), PATH_FIND, &fd, &base, &err), 0);
	assert_string_equal(base, "a");
	close(fd);
	assert_int_equal(rmdir(at("ds/folder")), 0);
}

static void
test_outside(void **state)
{
	char name[NAME_MAX + 8];

	expect_dir("/etc/passwd", false, 400, "is not under");
	expect_dir(at("xml/a"), false, 400, "is not under");
	expect_dir(at("dsx/a"), false, 400, "is not under");
	expect_dir(at("ds/../xml/a"), true, 400, "'..'");
	expect_dir(at("ds/a/../../../b"), true, 400, "'..'");
	expect_dir(at("ds/./a"), true, 400, "'.'");
	expect_dir(at("ds//a"), true, 400, "empty");
	expect_dir(at("ds/"), true, 400, "empty");
	expect_dir(at("ds/.."), true, 400, "'..'");
	memset(name, 'x', sizeof(name));
	memcpy(name, "ds/", 3);
	name[sizeof(name) - 1] = '\0';
	expect_dir(at(name), true, 400, "too long");
	assert_int_equal(entries(at("ds")), 0);
}

static void
test_make(void **state)
{
	mode_t old = umask(077);
	struct stat st;

	expect_dir(at("ds/one/two/x"), false, 404, "ds/one'");
	expect_dir(at("ds/one/two/x"), true, 0, NULL);
	umask(old);
	assert_int_equal(stat(at("ds/one/two"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 02770);
	expect_dir(at("ds/one/two/x"), true, 0, NULL);
	expect_dir(at("ds/x"), false, 0, NULL);

	/* The group of the parent is handed down. */
	assert_int_equal(mkdir(at("ds/group"), 0750), 0);
	assert_int_equal(chmod(at("ds/group"), 02750), 0);
	expect_dir(at("ds/group/sub/x"), true, 0, NULL);
	assert_int_equal(stat(at("ds/group/sub"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 02770);
}

static void
test_not_mounted(void **state)
{
	assert_int_equal(rename(at("ds"), at("elsewhere")), 0);
	expect_dir(at("ds/a/x"), true, 404, "/ds'");
	assert_int_equal(access(at("ds"), F_OK), -1);
	assert_int_equal(rename(at("elsewhere"), at("ds")), 0);
}

static void
test_symlinks(void **state)
{
	expect_dir(at("ds/s/t/x"), true, 0, NULL);
	write_file(at("ds/s/t/x"), "x", 1);
	expect_file(at("ds/s/t/x"), 0, NULL);

	/* In the middle, as the last directory, as the file, and as ds itself. */
	assert_int_equal(symlink("s", at("ds/link")), 0);
	assert_int_equal(symlink("t", at("ds/s/link")), 0);
	assert_int_equal(symlink("x", at("ds/s/t/link")), 0);
	assert_int_equal(symlink("/etc", at("ds/etc")), 0);
	expect_file(at("ds/link/t/x"), 422, "ds/link' is no directory but a symbolic link");
	expect_file(at("ds/s/link/x"), 422, "s/link' is no directory but a symbolic link");
	expect_file(at("ds/s/t/link"), 422, "is no regular file but a symbolic link");
	expect_file(at("ds/etc/passwd"), 422, "symbolic link");
	expect_dir(at("ds/etc/new/x"), true, 422, "symbolic link");
	assert_int_equal(rename(at("ds"), at("elsewhere")), 0);
	assert_int_equal(symlink("elsewhere", at("ds")), 0);
	expect_file(at("ds/s/t/x"), 422, "symbolic link");
	assert_int_equal(unlink(at("ds")), 0);
	assert_int_equal(rename(at("elsewhere"), at("ds")), 0);
	expect_file(at("ds/s/t/x/y"), 422, "is no directory but a regular file");

	/* The root itself is the administrator's, who may link it. */
	{
		char link[PATH_MAX * 2], path[PATH_MAX * 2 + 8];
		struct error err = { 0 };
		const char *base;
		int fd = -1;

		snprintf(link, sizeof(link), "%s.link", disk_root);
		snprintf(path, sizeof(path), "%s/ds/s", link);
		assert_int_equal(symlink(disk_root, link), 0);
		assert_int_equal(path_open_dir(link, path, false, &fd, &base, &err), 0);
		close(fd);
		assert_int_equal(unlink(link), 0);
	}
}

static void
test_kinds(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock;

	expect_file(at("ds/none"), 404, "No such file");
	assert_int_equal(mkdir(at("ds/dir"), 0750), 0);
	expect_file(at("ds/dir"), 422, "a directory");
	assert_int_equal(mkfifo(at("ds/fifo"), 0600), 0);
	expect_file(at("ds/fifo"), 422, "a FIFO");

	assert_int_equal(chdir(at("ds")), 0);
	strcpy(addr.sun_path, "socket");
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	expect_file(at("ds/socket"), 422, "a socket");
	close(sock);

	if (mknod(at("ds/null"), S_IFCHR | 0600, makedev(1, 3)) == 0)
		expect_file(at("ds/null"), 422, "a character device");
	if (mknod(at("ds/block"), S_IFBLK | 0600, makedev(7, 250)) == 0)
		expect_file(at("ds/block"), 422, "a block device");
}

/* While a directory is swapped for a link to /etc over and over, no open ever gets outside. */
static void
test_swap(void **state)
{
	int opened = 0, refused = 0, status;
	struct stat inside, st;
	pid_t pid;

	assert_int_equal(mkdir(at("ds/swap"), 0750), 0);
	assert_int_equal(symlink("/etc", at("ds/trap")), 0);
	write_file(at("ds/swap/passwd"), "x", 1);
	assert_int_equal(stat(at("ds/swap/passwd"), &inside), 0);
	pid = fork();
	if (pid == 0) {
		while (getppid() != 1)
			if (renameat2(
				AT_FDCWD, at("ds/swap"), AT_FDCWD, at("ds/trap"), RENAME_EXCHANGE))
				_exit(1);
		_exit(0);
	}
	for (int64_t end = monotonic_ms() + 300; monotonic_ms() < end;) {
		struct error err = { 0 };
		int fd = -1;

		if (path_open_file(disk_root, at("ds/swap/passwd"), O_RDONLY, &fd, &st, &err) < 0) {
			assert_int_equal(err.status, 422);
			refused++;
			continue;
		}
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_ino, inside.st_ino);
		assert_int_equal(st.st_dev, inside.st_dev);
		close(fd);
		opened++;
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_true(opened > 0 && refused > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_may_be_missing),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_make),
		cmocka_unit_test(test_not_mounted),
		cmocka_unit_test(test_symlinks),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_swap),
	};

	return cmocka_run_group_tests(tests, disk_root_setup, disk_root_teardown);
}
