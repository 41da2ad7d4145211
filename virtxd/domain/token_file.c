/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/token_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "domain/store.h"
#include "proto/json.h"
#include "proto/uuid.h"

#define FOLDER	    "auth"
#define FILE_MAX    4096 /* bytes */
#define DAMAGED_MAX 1000 /* bytes of what is told of malformed ones */
#define CRL	    ".crl"
#define OUT	    ".out." /* begins the name of a host's file, which no token can have */
#define OUT_MAX	    1000
#define AGAIN	    ".again." /* begins that of UUID.N: how often it was let in again */
#define AGAIN_MAX   99
#define LEFT_S	    3600 /* after which a temporary file is nobody's; jobs end far sooner */

struct place {
	char *path; /* of the folder, for messages */
	int dir;
};

static void
place_clear(struct place *place)
{
	free(place->path);
	if (place->dir >= 0)
		close(place->dir);
}
#define _place_ __attribute__((cleanup(place_clear)))

/* Opens the folder; place->dir is -1 where there is none and none is to be made. */
static int
place_open(const char *root, bool make, struct place *place, struct error *err)
{
	bool absent;

	place->path = xasprintf("%s/" FOLDER, root);
	place->dir = store_open_private(root, FOLDER, make, &absent, err);
	return place->dir < 0 && !absent ? -1 : 0;
}

/* Those that may be tokens: what else is there begins with a '.'. */
static int
list_names(const struct place *place, char (*ret)[TOKEN_NAME_MAX + 1], size_t *n, struct error *err)
{
	_close_ int fd = openat(place->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int result = 0;

	*n = 0;
	if (!stream)
		return error_errno(err, 507, errno, "cannot read the folder '%s'", place->path);
	steal_fd(&fd);
	for (errno = 0; *n <= TOKENS_MAX && (entry = readdir(stream)); errno = 0) {
		if (token_name_valid(entry->d_name))
			memcpy(ret[(*n)++], entry->d_name, strlen(entry->d_name) + 1);
	}
	if (errno)
		result = error_errno(err, 507, errno, "cannot read the folder '%s'", place->path);
	closedir(stream);
	return result;
}

/* What one of the folder's entries is. */
enum entry {
	ENTRY_TOKEN,
	ENTRY_GONE,    /* it was removed meanwhile */
	ENTRY_DAMAGED, /* no token, nor will it become one by itself */
	ENTRY_UNREAD,  /* the storage does not give it */
};

static enum entry
parse(const char *path, const char *name, const char *text, size_t len, struct token_record *ret,
    struct error *err)
{
	struct error why = { 0 };

	if (json_decode_exact(&token_record_model, text, len, ret, &why) == 0 &&
	    token_record_check(ret, &why) == 0) {
		if (str_equal(ret->token.name, name))
			return ENTRY_TOKEN;
		error_set(&why, 422, "name: it is that of another file");
	}
	model_clear(&token_record_model, ret);
	error_set(err, 422, "'%s' is malformed: %s", path, why.detail);
	return ENTRY_DAMAGED;
}

/* err says why it is damaged or unread. */
static enum entry
load(const struct place *place, const char *name, struct token_record *ret, struct error *err)
{
	_free_ char *path = xasprintf("%s/%s", place->path, name);
	_free_ char *text = NULL;
	struct stat status;
	size_t len = 0;

	if (fstatat(place->dir, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return ENTRY_GONE;
		error_errno(err, 507, errno, "cannot look at '%s'", path);
		return ENTRY_UNREAD;
	}
	if (!S_ISREG(status.st_mode)) {
		error_set(err, 422, "'%s' is no regular file: move it away", path);
		return ENTRY_DAMAGED;
	}
	if (status.st_size <= FILE_MAX && store_load(place->dir, name, path, &text, &len, err) < 0)
		return ENTRY_UNREAD;
	if (status.st_size > FILE_MAX || len > FILE_MAX) {
		error_set(err, 422, "'%s' is longer than %d bytes", path, FILE_MAX);
		return ENTRY_DAMAGED;
	}
	return text ? parse(path, name, text, len, ret, err) : ENTRY_GONE;
}

static int
refuse_name(const char *name, struct error *err)
{
	return error_set(
	    err, 422, "there is a token '%s' already: revoke it first, or take another name", name);
}

/* The name of one that has ended is free again. */
static int
drop_ended(const struct place *place, const char *name, struct error *err)
{
	struct token_record record = { 0 };
	struct error why = { 0 };
	bool ended = load(place, name, &record, &why) == ENTRY_TOKEN && record.token.expires != 0 &&
		     record.token.expires <= now_ms();

	model_clear(&token_record_model, &record);
	if (!ended)
		return refuse_name(name, err);
	if (unlinkat(place->dir, name, 0) < 0 && errno != ENOENT)
		return error_errno(
		    err, 507, errno, "cannot remove '%s/%s', which has ended", place->path, name);
	return 0;
}

int
token_file_save(const char *root, const struct token_record *record, struct error *err)
{
	_free_ char(*names)[TOKEN_NAME_MAX + 1] = xcalloc(TOKENS_MAX + 1, sizeof(*names));
	_place_ struct place place = { .dir = -1 };
	_free_ char *path = NULL, *text = NULL;
	const char *name = str_or_empty(record->token.name);
	bool taken = false;
	size_t n, len;
	int r;

	if (token_record_check(record, err) < 0 || place_open(root, true, &place, err) < 0 ||
	    list_names(&place, names, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		taken |= str_equal(names[i], name);
	if (taken && drop_ended(&place, name, err) < 0)
		return -1;
	if (!taken && n >= TOKENS_MAX)
		return error_set(err, 507,
		    "there are %zu tokens in '%s', and no more may be: revoke some, or take the "
		    "name of one that has ended",
		    n, place.path);
	path = xasprintf("%s/%s", place.path, name);
	text = json_encode(&token_record_model, record, &len);
	r = store_create(place.dir, name, text, len, path, err);
	if (r == 0)
		store_sweep_old(place.dir, name, LEFT_S);
	/* Another host may have made one since. */
	return r > 0 ? refuse_name(name, err) : r;
}

int
token_file_remove(const char *root, const char *name, struct error *err)
{
	_place_ struct place place = { .dir = -1 };
	_free_ char *path = NULL;

	if (!token_name_valid(name))
		return error_set_type(err, ERROR_NOT_FOUND, "there is no token '%.64s'", name);
	if (place_open(root, false, &place, err) < 0)
		return -1;
	path = xasprintf("%s/%s", place.path, name);
	/* Whatever it is, but a folder: what is no token can be removed as one. */
	if (place.dir >= 0 && unlinkat(place.dir, name, 0) == 0)
		return store_sync(place.dir, path, err);
	if (place.dir < 0 || errno == ENOENT)
		return error_set_type(err, ERROR_NOT_FOUND, "there is no token '%s'", name);
	return error_errno(err, 507, errno, "cannot remove '%s'", path);
}

/* Hosts that were put out */

static bool
parse_again(const char *name, char ret_uuid[UUID_TEXT_SIZE], int *ret_n)
{
	const char *at = name + strlen(AGAIN), *number;
	char text[UUID_TEXT_SIZE] = "";

	if (strncmp(name, AGAIN, strlen(AGAIN)) != 0 || strlen(at) <= UUID_TEXT_SIZE ||
	    at[UUID_TEXT_SIZE - 1] != '.')
		return false;
	memcpy(text, at, UUID_TEXT_SIZE - 1);
	number = at + UUID_TEXT_SIZE;
	if (strlen(number) > 2 || number[strspn(number, "0123456789")] ||
	    uuid_normalize(text, ret_uuid) < 0)
		return false;
	*ret_n = (int)strtol(number, NULL, 10);
	return true;
}

/* The hosts by their files, of which there may be one more than OUT_MAX. */
static int
list_out(const struct place *place, struct token_set *ret, struct error *err)
{
	_close_ int fd = openat(place->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	char uuid[UUID_TEXT_SIZE];
	int result = 0, n;

	if (!stream)
		return error_errno(err, 507, errno, "cannot read the folder '%s'", place->path);
	steal_fd(&fd);
	for (errno = 0; ret->n_out <= OUT_MAX && (entry = readdir(stream)); errno = 0) {
		if (strncmp(entry->d_name, OUT, strlen(OUT)) == 0 &&
		    uuid_normalize(entry->d_name + strlen(OUT), uuid) == 0)
			model_append(&ret->out, &ret->n_out)->name = xstrdup(uuid);
		else if (ret->n_again < OUT_MAX && parse_again(entry->d_name, uuid, &n))
			model_append(&ret->again, &ret->n_again)->name =
			    xasprintf("%s#%d", uuid, n);
	}
	if (errno)
		result = error_errno(err, 507, errno, "cannot read the folder '%s'", place->path);
	closedir(stream);
	return result;
}

static int
check_room(const struct place *place, struct error *err)
{
	struct token_set set = { 0 };
	int result = list_out(place, &set, err);

	if (result == 0 && set.n_out >= OUT_MAX)
		result = error_set(err, 507,
		    "%zu hosts were put out already: drop the files '%s/" OUT
		    "UUID' of those that are no more",
		    set.n_out, place->path);
	model_clear(&token_set_model, &set);
	return result;
}

int
token_host_put_out(const char *root, const char *uuid, bool out, struct error *err)
{
	_place_ struct place place = { .dir = -1 };
	_free_ char *name = NULL, *path = NULL;
	char normal[UUID_TEXT_SIZE];

	if (uuid_normalize(uuid, normal) < 0)
		return error_set(err, 400, "'%.64s' is not the UUID of a host", uuid);
	if (place_open(root, out, &place, err) < 0)
		return -1;
	if (place.dir < 0)
		return 0;
	name = xasprintf(OUT "%s", normal);
	path = xasprintf("%s/%s", place.path, name);
	if (!out)
		return store_remove(place.dir, name, path, err);
	if (check_room(&place, err) < 0)
		return -1;
	return store_create(place.dir, name, "", 0, path, err) < 0 ? -1 : 0;
}

/* What it has had until then is to be known from what it gets. */
static int
count_again(const struct place *place, const char *uuid, int *n, struct error *err)
{
	_free_ char *before = xasprintf(AGAIN "%s.%d", uuid, *n);
	_free_ char *name = xasprintf(AGAIN "%s.%d", uuid, *n + 1);
	_free_ char *path = xasprintf("%s/%s", place->path, name);
	int r;

	if (*n >= AGAIN_MAX)
		return error_set(err, 507,
		    "host '%s' was let in again %d times already: it needs another UUID", uuid, *n);
	r = store_create(place->dir, name, "", 0, path, err);
	if (r > 0)
		return error_set(
		    err, 503, "another host lets '%s' in at this moment: ask again", uuid);
	if (r < 0)
		return -1;
	/* The last one counts. */
	(void)unlinkat(place->dir, before, 0);
	(*n)++;
	return 0;
}

int
token_host_again(const char *root, const char *uuid, bool once_more, int *ret, struct error *err)
{
	_place_ struct place place = { .dir = -1 };
	struct token_set set = { 0 };
	char normal[UUID_TEXT_SIZE];
	int result = 0;

	*ret = 0;
	if (uuid_normalize(uuid, normal) < 0)
		return error_set(err, 400, "'%.64s' is not the UUID of a host", uuid);
	if (place_open(root, once_more, &place, err) < 0)
		return -1;
	if (place.dir >= 0)
		result = list_out(&place, &set, err);
	if (result == 0)
		*ret = token_set_again(&set, normal);
	model_clear(&token_set_model, &set);
	if (result == 0 && once_more)
		result = count_again(&place, normal, ret, err);
	return result;
}

/* The CRL */

int
token_crl_load(const char *root, char **ret, struct error *err)
{
	_place_ struct place place = { .dir = -1 };
	_free_ char *path = xasprintf("%s/" FOLDER "/" CRL, root);
	size_t len;

	*ret = NULL;
	if (place_open(root, false, &place, err) < 0)
		return -1;
	return place.dir < 0 ? 0 : store_load(place.dir, CRL, path, ret, &len, err);
}

int
token_crl_save(const char *root, const char *text, struct error *err)
{
	_place_ struct place place = { .dir = -1 };
	_free_ char *path = xasprintf("%s/" FOLDER "/" CRL, root);

	if (place_open(root, true, &place, err) < 0)
		return -1;
	return store_save(place.dir, CRL, text, strlen(text), path, err);
}

/* All */

/* By what the folder is told from itself after a change, but for one right after another. */
static int
read_stamp(const struct place *place, char **ret, struct error *err)
{
	struct stat status;

	if (fstat(place->dir, &status) < 0)
		return error_errno(err, 507, errno, "cannot look at '%s'", place->path);
	*ret = xasprintf("%llu %lld.%09ld", (unsigned long long)status.st_ino,
	    (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
	return 0;
}

static void
note_damaged(struct buffer *damaged, const char *why)
{
	if (damaged->len + strlen(why) < DAMAGED_MAX)
		buffer_printf(damaged, "%s%s", damaged->len ? "; " : "", why);
}

/* One that cannot be read is to be read again, whether the folder changes or not. */
static void
note_unread(struct token_set *set, const char *name)
{
	model_append(&set->unread, &set->n_unread)->name = xstrdup(name);
	str_set(&set->stamp, "");
}

static int
load_all(const struct place *place, struct token_set *ret, struct error *err)
{
	_free_ char(*names)[TOKEN_NAME_MAX + 1] = xcalloc(TOKENS_MAX + 1, sizeof(*names));
	struct buffer damaged = { 0 };
	size_t n;

	if (list_names(place, names, &n, err) < 0 || list_out(place, ret, err) < 0)
		return -1;
	for (size_t i = 0; i < n && i < TOKENS_MAX; i++) {
		struct token_record record = { 0 };
		struct error why = { 0 };
		enum entry entry = load(place, names[i], &record, &why);

		if (entry == ENTRY_TOKEN)
			*model_append(&ret->items, &ret->n_items) = record;
		else if (entry == ENTRY_UNREAD)
			note_unread(ret, names[i]);
		if (why.status)
			note_damaged(&damaged, why.detail);
	}
	if (n > TOKENS_MAX)
		note_damaged(&damaged, "there are more than may be: some are left out");
	if (ret->n_out > OUT_MAX)
		note_damaged(&damaged, "more hosts were put out than can be: some are let in");
	ret->damaged = buffer_steal(&damaged, NULL);
	return 0;
}

int
token_files_load(const char *root, const char *known, struct token_set *ret, struct error *err)
{
	_place_ struct place place = { .dir = -1 };

	if (place_open(root, false, &place, err) < 0)
		return -1;
	if (place.dir < 0)
		return 0;
	/* Before the files are: what changes meanwhile is read again. */
	if (read_stamp(&place, &ret->stamp, err) < 0)
		return -1;
	if (!str_empty(ret->stamp) && str_equal(ret->stamp, known)) {
		ret->same = true;
		return 0;
	}
	if (load_all(&place, ret, err) == 0)
		return 0;
	model_clear(&token_set_model, ret);
	return -1;
}
