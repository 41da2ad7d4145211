/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/config_keys.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "proto/ha.h"
#include "proto/log.h"
#include "proto/table.h"
#include "state/address.h"
#include "state/config_file.h"

#define SECRET_MAX 4096

/* The member of the config that the row stands for. */
static void *
member(struct config_target *target, const struct config_key *key)
{
	return (char *)target->config + key->offset;
}

static const char *
set_int(struct config_target *target, const struct config_key *key, const char *value)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(value, &end, 10);
	if (!isdigit((unsigned char)value[0]) || *end || errno || n < key->min || n > key->max) {
		snprintf(target->allowed, sizeof(target->allowed), "an integer from %d to %d",
		    key->min, key->max);
		return target->allowed;
	}
	*(int *)member(target, key) = (int)n;
	return NULL;
}

static const char *
set_yesno(struct config_target *target, const struct config_key *key, const char *value)
{
	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return "yes or no";
	*(bool *)member(target, key) = value[0] == 'y';
	return NULL;
}

static const char *
set_policy(struct config_target *target, const struct config_key *key, const char *value)
{
	int policy = ha_policy_parse(value);

	if (policy < 0)
		return "restart or none";
	*(bool *)member(target, key) = policy == 1;
	return NULL;
}

static const char *
set_shutdown(struct config_target *target, const struct config_key *key, const char *value)
{
	bool restart = strcmp(value, "restart") == 0;

	if (!restart && strcmp(value, "stop") != 0)
		return "stop or restart";
	*(bool *)member(target, key) = restart;
	return NULL;
}

static const char *
set_level(struct config_target *target, const struct config_key *key, const char *value)
{
	int level = log_level_from_word(value);

	if (level < 0)
		return "error, warning, info or debug";
	*(int *)member(target, key) = level;
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
set_path(struct config_target *target, const struct config_key *key, const char *value)
{
	if (!is_clean_path(value) || strlen(value) > 160)
		return "an absolute path of at most 160 bytes, without //, . or .. and without a "
		       "slash at its end";
	str_set(member(target, key), value);
	return NULL;
}

/* Or none. */
static const char *
set_file(struct config_target *target, const struct config_key *key, const char *value)
{
	if (!*value)
		str_set(member(target, key), "");
	return *value ? set_path(target, key, value) : NULL;
}

static const char *
set_uri(struct config_target *target, const struct config_key *key, const char *value)
{
	const char *colon = strchr(value, ':');

	if (!colon || colon == value || colon[1] != '/')
		return "a libvirt URI such as qemu:///system";
	str_set(member(target, key), value);
	return NULL;
}

static const char *
set_migrate_uri(struct config_target *target, const struct config_key *key, const char *value)
{
	const char *address = strchr(value, '%');

	if (!address || address[1] != 's' || strchr(address + 1, '%') ||
	    set_uri(target, key, value))
		return "a libvirt URI with %s for the address, such as qemu+tls://%s/system";
	return NULL;
}

static const char *
set_group(struct config_target *target, const struct config_key *key, const char *value)
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
	*(int64_t *)member(target, key) = (int64_t)n;
	return NULL;
}

/* The words behind an address, in their order; -1 for others, or for one twice. */
static int
read_listen_words(char *words, struct config_listen *ret)
{
	char *save = NULL;

	for (char *word = strtok_r(words, " \t", &save); word;
	     word = strtok_r(NULL, " \t", &save)) {
		bool tls = strcmp(word, "tls") == 0;

		if ((tls || strcmp(word, "plain") == 0) && !ret->transport && !ret->access)
			ret->transport = tls ? TRANSPORT_TLS : TRANSPORT_PLAIN;
		else if (strcmp(word, "open") == 0 && !ret->access)
			ret->access = ACCESS_OPEN;
		else if (strcmp(word, "auth") == 0 && !ret->access)
			ret->access = ACCESS_AUTH;
		else
			return -1;
	}
	return 0;
}

static const char *
set_listen(struct config_target *target, const struct config_key *key, const char *value)
{
	struct config *config = target->config;
	size_t len = strcspn(value, " \t");
	_free_ char *where = xstrndup(value, len), *words = xstrdup(value + len);
	struct config_listen listen = { 0 };
	char addr[ADDRESS_SIZE];

	if (!address_parse(where, addr, &listen.port) || read_listen_words(words, &listen) < 0)
		return "ADDR:PORT or [ADDR]:PORT, ADDR an IP address, PORT 1 to 65535, and behind "
		       "it 'tls' or 'plain', and 'auth' or 'open', or neither";
	if (target->default_listen) {
		config_clear_listen(config);
		target->default_listen = false;
	}
	for (size_t i = 0; i < config->n_listen; i++) {
		if (config->listen[i].port == listen.port &&
		    strcmp(config->listen[i].addr, addr) == 0)
			return "each address and port once";
	}
	if (config->n_listen == CONFIG_LISTEN_MAX)
		return "at most 16 listeners";
	target->listen_line[config->n_listen] = target->line;
	listen.addr = xstrdup(addr);
	*model_append(&config->listen, &config->n_listen) = listen;
	return NULL;
}

static const char *
set_rpc(struct config_target *target, const struct config_key *key, const char *value)
{
	char addr[ADDRESS_SIZE];
	uint16_t port;

	if (!address_parse(value, addr, &port))
		return "ADDR:PORT or [ADDR]:PORT, ADDR an IP address, PORT 1 to 65535";
	str_set(&target->config->serf_addr, addr);
	target->config->serf_port = port;
	return NULL;
}

static const char *
set_secret(struct config_target *target, const struct config_key *key, const char *value)
{
	str_set(member(target, key), value);
	return NULL;
}

static const char *
set_words(struct config_target *target, const struct config_key *key, const char *value)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_ ";

	if (value[strspn(value, allowed)])
		return "host names without a port, with spaces between";
	str_set(member(target, key), value);
	return NULL;
}

static const char *
set_patterns(struct config_target *target, const struct config_key *key, const char *value)
{
	static const char dev[] = "/dev/";

	for (const char *word = value; *word; word += strspn(word, " ")) {
		if (strncmp(word, dev, strlen(dev)) != 0 || word[strlen(dev)] == ' ' ||
		    !word[strlen(dev)])
			return "paths below /dev/, with * and ? for what differs, and with spaces "
			       "between";
		word += strcspn(word, " ");
	}
	str_set(member(target, key), value);
	return NULL;
}

static const char *
set_origins(struct config_target *target, const struct config_key *key, const char *value)
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
	str_set(member(target, key), value);
	return NULL;
}

static const char *
set_networks(struct config_target *target, const struct config_key *key, const char *value)
{
	if (!address_list_valid(value))
		return "IP addresses, or networks as 192.0.2.0/24, with spaces between";
	str_set(member(target, key), value);
	return NULL;
}

static const char *
set_secret_file(struct config_target *target, const struct config_key *key, const char *value)
{
	_buffer_ struct buffer b = { 0 };
	struct error err;
	int errnum;

	if (!is_clean_path(value))
		return "the absolute path of a file that holds the key";
	if (config_file_read(value, SECRET_MAX, &b, &errnum, &err) < 0) {
		snprintf(target->allowed, sizeof(target->allowed), "a readable file (%.200s)",
		    err.detail);
		config_file_wipe(&b);
		return target->allowed;
	}
	while (b.len > 0 && isspace((unsigned char)b.data[b.len - 1]))
		b.data[--b.len] = '\0';
	if (b.len == 0)
		return "a file that is not empty";
	str_set(member(target, key), b.data);
	config_file_wipe(&b);
	return NULL;
}

#define AT(member) offsetof(struct config, member)
const struct config_key config_keys[] = {
	{ "virtxd", "storage_root", set_path, AT(storage_root), 0, 0, "/vms" },
	{ "virtxd", "run_dir", set_path, AT(run_dir), 0, 0, "/run/virtx" },
	{ "virtxd", "state_dir", set_path, AT(state_dir), 0, 0, "/var/lib/virtx" },
	{ "virtxd", "log_level", set_level, AT(log_level), 0, 0, "info" },
	{ "storage", "luns", set_patterns, AT(luns), 0, 0, "" },
	{ "http", "listen", set_listen, CONFIG_KEYS_NOWHERE, 0, 0, "127.0.0.1:8080" },
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
	{ "tls", "certificate", set_file, AT(tls_certificate), 0, 0, "" },
	{ "tls", "key", set_file, AT(tls_key), 0, 0, "" },
	{ "tls", "ca", set_file, AT(tls_ca), 0, 0, "" },
	{ "tls", "ca_key", set_file, AT(tls_ca_key), 0, 0, "" },
	{ "libvirt", "uri", set_uri, AT(libvirt_uri), 0, 0, "qemu:///system" },
	{ "libvirt", "migrate_uri", set_migrate_uri, AT(migrate_uri), 0, 0,
	    "qemu+tls://%s/system" },
	{ "libvirt", "migrate_tls", set_yesno, AT(migrate_tls), 0, 0, "no" },
	{ "libvirt", "qemu_group", set_group, AT(qemu_group), 0, 0, "" },
	{ "libvirt", "retry", set_int, AT(libvirt_retry), 1, 3600, "5" },
	{ "serf", "rpc", set_rpc, CONFIG_KEYS_NOWHERE, 0, 0, "127.0.0.1:7373" },
	{ "serf", "rpc_auth", set_secret, AT(serf_key), 0, 0, "" },
	{ "serf", "rpc_auth_file", set_secret_file, AT(serf_key), 0, 0, NULL },
	{ "serf", "encrypt_key_file", set_file, AT(serf_encrypt_file), 0, 0, "" },
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
	{ "ha", "enabled", set_yesno, AT(ha_enabled), 0, 0, "no" },
	{ "ha", "policy", set_policy, AT(ha_restart), 0, 0, "none" },
	{ "ha", "boot_delay", set_int, AT(ha_boot_delay), 0, 3600, "5" },
	{ "ha", "on_shutdown", set_shutdown, AT(ha_hands_over), 0, 0, "stop" },
	{ "ha", "unsafe_without_watchdog", set_yesno, AT(ha_unsafe), 0, 0, "no" },
};
#undef AT
_Static_assert(
    ARRAY_SIZE(config_keys) <= CONFIG_KEYS_MAX, "whoever counts them has a bit for each");
const size_t config_keys_n = ARRAY_SIZE(config_keys);

bool
config_key_is_secret(const struct config_key *key)
{
	return key->set == set_secret;
}

bool
config_key_is_list(const struct config_key *key)
{
	return key->set == set_listen;
}
