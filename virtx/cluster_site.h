/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a host of a cluster is set up by: what the host has, what the cluster says, and its keys. */
#ifndef VIRTX_CLUSTER_SITE_H
#define VIRTX_CLUSTER_SITE_H

#include "proto/pki.h"

/* Where keys and certificates are. */
#define CLUSTER_CA		 "/etc/virtx/ca.pem"
#define CLUSTER_CA_KEY		 "/etc/virtx/ca.key"
#define CLUSTER_CRL		 "/etc/virtx/crl.pem"
#define CLUSTER_CRL_NEW		 "/run/virtx/crl.pem" /* virtxd's, which has not been installed yet */
#define CLUSTER_HOST_KEY	 "/etc/virtx/host.key"
#define CLUSTER_HOST_CERTIFICATE "/etc/virtx/host.pem"
#define CLUSTER_QEMU_KEY	 "/etc/pki/qemu/server-key.pem"
#define CLUSTER_QEMU_CERTIFICATE "/etc/pki/qemu/server-cert.pem"
#define CLUSTER_SERF_RPC	 "/etc/virtx/serf.key"
#define CLUSTER_SERF_ENCRYPT	 "/etc/virtx/serf-encrypt.key"
/* And what names them, and other hosts. */
#define CLUSTER_VIRTXD_CONF "/etc/virtx/virtxd.conf"
#define CLUSTER_SERF_CONF   "/etc/serf/virtx.json"
#define CLUSTER_SNAPSHOT    "/var/lib/virtx/serf.snapshot" /* serf's own */

#define CLUSTER_PORT	  8080
#define CLUSTER_JOIN_MAX  8 /* addresses of others that serf is told */
#define CLUSTER_NAMES_MAX 3
#define SANLOCK_GID	  179 /* where nothing else is said: the same on all hosts */

/* Where the files are, and which daemons libvirt has. */
#define ON_DEBIAN     1u /* /etc/default */
#define ON_SUSE	      2u /* /etc/sysconfig */
#define ON_MONOLITHIC 4u /* libvirtd */
#define ON_MODULAR    8u /* virtqemud and virtproxyd */
#define ON_ALL	      (ON_DEBIAN | ON_SUSE | ON_MONOLITHIC | ON_MODULAR)

/* What virtxd's configuration is to say of [ha] enabled. */
enum cluster_ha {
	CLUSTER_HA_UNSAID, /* nothing but what it says already */
	CLUSTER_HA_NO,
	CLUSTER_HA_YES,
};

/* Keys and certificates, as PEM, and serf's keys in base64; NULL while there is none. */
struct cluster_material {
	char *ca;
	char *ca_key; /* NULL on hosts that were not given it */
	char *crl;    /* NULL while no host was put out */
	char *host_key, *host_certificate;
	char *qemu_key, *qemu_certificate;
	char *serf_rpc;	    /* of this host's agent */
	char *serf_encrypt; /* the cluster's */
};

struct cluster_site {
	int root;	       /* of cluster_fs.h */
	const char *root_path; /* "" for the host's own */
	int lock;	       /* of who writes to it; -1 */
	unsigned int where;    /* two of ON_* */
	char uuid[UUID_TEXT_SIZE];
	bool uuid_is_ours; /* libvirt has to be told it */
	char *name;	   /* the host's */
	char *address;
	char *qemu_user, *qemu_group;
	gid_t virtx_gid, qemu_gid;
	gid_t sanlock_gid, sanlock_has; /* wanted, and what it is; 0 where there is no such group */
	bool watchdog;			/* there is one already */
	bool softdog;			/* and it is that of the kernel alone */
	enum cluster_ha ha;
	bool ha_known; /* the configuration says so already, or somebody did */
	/* What the cluster says. */
	int number; /* of the host */
	int io_timeout;
	char *storage_root; /* NULL for virtxd's own default */
	bool own_ca;	    /* the CA is the site's: nobody here signs */
	char *join[CLUSTER_JOIN_MAX];
	size_t n_join;
	struct cluster_material material;
};

/* Looks at the host (root_path "" for this one; borrowed); address is borrowed text, "" where it
 * is not needed. 0, or -1 with what is missing. */
int cluster_site_find(
    struct cluster_site *site, const char *root_path, const char *address, struct error *err);
void cluster_site_clear(struct cluster_site *site);
/* Whether sanlock's group has another number than it is to have. */
bool cluster_site_other_group(const struct cluster_site *site);
/* The names that its certificate is for, borrowed; how many. */
size_t cluster_site_names(const struct cluster_site *site, const char *ret[CLUSTER_NAMES_MAX]);
/* What the host's configuration says of [ha] enabled; what is in the block of ours stays so. */
int cluster_site_load_ha(struct cluster_site *site, struct error *err);
/* Reads the keys and certificates that the host has. */
int cluster_material_load(struct cluster_site *site, struct error *err);
/* Makes what the first host of a cluster lacks of them. */
int cluster_material_make(struct cluster_site *site, struct error *err);
/* Makes the keys that any host lacks; serf's key of the cluster is none of them. */
void cluster_material_keys(struct cluster_material *material);
/* Makes those of serf that the first host lacks. */
void cluster_material_serf(struct cluster_material *material);
/* Whether those of host and QEMU do for a third of their time. */
bool cluster_material_lasts(const struct cluster_material *material);
/* Whether host and QEMU have certificates that do, and will for a while. */
bool cluster_material_certified(const struct cluster_site *site);
void cluster_material_clear(struct cluster_material *material);
/* 32 random bytes in base64; for pki_wipe(). */
char *cluster_random_key(void);

#endif
