/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Words with one space between, each percent-encoded: BY ROLE USER FROM, and NAME VALUE of the
 * custom field where there is one. */
#include "state/caller.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "proto/check.h"
#include "state/filter.h"

/* Each byte may become three. */
_Static_assert(CALLER_TEXT_SIZE > 3 * 2 * (CALLER_USER_MAX + VMDEF_CUSTOM_BYTES_MAX) + 32,
    "the longest has to fit");

static const char *const by_words[CALLER_BYS] = {
	[CALLER_ADDRESS] = "address",
	[CALLER_TOKEN] = "token",
	[CALLER_CERTIFICATE] = "certificate",
	[CALLER_SOCKET] = "socket",
};

const char *
caller_by_word(enum caller_by by)
{
	return by_words[by];
}

bool
caller_is_limited(const struct caller *caller)
{
	return caller->only_name[0];
}

bool
caller_sees(const struct caller *caller, const struct vmdef *def)
{
	const struct custom_field only = { (char *)caller->only_name, (char *)caller->only_value };

	return !caller_is_limited(caller) || filter_custom(def, &only);
}

bool
caller_keeps(const struct caller *caller, const struct vmdef *def)
{
	for (size_t i = 0; i < def->n_custom; i++) {
		if (caller_is_limited(caller) &&
		    str_equal(def->custom[i].name, caller->only_name) &&
		    !str_equal(def->custom[i].value, caller->only_value))
			return false;
	}
	return caller_sees(caller, def);
}

/* A word and the space before it, where it is not the first. */
static void
add_word(struct buffer *out, const char *word)
{
	if (out->len > 0)
		buffer_add(out, " ", 1);
	for (const char *p = word; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (isalnum(c) || strchr("-._~:@[]", c))
			buffer_add(out, p, 1);
		else
			buffer_printf(out, "%%%02X", c);
	}
}

void
caller_write(const struct caller *caller, char ret[CALLER_TEXT_SIZE])
{
	enum role role = caller->role < ROLE_ADMIN ? caller->role : ROLE_ADMIN;
	_buffer_ struct buffer out = { 0 };

	add_word(&out, caller_by_word(caller->by));
	add_word(&out, role_name(role));
	add_word(&out, caller->user);
	add_word(&out, caller->from);
	if (caller_is_limited(caller)) {
		add_word(&out, caller->only_name);
		add_word(&out, caller->only_value);
	}
	snprintf(ret, CALLER_TEXT_SIZE, "%s", str_or_empty(out.data));
}

/* Takes the word at *at, decoded, into ret; *at becomes the next one. False where it is none: it is
 * empty or too long, has other than printable ASCII in it, or escapes that are none. */
static bool
take_word(const char **at, char *ret, size_t size)
{
	size_t n = 0;

	for (; **at && **at != ' '; ++*at) {
		int c = (unsigned char)**at;

		if (c == '%') {
			int high = hex_digit((*at)[1]), low = high < 0 ? -1 : hex_digit((*at)[2]);

			if (low < 0)
				return false;
			c = high << 4 | low;
			*at += 2;
		}
		if (c < ' ' || c > '~' || n + 1 >= size)
			return false;
		ret[n++] = (char)c;
	}
	ret[n] = '\0';
	*at += **at == ' ';
	return n > 0;
}

static bool
read_by(const char *word, enum caller_by *ret)
{
	for (int by = 0; by < CALLER_BYS; by++) {
		if (str_equal(by_words[by], word)) {
			*ret = (enum caller_by)by;
			return true;
		}
	}
	return false;
}

static bool
read_role(const char *word, enum role *ret)
{
	for (int role = ROLE_VIEWER; role <= ROLE_ADMIN; role++) {
		if (str_equal(role_name((enum role)role), word)) {
			*ret = (enum role)role;
			return true;
		}
	}
	return false;
}

/* The custom field, where there is one; both words are those of VMs. */
static bool
take_only(const char **at, struct caller *ret)
{
	struct error ignored;

	if (!**at)
		return true;
	return take_word(at, ret->only_name, sizeof(ret->only_name)) &&
	       take_word(at, ret->only_value, sizeof(ret->only_value)) &&
	       check_word(ret->only_name, "", "", &ignored) == 0 &&
	       check_word(ret->only_value, "", "", &ignored) == 0;
}

int
caller_read(const char *text, struct caller *ret, struct error *err)
{
	const char *at = text;
	char by[16], role[16];

	*ret = (struct caller){ 0 };
	if (take_word(&at, by, sizeof(by)) && read_by(by, &ret->by) &&
	    take_word(&at, role, sizeof(role)) && read_role(role, &ret->role) &&
	    take_word(&at, ret->user, sizeof(ret->user)) &&
	    take_word(&at, ret->from, sizeof(ret->from)) && take_only(&at, ret) && !*at &&
	    at[-1] != ' ')
		return 0;
	*ret = (struct caller){ 0 };
	return error_set(
	    err, 400, "the statement for whom this host asks is malformed: '%.64s'", text);
}
