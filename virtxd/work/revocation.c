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

/* The one of the storage, as far as the CA has signed it; NULL where there is none. There may be
 * no need for any. */
static int
find(const struct tokens_load_request *req, bool *ret_there, char **ret, struct error *err)
{
	_free_ char *text = NULL, *ca = NULL;
	int r = read_file(req->ca, &ca, err);

	if (r == 0)
		return error_set(err, 503, "there is no '%s'", req->ca);
	if (r < 0 || token_crl_load(req->env.root, &text, err) < 0)
		return -1;
	*ret_there = text != NULL;
	*ret = text ? crl_take(text, ca) : NULL;
	return 0;
}

static const char **
hosts_of(const struct token_set *set)
{
	const char **hosts = xcalloc(set->n_out + 1, sizeof(*hosts));

	for (size_t i = 0; i < set->n_out; i++)
		hosts[i] = set->out[i].name;
	return hosts;
}

/* One of another CA is replaced as well, which nobody else is told: two hosts with two CAs would
 * never come to rest. */
static int
sign(const struct tokens_load_request *req, struct token_set *set, bool there, char **crl,
    struct error *err)
{
	_free_ const char **hosts = hosts_of(set);
	char *fresh;

	if (*crl ? crl_is_for(*crl, hosts, set->n_out) : !there && set->n_out == 0)
		return 0;
	set->unsigned_out = true;
	if (str_empty(req->ca_key))
		return error_set(err, 503,
		    "libvirt and QEMU do not know yet which hosts are put out: a host that has the "
		    "key of the cluster's CA has to sign that");
	fresh = cluster_sign_crl(req->ca, req->ca_key, hosts, set->n_out, err);
	if (!fresh || token_crl_save(req->env.root, fresh, err) < 0) {
		free(fresh);
		return -1;
	}
	set->signed_here = *crl || !there;
	set->unsigned_out = false;
	free(*crl);
	*crl = fresh;
	return 0;
}

/* Who takes it over removes it when all is done: until then it is written again, which has that
 * begin once more. */
static int
hand_over(const struct tokens_load_request *req, const char *crl, struct error *err)
{
	const char *end = strrchr(req->ca, '/');
	_free_ char *installed =
	    xasprintf("%.*s" NAME, end ? (int)(end + 1 - req->ca) : 0, req->ca);
	_free_ char *pending = xasprintf("%s/" NAME, req->env.run_dir);
	_free_ char *is = NULL;
	int r = read_file(installed, &is, err);

	if (r < 0 || (r > 0 && strcmp(is, crl) == 0 && access(pending, F_OK) < 0))
		return r < 0 ? -1 : 0;
	if (write_file(pending, crl, err) < 0)
		return -1;
	return error_set(err, 503,
	    "libvirt and QEMU of this host may still take hosts that are put out: 'virtx cluster "
	    "renew', which virtx-renew.path starts, has not taken over '%s' yet",
	    pending);
}

void
revocation_follow(const struct tokens_load_request *req, struct token_set *set)
{
	_free_ char *crl = NULL;
	struct error err = { 0 }, late = { 0 };
	bool there = false;

	if (set->same || str_empty(req->ca))
		return;
	if (find(req, &there, &crl, &err) < 0)
		set->unsigned_out = set->n_out > 0;
	else
		(void)sign(req, set, there, &crl, &err);
	if (crl && hand_over(req, crl, &late) < 0 && !err.status)
		err = late;
	if (err.status)
		set->taken = xstrdup(err.detail);
	/* It is to be looked at again, though nothing changes on the storage. */
	if (late.status)
		str_set(&set->stamp, "");
}
