/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/token.h"

#include <stdlib.h>
#include <string.h>

#include "proto/check.h"
#include "proto/vmdef.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS	"0123456789"

static const struct field token_fields[] = {
	FIELD("name", struct token, name),
	FIELD_ENUM("role", struct token, role, role),
	FIELD("created", struct token, created),
	FIELD("expires", struct token, expires),
	FIELD("user", struct token, user),
	FIELD_STRUCT("only", struct token, only, custom_field),
	FIELD("certificate", struct token, certificate),
};
const struct model token_model = { "Token", sizeof(struct token), token_fields,
	ARRAY_SIZE(token_fields) };

static const struct field token_list_fields[] = {
	FIELD_ARRAY("items", struct token_list, items, token),
};
const struct model token_list_model = { "TokenList", sizeof(struct token_list), token_list_fields,
	ARRAY_SIZE(token_list_fields) };

static const struct field token_options_fields[] = {
	FIELD("name", struct token_options, name),
	FIELD_ENUM("role", struct token_options, role, role),
	FIELD("lifetime", struct token_options, lifetime),
	FIELD_STRUCT("only", struct token_options, only, custom_field),
	FIELD("request", struct token_options, request),
};
const struct model token_options_model = { "TokenOptions", sizeof(struct token_options),
	token_options_fields, ARRAY_SIZE(token_options_fields) };

static const struct field token_made_fields[] = {
	FIELD_STRUCT("token", struct token_made, token, token),
	FIELD("secret", struct token_made, secret),
	FIELD("certificate", struct token_made, certificate),
};
const struct model token_made_model = { "TokenMade", sizeof(struct token_made), token_made_fields,
	ARRAY_SIZE(token_made_fields) };

static const struct field token_record_fields[] = {
	FIELD_STRUCT("token", struct token_record, token, token),
	FIELD("hash", struct token_record, hash),
};
const struct model token_record_model = { "TokenRecord", sizeof(struct token_record),
	token_record_fields, ARRAY_SIZE(token_record_fields) };

static const struct field token_set_fields[] = {
	FIELD("stamp", struct token_set, stamp),
	FIELD("same", struct token_set, same),
	FIELD_ARRAY("items", struct token_set, items, token_record),
	FIELD_ARRAY("unread", struct token_set, unread, token),
	FIELD_ARRAY("out", struct token_set, out, token),
	FIELD_ARRAY("again", struct token_set, again, token),
	FIELD("damaged", struct token_set, damaged),
	FIELD("taken", struct token_set, taken),
	FIELD("unsigned_out", struct token_set, unsigned_out),
	FIELD("signed_here", struct token_set, signed_here),
};
const struct model token_set_model = { "TokenSet", sizeof(struct token_set), token_set_fields,
	ARRAY_SIZE(token_set_fields) };

int
token_set_again(const struct token_set *set, const char *host)
{
	size_t len = strlen(host);
	int most = 0;

	for (size_t i = 0; i < set->n_again; i++) {
		const char *name = str_or_empty(set->again[i].name);
		int n;

		if (strncmp(name, host, len) != 0 || name[len] != '#')
			continue;
		n = (int)strtol(name + len + 1, NULL, 10);
		if (n > most)
			most = n;
	}
	return most;
}

bool
token_name_valid(const char *name)
{
	size_t len = strspn(name, LETTERS DIGITS "._-");

	return len > 0 && len <= TOKEN_NAME_MAX && !name[len] && !strchr("._-", name[0]);
}

static int
check_token_name(const char *name, int status, struct error *err)
{
	if (token_name_valid(str_or_empty(name)))
		return 0;
	error_set(err, status,
	    "name: '%.64s' is no name of a token: 1 to %d letters, digits, '.', '_' and '-', the "
	    "first a letter or a digit",
	    str_or_empty(name), TOKEN_NAME_MAX);
	token_secret_hide(err->detail);
	return -1;
}

static int
check_role(enum role role, int status, struct error *err)
{
	if (role >= ROLE_VIEWER && role <= ROLE_ADMIN)
		return 0;
	return error_set(err, status, "role: has to be viewer (%d), operator (%d) or admin (%d)",
	    ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN);
}

/* None, or one that a VM can have, with a value. */
static int
check_only(const struct custom_field *only, int status, struct error *err)
{
	if (str_empty(only->name) && str_empty(only->value))
		return 0;
	if (check_length(only->name, 1, VMDEF_CUSTOM_BYTES_MAX, "only", "name", err) == 0 &&
	    check_length(only->value, 1, VMDEF_CUSTOM_BYTES_MAX, "only", "value", err) == 0 &&
	    check_word(only->name, "only", "name", err) == 0 &&
	    check_word(only->value, "only", "value", err) == 0)
		return 0;
	err->status = status;
	return -1;
}

int
token_options_check(const struct token_options *options, struct error *err)
{
	int64_t max =
	    str_empty(options->request) ? TOKEN_LIFETIME_MAX : TOKEN_CERTIFICATE_LIFETIME_MAX;

	if (check_token_name(options->name, 400, err) < 0 ||
	    check_role(options->role, 400, err) < 0 || check_only(&options->only, 400, err) < 0)
		return -1;
	if (options->lifetime < 0 || options->lifetime > max)
		return error_set(err, 400, "lifetime: %lld is not from 0 to %lld seconds",
		    (long long)options->lifetime, (long long)max);
	return 0;
}

int
token_record_check(const struct token_record *record, struct error *err)
{
	const char *hash = str_or_empty(record->hash);

	if (check_token_name(record->token.name, 422, err) < 0 ||
	    check_role(record->token.role, 422, err) < 0 ||
	    check_only(&record->token.only, 422, err) < 0)
		return -1;
	if (record->token.expires < 0)
		return error_set(err, 422, "expires: is negative");
	if (strspn(hash, DIGITS "abcdef") != TOKEN_HASH_LEN || hash[TOKEN_HASH_LEN])
		return error_set(
		    err, 422, "hash: is no SHA-256 of %d hexadecimal digits", TOKEN_HASH_LEN);
	return 0;
}
