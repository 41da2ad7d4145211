/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "proto/table.h"
#include "proto/utf8.h"
#include "state/address.h"
#include "state/config_file.h"
#include "state/config_keys.h"

#define FILE_MAX (64 * 1024)

struct parser {
	struct config_target target;
	const char *file;
	struct error *err;
	const char *text; /* what is left to read */
	uint64_t seen;	  /* a bit for each of config_keys */
	bool failed;
};
_Static_assert(CONFIG_KEYS_MAX <= 64, "parser.seen has a bit for each key");

/* The other key that stands for the same member and was seen, or NULL. */
static const struct config_key *
seen_sibling(const struct parser *p, const struct config_key *key)
{
	for (size_t i = 0; i < config_keys_n; i++) {
		if (&config_keys[i] != key && (p->seen >> i & 1) &&
		    key->offset != CONFIG_KEYS_NOWHERE && config_keys[i].offset == key->offset)
			return &config_keys[i];
	}
	return NULL;
}

/* "FILE:LINE: " in front, and nothing is read any more. Only the first failure counts. */
static int PRINTF(2, 3) fail(struct parser *p, const char *fmt, ...)
{
	va_list ap;
	_free_ char *text = NULL;

	if (p->failed)
		return 0;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	error_set(p->err, 500, "%s:%d: %s", p->file, p->target.line, text);
	p->failed = true;
	return 0;
}

/* The sections, or the keys of one section, for people. */
static void
list_names(const char *section, char *out, size_t size)
{
	const char *last = "";
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < config_keys_n; i++) {
		const char *name = section ? config_keys[i].name : config_keys[i].section;

		if ((section && strcmp(config_keys[i].section, section) != 0) ||
		    strcmp(name, last) == 0)
			continue;
		if (len < size)
			len +=
			    (size_t)snprintf(out + len, size - len, "%s%s", len ? ", " : "", name);
		last = name;
	}
}

static bool
is_section(const char *name)
{
	for (size_t i = 0; i < config_keys_n; i++) {
		if (strcmp(config_keys[i].section, name) == 0)
			return true;
	}
	return false;
}

static int
on_key(void *arg, const char *section, const char *name, const char *value)
{
	struct parser *p = arg;
	char names[512];
	size_t i;

	if (p->failed)
		return 0;
	if (!section[0])
		return fail(p, "'%s' comes before any [section]", name);
	for (i = 0; i < config_keys_n; i++) {
		const struct config_key *key = &config_keys[i];
		const struct config_key *sibling;
		const char *allowed;

		if (strcmp(key->section, section) != 0 || strcmp(key->name, name) != 0)
			continue;
		if ((p->seen >> i & 1) && !config_key_is_list(key))
			return fail(p, "[%s] has '%s' twice", section, name);
		sibling = seen_sibling(p, key);
		if (sibling)
			return fail(p, "[%s] has both '%s' and '%s': only one of them is allowed",
			    section, sibling->name, name);
		allowed = key->set(&p->target, key, value);
		p->seen |= UINT64_C(1) << i;
		if (!allowed)
			return 1;
		if (config_key_is_secret(key))
			return fail(p, "[%s] %s: allowed is %s", section, name, allowed);
		return fail(p, "[%s] %s = '%s': allowed is %s", section, name, value, allowed);
	}
	list_names(section, names, sizeof(names));
	return fail(p, "[%s] has no key '%s', only %s", section, name, names);
}

/* inih takes an unknown section without a key in it in silence: a misspelt one would be missed. */
static int
check_section(struct parser *p, const char *line, size_t len)
{
	const char *end = memchr(line, ']', len);
	_free_ char *name = NULL;
	char names[512];

	if (!end)
		return fail(p, "a [section] without its ']'");
	name = xstrndup(line + 1, (size_t)(end - line - 1));
	if (!is_section(name)) {
		list_names(NULL, names, sizeof(names));
		return fail(p, "no section [%s], only %s", name, names);
	}
	for (end++; end < line + len; end++) {
		if (*end == ';' || *end == '#')
			break;
		if (!isspace((unsigned char)*end))
			return fail(p, "text after [%s]", name);
	}
	return 1;
}

/*
 * inih's fgets(): one line without its indent (which inih would take for a continuation), counted
 * here because a line too long for inih's buffer must not come out in two.
 */
static char *
next_line(char *out, int size, void *stream)
{
	struct parser *p = stream;
	const char *line = p->text;
	size_t len;

	if (p->failed || !*line)
		return NULL;
	len = strcspn(line, "\n");
	p->text += len + (line[len] == '\n');
	p->target.line++;
	for (size_t i = 0; i < len; i++) {
		if (iscntrl((unsigned char)line[i]) && !isspace((unsigned char)line[i])) {
			fail(p, "a control character (byte 0x%02x)", (unsigned char)line[i]);
			return NULL;
		}
	}
	if (!utf8_valid(line, len)) {
		fail(p, "text that is not UTF-8");
		return NULL;
	}
	while (len > 0 && isspace((unsigned char)*line)) {
		line++;
		len--;
	}
	if (size < 3 || (len > (size_t)size - 3 && *line != '#' && *line != ';')) {
		fail(p, "a line of more than %d bytes", size - 3);
		return NULL;
	}
	if (*line == '#' || *line == ';')
		len = 1;
	if (*line == '[' && !check_section(p, line, len))
		return NULL;
	memcpy(out, line, len);
	out[len] = '\n';
	out[len + 1] = '\0';
	return out;
}

/* What a row does not say: on loopback plain, and for those who show who they are, as others than
 * root get there, too; beyond it TLS where there is a certificate, or what allow_plain stands for.
 * NULL, or what it has to say. */
static const char *
complete_listen(const struct config *config, struct config_listen *l)
{
	bool loopback = address_is_loopback(l->addr);

	if (!l->transport && !l->access && config->allow_plain && !loopback) {
		l->transport = TRANSPORT_PLAIN;
		l->access = ACCESS_OPEN;
	}
	if (!l->transport && loopback)
		l->transport = TRANSPORT_PLAIN;
	if (!l->transport && !config_has_tls(config))
		return "plain HTTP beyond loopback can be read and changed on its way; it needs "
		       "the "
		       "word 'plain', or section [tls] a certificate";
	if (!l->transport)
		l->transport = TRANSPORT_TLS;
	if (l->transport == TRANSPORT_TLS && !config_has_tls(config))
		return "'tls' needs a certificate in section [tls]";
	if (!l->access && !loopback)
		return "it needs the word 'auth', for those who have a token or the certificate of "
		       "a host, or 'open': then whoever reaches it controls this host's VMs";
	if (!l->access)
		l->access = ACCESS_AUTH;
	return NULL;
}

static void
check_listen(struct parser *p)
{
	struct config *config = p->target.config;

	for (size_t i = 0; i < config->n_listen && !p->failed; i++) {
		struct config_listen *l = &config->listen[i];
		const char *why = complete_listen(config, l);

		if (!why)
			continue;
		p->target.line = p->target.listen_line[i];
		fail(p, "[http] listen = '%s' port %u: %s", l->addr, l->port, why);
	}
}

static void
check_tls(struct parser *p)
{
	const struct config *config = p->target.config;
	bool certificate = !str_empty(config->tls_certificate), key = !str_empty(config->tls_key),
	     ca = !str_empty(config->tls_ca);

	if (certificate == key && key == ca)
		return;
	fail(p, "[tls] needs all of 'certificate', 'key' and 'ca': '%s' is not there",
	    !certificate ? "certificate"
	    : !key	 ? "key"
			 : "ca");
}

void
config_init(struct config *config)
{
	struct config_target target = { .config = config };

	*config = (struct config){ 0 };
	for (size_t i = 0; i < config_keys_n; i++) {
		if (config_keys[i].value &&
		    config_keys[i].set(&target, &config_keys[i], config_keys[i].value))
			abort();
	}
	for (size_t i = 0; i < config->n_listen; i++) {
		if (complete_listen(config, &config->listen[i]))
			abort();
	}
}

int
config_load(struct config *config, const char *file, bool must_exist, struct error *err)
{
	_buffer_ struct buffer b = { 0 };
	struct parser p = {
		.target = { .config = config, .default_listen = true },
		.file = file,
		.err = err,
	};
	int errnum;
	int r;

	if (config_file_read(file, FILE_MAX, &b, &errnum, err) < 0)
		return errnum == ENOENT && !must_exist ? 0 : -1;

	p.text = b.data;
	r = ini_parse_stream(next_line, &p, on_key, &p);
	if (r < 0)
		abort();
	if (r > 0 && !p.failed) {
		p.target.line = r;
		fail(&p, "neither [section] nor key = value");
	}
	if (!p.failed)
		check_tls(&p);
	if (!p.failed)
		check_listen(&p);
	config_file_wipe(&b);
	return p.failed ? -1 : 0;
}
