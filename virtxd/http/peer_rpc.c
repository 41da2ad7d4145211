/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/peer_rpc.h"

#include <string.h>

#include "http/peer.h"

#define CONNECT_MS 2000
#define ANSWER_MAX (1 << 20)

static void
on_done(void *arg, const struct peer_answer *answer, const struct error *err)
{
	struct peer_ask *ask = arg;

	ask->refused = answer ? answer_header(answer, "X-VirtX-Refused") : NULL;
	if (answer)
		ask->answered(ask, answer->status, answer->body, answer->len, NULL);
	else
		ask->answered(ask, 0, "", 0, err);
}

static const struct peer_ops ops = { .done = on_done };

int
peer_rpc_start(struct peers *peers, struct peer_ask *ask, const struct forward_address *address,
    const char *host, enum method method, const char *path, const char *user, const char *body,
    int deadline_ms, struct error *err)
{
	const struct request_header headers[] = {
		{ "X-VirtX-Loop", "1" },
		{ "X-Forwarded-For", user },
		{ "Content-Type", "application/json" },
	};
	struct peer_request request = {
		.addr = address->addr,
		.port = address->port,
		.host = host,
		.tls = address->tls,
		.method = method,
		.path = path,
		.headers = headers,
		.n_headers = ARRAY_SIZE(headers) - !body,
		.body = body ? body : "",
		.len = body ? strlen(body) : 0,
		.connect_ms = CONNECT_MS,
		.deadline_ms = deadline_ms,
		.answer_max = ANSWER_MAX,
	};

	peer_start(peers, &request, &ops, ask);
	return 0;
}
