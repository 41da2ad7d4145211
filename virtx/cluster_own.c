/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/cluster_own.h"

#include <string.h>

#include "proto/crl.h"
#include "virtx/client.h"
#include "virtx/cluster_fs.h"

#define HOST "virtx:host:" /* of a subject, before the UUID */

/* What it has to hold. */
static const struct {
	const char *path;
	size_t offset;
	bool secret;
	bool may_lack;
} files[] = {
	{ "/ca.pem", offsetof(struct cluster_material, ca), false, false },
	{ "/crl.pem", offsetof(struct cluster_material, crl), false, true },
	{ "/host.pem", offsetof(struct cluster_material, host_certificate), false, false },
	{ "/host.key", offsetof(struct cluster_material, host_key), true, false },
	{ "/qemu.pem", offsetof(struct cluster_material, qemu_certificate), false, false },
	{ "/qemu.key", offsetof(struct cluster_material, qemu_key), true, false },
};

static int
read_one(int folder, size_t i, struct cluster_material *ret, struct error *err)
{
	char **text = (char **)((char *)ret + files[i].offset);
	struct file_mode mode;
	int rc = cluster_fs_read(folder, files[i].path, text, &mode, err);

	if (rc < 0)
		return -1;
	if (rc == 0 && files[i].may_lack)
		return 0;
	if (rc == 0)
		return error_set(err, CLIENT_ERROR_STATUS, "there is no '%s'", files[i].path + 1);
	/* Everybody may read what is a certificate. */
	if (!files[i].secret && strstr(*text, "PRIVATE KEY-----")) {
		pki_wipe(steal_ptr(*text));
		return error_set(err, CLIENT_ERROR_STATUS,
		    "'%s' has a key in it, too: that is for a file of its own", files[i].path + 1);
	}
	if (files[i].secret && mode.mode & 077)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "'%s' is open to others, by its mode 0%o: chmod 600 makes it yours alone",
		    files[i].path + 1, (unsigned int)mode.mode);
	return 0;
}

/* The same CA for both, by the fingerprints of their certificates. */
static bool
is_same_ca(const char *ca, const char *other)
{
	char one[PKI_FINGERPRINT_SIZE], two[PKI_FINGERPRINT_SIZE];
	struct error ignored;

	return pki_fingerprint(ca, one, &ignored) == 0 &&
	       pki_fingerprint(other, two, &ignored) == 0 && strcmp(one, two) == 0;
}

static int
check_ca(const struct cluster_site *site, const struct cluster_material *own,
    const char *fingerprint, struct error *err)
{
	char print[PKI_FINGERPRINT_SIZE];
	int64_t length;

	if (pki_fingerprint(own->ca, print, err) < 0)
		return error_wrap(err, "'ca.pem'");
	/* Who joins trusts the one whose fingerprint the token has. */
	if (!site->material.ca && !pki_is_one(own->ca))
		return error_set(err, CLIENT_ERROR_STATUS,
		    "'ca.pem' has more than the certificate of one CA in it");
	if (pki_end(own->ca, &length) <= now_ms())
		return error_set(err, CLIENT_ERROR_STATUS, "the CA of 'ca.pem' has ended");
	if (site->material.ca && !is_same_ca(site->material.ca, own->ca))
		return error_set(err, CLIENT_ERROR_STATUS,
		    "'ca.pem' is another CA than this host has, in '" CLUSTER_CA "'");
	if (site->material.ca_key)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "'" CLUSTER_CA_KEY "' is here: this cluster has a CA of 'virtx cluster init'");
	if (fingerprint && strcmp(print, fingerprint) != 0)
		return error_set(
		    err, CLIENT_ERROR_STATUS, "'ca.pem' is not the CA that the token is of");
	return 0;
}

/* libvirt does not start with one that it cannot read. */
static int
take_crl(struct cluster_material *own, struct error *err)
{
	char *crl = own->crl ? crl_take(own->crl, own->ca) : NULL;

	if (own->crl && !crl)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "'crl.pem' is no CRL that the CA of 'ca.pem' has signed");
	free(own->crl);
	own->crl = crl;
	return 0;
}

/* Both are for the host by its names, which clients and QEMU look for. */
static int
check_certificate(const struct cluster_site *site, const struct cluster_material *own,
    enum pki_kind kind, struct error *err)
{
	bool host = kind == PKI_HOST;
	const char *file = host ? "host" : "qemu";
	const char *text = host ? own->host_certificate : own->qemu_certificate;
	const char *names[CLUSTER_NAMES_MAX];
	size_t n = cluster_site_names(site, names);
	const char *refusal;
	int64_t length;

	/* Who only renews says nothing of the address. */
	if (!*site->address)
		n--;

	if (!pki_matches(text, host ? own->host_key : own->qemu_key, own->ca, kind, site->uuid))
		return error_set(err, CLIENT_ERROR_STATUS,
		    "'%s.pem' is no certificate that the CA of 'ca.pem' itself has signed for the "
		    "key of '%s.key', %s the SAN URI:virtx:host:%s",
		    file, file, host ? "with" : "without", site->uuid);
	if (!pki_has_names(text, names, n))
		return error_set(err, CLIENT_ERROR_STATUS,
		    "'%s.pem' is not for the name '%s'%s%s (subjectAltName)", file, site->name,
		    n > 1 ? " and the address " : "", site->address);
	if (pki_end(text, &length) <= now_ms())
		return error_set(err, CLIENT_ERROR_STATUS, "'%s.pem' has ended", file);
	refusal = pki_refusal(text, own->ca);
	if (refusal)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "others would refuse '%s.pem', which has to be for servers and for clients, "
		    "and of a CA, in 'ca.pem', that has signed itself: %s",
		    file, refusal);
	return 0;
}

/* libvirt takes who has the subject of a host. */
static int
check_subjects(
    const struct cluster_site *site, const struct cluster_material *own, struct error *err)
{
	_free_ char *wanted = xasprintf(HOST "%s", site->uuid);
	bool alone, ignored;
	_free_ char *host = pki_common_name(own->host_certificate, &alone);
	_free_ char *qemu = pki_common_name(own->qemu_certificate, &ignored);

	if (!alone || strcmp(host, wanted) != 0)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "the subject of 'host.pem' is not 'CN=%s', by which libvirt takes hosts",
		    wanted);
	if (strncmp(qemu, HOST, strlen(HOST)) == 0 || strcmp(own->host_key, own->qemu_key) == 0)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "'qemu.pem' passes for a host: it needs a key of its own and another subject, "
		    "as guests may come to read it");
	return 0;
}

static int
check(const struct cluster_site *site, struct cluster_material *own, const char *fingerprint,
    struct error *err)
{
	if (check_ca(site, own, fingerprint, err) < 0 || take_crl(own, err) < 0 ||
	    check_certificate(site, own, PKI_HOST, err) < 0 ||
	    check_certificate(site, own, PKI_QEMU, err) < 0)
		return -1;
	return check_subjects(site, own, err);
}

/* Others know the CA by its certificate behind the host's. */
static void
add_ca(char **certificate, const char *ca)
{
	static const char begin[] = "-----BEGIN";
	const char *first = strstr(*certificate, begin);
	char *with;

	if (first && strstr(first + 1, begin))
		return;
	with = xasprintf("%s\n%s", *certificate, ca);
	free(*certificate);
	*certificate = with;
}

static void
take(struct cluster_site *site, struct cluster_material *own)
{
	struct cluster_material *m = &site->material;

	add_ca(&own->host_certificate, own->ca);
	add_ca(&own->qemu_certificate, own->ca);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char **to = (char **)((char *)m + files[i].offset);
		char **from = (char **)((char *)own + files[i].offset);

		if (!*from)
			continue;
		pki_wipe(*to);
		*to = steal_ptr(*from);
	}
	site->own_ca = true;
}

int
cluster_own_load(
    struct cluster_site *site, const char *folder, const char *fingerprint, struct error *err)
{
	struct cluster_material own = { 0 };
	_close_ int fd = cluster_fs_open(folder, err);
	int rc = fd < 0 ? -1 : 0;

	for (size_t i = 0; i < ARRAY_SIZE(files) && rc == 0; i++)
		rc = read_one(fd, i, &own, err);
	if (rc == 0)
		rc = check(site, &own, fingerprint, err);
	if (rc == 0)
		take(site, &own);
	cluster_material_clear(&own);
	return rc == 0 ? 0 : error_wrap(err, "certificates of '%s'", folder);
}
