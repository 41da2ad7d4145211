/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/context.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/json.h"
#include "proto/pki.h"
#include "proto/token.h"
#include "virtx/new_file.h"
#include "virtx/server.h"

#define STATUS	 SERVER_ERROR_STATUS
#define FOLDER	 "virtx"
#define SUFFIX	 ".json"
#define USED	 "used" /* the file with the name of the one that is used */
#define FILE_MAX (2 * CONTEXT_CA_MAX)

static const struct field context_fields[] = {
	FIELD("server", struct context, server),
	FIELD("ca", struct context, ca),
	FIELD("token", struct context, token),
};
static const struct model context_model = { "Context", sizeof(struct context), context_fields,
	ARRAY_SIZE(context_fields) };

void
context_clear(struct context *context)
{
	pki_wipe(steal_ptr(context->token));
	model_clear(&context_model, context);
}

int
context_check_name(const char *name, struct error *err)
{
	if (token_name_valid(name) && strcmp(name, CONTEXT_NONE) != 0)
		return 0;
	return error_set(err, STATUS,
	    "'%.64s' is no name for a context: 1 to %d letters, digits, '.', '_' and '-', the "
	    "first a letter or a digit, and not '" CONTEXT_NONE "'",
	    name, TOKEN_NAME_MAX);
}

/* The folder */

static const char *
absolute(const char *variable)
{
	const char *value = getenv(variable);

	return value && value[0] == '/' ? value : NULL;
}

/* Where programs keep what is a user's; NULL where nobody says. The caller frees. */
static char *
config_path(void)
{
	const char *config = absolute("XDG_CONFIG_HOME"), *home = absolute("HOME");

	if (config)
		return xstrdup(config);
	return home ? xasprintf("%s/.config", home) : NULL;
}

/* For messages; name "" for the folder itself. The caller frees. */
static char *
full_path(const char *name)
{
	_free_ char *config = config_path();

	return xasprintf("%s/" FOLDER "%s%s", str_or_empty(config), *name ? "/" : "", name);
}

/* What others may use is not the user's own. */
static int
check_own(int fd, mode_t type, const char *name, struct error *err)
{
	_free_ char *path = full_path(name);
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(err, STATUS, errno, "cannot look at '%s'", path);
	if ((st.st_mode & S_IFMT) != type || st.st_uid != geteuid())
		return error_set(err, STATUS, "'%s' is no %s of yours", path,
		    type == S_IFDIR ? "folder" : "file");
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return error_set(err, STATUS,
		    "'%s' is open to others, by its mode 0%o: chmod %o makes it yours alone", path,
		    (unsigned int)(st.st_mode & 07777), type == S_IFDIR ? 0700U : 0600U);
	return 0;
}

static bool
is_none(int error)
{
	return error == ENOENT || error == ENOTDIR;
}

/* 1 where it is there, for this user; 0, or -1 where that cannot be told. */
static int
look_for(int folder, const char *name, const char *path, struct error *err)
{
	struct stat st;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return st.st_uid == geteuid();
	if (is_none(errno))
		return 0;
	return error_errno(err, STATUS, errno, "cannot look for '%s'", path);
}

/* 1 with the folder open, 0 where there is none, or -1. */
static int
open_folder(int *ret, struct error *err)
{
	_free_ char *config = config_path();
	_free_ char *path = full_path("");
	_close_ int above = config ? open(config, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1, fd = -1;
	int rc;

	if (!config || (above < 0 && is_none(errno)))
		return 0;
	/* Which server is asked is not to depend on whether it can be read just now. */
	if (above < 0)
		return error_errno(err, STATUS, errno, "cannot look for contexts in '%s'", path);
	rc = look_for(above, FOLDER, path, err);
	if (rc <= 0)
		return rc;
	fd = openat(above, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, STATUS, errno, "cannot open the folder '%s'", path);
	if (check_own(fd, S_IFDIR, "", err) < 0)
		return -1;
	*ret = steal_fd(&fd);
	return 1;
}

/* What root makes in the home of a user, that user could not use. */
static int
check_whose(const char *config, struct error *err)
{
	_free_ char *above = xstrdup(config);
	struct stat st;

	if (stat(config, &st) < 0 && stat(dirname(above), &st) < 0)
		return 0;
	if (geteuid() != 0 || st.st_uid == 0)
		return 0;
	return error_set(err, STATUS,
	    "'%s' is another user's: contexts are kept by each user, and this is root, whose HOME "
	    "is another one",
	    config);
}

/* The same, made where it is missing. */
static int
make_folder(int *ret, struct error *err)
{
	_free_ char *config = config_path();
	_free_ char *path = full_path("");
	int rc;

	if (!config)
		return error_set(err, STATUS,
		    "there is no folder for contexts: neither XDG_CONFIG_HOME nor HOME names one");
	if (check_whose(config, err) < 0)
		return -1;
	(void)mkdir(config, 0700);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_errno(err, STATUS, errno, "cannot make the folder '%s'", path);
	rc = open_folder(ret, err);
	return rc == 0 ? error_set(err, STATUS, "'%s' is no folder of yours", path) : rc;
}

/* Its files */

/* 1 with the text, for pki_wipe; 0 where there is none, or -1. */
static int
read_file(int folder, const char *name, char **ret, size_t *len, struct error *err)
{
	_close_ int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_free_ char *path = full_path(name);
	_buffer_ struct buffer text = { 0 };
	int rc;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return error_errno(err, STATUS, errno, "cannot open '%s'", path);
	if (check_own(fd, S_IFREG, name, err) < 0)
		return -1;
	rc = read_all(fd, &text, FILE_MAX);
	if (rc < 0) {
		if (text.data)
			explicit_bzero(text.data, text.size);
		return error_errno(err, STATUS, -rc, "cannot read '%s'", path);
	}
	*ret = buffer_steal(&text, len);
	return 1;
}

/* What a write that was killed leaves, until the next one. */
static char *
passing_name(const char *name)
{
	return xasprintf(".%s.new", name);
}

/* In one step: it is whole, or as it was. */
static int
write_file(int folder, const char *name, const char *text, struct error *err)
{
	_free_ char *passing = passing_name(name);
	_free_ char *path = full_path(name);
	int rc = new_file_write(folder, passing, text, NULL);

	if (rc == 0 && renameat(folder, passing, folder, name) < 0)
		rc = -errno;
	if (rc == 0)
		return 0;
	(void)unlinkat(folder, passing, 0);
	return error_errno(err, STATUS, -rc, "cannot write '%s'", path);
}

static int
remove_file(int folder, const char *name, struct error *err)
{
	_free_ char *path = full_path(name);

	if (unlinkat(folder, name, 0) < 0 && errno != ENOENT)
		return error_errno(err, STATUS, errno, "cannot remove '%s'", path);
	return 0;
}

/* Contexts */

static int
read_context(int folder, const char *name, struct context *ret, struct error *err)
{
	_free_ char *file = xasprintf("%s" SUFFIX, name);
	char *text = NULL;
	size_t len;
	int rc = read_file(folder, file, &text, &len, err);

	if (rc > 0 && json_decode(&context_model, text, len, ret, err) < 0)
		rc = error_wrap(err, "'%s'", file);
	else if (rc > 0 && str_empty(ret->server))
		rc = error_set(err, STATUS, "'%s' names no server", file);
	pki_wipe(text);
	if (rc < 0) {
		context_clear(ret);
		err->status = STATUS;
		return error_wrap(err, "context '%s'", name);
	}
	return rc;
}

int
context_read(const char *name, struct context *ret, struct error *err)
{
	_close_ int folder = -1;
	int rc;

	*ret = (struct context){ 0 };
	if (context_check_name(name, err) < 0)
		return -1;
	rc = open_folder(&folder, err);
	return rc > 0 ? read_context(folder, name, ret, err) : rc;
}

int
context_write(const char *name, const struct context *context, struct error *err)
{
	_free_ char *file = xasprintf("%s" SUFFIX, name);
	_close_ int folder = -1;
	char *text;
	int rc;

	if (context_check_name(name, err) < 0 || make_folder(&folder, err) < 0)
		return -1;
	text = json_encode_pretty(&context_model, context, NULL);
	rc = write_file(folder, file, text, err);
	pki_wipe(text);
	return rc < 0 ? error_wrap(err, "context '%s'", name) : 0;
}

static int
read_used(int folder, char **ret, struct error *err)
{
	char *text = NULL;
	size_t len;
	int rc = read_file(folder, USED, &text, &len, err);

	if (rc <= 0)
		return rc;
	text[strcspn(text, "\n")] = '\0';
	*ret = text;
	return 0;
}

int
context_remove(const char *name, struct error *err)
{
	_free_ char *file = xasprintf("%s" SUFFIX, name);
	_free_ char *passing = passing_name(file), *used = NULL;
	_close_ int folder = -1;
	int rc;

	if (context_check_name(name, err) < 0)
		return -1;
	rc = open_folder(&folder, err);
	if (rc < 0)
		return -1;
	if (rc > 0)
		rc = look_for(folder, file, file, err);
	if (rc == 0)
		return error_set(err, STATUS, "there is no context '%s'", name);
	if (rc < 0 || read_used(folder, &used, err) < 0 ||
	    (str_equal(used, name) && remove_file(folder, USED, err) < 0) ||
	    remove_file(folder, passing, err) < 0)
		return -1;
	return remove_file(folder, file, err);
}

int
context_used(char **ret, struct error *err)
{
	_close_ int folder = -1;
	int rc = open_folder(&folder, err);

	*ret = NULL;
	return rc > 0 ? read_used(folder, ret, err) : rc;
}

int
context_use(const char *name, struct error *err)
{
	_context_ struct context context = { 0 };
	_free_ char *text = xasprintf("%s\n", name);
	_close_ int folder = -1;
	int rc = open_folder(&folder, err);

	if (rc > 0 && strcmp(name, CONTEXT_NONE) == 0)
		return remove_file(folder, USED, err);
	if (rc < 0 || strcmp(name, CONTEXT_NONE) == 0)
		return rc;
	if (context_check_name(name, err) < 0)
		return -1;
	if (rc > 0)
		rc = read_context(folder, name, &context, err);
	if (rc == 0)
		return error_set(err, STATUS, "there is no context '%s'", name);
	return rc < 0 ? -1 : write_file(folder, USED, text, err);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int
context_list(struct context_names *ret, struct error *err)
{
	_close_ int folder = -1;
	int rc = open_folder(&folder, err);
	struct dirent *entry;
	DIR *dir;

	*ret = (struct context_names){ 0 };
	if (rc <= 0)
		return rc;
	dir = fdopendir(steal_fd(&folder));
	if (!dir)
		abort();
	while ((entry = readdir(dir))) {
		size_t len = strlen(entry->d_name), suffix = strlen(SUFFIX);
		char *name;

		if (len <= suffix || strcmp(entry->d_name + len - suffix, SUFFIX) != 0)
			continue;
		name = xstrndup(entry->d_name, len - suffix);
		if (context_check_name(name, NULL) == 0)
			*model_append(&ret->items, &ret->n) = steal_ptr(name);
		free(name);
	}
	closedir(dir);
	if (ret->n > 0)
		qsort(ret->items, ret->n, sizeof(*ret->items), compare_names);
	return 0;
}

void
context_names_clear(struct context_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->items[i]);
	free(names->items);
	*names = (struct context_names){ 0 };
}
