/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disk images under ROOT/ds. An image is made under a name of its own beside its place and
 * hard-linked there, so that a crash at any point leaves proof of who made it: the second name
 * (STAGED) lives until the whole operation is committed.
 */
#ifndef DISK_IMAGE_H
#define DISK_IMAGE_H

#include <sys/stat.h>

#include "proto/error.h"
#include "proto/model.h"

/* What an image is. */
struct image_info {
	int64_t size;		  /* virtual, bytes */
	int64_t allocation;	  /* blocks on storage, bytes */
	int64_t physical;	  /* length of the file, bytes */
	uint64_t names;		  /* hard links of the file, 0 for a lun */
	enum disk_prov_mode prov; /* thin or thick */
};

/* Makes disk->path (disk->size MiB, prov thin or thick, format by suffix) for this VM. 507 when
 * something is there already, or a leftover of an earlier process is, or the storage has no room
 * for what would be written. Undone on failure, but for directories that were made. progress may be
 * NULL. */
int image_create(const char *root, const char *uuid, const struct disk *disk,
    void (*progress)(int percent, void *arg), void *arg, struct error *err);
/* The operation is complete: drops the staged name. None there is fine. */
int image_commit(const char *root, const char *uuid, const struct disk *disk, struct error *err);
/* Undoes image_create, also a half-done one of an earlier process; never removes a file that this
 * VM did not stage. */
int image_undo(const char *root, const char *uuid, const struct disk *disk, struct error *err);
/* Gives QEMU's group the folders of the image, as PATH_MEND, and the image where it is managed. */
int image_mend(const char *root, const struct disk *disk, struct error *err);
/* Removes the image. A missing file is fine. */
int image_delete(const char *root, const struct disk *disk, struct error *err);
/* Inspects an existing image by the opened file; refuses (422) backing files, external data files,
 * encryption. */
int image_inspect(
    const char *root, const struct disk *disk, struct image_info *ret, struct error *err);
/* The same for an image that is to become a disk of a VM: refuses (422) what QEMU would not start
 * with, would take for something else, or would find incomplete. */
int image_check(
    const char *root, const struct disk *disk, struct image_info *ret, struct error *err);

/* What a qcow2 image stands on, by its header and whatever its own name: a path, where it names
 * one, with symbolic links followed where they lead to a file under root, the caller's; NULL for
 * nothing. */
int image_base(const char *root, const char *path, char **ret, struct error *err);
/* 409 when a process has the image open for a guest, on any host where the storage tells of locks;
 * one that is not there is fine. */
int image_check_unused(const char *root, const struct disk *disk, struct error *err);

/* Told of each regular file; path is "ROOT/ds/...". */
typedef void (*image_each)(const char *path, void *arg);
/* Every regular file under ROOT/ds, in no order: symlinks are not followed, at most max entries are
 * looked at, none deeper than 16 directories; *complete tells whether that was all. */
int image_walk(
    const char *root, size_t max, image_each each, void *arg, bool *complete, struct error *err);
/* Whether it is the name of an image that was not finished, and whose. */
bool image_staged(const char *path, char uuid[37]);
/* What is at path now, a symlink itself; 404 for nothing. */
int image_stat(const char *root, const char *path, struct stat *st, struct error *err);
/* Whether nothing is there, as far as that can be told. */
bool image_is_absent(const char *root, const char *path);
/* Removes a staged name for good, and no other; one that is not there is fine. */
int image_drop_staged(const char *root, const char *path, struct error *err);

/* A lun: refuses (422) what is no block device; size in bytes. */
int lun_inspect(const struct disk *disk, struct image_info *ret, struct error *err);
/* Refuses (422) a device that this host itself uses: mounted, or part of another one (its holders).
 */
int lun_check_unused(const struct disk *disk, struct error *err);
/* What is on it, as wipefs finds it: "ext4", "gpt, PMBR"; the caller's, NULL for a blank one. */
int lun_content(const struct disk *disk, char **ret, struct error *err);
/* wipefs -a, then blkdiscard where the device can, else the first MiB zeroed. Refuses a device in
 * use (mounted, or part of another). */
int lun_wipe(const struct disk *disk, void (*progress)(int percent, void *arg), void *arg,
    struct error *err);

#endif
