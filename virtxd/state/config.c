/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/config.h"

#include <string.h>

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
	free(config->run_dir);
	free(config->libvirt_uri);
	free(config->migrate_uri);
	free(config->serf_addr);
	free(config->serf_key);
	*config = (struct config){ 0 };
}
