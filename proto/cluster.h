/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What hosts are told when they join a cluster, and the token by which they do. */
#ifndef PROTO_CLUSTER_H
#define PROTO_CLUSTER_H

#include "proto/error.h"
#include "proto/pki.h"
#include "proto/table.h"

#define CLUSTER_ADDRESSES_MAX 4
#define CLUSTER_TOKEN_MAX     1024		       /* characters of its text */
#define CLUSTER_LIFETIME      3600		       /* s, where nothing else is said */
#define CLUSTER_LIFETIME_MAX  (INT64_C(7) * 24 * 3600) /* s */

/* One to be made. */
struct cluster_token_options {
	int64_t lifetime; /* s, 0 for CLUSTER_LIFETIME */
	char *host;	  /* the uuid of the one that it is for, "" for any that was not put out */
};
extern const struct model cluster_token_options_model;

/* By it one host may join, once. */
struct cluster_token {
	char *addresses;   /* ADDR:PORT of this host, with commas between */
	char *fingerprint; /* SHA-256 of the CA's certificate, hexadecimal */
	char *secret;
	int64_t expires; /* ms since the epoch */
};
extern const struct model cluster_token_model;

/* A host that joins. */
struct cluster_join {
	char *uuid;
	char *name;	    /* its host name, by which serf and sanlock know it */
	char *request;	    /* PEM: for the host's certificate */
	char *qemu_request; /* and for that of its QEMU */
};
extern const struct model cluster_join_model;

/* What it is told. */
struct cluster_member {
	char *certificate;
	char *qemu_certificate;
	char *ca;
	char *serf_key;	       /* of all agents, "" for none */
	char *addresses;       /* of agents, with commas between */
	int32_t number;	       /* its host number for sanlock, from 1; made of its uuid */
	int32_t sanlock_group; /* gid */
	int32_t io_timeout;    /* s */
	char *storage_root;
	bool ha;      /* VMs of hosts that die are brought back by the host that answers */
	char *ca_key; /* of the CA, as ca_key_seal has it, "" for who is not given it */
};
extern const struct model cluster_member_model;

/* A host whose certificates are to be renewed. */
struct cluster_renewal {
	char *request;
	char *qemu_request;
};
extern const struct model cluster_renewal_model;

struct cluster_certificates {
	char *certificate;
	char *qemu_certificate;
	char *ca;
};
extern const struct model cluster_certificates_model;

/* The token as one word; the caller wipes it. */
char *cluster_token_text(const struct cluster_token *token);
/* Reads such a word: 0, or -1 with err; expires is not in it. */
int cluster_token_parse(const char *text, struct cluster_token *ret, struct error *err);
/* The address of an ADDR:PORT at *at of a list, which becomes the next, and its port (0 where the
 * list has none); NULL at the end and where it is none. The caller frees. */
char *cluster_next_address(const char **at, uint16_t *ret_port);

#endif
