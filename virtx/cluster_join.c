/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx cluster join. */
#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/ca_key.h"
#include "proto/cluster.h"
#include "virtx/cluster_check.h"
#include "virtx/cluster_own.h"
#include "virtx/cluster_setup.h"
#include "virtx/verbs.h"

#define OPTION_ADDRESS 'a'
#define ASK_S	       60 /* for the answer of a host */
#define HIDDEN	       "(of the cluster)"

static const struct option_row cluster_join_options[] = {
	{ OPTION_ADDRESS, "address", ARG_TEXT("ADDR"),
	    "the address of this host at which others reach it (default: the one by which it "
	    "reaches them)" },
	{ CLUSTER_OPTION_CA, "ca", NULL,
	    "get the CA's key, too, by a token of 'cluster token --ca'" },
	CLUSTER_CERTIFICATES_OPTION,
	CLUSTER_SETUP_OPTIONS,
	{ 0 },
};

/* The token */

/* Its text, of a file or standard input: others see what is on a command line, and a shell keeps
 * it. For pki_wipe. */
static char *
read_token(const char *operand, struct error *err)
{
	size_t len;
	char *text;

	if (strncmp(operand, "virtx-join/", 11) == 0) {
		error_set(err, CLIENT_ERROR_STATUS,
		    "a token is taken from a file, or for '-' from standard input, and not from "
		    "the "
		    "command line, where others on this host can read it: make another one");
		return NULL;
	}
	text = command_read(operand, CLUSTER_TOKEN_MAX, &len, err);
	if (!text)
		return NULL;
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	return text;
}

static int
take_token(const char *operand, struct cluster_token *ret, struct error *err)
{
	char *text = read_token(operand, err);
	int rc = text ? cluster_token_parse(text, ret, err) : -1;

	pki_wipe(text);
	return rc;
}

static void
token_clear(struct cluster_token *token)
{
	pki_wipe(steal_ptr(token->secret));
	model_clear(&cluster_token_model, token);
}

/* The address of this host from which packets to that one go; no packet is sent. The caller
 * frees, NULL where there is no way. */
static char *
own_address(const char *to)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM };
	struct sockaddr_storage self;
	socklen_t len = sizeof(self);
	struct addrinfo *found = NULL;
	_close_ int fd = -1;
	char text[NI_MAXHOST] = "";

	if (getaddrinfo(to, "9", &hints, &found) != 0)
		return NULL;
	fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
	    getsockname(fd, (struct sockaddr *)&self, &len) == 0)
		(void)getnameinfo(
		    (struct sockaddr *)&self, len, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
	freeaddrinfo(found);
	return *text ? xstrdup(text) : NULL;
}

/* What the cluster says */

static bool
is_base64(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/");

	return n + strspn(text + n, "=") == strlen(text) && strlen(text) <= 64;
}

static bool
is_path(const char *path)
{
	return path[0] == '/' && strlen(path) <= 160 && !strpbrk(path, "\n\r\"\\") &&
	       !strstr(path, "/.") && !strstr(path, "//");
}

static int
take_addresses(struct cluster_site *site, const char *list)
{
	while (*list) {
		uint16_t port;
		char *address = cluster_next_address(&list, &port);

		if (!address || site->n_join == CLUSTER_JOIN_MAX) {
			free(address);
			return -1;
		}
		site->join[site->n_join++] = address;
	}
	return site->n_join > 0 ? 0 : -1;
}

/* Checks all that goes into files of this host. */
static int
check_member(const struct cluster_site *site, const struct cluster_token *token,
    const struct cluster_member *member, struct error *err)
{
	const struct cluster_material *m = &site->material;
	char print[PKI_FINGERPRINT_SIZE];

	if (pki_fingerprint(str_or_empty(member->ca), print, err) < 0 ||
	    strcmp(print, token->fingerprint) != 0)
		return error_set(err, CLIENT_ERROR_STATUS, "the CA is not that of the token");
	/* The fingerprint is that of the first: another one would be trusted unseen. */
	if (!pki_is_one(member->ca))
		return error_set(err, CLIENT_ERROR_STATUS,
		    "there is more than the certificate of one CA in 'ca' of section [tls] of that "
		    "host");
	if (!site->own_ca && (!pki_matches(str_or_empty(member->certificate), m->host_key,
				  member->ca, PKI_HOST, site->uuid) ||
				 !pki_matches(str_or_empty(member->qemu_certificate), m->qemu_key,
				     member->ca, PKI_QEMU, site->uuid)))
		return error_set(
		    err, CLIENT_ERROR_STATUS, "the certificates are not what was asked for");
	if (!is_base64(str_or_empty(member->serf_key)) ||
	    !is_path(str_or_empty(member->storage_root)) || member->number < 1 ||
	    member->sanlock_group < 1 || member->io_timeout < 1 || member->io_timeout > 60)
		return error_set(
		    err, CLIENT_ERROR_STATUS, "what it says of the cluster makes no sense");
	return 0;
}

/* Only who asks for the CA's key is sent it. */
static int
take_member(const struct command_call *call, struct cluster_site *site,
    struct cluster_member *member, struct error *err)
{
	struct cluster_material *m = &site->material;
	char *ca_key = NULL;

	if (call->counts[CLUSTER_OPTION_CA]) {
		ca_key = ca_key_open(str_or_empty(member->ca_key), m->host_key, member->ca, err);
		if (!ca_key)
			return -1;
		pki_wipe(m->ca_key);
		m->ca_key = ca_key;
	}

	for (size_t i = 0; i < site->n_join; i++)
		free(site->join[i]);
	site->n_join = 0;
	if (take_addresses(site, str_or_empty(member->addresses)) < 0)
		return error_set(err, CLIENT_ERROR_STATUS, "the addresses of agents are none");
	str_set(&m->ca, member->ca);
	if (!site->own_ca) {
		str_set(&m->host_certificate, member->certificate);
		str_set(&m->qemu_certificate, member->qemu_certificate);
	}
	pki_wipe(m->serf_encrypt);
	m->serf_encrypt = steal_ptr(member->serf_key);
	site->number = member->number;
	site->sanlock_gid = (gid_t)member->sanlock_group;
	site->io_timeout = member->io_timeout;
	if (!site->ha_known && member->ha)
		site->ha = CLUSTER_HA_YES;
	if (strcmp(member->storage_root, "/vms") != 0)
		str_set(&site->storage_root, member->storage_root);
	return 0;
}

/* Asks the hosts of the token, one after the other, until one can be connected to. */
static int
ask_hosts(const struct command_call *call, const struct cluster_token *token,
    const struct cluster_join *join, struct cluster_member *ret, struct error *err)
{
	const char *at = token->addresses;
	struct client client = *call->client;
	int rc = -1;

	client.token = token->secret;
	client.timeout = ASK_S;
	client.query = call->counts[CLUSTER_OPTION_CA] ? CLUSTER_CA_QUERY : NULL;
	client.debug = call->client->debug;
	while (rc < 0 && *at) {
		uint16_t port;
		char *address = cluster_next_address(&at, &port);
		struct error why = { 0 };

		client.server = (struct server){ .host = address,
			.port = port,
			.tls = true,
			.fingerprint = token->fingerprint };
		rc = client_get(&client, ROUTE_CLUSTER_JOIN, NULL, join, ret, &why);
		if (rc < 0 && !err->status)
			*err = why;
		else if (rc < 0)
			error_append(err, "%s", why.detail);
		free(address);
		/* One that has answered has the last word. */
		if (why.status > 0)
			break;
	}
	return rc;
}

static int
send_join(const struct command_call *call, struct cluster_site *site,
    const struct cluster_token *token, struct error *err)
{
	struct cluster_material *m = &site->material;
	const char *names[CLUSTER_NAMES_MAX];
	size_t n = cluster_site_names(site, names);
	struct cluster_member member = { 0 };
	struct cluster_join join = { .uuid = site->uuid, .name = site->name };
	int rc = -1;

	cluster_material_keys(m);
	/* Of a CA that is the site's own nobody asks for a certificate. */
	join.request = site->own_ca ? xstrdup("") : pki_request_new(m->host_key, names, n, err);
	if (join.request)
		join.qemu_request =
		    site->own_ca ? xstrdup("") : pki_request_new(m->qemu_key, names, n, err);
	if (join.qemu_request && ask_hosts(call, token, &join, &member, err) == 0) {
		rc = check_member(site, token, &member, err);
		if (rc == 0)
			rc = take_member(call, site, &member, err);
		if (rc < 0)
			error_wrap(err, "what the cluster has answered is refused");
		if (member.serf_key)
			pki_wipe(steal_ptr(member.serf_key));
		model_clear(&cluster_member_model, &member);
	}
	free(join.request);
	free(join.qemu_request);
	return rc;
}

/* What can be shown before the cluster was asked. */
static int
show(const struct command_call *call, struct cluster_site *site, const struct cluster_token *token,
    struct error *err)
{
	struct cluster_material *m = &site->material, was = *m;
	char hidden[] = HIDDEN;
	int rc;

	if (take_addresses(site, token->addresses) < 0)
		return error_set(err, CLIENT_ERROR_STATUS, "the token has no addresses");
	*m = (struct cluster_material){ .ca = hidden,
		.ca_key = call->counts[CLUSTER_OPTION_CA] || was.ca_key ? hidden : NULL,
		.host_key = hidden,
		.host_certificate = hidden,
		.qemu_key = hidden,
		.qemu_certificate = hidden,
		.serf_rpc = hidden,
		.serf_encrypt = hidden };
	rc = cluster_setup_ask(call, site, err);
	*m = was;
	return rc;
}

/* Whether this host is of the cluster already, with all of its files; and what is left then: 1, 0,
 * or -1 where it is of another one. */
static int
is_member(struct cluster_site *site, const struct cluster_token *token, unsigned int *ret_left,
    struct error *err)
{
	char print[PKI_FINGERPRINT_SIZE];
	struct cluster_note note;

	if (!site->material.ca)
		return 0;
	if (pki_fingerprint(site->material.ca, print, err) < 0 ||
	    strcmp(print, token->fingerprint) != 0)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "this host has a CA already, in '" CLUSTER_CA
		    "', which is not that of the token: is it of another cluster?");
	if (cluster_plan_noted(site, &note, err) < 0)
		return -1;
	*ret_left = note.parts;
	if (note.sanlock_gid)
		site->sanlock_gid = note.sanlock_gid;
	return !(note.parts & (PART_FILES | PART_SOME)) && cluster_material_certified(site);
}

/* Writes what the cluster has said. That is asked for again where it could not be written. */
static int
write_files(const struct command_call *call, const struct cluster_site *site, struct error *err)
{
	struct cluster_note note;
	struct error ignored;

	/* The storage may be at another place than this host alone could know. */
	if (cluster_check(site, 0, err) == 0 && cluster_setup_write(call, site, err) == 0)
		return 0;
	if (cluster_plan_noted(site, &note, &ignored) < 0 || note.parts == 0 ||
	    note.parts & PART_FILES)
		error_append(
		    err, "the token is used up: it takes another one of 'virtx cluster token'");
	return -1;
}

/* This host is of the cluster, and is to have the CA's key as well: 1, 0 where nobody wants it, or
 * -1. */
static int
add_ca_key(const struct command_call *call, struct cluster_site *site,
    const struct cluster_token *token, struct error *err)
{
	FILE *out = call->writer->out;
	struct cluster_plan plan;
	int rc;

	fprintf(out, CLUSTER_CA_KEY " (mode 0600):\n    (secret)\n" CLUSTER_VIRTXD_CONF
				    ", which names it, and new certificates of this host.\n");
	fflush(out);
	if (call->counts[CLUSTER_OPTION_DRY_RUN])
		return 0;
	rc = cluster_setup_ask_user(call, "Write these files, and restart what reads them?", err);
	if (rc <= 0)
		return rc;
	if (send_join(call, site, token, err) < 0)
		return -1;
	rc = cluster_plan_make_ca_key(site, &plan, err);
	if (rc == 0)
		return cluster_setup_write_plan(call, site, &plan, err) < 0 ? -1 : 1;
	cluster_plan_clear(&plan);
	return -1;
}

static int
set_up(struct command_call *call, struct cluster_site *site, void *arg, struct error *err)
{
	const struct cluster_token *token = arg;
	const char *own = call->values[CLUSTER_OPTION_CERTIFICATES];
	unsigned int left = 0;
	int rc = is_member(site, token, &left, err);

	if (rc < 0 || (rc == 0 && own && cluster_own_load(site, own, token->fingerprint, err) < 0))
		return -1;
	if (rc == 0) {
		rc = show(call, site, token, err);
		if (rc > 0 &&
		    (send_join(call, site, token, err) < 0 || write_files(call, site, err) < 0))
			rc = -1;
	} else if (call->counts[CLUSTER_OPTION_CA] && !site->material.ca_key) {
		rc = add_ca_key(call, site, token, err);
	} else if (left) {
		rc = cluster_setup_go_on(call, site, left, err);
	} else {
		fprintf(call->writer->out, "This host is of this cluster already.\n");
	}
	if (rc <= 0)
		return rc;
	return *site->root_path ? 0 : cluster_setup_wait(call, false, err);
}

static int
join(struct command_call *call, struct cluster_token *token, struct error *err)
{
	const char *at = token->addresses;
	uint16_t port;
	_free_ char *first = cluster_next_address(&at, &port);
	_free_ char *own = call->values[OPTION_ADDRESS] ? xstrdup(call->values[OPTION_ADDRESS])
							: own_address(first);

	if (!own)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "there is no way to '%s': --address tells this host's own address", first);
	return cluster_setup_run(call, own, set_up, token, err);
}

static enum command_result
cluster_join(struct command_call *call, struct error *err)
{
	struct cluster_token token = { 0 };
	int rc;

	if (take_token(call->operands[0], &token, err) < 0)
		return COMMAND_USAGE;
	rc = join(call, &token, err);
	token_clear(&token);
	return rc < 0 ? COMMAND_FAILED : COMMAND_OK;
}

const struct command cluster_join_command = {
	.words = "cluster join",
	.operands = { ARG_FILE },
	.options = cluster_join_options,
	.summary = "Make this host one of the cluster that the token is of",
	.help =
	    "As root, on the host. FILE has what 'virtx cluster token' prints, and is - for\n"
	    "standard input. Nothing is sent to a host that does not show a certificate of the\n"
	    "token's CA. All else is done as by 'virtx cluster init'. With --ca the host signs\n"
	    "certificates and lets hosts join from then on, as the first one does; one that has\n"
	    "joined before needs a token for it alone for that.",
	.examples = "virtx cluster join - --dry-run\n"
		    "virtx cluster join token.txt --yes\n"
		    "virtx cluster join --ca token.txt\n",
	.run = cluster_join,
	.local = true,
};
