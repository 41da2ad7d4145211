/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What needs the key of the cluster's CA, which nothing else of virtxd reads. */
#include "work/cluster_sign.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain/token_file.h"
#include "proto/ca_key.h"
#include "proto/crl.h"
#include "proto/pki.h"
#include "work/requests.h"
#include "work/works.h"

#define SANLOCK_GROUP 179 /* where this host has none */

/* For pki_wipe; a name that is "" gives "". */
static char *
read_file(const char *path, struct error *err)
{
	_close_ int fd = -1;
	_buffer_ struct buffer text = { 0 };
	int rc;

	if (str_empty(path))
		return xstrdup("");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	rc = fd < 0 ? -errno : read_all(fd, &text, PKI_PEM_MAX);
	if (rc < 0) {
		error_errno(err, 500, -rc, "cannot read '%s'", path);
		return NULL;
	}
	return buffer_steal(&text, NULL);
}

static int32_t
sanlock_group(void)
{
	const struct group *group = getgrnam("sanlock");

	return group ? (int32_t)group->gr_gid : SANLOCK_GROUP;
}

/* The certificate, and behind it that of its CA, by which those know that who do not have it. */
static char *
sign(const char *ca, const char *ca_key, const char *request, enum pki_kind kind, const char *uuid,
    struct error *err)
{
	_free_ char *certificate =
	    pki_sign(ca, ca_key, request, kind, uuid, PKI_CERTIFICATE_DAYS, err);

	return certificate ? xasprintf("%s%s", certificate, ca) : NULL;
}

static int
sign_both(const struct cluster_sign_request *req, const char *ca, const char *ca_key,
    struct cluster_sign_result *res, struct error *err)
{
	_free_ char *numbered = NULL;
	int again;

	/* Who only asks which CA it is has no request. */
	if (str_empty(req->request))
		return 0;
	if (token_host_again(req->env.root, str_or_empty(req->uuid), req->again, &again, err) < 0)
		return -1;
	numbered = again ? xasprintf("%s#%d", req->uuid, again) : xstrdup(req->uuid);
	res->certificate = sign(ca, ca_key, req->request, PKI_HOST, numbered, err);
	if (!res->certificate)
		return error_wrap(err, "the certificate of host '%s'", req->uuid);
	res->qemu_certificate = sign(ca, ca_key, req->qemu_request, PKI_QEMU, numbered, err);
	if (!res->qemu_certificate)
		return error_wrap(err, "the certificate of QEMU of host '%s'", req->uuid);
	/* virtxd itself never has the key in its memory, nor does who listens in on the way. */
	if (req->gives_ca_key)
		res->sealed = ca_key_seal(ca_key, res->certificate, err);
	return req->gives_ca_key && !res->sealed ? -1 : 0;
}

char *
cluster_sign_user(const char *ca_file, const char *ca_key_file, const char *request,
    const char *name, int64_t seconds, struct error *err)
{
	_free_ char *ca = read_file(ca_file, err);
	char *ca_key = ca ? read_file(ca_key_file, err) : NULL;
	char *certificate = ca_key ? pki_sign_user(ca, ca_key, request, name, seconds, err) : NULL;

	pki_wipe(ca_key);
	return certificate;
}

char *
cluster_sign_crl(const char *ca_file, const char *ca_key_file, const char *const *hosts, size_t n,
    int64_t before, struct error *err)
{
	_free_ char *ca = read_file(ca_file, err);
	char *ca_key = ca ? read_file(ca_key_file, err) : NULL;
	char *crl = ca_key ? crl_sign(ca, ca_key, hosts, n, before, err) : NULL;

	pki_wipe(ca_key);
	return crl;
}

int
work_cluster_sign(const void *request, void *result, struct error *err)
{
	const struct cluster_sign_request *req = request;
	struct cluster_sign_result *res = result;
	char print[PKI_FINGERPRINT_SIZE];
	char *ca_key = NULL, *key = NULL;
	int rc = -1;

	res->ca = read_file(req->ca, err);
	if (res->ca)
		ca_key = read_file(req->ca_key, err);
	if (ca_key)
		key = read_file(req->serf_key_file, err);
	if (key && pki_fingerprint(res->ca, print, err) == 0) {
		res->fingerprint = xstrdup(print);
		key[strcspn(key, "\r\n")] = '\0';
		res->serf_key = xstrdup(key);
		res->sanlock_group = sanlock_group();
		rc = sign_both(req, res->ca, ca_key, res, err);
	}
	pki_wipe(ca_key);
	pki_wipe(key);
	return rc;
}
