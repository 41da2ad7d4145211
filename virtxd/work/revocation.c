/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/revocation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "domain/token_file.h"
#include "proto/crl.h"
#include "work/cluster_sign.h"

#define NAME "crl.pem" /* beside the CA's certificate, and in the run directory */

/* 1 and the text, the caller's, 0 where there is none, or -1. */
static int
read_file(const char *path, char **ret, struct error *err)
{
	_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	_buffer_ struct buffer text = { 0 };
	int r = fd < 0 ? -errno : read_all(fd, &text, CRL_MAX);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_errno(err, 503, -r, "cannot read '%s'", path);
	*ret = text.data ? buffer_steal(&text, NULL) : xstrdup("");
	return 1;
}

static int
write_file(const char *path, const char *text, struct error *err)
{
	_free_ char *temporary = xasprintf("%s.%ld", path, (long)getpid());
	_close_ int fd =
	    open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : write_all(fd, text, strlen(text));

	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	unlink(temporary);
	return error_errno(err, 507, -r, "cannot write '%s'", path);
}

/* What there is before anything is done. CRLs are such as the CA has signed, NULL for none. */
struct found {
	bool there;	 /* on the storage is something, whatever it is */
	char *stored;	 /* what it is */
	char *installed; /* what libvirt and QEMU of this host know */
	char *text;	 /* the file of that, whatever it is; NULL for none */
};

static void
found_clear(struct found *found)
{
	free(found->stored);
	free(found->installed);
	free(found->text);
}
#define _found_ __attribute__((cleanup(found_clear)))

static int
find(const struct tokens_load_request *req, struct found *ret, struct error *err)
{
	const char *end = strrchr(req->ca, '/');
	_free_ char *path = xasprintf("%.*s" NAME, end ? (int)(end + 1 - req->ca) : 0, req->ca);
	_free_ char *text = NULL, *ca = NULL;
	struct error ignored = { 0 };
	int r = read_file(req->ca, &ca, err);

	if (r == 0)
		return error_set(err, 503, "there is no '%s'", req->ca);
	if (r < 0)
		return -1;
	/* Whatever is wrong with it, it is written anew. */
	(void)read_file(path, &ret->text, &ignored);
	ret->installed = ret->text ? crl_take(ret->text, ca) : NULL;
	if (token_crl_load(req->env.root, &text, err) < 0)
		return -1;
	ret->there = text != NULL;
	ret->stored = text ? crl_take(text, ca) : NULL;
	return 0;
}

/* Whoever may write to the storage has kept those of before, too, in which fewer hosts are. */
static bool
is_rolled_back(const struct found *found)
{
	return found->stored && crl_number(found->stored) < crl_number(found->installed);
}

/* Whose certificates are taken back, as crl_sign has them. */
struct hosts {
	char **items;
	size_t n;
};

static void
hosts_clear(struct hosts *hosts)
{
	for (size_t i = 0; i < hosts->n; i++)
		free(hosts->items[i]);
	free(hosts->items);
}
#define _hosts_ __attribute__((cleanup(hosts_clear)))

/* What the host was given before it had been let in again so often. */
static void
add_host(struct hosts *hosts, const char *host, int again)
{
	hosts->items = xrealloc(hosts->items, hosts->n + (size_t)again, sizeof(*hosts->items));
	for (int i = 0; i < again; i++)
		hosts->items[hosts->n++] = i ? xasprintf("%s#%d", host, i) : xstrdup(host);
}

static bool
is_out(const struct token_set *set, const char *host)
{
	size_t i = 0;

	while (i < set->n_out && strcmp(set->out[i].name, host) != 0)
		i++;
	return i < set->n_out;
}

/* All of one that is out, and of one that was what it had until then. */
static void
find_hosts(const struct token_set *set, struct hosts *ret)
{
	for (size_t i = 0; i < set->n_out; i++)
		add_host(ret, set->out[i].name, token_set_again(set, set->out[i].name) + 1);
	for (size_t i = 0; i < set->n_again; i++) {
		const char *name = set->again[i].name;
		_free_ char *host = xstrndup(name, strcspn(name, "#"));
		int last = token_set_again(set, host);
		_free_ char *counts = xasprintf("%s#%d", host, last);

		if (strcmp(name, counts) == 0 && !is_out(set, host))
			add_host(ret, host, last);
	}
}

static bool
is_current(const struct found *found, const struct hosts *hosts)
{
	if (found->stored)
		return !is_rolled_back(found) &&
		       crl_is_for(found->stored, (const char *const *)hosts->items, hosts->n);
	return !found->there && !found->installed && hosts->n == 0;
}

/* One of another CA is replaced as well, which nobody else is told: two hosts with two CAs would
 * never come to rest. */
static int
sign(const struct tokens_load_request *req, struct token_set *set, struct found *found,
    struct error *err)
{
	_hosts_ struct hosts hosts = { 0 };
	int64_t stored = crl_number(found->stored), installed = crl_number(found->installed);
	char *fresh;

	find_hosts(set, &hosts);
	if (is_current(found, &hosts))
		return 0;
	set->unsigned_out = true;
	if (str_empty(req->ca_key))
		return error_set(err, 503,
		    "%slibvirt and QEMU do not know yet which hosts are put out: a host that has "
		    "the key of the cluster's CA has to sign that",
		    is_rolled_back(found) ? "the CRL on the storage, 'auth/.crl', is older than "
					    "the one of this host, which stays; "
					  : "");
	fresh = cluster_sign_crl(req->ca, req->ca_key, (const char *const *)hosts.items, hosts.n,
	    stored > installed ? stored : installed, err);
	if (!fresh || token_crl_save(req->env.root, fresh, err) < 0) {
		free(fresh);
		return -1;
	}
	set->signed_here = found->stored || !found->there;
	set->unsigned_out = false;
	free(found->stored);
	found->stored = fresh;
	return 0;
}

/* Who takes it over removes it when all is done: until then it is written again, which has that
 * begin once more. */
static int
hand_over(const struct tokens_load_request *req, const struct found *found, struct error *err)
{
	_free_ char *pending = xasprintf("%s/" NAME, req->env.run_dir);

	if (str_equal(found->text, found->stored) && access(pending, F_OK) < 0)
		return 0;
	if (write_file(pending, found->stored, err) < 0)
		return -1;
	return error_set(err, 503,
	    "libvirt and QEMU of this host may still take hosts that are put out: 'virtx cluster "
	    "renew', which virtx-renew.path starts, has not taken over '%s' yet",
	    pending);
}

void
revocation_follow(const struct tokens_load_request *req, struct token_set *set)
{
	_found_ struct found found = { 0 };
	struct error err = { 0 }, late = { 0 };

	if (set->same || str_empty(req->ca))
		return;
	if (find(req, &found, &err) < 0)
		set->unsigned_out = set->n_out > 0;
	else
		(void)sign(req, set, &found, &err);
	if (found.stored && !is_rolled_back(&found) && hand_over(req, &found, &late) < 0 &&
	    !err.status)
		err = late;
	if (err.status)
		set->taken = xstrdup(err.detail);
	/* It is to be looked at again, though nothing changes on the storage. */
	if (late.status)
		str_set(&set->stamp, "");
}
