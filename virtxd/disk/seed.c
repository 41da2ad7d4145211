/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Building the cloud-init CD with xorrisofs. */
#include "disk/seed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/access.h"
#include "disk/command.h"
#include "disk/path.h"
#include "proto/uuid.h"

#define TEMPORARY     ".seed.iso.new"
#define SEED_MODE     0640 /* QEMU's group reads it */
#define BUILD_TIMEOUT 60
#define BUILD_MEMORY  ((size_t)512 << 20)
/* Three texts of 256 KiB at most, and what the file systems take. */
#define SEED_MAX (8 << 20)

/* The files of a NoCloud CD, and the options that they are. */
static const struct source {
	const char *file;
	const char *option;
	bool always; /* cloud-init takes no CD without it, be it empty */
} sources[] = {
	{ "meta-data", "ci-metadata", true },
	{ "user-data", "ci-userdata", true },
	{ "network-config", "ci-networkconfig", false },
};

char *
seed_path(const char *root, const char *uuid)
{
	return xasprintf("%s/ds/ci/%s/seed.iso", root, uuid);
}

static char *
sources_path(const char *run_dir, const char *uuid)
{
	return xasprintf("%s/ci-%s", run_dir, uuid);
}

static int
sources_remove(const char *path, struct error *err)
{
	_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0 && errno == ENOENT)
		return 0;
	if (dir < 0)
		return error_errno(err, 507, errno, "cannot open '%s'", path);
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		if (unlinkat(dir, sources[i].file, 0) < 0 && errno != ENOENT)
			return error_errno(
			    err, 507, errno, "cannot remove '%s/%s'", path, sources[i].file);
	}
	if (rmdir(path) < 0)
		return error_errno(err, 507, errno, "cannot remove '%s'", path);
	return 0;
}

/* What the option says, or what stands for it; NULL for a file that is left out. */
static char *
source_text(const struct source *source, const char *uuid, const struct cloud_init_option *options,
    size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (str_equal(options[i].name, source->option) && !str_empty(options[i].value))
			return xstrdup(options[i].value);
	}
	if (str_equal(source->option, "ci-metadata"))
		return xasprintf("instance-id: %s\nlocal-hostname: %s\n", uuid, uuid);
	return source->always ? xstrdup("") : NULL;
}

static int
sources_make(const char *path, const char *uuid, const struct cloud_init_option *options, size_t n,
    struct error *err)
{
	_close_ int dir = -1;

	if (sources_remove(path, err) < 0)
		return -1;
	if (mkdir(path, 0700) < 0)
		return error_errno(err, 507, errno, "cannot make '%s'", path);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return error_errno(err, 507, errno, "cannot open '%s'", path);
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		_free_ char *text = source_text(&sources[i], uuid, options, n);
		_close_ int fd = -1;
		int r;

		if (!text)
			continue;
		fd = openat(dir, sources[i].file,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		r = fd < 0 ? -errno : write_all(fd, text, strlen(text));
		if (r < 0)
			return error_errno(
			    err, 507, -r, "cannot write '%s/%s'", path, sources[i].file);
	}
	return 0;
}

/* The image of a CD that holds the files in path. */
static int
make_image(const char *path, struct buffer *image, struct error *err)
{
	const char *const argv[] = { "xorrisofs", "-quiet", "-volid", "cidata", "-joliet",
		"-rational-rock", path, NULL };
	const struct command command = {
		.argv = argv,
		.may = COMMAND_READ,
		.folder = path,
		.timeout = BUILD_TIMEOUT,
		.memory = BUILD_MEMORY,
		.output_max = SEED_MAX,
	};

	return command_run(&command, image, err);
}

/* Writes the image under a temporary name. */
static int
write_temporary(int dir, const struct buffer *image, struct error *err)
{
	_close_ int fd = -1;
	int r;

	/* Of a build that was killed. */
	if (unlinkat(dir, TEMPORARY, 0) < 0 && errno != ENOENT)
		return error_errno(err, 507, errno, "cannot remove what was left of it");
	fd = openat(dir, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, 507, errno, "cannot make it");
	if (access_give(fd, SEED_MODE, err) < 0)
		return -1;
	r = write_all(fd, image->data, image->len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	/* NFS reports at close what it could not write. */
	if (close(steal_fd(&fd)) < 0 && r == 0)
		r = -errno;
	return r < 0 ? error_errno(err, 507, -r, "cannot write it") : 0;
}

static int
publish(const char *root, const char *path, const struct buffer *image, struct error *err)
{
	_close_ int dir = -1;
	const char *base;

	if (path_open_dir(root, path, PATH_MAKE, &dir, &base, err) < 0)
		return -1;
	if (write_temporary(dir, image, err) == 0) {
		int r = rename_at(dir, TEMPORARY, dir, base);

		if (r == 0 && fsync(dir) < 0)
			r = -errno;
		if (r == 0)
			return 0;
		error_errno(err, 507, -r, "cannot give it its name");
	}
	unlinkat(dir, TEMPORARY, 0);
	return -1;
}

static int
check_uuid(const char *uuid, char ret[UUID_TEXT_SIZE], struct error *err)
{
	if (uuid_normalize(uuid, ret) < 0)
		return error_set(err, 400, "'%s' is no uuid", uuid);
	return 0;
}

int
seed_build(const char *root, const char *run_dir, const char *uuid,
    const struct cloud_init_option *options, size_t n, struct error *err)
{
	_free_ char *from = NULL, *path = NULL;
	_buffer_ struct buffer image = { 0 };
	struct error left = { 0 };
	char vm[UUID_TEXT_SIZE];
	int r;

	if (check_uuid(uuid, vm, err) < 0)
		return -1;
	from = sources_path(run_dir, vm);
	path = seed_path(root, vm);
	r = sources_make(from, vm, options, n, err);
	if (r == 0)
		r = make_image(from, &image, err);
	if (sources_remove(from, &left) < 0) {
		if (r == 0)
			*err = left;
		else
			error_append(err, "%s", left.detail);
		r = -1;
	}
	if (r == 0)
		r = publish(root, path, &image, err);
	return r < 0 ? error_wrap(err, "cannot build the cloud-init CD '%s'", path) : 0;
}

static int
drop(int dir, const char *name, const char *path, struct error *err)
{
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return error_errno(err, 507, errno, "cannot remove '%s' of '%s'", name, path);
	return 0;
}

int
seed_mend(const char *root, const char *uuid, struct error *err)
{
	_free_ char *path = NULL;
	_close_ int dir = -1, fd = -1;
	char vm[UUID_TEXT_SIZE];
	const char *base;
	struct stat st;

	if (check_uuid(uuid, vm, err) < 0)
		return -1;
	path = seed_path(root, vm);
	if (path_look_dir(root, path, PATH_MEND, &dir, &base, err) < 0 ||
	    path_look_file(root, path, O_RDONLY, &fd, &st, err) < 0)
		return -1;
	return fd < 0 ? 0 : access_mend_file(fd, SEED_MODE, err);
}

int
seed_undo(const char *root, const char *run_dir, const char *uuid, struct error *err)
{
	_free_ char *from = NULL, *path = NULL;
	char vm[UUID_TEXT_SIZE];
	_close_ int dir = -1;
	const char *base;

	if (check_uuid(uuid, vm, err) < 0)
		return -1;
	from = sources_path(run_dir, vm);
	path = seed_path(root, vm);
	if (sources_remove(from, err) < 0 ||
	    path_look_dir(root, path, PATH_FIND, &dir, &base, err) < 0)
		return -1;
	return dir < 0 ? 0 : drop(dir, TEMPORARY, path, err);
}

int
seed_delete(const char *root, const char *uuid, struct error *err)
{
	_free_ char *path = NULL, *folder = NULL;
	_close_ int dir = -1, parent = -1;
	char vm[UUID_TEXT_SIZE];
	const char *base;

	if (check_uuid(uuid, vm, err) < 0)
		return -1;
	path = seed_path(root, vm);
	if (path_look_dir(root, path, PATH_FIND, &dir, &base, err) < 0)
		return -1;
	if (dir < 0)
		return 0;
	if (drop(dir, base, path, err) < 0 || drop(dir, TEMPORARY, path, err) < 0)
		return -1;
	folder = xstrndup(path, base - 1 - path);
	if (path_look_dir(root, folder, PATH_FIND, &parent, &base, err) < 0)
		return -1;
	if (parent < 0)
		return 0;
	if (unlinkat(parent, base, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return error_errno(err, 507, errno, "cannot remove '%s'", folder);
	if (fsync(parent) < 0)
		return error_errno(
		    err, 507, errno, "cannot write out the directory of '%s'", folder);
	return 0;
}
