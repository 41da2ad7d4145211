/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/cluster_site.h"

#include <arpa/inet.h>
#include <grp.h>
#include <openssl/evp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <uuid.h>

#include "virtx/client.h"
#include "virtx/cluster_edit.h"
#include "virtx/cluster_fs.h"

/* The users of QEMU, in the order in which they are looked for. */
static const char *const qemu_users[] = { "libvirt-qemu", "qemu" };

/* Which layout */

static unsigned int
find_layout(int root)
{
	static const char *const enabled =
	    "/etc/systemd/system/sockets.target.wants/virtqemud.socket";
	static const char *const folders[] = { "/usr/lib/systemd/system", "/lib/systemd/system" };
	unsigned int distribution =
	    cluster_fs_exists(root, "/etc/debian_version") ? ON_DEBIAN : ON_SUSE;
	bool monolithic = false, modular = false;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		_free_ char *one = xasprintf("%s/libvirtd.service", folders[i]);
		_free_ char *many = xasprintf("%s/virtqemud.service", folders[i]);

		monolithic = monolithic || cluster_fs_exists(root, one);
		modular = modular || cluster_fs_exists(root, many);
	}
	/* Some have both, and then what is started counts. */
	if (modular && monolithic)
		modular = cluster_fs_exists(root, enabled) || distribution == ON_SUSE;
	return distribution | (modular ? ON_MODULAR : ON_MONOLITHIC);
}

/* The host's UUID, as libvirt finds it */

/* libvirt's own rule: not all digits may be the same. */
static bool
is_own_uuid(const char *uuid)
{
	size_t n = strspn(uuid, (const char[]){ uuid[0], '-', '\0' });

	return uuid[n] != '\0';
}

static int
find_uuid(struct cluster_site *site, struct error *err)
{
	const char *path =
	    site->where & ON_MODULAR ? "/etc/libvirt/virtqemud.conf" : "/etc/libvirt/libvirtd.conf";
	_free_ char *text = NULL, *bare = NULL, *told = NULL, *own = NULL, *board = NULL;
	struct error ignored = { 0 };
	uuid_t fresh;

	if (cluster_fs_read(site->root, path, &text, NULL, err) < 0)
		return -1;
	bare = cluster_edit_undo(str_or_empty(text), NULL);
	if (!bare)
		return error_set(err, CLIENT_ERROR_STATUS, "'%s': " CLUSTER_EDIT_LOST, path);
	told = cluster_edit_get(bare, "", "host_uuid");
	own = cluster_edit_get(str_or_empty(text), "", "host_uuid");
	if (told || own) {
		site->uuid_is_ours = !told;
		if (uuid_normalize(told ? told : own, site->uuid) < 0)
			return error_set(err, CLIENT_ERROR_STATUS,
			    "'%s': host_uuid '%.64s' is no UUID", path, told ? told : own);
		return 0;
	}
	/* Another user than root may not read it; a board without one has none. */
	if (cluster_fs_read(site->root, "/sys/class/dmi/id/product_uuid", &board, NULL, &ignored) ==
	    1) {
		board[strcspn(board, "\n")] = '\0';
		if (uuid_normalize(board, site->uuid) == 0 && is_own_uuid(site->uuid))
			return 0;
	}
	uuid_generate(fresh);
	uuid_unparse_lower(fresh, site->uuid);
	site->uuid_is_ours = true;
	return 0;
}

/* Users and groups, which are the host's own files' */

static FILE *
open_table(int root, const char *path, char **text)
{
	struct error ignored = { 0 };

	if (cluster_fs_read(root, path, text, NULL, &ignored) != 1 || !**text)
		return NULL;
	return fmemopen(*text, strlen(*text), "r");
}

static bool
find_group(int root, const char *name, gid_t *ret)
{
	_free_ char *text = NULL;
	FILE *table = open_table(root, "/etc/group", &text);
	const struct group *group;
	bool found = false;

	while (table && !found && (group = fgetgrent(table))) {
		found = strcmp(group->gr_name, name) == 0;
		if (found)
			*ret = group->gr_gid;
	}
	if (table)
		fclose(table);
	return found;
}

static bool
has_user(int root, const char *name)
{
	_free_ char *text = NULL;
	FILE *table = open_table(root, "/etc/passwd", &text);
	const struct passwd *user;
	bool found = false;

	while (table && !found && (user = fgetpwent(table)))
		found = strcmp(user->pw_name, name) == 0;
	if (table)
		fclose(table);
	return found;
}

static int
find_users(struct cluster_site *site, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(qemu_users) && !site->qemu_user; i++) {
		if (!has_user(site->root, qemu_users[i]) ||
		    !find_group(site->root, qemu_users[i], &site->qemu_gid))
			continue;
		site->qemu_user = xstrdup(qemu_users[i]);
		site->qemu_group = xstrdup(qemu_users[i]);
	}
	if (!site->qemu_user)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "there is no user 'libvirt-qemu' or 'qemu' with a group of that name, as which "
		    "QEMU is to run: libvirt's driver for QEMU has to be installed before");
	(void)find_group(site->root, "virtx", &site->virtx_gid);
	(void)find_group(site->root, "sanlock", &site->sanlock_has);
	site->sanlock_gid = SANLOCK_GID;
	return 0;
}

static int
check_address(const char *address, struct error *err)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, address, &v4) == 1 && v4.s_addr != htonl(INADDR_ANY) &&
	    (ntohl(v4.s_addr) >> 24) != 127)
		return 0;
	if (inet_pton(AF_INET6, address, &v6) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&v6) &&
	    !IN6_IS_ADDR_LOOPBACK(&v6) && !IN6_IS_ADDR_LINKLOCAL(&v6))
		return 0;
	return error_set(err, CLIENT_ERROR_STATUS,
	    "'%s' is no IP address of this host at which others can reach it", address);
}

/* The kernel's own is there as long as somebody loads it. */
static bool
has_softdog(int root)
{
	static const char path[] = "/sys/class/watchdog/watchdog0/identity";
	_free_ char *text = NULL;
	struct error ignored;

	return cluster_fs_read(root, path, &text, NULL, &ignored) > 0 &&
	       strncmp(text, "Software Watchdog", strlen("Software Watchdog")) == 0;
}

int
cluster_site_find(
    struct cluster_site *site, const char *root_path, const char *address, struct error *err)
{
	char name[256] = "";

	*site =
	    (struct cluster_site){ .root = -1, .lock = -1, .root_path = root_path, .number = 1 };
	if (*address && check_address(address, err) < 0)
		return -1;
	site->root = cluster_fs_open(root_path, err);
	if (site->root < 0)
		return -1;
	gethostname(name, sizeof(name) - 1);
	if (!pki_name_valid(name))
		return error_set(err, CLIENT_ERROR_STATUS,
		    "the host's name '%s' is none that a certificate can be for", name);
	site->name = xstrdup(name);
	site->address = xstrdup(address);
	site->where = find_layout(site->root);
	site->watchdog = cluster_fs_exists(site->root, "/dev/watchdog");
	site->softdog = has_softdog(site->root);
	if (find_uuid(site, err) < 0)
		return -1;
	return find_users(site, err);
}

void
cluster_site_clear(struct cluster_site *site)
{
	util_close(&site->root);
	util_close(&site->lock);
	free(site->name);
	free(site->address);
	free(site->qemu_user);
	free(site->qemu_group);
	free(site->storage_root);
	for (size_t i = 0; i < site->n_join; i++)
		free(site->join[i]);
	cluster_material_clear(&site->material);
	*site = (struct cluster_site){ .root = -1, .lock = -1 };
}

bool
cluster_site_other_group(const struct cluster_site *site)
{
	return site->sanlock_has != 0 && site->sanlock_has != site->sanlock_gid;
}

size_t
cluster_site_names(const struct cluster_site *site, const char *ret[CLUSTER_NAMES_MAX])
{
	size_t n = 0;

	ret[n++] = site->name;
	ret[n++] = site->address;
	return n;
}

int
cluster_site_load_ha(struct cluster_site *site, struct error *err)
{
	char *text = NULL;
	_free_ char *said = NULL, *ours = NULL;
	const char *block;

	if (cluster_fs_read(site->root, CLUSTER_VIRTXD_CONF, &text, NULL, err) < 0)
		return -1;
	block = strstr(str_or_empty(text), CLUSTER_EDIT_BEGIN);
	said = cluster_edit_get(str_or_empty(text), "ha", "enabled");
	ours = block ? cluster_edit_get(block, "ha", "enabled") : NULL;
	pki_wipe(text);
	site->ha_known = said != NULL;
	if (ours)
		site->ha = strcmp(ours, "yes") == 0 ? CLUSTER_HA_YES : CLUSTER_HA_NO;
	return 0;
}

/* Keys and certificates */

/* What is read of a host. */
static const struct {
	const char *path;
	size_t offset;
} parts[] = {
	{ CLUSTER_CA, offsetof(struct cluster_material, ca) },
	{ CLUSTER_CA_KEY, offsetof(struct cluster_material, ca_key) },
	{ CLUSTER_CRL, offsetof(struct cluster_material, crl) },
	{ CLUSTER_HOST_KEY, offsetof(struct cluster_material, host_key) },
	{ CLUSTER_HOST_CERTIFICATE, offsetof(struct cluster_material, host_certificate) },
	{ CLUSTER_QEMU_KEY, offsetof(struct cluster_material, qemu_key) },
	{ CLUSTER_QEMU_CERTIFICATE, offsetof(struct cluster_material, qemu_certificate) },
	{ CLUSTER_SERF_RPC, offsetof(struct cluster_material, serf_rpc) },
	{ CLUSTER_SERF_ENCRYPT, offsetof(struct cluster_material, serf_encrypt) },
};

static char **
part(struct cluster_material *material, size_t i)
{
	return (char **)((char *)material + parts[i].offset);
}

void
cluster_material_clear(struct cluster_material *material)
{
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		pki_wipe(steal_ptr(*part(material, i)));
}

int
cluster_material_load(struct cluster_site *site, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		char **ret = part(&site->material, i);

		if (cluster_fs_read(site->root, parts[i].path, ret, NULL, err) < 0)
			return -1;
		/* Keys of serf are words, and their file ends with a newline. */
		if (*ret && !strstr(*ret, "-----BEGIN"))
			(*ret)[strcspn(*ret, "\n")] = '\0';
	}
	return 0;
}

char *
cluster_random_key(void)
{
	unsigned char bytes[32];
	char *text = xcalloc(4 * sizeof(bytes) / 3 + 5, 1);

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		abort();
	EVP_EncodeBlock((unsigned char *)text, bytes, sizeof(bytes));
	explicit_bzero(bytes, sizeof(bytes));
	return text;
}

static bool
lasts(const char *certificate)
{
	int64_t length, end = pki_end(certificate, &length);

	return end - now_ms() > length / 3;
}

bool
cluster_material_lasts(const struct cluster_material *m)
{
	return lasts(str_or_empty(m->host_certificate)) && lasts(str_or_empty(m->qemu_certificate));
}

bool
cluster_material_certified(const struct cluster_site *site)
{
	const struct cluster_material *m = &site->material;
	const char *names[CLUSTER_NAMES_MAX];
	size_t n = cluster_site_names(site, names);

	return m->ca && m->host_certificate && m->qemu_certificate && m->host_key && m->qemu_key &&
	       pki_matches(m->host_certificate, m->host_key, m->ca, PKI_HOST, site->uuid) &&
	       pki_matches(m->qemu_certificate, m->qemu_key, m->ca, PKI_QEMU, site->uuid) &&
	       pki_has_names(m->host_certificate, names, n) &&
	       pki_has_names(m->qemu_certificate, names, n) && cluster_material_lasts(m);
}

void
cluster_material_keys(struct cluster_material *m)
{
	if (!m->host_key)
		m->host_key = pki_key_new();
	if (!m->qemu_key)
		m->qemu_key = pki_key_new();
	if (!m->serf_rpc)
		m->serf_rpc = cluster_random_key();
}

void
cluster_material_serf(struct cluster_material *m)
{
	if (!m->serf_rpc)
		m->serf_rpc = cluster_random_key();
	if (!m->serf_encrypt)
		m->serf_encrypt = cluster_random_key();
}

/* Who asks for the certificate of a host gets that of its CA behind it, by which others know the
 * CA before they have it. */
static char *
sign(const struct cluster_site *site, const char *key, enum pki_kind kind, struct error *err)
{
	const struct cluster_material *m = &site->material;
	const char *names[CLUSTER_NAMES_MAX];
	size_t n = cluster_site_names(site, names);
	_free_ char *request = pki_request_new(key, names, n, err);
	_free_ char *certificate = NULL;

	if (request)
		certificate = pki_sign(
		    m->ca, m->ca_key, request, kind, site->uuid, PKI_CERTIFICATE_DAYS, err);
	return certificate ? xasprintf("%s%s", certificate, m->ca) : NULL;
}

int
cluster_material_make(struct cluster_site *site, struct error *err)
{
	struct cluster_material *m = &site->material;

	if (m->ca && !m->ca_key)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "'%s' is of a CA that has its key elsewhere: this host has joined a cluster, "
		    "or "
		    "has certificates of yours (--certificates)",
		    CLUSTER_CA);
	if (!m->ca_key)
		m->ca_key = pki_key_new();
	if (!m->ca) {
		_free_ char *name = xasprintf("virtx CA %.8s", site->uuid);

		m->ca = pki_ca_new(m->ca_key, name, err);
		if (!m->ca)
			return -1;
	}
	cluster_material_keys(m);
	cluster_material_serf(m);
	if (cluster_material_certified(site))
		return 0;
	free(steal_ptr(m->host_certificate));
	free(steal_ptr(m->qemu_certificate));
	m->host_certificate = sign(site, m->host_key, PKI_HOST, err);
	m->qemu_certificate = m->host_certificate ? sign(site, m->qemu_key, PKI_QEMU, err) : NULL;
	return m->qemu_certificate ? 0 : -1;
}
