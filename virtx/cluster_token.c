/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx cluster token. */
#include <stdio.h>
#include <string.h>

#include "proto/cluster.h"
#include "virtx/cluster_setup.h"
#include "virtx/verbs.h"

static const struct option_row cluster_token_options[] = {
	{ 'e', "expires", ARG_TEXT("TIME"), "for how long, up to 7d, as 2d, 12h or 30m (1h)" },
	{ CLUSTER_OPTION_CA, "ca", NULL, "one by which the host may have the CA's key, too" },
	{ 'h', "host", ARG_HOST, "for this host alone, as one that was forgotten needs it" },
	{ 0 },
};

/* Of which cluster it is, which may be that of a context: the host that gets it joins that one. */
static void
tell_cluster(const struct cluster_token *token)
{
	_free_ char *addresses = writer_safe(str_or_empty(token->addresses));

	fprintf(stderr, "virtx: a host joins the cluster of %s by it\n", addresses);
}

static enum command_result
cluster_token(struct command_call *call, struct error *err)
{
	struct cluster_token_options options = { .lifetime = CLUSTER_LIFETIME,
		.host = (char *)call->values['h'] };
	struct client client = *call->client;
	struct cluster_token token = { 0 };
	char *text;

	if (call->values['e'] &&
	    command_lifetime(call->values['e'], CLUSTER_LIFETIME_MAX, &options.lifetime, err) < 0)
		return COMMAND_USAGE;
	if (call->counts[CLUSTER_OPTION_CA])
		client.query = CLUSTER_CA_QUERY;
	if (client_get(&client, ROUTE_CLUSTER_TOKEN, NULL, &options, &token, err) < 0) {
		error_wrap(err, "cannot make a token by which a host may join");
		return COMMAND_FAILED;
	}
	text = cluster_token_text(&token);
	writer_text(call->writer, text);
	tell_cluster(&token);
	pki_wipe(text);
	pki_wipe(steal_ptr(token.secret));
	model_clear(&cluster_token_model, &token);
	return COMMAND_OK;
}

const struct command cluster_token_command = {
	.words = "cluster token",
	.options = cluster_token_options,
	.summary = "Make a token by which one host may join the cluster, and print it",
	.help =
	    "On a host that has the CA's key, as the first one. It holds for one host, once, and\n"
	    "until virtxd stops there. With --ca it is for root on that host alone to make.",
	.examples = "virtx cluster token\n"
		    "virtx cluster token --expires 30m\n"
		    "virtx cluster token --ca --host h1\n",
	.run = cluster_token,
};
