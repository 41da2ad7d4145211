/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration: one row for each key, with its default, its range and its setter. */
#include "state/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/log.h"
#include "proto/table.h"
#include "proto/utf8.h"
#include "state/address.h"

#define FILE_MAX   (64 * 1024)
#define SECRET_MAX 4096
#define LISTEN_MAX 16

#define NOWHERE SIZE_MAX /* the offset of a key that is more than one member */

struct key;
struct parser;

/* Stores a value; on failure returns what would have been allowed, else NULL. */
typedef const char *(*setter)(struct parser *p, const struct key *key, const char *value);

struct key {
	const char *section;
	const char *name;
	setter set;
	size_t offset;
	int min, max;
	const char *value; /* the default; NULL for none */
};

struct parser {
	struct config *config;
	const char *file;
	struct error *err;
	const char *text; /* what is left to read */
	int line;
	uint64_t seen; /* a bit for each row of keys */
	int listen_line[LISTEN_MAX];
	bool default_listen; /* what config->listen holds are the defaults */
	bool failed;
	char allowed[256]; /* what a setter returns may live here */
};

/* The member of the config that the row stands for. */
static void *
member(struct parser *p, const struct key *key)
{
	return (char *)p->config + key->offset;
}

static const char *
set_int(struct parser *p, const struct key *key, const char *value)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(value, &end, 10);
	if (!isdigit((unsigned char)value[0]) || *end || errno || n < key->min || n > key->max) {
		snprintf(
		    p->allowed, sizeof(p->allowed), "an integer from %d to %d", key->min, key->max);
		return p->allowed;
	}
	*(int *)member(p, key) = (int)n;
	return NULL;
}

static const char *
set_yesno(struct parser *p, const struct key *key, const char *value)
{
	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return "yes or no";
	*(bool *)member(p, key) = value[0] == 'y';
	return NULL;
}

static const char *
set_level(struct parser *p, const struct key *key, const char *value)
{
	int level = log_level_from_word(value);

	if (level < 0)
		return "error, warning, info or debug";
	*(int *)member(p, key) = level;
	return NULL;
}

/* True for "/a/b": no empty, "." or ".." component, no slash at the end. */
static bool
is_clean_path(const char *path)
{
	if (path[0] != '/')
		return false;
	while (*path) {
		size_t len = strcspn(path + 1, "/");

		if (len == 0 || (len == 1 && path[1] == '.') ||
		    (len == 2 && path[1] == '.' && path[2] == '.'))
			return false;
		path += 1 + len;
	}
	return true;
}

static const char *
set_path(struct parser *p, const struct key *key, const char *value)
{
	if (!is_clean_path(value) || strlen(value) > 160)
		return "an absolute path of at most 160 bytes, without //, . or .. and without a "
		       "slash at its end";
	str_set(member(p, key), value);
	return NULL;
}

static const char *
set_uri(struct parser *p, const struct key *key, const char *value)
{
	const char *colon = strchr(value, ':');

	if (!colon || colon == value || colon[1] != '/')
		return "a libvirt URI such as qemu:///system";
	str_set(member(p, key), value);
	return NULL;
}

static const char *
set_migrate_uri(struct parser *p, const struct key *key, const char *value)
{
	const char *address = strchr(value, '%');

	if (!address || address[1] != 's' || strchr(address + 1, '%') || set_uri(p, key, value))
		return "a libvirt URI with %s for the address, such as qemu+tls://%s/system";
	return NULL;
}

static const char *
set_group(struct parser *p, const struct key *key, const char *value)
{
	struct group entry, *found = NULL;
	char text[65536], *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(value, &end, 10);
	if (!*value)
		n = 0;
	else if (!isdigit((unsigned char)*value) &&
		 getgrnam_r(value, &entry, text, sizeof(text), &found) == 0 && found)
		n = entry.gr_gid;
	else if (!isdigit((unsigned char)*value) || *end || errno || n >= UINT32_MAX)
		return "the name or the number of a group of this host";
	*(int64_t *)member(p, key) = (int64_t)n;
	return NULL;
}

static void
clear_listen(struct config *config)
{
	for (size_t i = 0; i < config->n_listen; i++)
		free(config->listen[i].addr);
	free(config->listen);
	config->listen = NULL;
	config->n_listen = 0;
}

static const char *
set_listen(struct parser *p, const struct key *key, const char *value)
{
	struct config *config = p->config;
	char addr[ADDRESS_SIZE];
	uint16_t port;

	if (!address_parse(value, addr, &port))
		return "ADDR:PORT or [ADDR]:PORT, ADDR an IP address, PORT 1 to 65535";
	if (p->default_listen) {
		clear_listen(config);
		p->default_listen = false;
	}
	for (size_t i = 0; i < config->n_listen; i++) {
		if (config->listen[i].port == port && strcmp(config->listen[i].addr, addr) == 0)
			return "each address and port once";
	}
	if (config->n_listen == LISTEN_MAX)
		return "at most 16 listeners";
	p->listen_line[config->n_listen] = p->line;
	*model_append(&config->listen, &config->n_listen) =
	    (struct config_listen){ .addr = xstrdup(addr), .port = port };
	return NULL;
}

static const char *
set_rpc(struct parser *p, const struct key *key, const char *value)
{
	char addr[ADDRESS_SIZE];
	uint16_t port;

	if (!address_parse(value, addr, &port))
		return "ADDR:PORT or [ADDR]:PORT, ADDR an IP address, PORT 1 to 65535";
	str_set(&p->config->serf_addr, addr);
	p->config->serf_port = port;
	return NULL;
}

static const char *
set_secret(struct parser *p, const struct key *key, const char *value)
{
	str_set(member(p, key), value);
	return NULL;
}

static const char *
set_words(struct parser *p, const struct key *key, const char *value)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_ ";

	if (value[strspn(value, allowed)])
		return "host names without a port, with spaces between";
	str_set(member(p, key), value);
	return NULL;
}

static const char *
set_origins(struct parser *p, const struct key *key, const char *value)
{
	const char *word = value + strspn(value, " ");

	while (*word) {
		size_t len = strcspn(word, " ");
		const char *name = strncmp(word, "http://", 7) == 0    ? word + 7
				   : strncmp(word, "https://", 8) == 0 ? word + 8
								       : word;

		if (name == word || name == word + len || strcspn(name, "/ ") != strcspn(name, " "))
			return "http://NAME or https://NAME, with a port or without and without a "
			       "path, with spaces between";
		word += len + strspn(word + len, " ");
	}
	str_set(member(p, key), value);
	return NULL;
}

static const char *
set_networks(struct parser *p, const struct key *key, const char *value)
{
	if (!address_list_valid(value))
		return "IP addresses, or networks as 192.0.2.0/24, with spaces between";
	str_set(member(p, key), value);
	return NULL;
}

/* Reads a regular local file of at most max bytes; a text without NUL bytes. */
static int
read_file(const char *file, size_t max, struct buffer *b, int *errnum, struct error *err)
{
	/* O_NONBLOCK: a FIFO by mistake must not stop the start. */
	_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r;

	*errnum = fd < 0 || fstat(fd, &st) < 0 ? errno : 0;
	if (*errnum)
		return error_errno(err, 500, *errnum, "cannot read '%s'", file);
	if (S_ISDIR(st.st_mode))
		return error_errno(err, 500, EISDIR, "cannot read '%s'", file);
	if (!S_ISREG(st.st_mode))
		return error_set(err, 500, "cannot read '%s': not a regular file", file);
	r = read_all(fd, b, max);
	if (r == -EFBIG)
		return error_set(err, 500, "cannot read '%s': larger than %zu bytes", file, max);
	if (r < 0)
		return error_errno(err, 500, -r, "cannot read '%s'", file);
	if (b->len && memchr(b->data, '\0', b->len))
		return error_set(err, 500, "cannot read '%s': it holds a NUL byte", file);
	return 0;
}

/* What held a key must not stay in freed memory. */
static void
wipe(struct buffer *b)
{
	if (b->data)
		explicit_bzero(b->data, b->size);
}

static const char *
set_secret_file(struct parser *p, const struct key *key, const char *value)
{
	_buffer_ struct buffer b = { 0 };
	struct error err;
	int errnum;

	if (!is_clean_path(value))
		return "the absolute path of a file that holds the key";
	if (read_file(value, SECRET_MAX, &b, &errnum, &err) < 0) {
		snprintf(p->allowed, sizeof(p->allowed), "a readable file (%.200s)", err.detail);
		wipe(&b);
		return p->allowed;
	}
	while (b.len > 0 && isspace((unsigned char)b.data[b.len - 1]))
		b.data[--b.len] = '\0';
	if (b.len == 0)
		return "a file that is not empty";
	str_set(member(p, key), b.data);
	wipe(&b);
	return NULL;
}

#define AT(member) offsetof(struct config, member)
static const struct key keys[] = {
	{ "virtxd", "storage_root", set_path, AT(storage_root), 0, 0, "/vms" },
	{ "virtxd", "run_dir", set_path, AT(run_dir), 0, 0, "/run/virtx" },
	{ "virtxd", "log_level", set_level, AT(log_level), 0, 0, "info" },
	{ "http", "listen", set_listen, NOWHERE, 0, 0, "127.0.0.1:8080" },
	{ "http", "allow_plain", set_yesno, AT(allow_plain), 0, 0, "no" },
	{ "http", "host_names", set_words, AT(host_names), 0, 0, "" },
	{ "http", "allowed_origins", set_origins, AT(allowed_origins), 0, 0, "" },
	{ "http", "trusted_proxies", set_networks, AT(trusted_proxies), 0, 0, "" },
	{ "http", "max_connections", set_int, AT(max_connections), 8, 65536, "1024" },
	{ "http", "max_body", set_int, AT(max_body), 65536, 64 << 20, "1048576" },
	{ "http", "max_headers", set_int, AT(max_headers), 4096, 1 << 20, "16384" },
	{ "http", "request_timeout", set_int, AT(request_timeout), 1, 3600, "30" },
	{ "http", "idle_timeout", set_int, AT(idle_timeout), 1, 3600, "60" },
	{ "http", "reply_timeout", set_int, AT(reply_timeout), 1, 86400, "300" },
	{ "libvirt", "uri", set_uri, AT(libvirt_uri), 0, 0, "qemu:///system" },
	{ "libvirt", "migrate_uri", set_migrate_uri, AT(migrate_uri), 0, 0,
	    "qemu+tls://%s/system" },
	{ "libvirt", "qemu_group", set_group, AT(qemu_group), 0, 0, "" },
	{ "libvirt", "retry", set_int, AT(libvirt_retry), 1, 3600, "5" },
	{ "serf", "rpc", set_rpc, NOWHERE, 0, 0, "127.0.0.1:7373" },
	{ "serf", "rpc_auth", set_secret, AT(serf_key), 0, 0, "" },
	{ "serf", "rpc_auth_file", set_secret_file, AT(serf_key), 0, 0, NULL },
	{ "serf", "retry", set_int, AT(serf_retry), 1, 3600, "5" },
	{ "serf", "forget_days", set_int, AT(forget_days), 1, 3650, "7" },
	{ "sanlock", "io_timeout", set_int, AT(io_timeout), 1, 60, "10" },
	{ "sanlock", "kill_unprotected", set_yesno, AT(kill_unprotected), 0, 0, "no" },
	{ "sanlock", "answer_timeout", set_int, AT(answer_timeout), 1, 60, "10" },
	{ "jobs", "running_max", set_int, AT(jobs_max), 1, 256, "16" },
	{ "jobs", "queue_max", set_int, AT(jobs_queue_max), 0, 4096, "64" },
	{ "jobs", "stuck_max", set_int, AT(jobs_stuck_max), 1, 1024, "32" },
	{ "jobs", "collect_period", set_int, AT(collect_period), 1, 3600, "15" },
	{ "jobs", "evacuations", set_int, AT(evacuations), 1, 64, "2" },
};
#undef AT
_Static_assert(ARRAY_SIZE(keys) <= 64, "parser.seen has a bit for each key");

/* The other key that stands for the same member and was seen, or NULL. */
static const struct key *
seen_sibling(const struct parser *p, const struct key *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (&keys[i] != key && (p->seen >> i & 1) && key->offset != NOWHERE &&
		    keys[i].offset == key->offset)
			return &keys[i];
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
	error_set(p->err, 500, "%s:%d: %s", p->file, p->line, text);
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
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *name = section ? keys[i].name : keys[i].section;

		if ((section && strcmp(keys[i].section, section) != 0) || strcmp(name, last) == 0)
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
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].section, name) == 0)
			return true;
	}
	return false;
}

static bool
is_secret(const struct key *key)
{
	return key->set == set_secret;
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
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct key *key = &keys[i];
		const struct key *sibling;
		const char *allowed;

		if (strcmp(key->section, section) != 0 || strcmp(key->name, name) != 0)
			continue;
		if ((p->seen >> i & 1) && key->set != set_listen)
			return fail(p, "[%s] has '%s' twice", section, name);
		sibling = seen_sibling(p, key);
		if (sibling)
			return fail(p, "[%s] has both '%s' and '%s': only one of them is allowed",
			    section, sibling->name, name);
		allowed = key->set(p, key, value);
		p->seen |= UINT64_C(1) << i;
		if (!allowed)
			return 1;
		if (is_secret(key))
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
	p->line++;
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

static int
check_plain(struct parser *p)
{
	const struct config *config = p->config;

	for (size_t i = 0; i < config->n_listen && !config->allow_plain && !p->default_listen;
	     i++) {
		const struct config_listen *l = &config->listen[i];

		if (address_is_loopback(l->addr))
			continue;
		p->line = p->listen_line[i];
		fail(p,
		    "[http] listen = '%s' port %u: plain HTTP beyond loopback lets everyone who "
		    "reaches it control this host's VMs; it needs 'allow_plain = yes'",
		    l->addr, l->port);
		return -1;
	}
	return 0;
}

void
config_init(struct config *config)
{
	struct parser p = { .config = config };

	*config = (struct config){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (keys[i].value && keys[i].set(&p, &keys[i], keys[i].value))
			abort();
	}
}

void
config_clear(struct config *config)
{
	clear_listen(config);
	if (config->serf_key)
		explicit_bzero(config->serf_key, strlen(config->serf_key));
	free(config->host_names);
	free(config->allowed_origins);
	free(config->trusted_proxies);
	free(config->storage_root);
	free(config->run_dir);
	free(config->libvirt_uri);
	free(config->migrate_uri);
	free(config->serf_addr);
	free(config->serf_key);
	*config = (struct config){ 0 };
}

int
config_load(struct config *config, const char *file, bool must_exist, struct error *err)
{
	_buffer_ struct buffer b = { 0 };
	struct parser p = {
		.config = config,
		.file = file,
		.err = err,
		.default_listen = true,
	};
	int errnum;
	int r;

	if (read_file(file, FILE_MAX, &b, &errnum, err) < 0)
		return errnum == ENOENT && !must_exist ? 0 : -1;

	p.text = b.data;
	r = ini_parse_stream(next_line, &p, on_key, &p);
	if (r < 0)
		abort();
	if (r > 0 && !p.failed) {
		p.line = r;
		fail(&p, "neither [section] nor key = value");
	}
	if (!p.failed)
		(void)check_plain(&p);
	wipe(&b);
	return p.failed ? -1 : 0;
}
