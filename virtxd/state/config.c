/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/config.h"

#include <string.h>

#include "state/address.h"

void
config_clear_listen(struct config *config)
{
	for (size_t i = 0; i < config->n_listen; i++)
		free(config->listen[i].addr);
	free(config->listen);
	config->listen = NULL;
	config->n_listen = 0;
}

void
config_clear(struct config *config)
{
	config_clear_listen(config);
	if (config->serf_key)
		explicit_bzero(config->serf_key, strlen(config->serf_key));
	free(config->host_names);
	free(config->allowed_origins);
	free(config->trusted_proxies);
	free(config->storage_root);
	free(config->luns);
	free(config->run_dir);
	free(config->state_dir);
	free(config->tls_certificate);
	free(config->tls_key);
	free(config->tls_ca);
	free(config->tls_ca_key);
	free(config->serf_encrypt_file);
	free(config->libvirt_uri);
	free(config->migrate_uri);
	free(config->serf_addr);
	free(config->serf_key);
	*config = (struct config){ 0 };
}

bool
config_has_tls(const struct config *config)
{
	return !str_empty(config->tls_certificate);
}

const struct config_listen *
config_public_listen(const struct config *config)
{
	const struct config_listen *found = NULL;

	for (size_t i = 0; i < config->n_listen; i++) {
		const struct config_listen *l = &config->listen[i];

		/* Hosts show who they are by their certificates. */
		if (l->access == ACCESS_AUTH && l->transport != TRANSPORT_TLS)
			continue;
		if (!address_is_loopback(l->addr) &&
		    (!found ||
			(l->transport == TRANSPORT_TLS && found->transport != TRANSPORT_TLS)))
			found = l;
	}
	return found;
}

bool
config_wants_tls(const struct config *config)
{
	bool wants = config_has_tls(config);

	for (size_t i = 0; i < config->n_listen; i++) {
		const struct config_listen *l = &config->listen[i];

		wants &= address_is_loopback(l->addr) ||
			 (l->transport == TRANSPORT_TLS && l->access == ACCESS_AUTH);
	}
	return wants;
}

char *
config_exposed(const struct config *config)
{
	struct buffer b = { 0 };
	unsigned int plain, open;

	for (size_t i = 0; i < config->n_listen; i++) {
		const struct config_listen *l = &config->listen[i];
		/* On loopback nobody is on the way. */
		bool tls = l->transport == TRANSPORT_TLS || address_is_loopback(l->addr);

		if (tls && l->access == ACCESS_AUTH)
			continue;
		buffer_printf(&b, strchr(l->addr, ':') ? "%s[%s]:%u is %s" : "%s%s:%u is %s",
		    b.len ? ", " : "", l->addr, l->port,
		    l->access == ACCESS_AUTH ? "plain"
		    : tls		     ? "open"
					     : "plain and open");
	}
	config_count_exposed(config, &plain, &open);
	if (open)
		buffer_printf(&b, ": whoever gets there controls the VMs");
	else if (plain)
		buffer_printf(&b, ": tokens can be read on their way");
	return buffer_steal(&b, NULL);
}

void
config_count_exposed(const struct config *config, unsigned int *ret_plain, unsigned int *ret_open)
{
	*ret_plain = *ret_open = 0;
	for (size_t i = 0; i < config->n_listen; i++) {
		const struct config_listen *l = &config->listen[i];

		*ret_plain += l->transport != TRANSPORT_TLS && !address_is_loopback(l->addr);
		*ret_open += l->access != ACCESS_AUTH;
	}
}
