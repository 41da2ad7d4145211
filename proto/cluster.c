/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/cluster.h"

#include <arpa/inet.h>
#include <string.h>

#define PREFIX "virtx-join/"

static const struct field cluster_token_options_fields[] = {
	FIELD("lifetime", struct cluster_token_options, lifetime),
	FIELD("host", struct cluster_token_options, host),
};
const struct model cluster_token_options_model = { "ClusterTokenOptions",
	sizeof(struct cluster_token_options), cluster_token_options_fields,
	ARRAY_SIZE(cluster_token_options_fields) };

static const struct field cluster_token_fields[] = {
	FIELD("addresses", struct cluster_token, addresses),
	FIELD("fingerprint", struct cluster_token, fingerprint),
	FIELD("secret", struct cluster_token, secret),
	FIELD("expires", struct cluster_token, expires),
};
const struct model cluster_token_model = { "ClusterToken", sizeof(struct cluster_token),
	cluster_token_fields, ARRAY_SIZE(cluster_token_fields) };

static const struct field cluster_join_fields[] = {
	FIELD("uuid", struct cluster_join, uuid),
	FIELD("name", struct cluster_join, name),
	FIELD("request", struct cluster_join, request),
	FIELD("qemu_request", struct cluster_join, qemu_request),
};
const struct model cluster_join_model = { "ClusterJoin", sizeof(struct cluster_join),
	cluster_join_fields, ARRAY_SIZE(cluster_join_fields) };

static const struct field cluster_member_fields[] = {
	FIELD("certificate", struct cluster_member, certificate),
	FIELD("qemu_certificate", struct cluster_member, qemu_certificate),
	FIELD("ca", struct cluster_member, ca),
	FIELD("serf_key", struct cluster_member, serf_key),
	FIELD("addresses", struct cluster_member, addresses),
	FIELD("number", struct cluster_member, number),
	FIELD("sanlock_group", struct cluster_member, sanlock_group),
	FIELD("io_timeout", struct cluster_member, io_timeout),
	FIELD("storage_root", struct cluster_member, storage_root),
	FIELD("ha", struct cluster_member, ha),
	FIELD("ca_key", struct cluster_member, ca_key),
};
const struct model cluster_member_model = { "ClusterMember", sizeof(struct cluster_member),
	cluster_member_fields, ARRAY_SIZE(cluster_member_fields) };

static const struct field cluster_renewal_fields[] = {
	FIELD("request", struct cluster_renewal, request),
	FIELD("qemu_request", struct cluster_renewal, qemu_request),
};
const struct model cluster_renewal_model = { "ClusterRenewal", sizeof(struct cluster_renewal),
	cluster_renewal_fields, ARRAY_SIZE(cluster_renewal_fields) };

static const struct field cluster_certificates_fields[] = {
	FIELD("certificate", struct cluster_certificates, certificate),
	FIELD("qemu_certificate", struct cluster_certificates, qemu_certificate),
	FIELD("ca", struct cluster_certificates, ca),
};
const struct model cluster_certificates_model = { "ClusterCertificates",
	sizeof(struct cluster_certificates), cluster_certificates_fields,
	ARRAY_SIZE(cluster_certificates_fields) };

char *
cluster_token_text(const struct cluster_token *token)
{
	return xasprintf(PREFIX "%s/%s/%s", str_or_empty(token->addresses),
	    str_or_empty(token->fingerprint), str_or_empty(token->secret));
}

char *
cluster_next_address(const char **at, uint16_t *ret_port)
{
	bool v6 = **at == '[';
	const char *p = *at + v6;
	size_t len = strcspn(p, v6 ? "]," : ":,");
	_free_ char *address = xstrndup(p, len);
	struct in6_addr parsed;
	long port = 0;

	*ret_port = 0;
	if (inet_pton(v6 ? AF_INET6 : AF_INET, address, &parsed) != 1)
		return NULL;
	p += len;
	if (v6 && *p++ != ']')
		return NULL;
	if (*p == ':') {
		p++;
		for (size_t i = 0; i < 5 && *p >= '0' && *p <= '9'; i++)
			port = port * 10 + (*p++ - '0');
		if (port < 1 || port > UINT16_MAX)
			return NULL;
	}
	if (*p && *p != ',')
		return NULL;
	*at = *p ? p + 1 : p;
	*ret_port = (uint16_t)port;
	return steal_ptr(address);
}

static bool
are_addresses(const char *list)
{
	size_t n = 0;

	while (*list) {
		uint16_t port;
		_free_ char *address = cluster_next_address(&list, &port);

		if (!address || port == 0 || ++n > CLUSTER_ADDRESSES_MAX)
			return false;
	}
	return n > 0;
}

/* The text is perhaps a token with a slip in it, and not repeated. */
int
cluster_token_parse(const char *text, struct cluster_token *ret, struct error *err)
{
	static const char hex[] = "0123456789abcdef";
	const char *print, *secret;

	if (strlen(text) > CLUSTER_TOKEN_MAX || strncmp(text, PREFIX, strlen(PREFIX)) != 0)
		return error_set(err, -1, "this is no token of 'virtx cluster token'");
	text += strlen(PREFIX);
	print = strchr(text, '/');
	secret = print ? strchr(print + 1, '/') : NULL;
	if (!secret || secret - print != PKI_FINGERPRINT_SIZE ||
	    strspn(print + 1, hex) != PKI_FINGERPRINT_SIZE - 1 ||
	    secret[1 + strspn(secret + 1, "virtx_0123456789abcdef")] || strlen(secret) < 65)
		return error_set(
		    err, -1, "the token is not whole: copy it again, from its first to its last");
	*ret = (struct cluster_token){
		.addresses = xstrndup(text, (size_t)(print - text)),
		.fingerprint = xstrndup(print + 1, PKI_FINGERPRINT_SIZE - 1),
		.secret = xstrdup(secret + 1),
	};
	if (are_addresses(ret->addresses))
		return 0;
	pki_wipe(steal_ptr(ret->secret));
	model_clear(&cluster_token_model, ret);
	return error_set(err, -1, "the token has no addresses of a host");
}
