/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/access.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUPS_MAX 64  /* the further groups of a user */
#define NOT_KNOWN  255 /* no errno is as large */

static struct {
	struct access_user user;
	char name[64]; /* "" where it has none */
	gid_t groups[GROUPS_MAX];
	int n_groups;
} qemu = { .user = { .group = ACCESS_NOBODY } };

void
access_set(const struct access_user *user)
{
	struct passwd entry, *found = NULL;
	char text[4096];

	qemu.user = *user;
	qemu.name[0] = '\0';
	qemu.groups[0] = user->gid;
	qemu.n_groups = 1;
	if (getpwuid_r(user->uid, &entry, text, sizeof(text), &found) != 0 || !found)
		return;
	snprintf(qemu.name, sizeof(qemu.name), "%s", entry.pw_name);
	qemu.n_groups = GROUPS_MAX;
	if (getgrouplist(entry.pw_name, user->gid, qemu.groups, &qemu.n_groups) < 0)
		qemu.n_groups = GROUPS_MAX;
}

bool
access_matters(void)
{
	return qemu.user.uid != 0;
}

char *
access_whose(void)
{
	return xasprintf("QEMU runs as '%s' (%u:%u)", qemu.name, qemu.user.uid, qemu.user.gid);
}

int
access_give(int fd, mode_t mode, struct error *err)
{
	gid_t group = qemu.user.group;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(err, 507, errno, "cannot look at it");
	/* In this order: a change of the group takes set-group-ID away. */
	if (group != ACCESS_NOBODY && st.st_gid != group && fchown(fd, (uid_t)-1, group) < 0)
		return error_errno(err, 507, errno, "cannot give it to group %u, which QEMU has%s",
		    group,
		    errno == EPERM ? " (where root is nobody to the storage, virtxd has to be "
				     "of the group, see virtxd(8))"
				   : "");
	if (fchmod(fd, mode) < 0)
		return error_errno(err, 507, errno, "cannot set its mode");
	return 0;
}

void
access_mend_folder(int fd)
{
	struct error ignored;
	struct stat st;

	if (qemu.user.group == ACCESS_NOBODY || fstat(fd, &st) < 0 || st.st_uid != geteuid() ||
	    (st.st_gid != 0 && st.st_gid != qemu.user.group) ||
	    (st.st_gid != 0 && (st.st_mode & 07777) == ACCESS_FOLDER))
		return;
	if ((st.st_mode & 0777) == 0750 || (st.st_mode & 0777) == 0770)
		access_give(fd, ACCESS_FOLDER, &ignored);
}

int
access_mend_file(int fd, mode_t mode, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(err, 507, errno, "cannot look at it");
	if (!S_ISREG(st.st_mode) || st.st_nlink > 1)
		return error_set(
		    err, 422, "it is no regular file with one name, and is not given to QEMU");
	return access_give(fd, mode, err);
}

/* The child's whole life: no lock of its parent's may be held by one that hangs. */
_Noreturn static void
ask(const char *path, int how)
{
	close_range(0, ~0U, 0);
	if (setgroups((size_t)qemu.n_groups, qemu.groups) < 0 ||
	    setresgid(qemu.user.gid, qemu.user.gid, qemu.user.gid) < 0 ||
	    setresuid(qemu.user.uid, qemu.user.uid, qemu.user.uid) < 0)
		_exit(NOT_KNOWN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(access(path, how) == 0 ? 0 : errno);
}

static bool
has_group(gid_t gid)
{
	for (int i = 0; i < qemu.n_groups; i++) {
		if (qemu.groups[i] == gid)
			return true;
	}
	return gid == qemu.user.gid;
}

/* Which of a file's three sets of rights is QEMU's, as chmod calls it. */
static char
rights_of(const struct stat *st)
{
	return st->st_uid == qemu.user.uid ? 'u' : has_group(st->st_gid) ? 'g' : 'o';
}

static bool
mode_allows(const char *path, int how)
{
	struct stat st;
	char rights;

	if (stat(path, &st) < 0)
		return true;
	rights = rights_of(&st);
	return ((mode_t)how & ~(st.st_mode >> (rights == 'u' ? 6 : rights == 'g' ? 3 : 0))) == 0;
}

/* As far as modes tell. */
static int
refusal_by_mode(const char *path, int how)
{
	for (const char *slash = path; (slash = strchr(slash + 1, '/'));) {
		_free_ char *folder = xstrndup(path, (size_t)(slash - path));

		if (!mode_allows(folder, X_OK))
			return EACCES;
	}
	return mode_allows(path, how) ? 0 : EACCES;
}

/* 0, or the errno that QEMU would get. Only the kernel, or the server, knows of all rules; but
 * virtxd may lack the right to ask as another. */
static int
refusal(const char *path, int how)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		ask(path, how);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) == NOT_KNOWN)
		return refusal_by_mode(path, how);
	return WEXITSTATUS(status);
}

static char *
describe(const char *may_not, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return xasprintf("may not %s '%s'", may_not, path);
	return xasprintf("may not %s '%s' (mode %04o of %u:%u)", may_not, path, st.st_mode & 07777,
	    st.st_uid, st.st_gid);
}

/* The first folder on the way that QEMU may not enter; the caller's, NULL for none. */
static char *
closed_folder(const char *path)
{
	for (const char *slash = path; (slash = strchr(slash + 1, '/'));) {
		_free_ char *folder = xstrndup(path, (size_t)(slash - path));

		if (refusal(folder, X_OK) != 0)
			return steal_ptr(folder);
	}
	return NULL;
}

char *
access_why(const char *path, bool write)
{
	_free_ char *folder = NULL;
	int r;

	if (!access_matters())
		return NULL;
	r = refusal(path, write ? R_OK | W_OK : R_OK);
	if (r != EACCES && r != EPERM)
		return NULL;
	folder = closed_folder(path);
	if (folder)
		return describe("enter", folder);
	return describe(refusal(path, R_OK) == 0 ? "write" : "read", path);
}

/* For a file or folder whose mode is what closes it. */
static char *
remedy(const char *path, int how)
{
	struct stat st;
	char rights;

	if (mode_allows(path, how) || stat(path, &st) < 0 || S_ISBLK(st.st_mode))
		return NULL;
	rights = rights_of(&st);
	/* Nothing is opened for everybody to write. */
	if (how & W_OK && rights == 'o')
		return !has_group(qemu.user.group) ? NULL
						   : xasprintf("chgrp %u '%s' && chmod g+rw '%s'",
							 qemu.user.group, path, path);
	return xasprintf("chmod %c+%s '%s'", rights,
	    how & X_OK	 ? "x"
	    : how & W_OK ? "rw"
			 : "r",
	    path);
}

char *
access_remedy(const char *path, bool write)
{
	_free_ char *folder = closed_folder(path);

	return folder ? remedy(folder, X_OK) : remedy(path, write ? R_OK | W_OK : R_OK);
}
