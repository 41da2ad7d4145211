/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tokens: who has the secret of one may do what its role may, and so may a user who has the
 * certificate of one, and its key. */
#ifndef PROTO_TOKEN_H
#define PROTO_TOKEN_H

#include "proto/error.h"
#include "proto/model.h"
#include "proto/role.h"
#include "proto/token_secret.h"

#define TOKENS_MAX	   1000
#define TOKEN_NAME_MAX	   48
#define TOKEN_LIFETIME_MAX (INT64_C(3650) * 24 * 3600) /* s */
/* Of one that has a certificate. */
#define TOKEN_CERTIFICATE_LIFETIME     (INT64_C(90) * 24 * 3600)
#define TOKEN_CERTIFICATE_LIFETIME_MAX (INT64_C(365) * 24 * 3600)

/* What is told of one. */
struct token {
	char *name;
	enum role role;
	int64_t created; /* ms since the epoch */
	int64_t expires; /* ms since the epoch, 0 for never */
	char *user;	 /* who made it */
	/* The VMs that there are for it: those with this custom field; empty for all. */
	struct custom_field only;
	bool certificate; /* it has one, and no secret */
};
extern const struct model token_model;

struct token_list {
	struct token *items; /* by name */
	size_t n_items;
};
extern const struct model token_list_model;

/* One to be made. */
struct token_options {
	char *name;
	enum role role;
	int64_t lifetime; /* s, 0 for ever, or TOKEN_CERTIFICATE_LIFETIME */
	struct custom_field only;
	char *request; /* for a certificate, PEM; "" for a secret */
};
extern const struct model token_options_model;

struct token_made {
	struct token token;
	char *secret; /* nobody is told it again; "" where it has a certificate */
	char *certificate;
};
extern const struct model token_made_model;

/* What is kept of one. */
struct token_record {
	struct token token;
	char *hash; /* SHA-256 of the secret's text, or the certificate's DER, hexadecimal */
};
extern const struct model token_record_model;

/* All that are kept. */
struct token_set {
	char *stamp; /* of the folder, "" for none; another one where something has changed since */
	bool same;   /* it has the stamp that was asked with: nothing was read */
	struct token_record *items;
	size_t n_items;
	struct token *unread; /* of which nobody knows what they are: the name alone */
	size_t n_unread;
	/* Hosts that were put out of the cluster, which is kept beside the tokens: the uuid alone,
	 * as the name. */
	struct token *out;
	size_t n_out;
	/* Hosts that were let in again since, and how often: the name is UUID#N. A host may be
	 * there several times, of which the last counts. */
	struct token *again;
	size_t n_again;
	char *damaged; /* what was left out or could not be read and why, "" for nothing */
	char *taken;   /* why libvirt and QEMU may still take those hosts, "" where they do not */
	bool unsigned_out; /* since the CA has not taken back their certificates */
	bool signed_here;  /* it has just now, on this host */
};
extern const struct model token_set_model;
/* How often the host was let in again, 0 for never. */
int token_set_again(const struct token_set *set, const char *host);

/* Letters, digits, '.', '_' and '-', the first a letter or a digit: it is a file's name, too. */
bool token_name_valid(const char *name);
/* What a client asks for: 0, or -1 with a 400 that names the field. */
int token_options_check(const struct token_options *options, struct error *err);
/* What is kept: 0, or -1 with a 422 that names the field. */
int token_record_check(const struct token_record *record, struct error *err);

#endif
