/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration: /etc/virtx/virtxd.conf, every key with a default. */
#ifndef STATE_CONFIG_H
#define STATE_CONFIG_H

#include "proto/error.h"

#define CONFIG_FILE "/etc/virtx/virtxd.conf"

/* 0 is what a row does not say; when the file was read all is said. */
enum config_transport { TRANSPORT_UNSAID, TRANSPORT_PLAIN, TRANSPORT_TLS };
enum config_access {
	ACCESS_UNSAID,
	ACCESS_OPEN, /* to everyone who reaches it */
	ACCESS_AUTH, /* to who shows who that is */
};

struct config_listen {
	char *addr; /* an IP literal */
	uint16_t port;
	enum config_transport transport;
	enum config_access access;
};

struct config {
	/* [virtxd] */
	char *storage_root; /* absolute, clean, without a slash at the end */
	char *run_dir;	    /* local, for locks: /run/virtx */
	char *state_dir;    /* local, for what outlasts a boot of the host: /var/lib/virtx */
	int log_level;
	/* [storage] */
	char *luns; /* patterns of the devices that VMs may get, with spaces between; "" for all */
	/* [http] */
	struct config_listen *listen;
	size_t n_listen;
	char *host_names;      /* with spaces between */
	char *allowed_origins; /* likewise */
	char *trusted_proxies; /* addresses or networks, with spaces between */
	bool allow_plain;      /* rows that say nothing may be plain and open beyond loopback */
	int max_connections;
	int max_body;	     /* bytes, exclusive */
	int max_headers;     /* bytes */
	int request_timeout; /* seconds for a request to arrive whole */
	int idle_timeout;    /* seconds between requests of one connection */
	int reply_timeout; /* seconds until a request that waits for a job is answered 202 or 504 */
	/* [tls]; all three, or "" */
	char *tls_certificate; /* a file: PEM, with what is between it and the CA */
	char *tls_key;
	char *tls_ca;
	char *tls_ca_key; /* of the CA, by which other hosts join; "" on hosts without it */
	/* [libvirt] */
	char *libvirt_uri;
	int libvirt_retry;  /* seconds */
	char *migrate_uri;  /* of another host's libvirt; %s is its address */
	bool migrate_tls;   /* QEMU encrypts what it sends */
	int64_t qemu_group; /* that files get for QEMU, 0: that which libvirt gives it */
	/* [serf] */
	char *serf_addr; /* an IP literal */
	uint16_t serf_port;
	char *serf_key;		 /* "" for none; never logged */
	char *serf_encrypt_file; /* that hosts which join are told, "" for none */
	int serf_retry;		 /* seconds */
	int forget_days;	 /* after which a host that has left or failed is no more */
	/* [sanlock] */
	int io_timeout;	       /* seconds */
	bool kill_unprotected; /* VMs whose leases sanlock does not keep */
	int answer_timeout; /* seconds after which a silent sanlock or storage is no longer trusted
			     */
	/* [jobs] */
	int jobs_max;
	int jobs_queue_max;
	int jobs_stuck_max; /* children written off before new jobs are refused */
	int collect_period; /* seconds */
	int evacuations;    /* VMs that move at once from or back to a host in maintenance */
	/* [ha] */
	bool ha_enabled;    /* VMs of a host that is proved dead are brought back here */
	bool ha_restart;    /* VMs that say nothing of it are brought back */
	bool ha_unsafe;	    /* a host may be armed without a watchdog */
	int ha_boot_delay;  /* seconds between two that are booted after the host was */
	bool ha_hands_over; /* as this host is shut down, others bring its VMs back at once */
};

/* All defaults. */
void config_init(struct config *config);
void config_clear(struct config *config);
/* Frees the listeners: there are none then. */
void config_clear_listen(struct config *config);
/* Whether this host has a certificate. */
bool config_has_tls(const struct config *config);
/* Whether it has one, and lets nobody in from elsewhere but by TLS and known: then it asks nobody
 * by other ways either. */
bool config_wants_tls(const struct config *config);
/* The listener that other hosts are told of: beyond loopback, by TLS where there is one; NULL where
 * none is such that they can ask there, as they are known by their certificates. */
const struct config_listen *config_public_listen(const struct config *config);
/* Which listeners are plain beyond loopback, or open, in words; the caller frees. */
char *config_exposed(const struct config *config);
/* How many are plain, and how many are open to everyone who reaches them. */
void config_count_exposed(
    const struct config *config, unsigned int *ret_plain, unsigned int *ret_open);
/* Reads a file over the defaults; a missing file is an error only where must_exist. The error names
 * file and line. */
int config_load(struct config *config, const char *file, bool must_exist, struct error *err);

#endif
