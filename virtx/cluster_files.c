/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/cluster_files.h"

#include <string.h>

#define DEFAULT_IO_TIMEOUT 10 /* s */

#define PKI		    "/etc/pki/"
#define LIBVIRT_CA	    PKI "CA/cacert.pem"
#define LIBVIRT_CRL	    PKI "CA/cacrl.pem"
#define LIBVIRT_CERTIFICATE PKI "libvirt/servercert.pem"
#define LIBVIRT_KEY	    PKI "libvirt/private/serverkey.pem"

/* Texts of files that are ours */

static char *
copy(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

static char *
line(const char *text)
{
	return text ? xasprintf("%s\n", text) : NULL;
}

static char *
text_ca(const struct cluster_site *site)
{
	return copy(site->material.ca);
}

static char *
text_ca_key(const struct cluster_site *site)
{
	return copy(site->material.ca_key);
}

static char *
text_crl(const struct cluster_site *site)
{
	return copy(site->material.crl);
}

static char *
text_host_key(const struct cluster_site *site)
{
	return copy(site->material.host_key);
}

static char *
text_host_certificate(const struct cluster_site *site)
{
	return copy(site->material.host_certificate);
}

static char *
text_qemu_key(const struct cluster_site *site)
{
	return copy(site->material.qemu_key);
}

static char *
text_qemu_certificate(const struct cluster_site *site)
{
	return copy(site->material.qemu_certificate);
}

static char *
text_serf_rpc(const struct cluster_site *site)
{
	return line(site->material.serf_rpc);
}

static char *
text_serf_encrypt(const struct cluster_site *site)
{
	return line(site->material.serf_encrypt);
}

/* As it stands in front of a port. */
static char *
bound_address(const struct cluster_site *site)
{
	return xasprintf(strchr(site->address, ':') ? "[%s]" : "%s", site->address);
}

/* Keys are base64, addresses were parsed: nothing in them is special in JSON. */
static char *
text_serf(const struct cluster_site *site)
{
	_free_ char *address = bound_address(site);
	struct buffer b = { 0 };
	char *text;

	buffer_printf(&b,
	    "{\n    \"bind\": \"%s\",\n    \"encrypt_key\": \"%s\",\n"
	    "    \"rpc_addr\": \"127.0.0.1:7373\",\n    \"rpc_auth\": \"%s\",\n"
	    "    \"user_event_size_limit\": 1024,\n    \"snapshot_path\": \"" CLUSTER_SNAPSHOT
	    "\",\n"
	    "    \"rejoin_after_leave\": true,\n    \"retry_join\": [",
	    address, str_or_empty(site->material.serf_encrypt),
	    str_or_empty(site->material.serf_rpc));
	for (size_t i = 0; i < site->n_join; i++)
		buffer_printf(&b, "%s\"%s\"", i ? ", " : "", site->join[i]);
	buffer_printf(&b, "]\n}\n");
	text = xmemdup(b.data, b.len);
	explicit_bzero(b.data, b.size);
	buffer_clear(&b);
	return text;
}

#define MODULE "softdog\n"

static char *
text_module(const struct cluster_site *site)
{
	return site->watchdog ? NULL : xstrdup(MODULE);
}

/* Of one that was loaded by hand nothing is left after the next boot. */
static char *
text_module_there(const struct cluster_site *site)
{
	return site->watchdog && site->softdog ? xstrdup(MODULE) : NULL;
}

static char *
text_sysctl(const struct cluster_site *site)
{
	return xstrdup("vm.unprivileged_userfaultfd = 1\n");
}

/* Settings in files of others */

static char *
text_qemu(const struct cluster_site *site)
{
	return xasprintf("user = \"%s\"\n"
			 "group = \"%s\"\n"
			 "dynamic_ownership = 0\n"
			 "lock_manager = \"sanlock\"\n"
			 "migrate_tls_x509_cert_dir = \"/etc/pki/qemu\"\n"
			 "migrate_tls_x509_verify = 1\n"
			 "migrate_tls_force = 1\n",
	    site->qemu_user, site->qemu_group);
}

static char *
text_qemu_sanlock(const struct cluster_site *site)
{
	return xasprintf("auto_disk_leases = 0\n"
			 "require_lease_for_disks = 0\n"
			 "host_id = %d\n",
	    site->number);
}

/* Whoever has a certificate of the CA could use libvirt as root does: hosts alone may. All that
 * could make the port another one, or open it to others, is said here, whatever was said before. */
#define ALLOWED                                     \
	"listen_tls = 1\n"                          \
	"tls_port = \"16514\"\n"                    \
	"auth_tls = \"none\"\n"                     \
	"ca_file = \"" LIBVIRT_CA "\"\n"            \
	"crl_file = \"" LIBVIRT_CRL "\"\n"          \
	"cert_file = \"" LIBVIRT_CERTIFICATE "\"\n" \
	"key_file = \"" LIBVIRT_KEY "\"\n"          \
	"tls_no_verify_certificate = 0\n"           \
	"tls_no_sanity_certificate = 0\n"           \
	"tls_allowed_dn_list = [ \"CN=virtx:host:*\" ]\n"

static char *
text_uuid(const struct cluster_site *site)
{
	return site->uuid_is_ours ? xasprintf("host_uuid = \"%s\"\n", site->uuid) : xstrdup("");
}

static char *
text_libvirtd(const struct cluster_site *site)
{
	_free_ char *uuid = text_uuid(site);

	return xasprintf("%s" ALLOWED, uuid);
}

static char *
text_virtqemud(const struct cluster_site *site)
{
	return site->uuid_is_ours ? text_uuid(site) : NULL;
}

static char *
text_guests(const struct cluster_site *site)
{
	return xstrdup("ON_BOOT=ignore\n"
		       "ON_SHUTDOWN=shutdown\n"
		       "PARALLEL_SHUTDOWN=10\n"
		       "SHUTDOWN_TIMEOUT=120\n");
}

/* Debian's own is "-w 0": no watchdog. */
static char *
text_sanlock_options(const struct cluster_site *site)
{
	return xstrdup("sanlock_opts=\"\"\n");
}

/* With a name that stays the same a sanlock that was started again has its host id back at once,
 * and others could have the leases of VMs that run on: no such host is ever armed. */
static char *
text_sanlock(const struct cluster_site *site)
{
	return xstrdup("");
}

static const struct cluster_edit_rule sanlock_rule = { NULL, NULL, NULL, "our_host_name" };

static char *
text_virtxd(const struct cluster_site *site)
{
	_free_ char *address = bound_address(site);
	struct buffer b = { 0 };

	if (!str_empty(site->storage_root))
		buffer_printf(&b, "[virtxd]\nstorage_root = %s\n", site->storage_root);
	buffer_printf(&b, "[http]\nlisten = %s:%d tls auth\n", address, CLUSTER_PORT);
	buffer_printf(&b, "[tls]\ncertificate = " CLUSTER_HOST_CERTIFICATE
			  "\nkey = " CLUSTER_HOST_KEY "\nca = " CLUSTER_CA "\n");
	if (site->material.ca_key)
		buffer_printf(&b, "ca_key = " CLUSTER_CA_KEY "\n");
	buffer_printf(
	    &b, "[libvirt]\nmigrate_tls = yes\n[serf]\nrpc_auth_file = " CLUSTER_SERF_RPC "\n");
	/* Any host lets others join where none has to sign. */
	if (site->material.ca_key || site->own_ca)
		buffer_printf(&b, "encrypt_key_file = " CLUSTER_SERF_ENCRYPT "\n");
	if (site->io_timeout && site->io_timeout != DEFAULT_IO_TIMEOUT)
		buffer_printf(&b, "[sanlock]\nio_timeout = %d\n", site->io_timeout);
	if (site->ha != CLUSTER_HA_UNSAID)
		buffer_printf(
		    &b, "[ha]\nenabled = %s\n", site->ha == CLUSTER_HA_YES ? "yes" : "no");
	return buffer_steal(&b, NULL);
}

#define TEXT_OF(macro)	TEXT_OF_(macro)
#define TEXT_OF_(value) #value

static bool
has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (words += strspn(words, " \t"); *words && *words != ';';) {
		size_t n = strcspn(words, " \t");

		if (n == len && memcmp(words, word, len) == 0)
			return true;
		words += n + strspn(words + n, " \t");
	}
	return false;
}

/* A listener for whoever gets to it, or that tokens go to unencrypted. What says no more than its
 * address is both with allow_plain. */
static bool
is_open(const char *key, const char *value)
{
	bool loopback = strncmp(value, "127.", 4) == 0 || strncmp(value, "[::1]", 5) == 0;

	if (strcmp(key, "allow_plain") == 0)
		return strcmp(value, "no") != 0;
	if (strcmp(key, "listen") != 0)
		return false;
	return has_word(value, "open") ||
	       (!loopback && (has_word(value, "plain") || !has_word(value, "auth")));
}

/* One that takes the port on all addresses. */
static bool
takes_port(const char *key, const char *value)
{
	return strcmp(key, "listen") == 0 && (has_word(value, "0.0.0.0:" TEXT_OF(CLUSTER_PORT)) ||
						 has_word(value, "[::]:" TEXT_OF(CLUSTER_PORT)));
}

/* Of rpc_auth and rpc_auth_file only one may be there. */
static bool
drops_virtxd(const char *section, const char *key, const char *value)
{
	if (strcmp(section, "http") == 0)
		return is_open(key, value) || takes_port(key, value);
	return strcmp(section, "serf") == 0 && strcmp(key, "rpc_auth") == 0;
}

/* What was open before there were certificates would be it again where they go, to a storage that
 * is a cluster's by now. */
static bool
stays_virtxd(const char *section, const char *key, const char *value)
{
	return strcmp(section, "http") == 0 && is_open(key, value);
}

static const struct cluster_edit_rule virtxd_rule = { "listen", drops_virtxd, stays_virtxd, NULL };

#define MODULES "/etc/modules-load.d/virtx.conf"
#define DEBIAN	(ON_ALL & ~ON_SUSE)
#define SUSE	(ON_ALL & ~ON_DEBIAN)
#define ONE	(ON_ALL & ~ON_MODULAR)
#define MANY	(ON_ALL & ~ON_MONOLITHIC)

const struct cluster_file cluster_files[] = {
	/* The cluster's and the host's keys, before what names them. */
	{ CLUSTER_CA_KEY, ON_ALL, 0600, OWNER_ROOT, KIND_OURS, 0, NULL, text_ca_key },
	{ CLUSTER_CA, ON_ALL, 0644, OWNER_ROOT, KIND_OURS, PART_TLS, NULL, text_ca },
	{ CLUSTER_CRL, ON_ALL, 0644, OWNER_ROOT, KIND_CERTIFICATE, 0, NULL, text_crl },
	{ CLUSTER_HOST_KEY, ON_ALL, 0600, OWNER_ROOT, KIND_OURS, 0, NULL, text_host_key },
	{ CLUSTER_HOST_CERTIFICATE, ON_ALL, 0644, OWNER_ROOT, KIND_CERTIFICATE, 0, NULL,
	    text_host_certificate },
	{ CLUSTER_SERF_RPC, ON_ALL, 0600, OWNER_ROOT, KIND_OURS, PART_VIRTXD, NULL, text_serf_rpc },
	{ CLUSTER_SERF_ENCRYPT, ON_ALL, 0600, OWNER_ROOT, KIND_OURS, PART_SERF, NULL,
	    text_serf_encrypt },
	/* Where libvirt looks for its certificates, as a server and as a client. */
	{ LIBVIRT_CA, ON_ALL, 0644, OWNER_ROOT, KIND_OURS, PART_TLS, NULL, text_ca },
	/* One that is not there is fine with it, and with QEMU. */
	{ LIBVIRT_CRL, ON_ALL, 0644, OWNER_ROOT, KIND_CERTIFICATE, PART_TLS, NULL, text_crl },
	{ LIBVIRT_KEY, ON_ALL, 0600, OWNER_ROOT, KIND_OURS, PART_TLS, NULL, text_host_key },
	{ LIBVIRT_CERTIFICATE, ON_ALL, 0644, OWNER_ROOT, KIND_CERTIFICATE, PART_TLS, NULL,
	    text_host_certificate },
	{ PKI "libvirt/private/clientkey.pem", ON_ALL, 0600, OWNER_ROOT, KIND_OURS, 0, NULL,
	    text_host_key },
	{ PKI "libvirt/clientcert.pem", ON_ALL, 0644, OWNER_ROOT, KIND_CERTIFICATE, 0, NULL,
	    text_host_certificate },
	/* QEMU reads its own as it begins a migration. */
	{ PKI "qemu/ca-cert.pem", ON_ALL, 0644, OWNER_ROOT, KIND_OURS, 0, NULL, text_ca },
	{ PKI "qemu/ca-crl.pem", ON_ALL, 0644, OWNER_ROOT, KIND_CERTIFICATE, 0, NULL, text_crl },
	{ CLUSTER_QEMU_KEY, ON_ALL, 0640, OWNER_QEMU, KIND_OURS, 0, NULL, text_qemu_key },
	{ CLUSTER_QEMU_CERTIFICATE, ON_ALL, 0644, OWNER_ROOT, KIND_CERTIFICATE, 0, NULL,
	    text_qemu_certificate },
	{ PKI "qemu/client-key.pem", ON_ALL, 0640, OWNER_QEMU, KIND_OURS, 0, NULL, text_qemu_key },
	{ PKI "qemu/client-cert.pem", ON_ALL, 0644, OWNER_ROOT, KIND_CERTIFICATE, 0, NULL,
	    text_qemu_certificate },
	/* libvirt. */
	{ "/etc/libvirt/qemu.conf", ON_ALL, 0600, OWNER_ROOT, KIND_SETTINGS, PART_LIBVIRT, NULL,
	    text_qemu },
	{ "/etc/libvirt/qemu-sanlock.conf", ON_ALL, 0600, OWNER_ROOT, KIND_SETTINGS, PART_LIBVIRT,
	    NULL, text_qemu_sanlock },
	{ "/etc/libvirt/libvirtd.conf", ONE, 0644, OWNER_ROOT, KIND_SETTINGS, PART_LIBVIRT, NULL,
	    text_libvirtd },
	{ "/etc/libvirt/virtqemud.conf", MANY, 0644, OWNER_ROOT, KIND_SETTINGS, PART_LIBVIRT, NULL,
	    text_virtqemud },
	{ "/etc/libvirt/virtproxyd.conf", MANY, 0644, OWNER_ROOT, KIND_SETTINGS, PART_LIBVIRT, NULL,
	    text_libvirtd },
	{ "/etc/default/libvirt-guests", DEBIAN, 0644, OWNER_ROOT, KIND_SETTINGS, 0, NULL,
	    text_guests },
	{ "/etc/sysconfig/libvirt-guests", SUSE, 0644, OWNER_ROOT, KIND_SETTINGS, 0, NULL,
	    text_guests },
	{ "/etc/sysctl.d/99-virtx.conf", ON_ALL, 0644, OWNER_ROOT, KIND_OURS, PART_SYSCTL, NULL,
	    text_sysctl },
	/* The watchdog, and sanlock. */
	{ MODULES, ON_ALL, 0644, OWNER_ROOT, KIND_OURS, PART_MODULE | PART_WDMD | PART_SANLOCK,
	    NULL, text_module },
	{ MODULES, ON_ALL, 0644, OWNER_ROOT, KIND_OURS, 0, NULL, text_module_there },
	{ "/etc/default/sanlock", DEBIAN, 0644, OWNER_ROOT, KIND_SETTINGS, PART_WDMD | PART_SANLOCK,
	    NULL, text_sanlock_options },
	{ "/etc/sanlock/sanlock.conf", ON_ALL, 0644, OWNER_ROOT, KIND_SETTINGS,
	    PART_WDMD | PART_SANLOCK, &sanlock_rule, text_sanlock },
	{ CLUSTER_SERF_CONF, ON_ALL, 0600, OWNER_ROOT, KIND_OURS, PART_SERF, NULL, text_serf },
	{ CLUSTER_VIRTXD_CONF, ON_ALL, 0640, OWNER_VIRTX, KIND_SETTINGS, PART_VIRTXD, &virtxd_rule,
	    text_virtxd },
};
const size_t cluster_files_n = ARRAY_SIZE(cluster_files);

gid_t
cluster_files_gid(const struct cluster_site *site, enum cluster_owner owner)
{
	return owner == OWNER_QEMU ? site->qemu_gid : owner == OWNER_VIRTX ? site->virtx_gid : 0;
}
