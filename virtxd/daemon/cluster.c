/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/cluster.h"

#include <stdio.h>
#include <string.h>

#include <sys/random.h>
#include <uthash.h>

#include "loop/timer.h"
#include "proto/json.h"
#include "proto/log.h"
#include "proto/problem.h"
#include "proto/routes.h"
#include "state/address.h"

#define PULL_MS	   5000	      /* for a page */
#define LISTED_MS  60000      /* for all of them */
#define LISTED_MAX (32 << 20) /* bytes of all of them */
#define PAGE_MAX   (2 << 20)  /* ours end after 256 KiB, written out in full */
#define PAGE_VMS   250	      /* a millisecond or so each, here and there */
#define REJOIN_MS  3000	      /* between looks for a host that failed and may be back */
#define KNOCK_MS   2000	      /* for it to answer */
#define KNOWN_MS   5000	      /* for the others to tell their VMs, after a start */
#define LIST_MAX   (1 << 20)  /* bytes of a Go virtx's list */
#define KNOCKERS   4	      /* hosts of the cluster that look each time, about */

/* A host that is being asked for its VMs. */
struct pull {
	UT_hash_handle hh;
	char host[UUID_TEXT_SIZE];
	struct cluster *cluster;
	struct peer_call *call;
	char addr[46];
	uint16_t port;
	bool tls;
	struct vm_info_list list; /* as far as it has come */
	size_t len;		  /* that it took, bytes */
	int64_t began;		  /* monotonic ms */
};

struct cluster {
	bool is_hidden;	      /* the API is on loopback alone */
	char unreachable[96]; /* why the others cannot reach it; "" where there are none */
	struct inventory *inventory;
	void (*tokens_told)(void *arg);
	void *tokens_arg;
	struct peers *peers;
	struct serf *serf;
	struct members *members;
	struct gossip *gossip;
	struct timer *timer;
	struct pull *pulls;
	/* serf tries a lost member every 30 s only */
	struct timer *rejoin;
	int64_t forget_ms;
	bool known;		     /* enough was, once */
	int64_t began, connected_at; /* monotonic ms; the first time, 0 for not yet */
	enum watchdog watchdog;	     /* as the others were told */
	struct host_ha ha;	     /* likewise */
	bool ha_off;		     /* likewise */
	const struct config *config;
	struct peer_call *knock;
	char lost_addr[46];
	uint16_t lost_port;
};

static void
drop_pull(struct cluster *cluster, struct pull *pull)
{
	HASH_DEL(cluster->pulls, pull);
	model_clear(&vm_info_list_model, &pull->list);
	free(pull);
}

/* Takes a page over; what it says of the host and all its VMs is the latest. */
static void
add_page(struct vm_info_list *list, struct vm_info_list *page)
{
	struct vm_info *items = list->items;
	size_t n = list->n_items;

	list->items = NULL;
	list->n_items = 0;
	model_clear(&vm_info_list_model, list);
	items = xrealloc(items, n + page->n_items + 1, sizeof(*items));
	if (page->n_items > 0)
		memcpy(&items[n], page->items, page->n_items * sizeof(*items));
	free(page->items);
	*list = *page;
	list->items = items;
	list->n_items += n;
}

static void on_pulled(void *arg, const struct peer_answer *answer, const struct error *cause);

static void
ask_page(struct pull *pull)
{
	_free_ char *path = xasprintf("%s?limit=%d&after=%s", routes[ROUTE_GOSSIP_VMS].path,
	    PAGE_VMS, str_or_empty(pull->list.next));

	const struct peer_to to = { pull->addr, pull->port, pull->host, pull->tls };

	pull->call = peer_get(pull->cluster->peers, &to, path, PULL_MS, on_pulled, pull);
}

static void
read_page(struct pull *pull, const struct peer_answer *answer, struct error *err)
{
	struct vm_info_list page = { 0 };

	if (answer->len > PAGE_MAX) {
		error_set(err, 502, "a page of its list has more than %d bytes", PAGE_MAX);
		return;
	}
	pull->len += answer->len;
	if (pull->len > LISTED_MAX || monotonic_ms() - pull->began > LISTED_MS) {
		error_set(err, 502, "its list takes more than %d bytes, or than %d s", LISTED_MAX,
		    LISTED_MS / 1000);
		return;
	}
	if (json_decode(&vm_info_list_model, answer->body, answer->len, &page, err) < 0)
		return;
	if (!str_empty(page.next) &&
	    (page.n_items == 0 || !str_equal(page.next, page.items[page.n_items - 1].uuid) ||
		strcmp(page.next, str_or_empty(pull->list.next)) <= 0)) {
		error_set(err, 502, "its pages have no end");
		model_clear(&vm_info_list_model, &page);
		return;
	}
	for (size_t i = 0; i < page.n_items; i++)
		vm_info_trim(&page.items[i]);
	add_page(&pull->list, &page);
}

static void
on_pulled(void *arg, const struct peer_answer *answer, const struct error *cause)
{
	static struct log_limit limit;
	struct pull *pull = arg;
	struct cluster *cluster = pull->cluster;
	struct error err = { 0 };

	if (!answer)
		err = *cause;
	else if (answer->status != 200)
		problem_decode(&err, answer->status, answer->body, answer->len);
	else
		read_page(pull, answer, &err);
	/* More than is taken of a host is not asked for. */
	if (!err.status && !str_empty(pull->list.next) &&
	    pull->list.n_items <= INVENTORY_HOST_VMS) {
		ask_page(pull);
		return;
	}
	if (err.status && !error_is(&err, ERROR_UNAVAILABLE))
		log_limited(&limit, 5, "gossip", "cannot ask host '%s' for its VMs: %s", pull->host,
		    err.detail);
	gossip_pulled(cluster->gossip, pull->host, err.status ? NULL : &pull->list);
	drop_pull(cluster, pull);
}

static int
read_list(const struct peer_answer *answer, struct vm_list *ret, struct error *err)
{
	static const char none[] = "null"; /* how the Go virtx writes an empty list */

	if (answer->status != 200) {
		problem_decode(err, answer->status, answer->body, answer->len);
		return -1;
	}
	if (answer->len >= strlen(none) && memcmp(answer->body, none, strlen(none)) == 0)
		return 0;
	return json_decode(&vm_list_model, answer->body, answer->len, ret, err);
}

static void
on_listed(void *arg, const struct peer_answer *answer, const struct error *cause)
{
	static struct log_limit limit;
	struct pull *pull = arg;
	struct vm_list list = { 0 };
	struct error err = { 0 };

	if (!answer)
		err = *cause;
	if (answer && read_list(answer, &list, &err) == 0) {
		gossip_listed(pull->cluster->gossip, pull->host, &list);
	} else {
		log_limited(&limit, 5, "gossip",
		    "cannot ask host '%s' for its VMs, which its events tell later: %s", pull->host,
		    err.detail);
		gossip_pulled(pull->cluster->gossip, pull->host, NULL);
	}
	model_clear(&vm_list_model, &list);
	drop_pull(pull->cluster, pull);
}

/* The Go virtx reads the filter from the body, and takes none for a fault. */
static void
ask_list(struct pull *pull)
{
	static const struct peer_ops ops = { .done = on_listed };
	static const char filter[] = "{}";
	struct request_header type = { "Content-Type", "application/json" };
	struct peer_request request = {
		.addr = pull->addr,
		.port = pull->port,
		.host = pull->host,
		.tls = pull->tls,
		.method = METHOD_GET,
		.path = routes[ROUTE_VM_LIST].path,
		.headers = &type,
		.n_headers = 1,
		.body = filter,
		.len = strlen(filter),
		.connect_ms = KNOCK_MS,
		.deadline_ms = PULL_MS,
		.answer_max = LIST_MAX,
	};

	pull->call = peer_start(pull->cluster->peers, &request, &ops, pull);
}

static void
on_pull(void *arg, const struct member_host *host)
{
	struct cluster *cluster = arg;
	struct pull *pull = xcalloc(1, sizeof(*pull));

	memcpy(pull->host, host->uuid, sizeof(pull->host));
	memcpy(pull->addr, host->addr, sizeof(pull->addr));
	pull->port = host->port;
	pull->tls = host->tls;
	pull->cluster = cluster;
	pull->began = monotonic_ms();
	HASH_ADD_STR(cluster->pulls, host, pull);
	if (host->go)
		ask_list(pull);
	else
		ask_page(pull);
}

static int
on_send(void *arg, const char *name, const void *payload, size_t len)
{
	struct cluster *cluster = arg;

	return serf_event(cluster->serf, name, payload, len);
}

static void
on_tokens(void *arg)
{
	struct cluster *cluster = arg;

	if (cluster->tokens_told)
		cluster->tokens_told(cluster->tokens_arg);
}

static int64_t
on_now(void *arg)
{
	return monotonic_ms();
}

static void
on_wake(void *arg, int64_t ms)
{
	struct cluster *cluster = arg;

	timer_start(cluster->timer, ms);
}

static void
on_stranger(void *arg)
{
	struct cluster *cluster = arg;

	serf_read_members(cluster->serf);
}

static const struct gossip_ops gossip_ops = {
	.send = on_send,
	.pull = on_pull,
	.tokens = on_tokens,
	.stranger = on_stranger,
	.now = on_now,
	.wake = on_wake,
};

static void
on_timer(void *arg)
{
	struct cluster *cluster = arg;

	gossip_run(cluster->gossip);
}

static void
on_host(void *arg, const struct member_host *host)
{
	struct cluster *cluster = arg;
	const struct host *known = inventory_find_host(cluster->inventory, host->uuid);

	/* A member changes its tags at will. */
	if (host->cstate != CSTATE_INVALID && (!known || known->cstate != host->cstate))
		log_info("serf", "host '%s' ('%s', %s) is %s", host->uuid, host->name, host->addr,
		    enum_word(&cstate_enum, host->cstate));
	inventory_set_host(cluster->inventory, host->uuid, host->name, host->cstate);
	inventory_set_maintenance(cluster->inventory, host->uuid, host->maintenance);
	inventory_set_watchdog(cluster->inventory, host->uuid, host->watchdog);
	inventory_set_ha_off(cluster->inventory, host->uuid, host->ha_off);
	inventory_set_ha(cluster->inventory, host->uuid, &host->ha);
	inventory_set_twin(cluster->inventory, host->uuid, host->twin);
	gossip_set_member(cluster->gossip, host);
}

static void
tell_watchdog(struct cluster *cluster, enum watchdog watchdog)
{
	if (cluster->watchdog == watchdog)
		return;
	cluster->watchdog = watchdog;
	serf_set_tag(cluster->serf, MEMBERS_WATCHDOG, enum_word(&watchdog_enum, watchdog));
}

/* Told before that it is armed, so that nobody takes it for one that takes over. */
static void
tell_ha_off(struct cluster *cluster, const struct host_ha *ha)
{
	bool off = ha->armed && !cluster->config->ha_enabled;

	if (cluster->ha_off == off)
		return;
	cluster->ha_off = off;
	inventory_set_ha_off(cluster->inventory, inventory_self(cluster->inventory), off);
	serf_set_tag(cluster->serf, MEMBERS_HA_OFF, off ? "1" : NULL);
}

static void
tell_ha(struct cluster *cluster, const struct host_ha *ha)
{
	char text[HOST_HA_SIZE];

	if (host_ha_equal(&cluster->ha, ha))
		return;
	cluster->ha = *ha;
	host_ha_text(ha, text);
	serf_set_tag(cluster->serf, MEMBERS_HA, ha->armed ? text : NULL);
}

/* The others learn of this host's watchdog, and whether it is armed, by tags. */
static void
on_own_host(void *arg, const struct host *host)
{
	struct cluster *cluster = arg;
	struct host_ha ha;

	if (!str_equal(host->uuid, inventory_self(cluster->inventory)))
		return;
	inventory_get_ha(cluster->inventory, host->uuid, &ha);
	tell_watchdog(cluster, host->watchdog);
	tell_ha_off(cluster, &ha);
	tell_ha(cluster, &ha);
}

static const struct inventory_observer observer = { .host = on_own_host };

/* A host of its own may well listen on loopback alone, one of a cluster may not. */
static void
check_reach(struct cluster *cluster)
{
	_free_ char *before = xstrdup(cluster->unreachable);
	const char *addr = members_own_address(cluster->members);

	cluster->unreachable[0] = '\0';
	if (!cluster->is_hidden || members_count_active(cluster->members) < 2)
		return;
	snprintf(cluster->unreachable, sizeof(cluster->unreachable),
	    "others cannot reach this host: listen on %s",
	    str_empty(addr) ? "the address of its serf member" : addr);
	if (!str_equal(before, cluster->unreachable))
		log_warning("serf", "%s", cluster->unreachable);
}

static void
on_member(void *arg, const struct serf_member *member)
{
	struct cluster *cluster = arg;

	members_set(cluster->members, member);
	inventory_set_twin(
	    cluster->inventory, inventory_self(cluster->inventory), members_twin(cluster->members));
	peers_set_source(cluster->peers, members_own_address(cluster->members));
	check_reach(cluster);
}

static void
on_event(void *arg, const char *name, const void *payload, size_t len, uint64_t ltime)
{
	struct cluster *cluster = arg;

	gossip_receive(cluster->gossip, name, payload, len);
}

static void
on_connected(void *arg)
{
	struct cluster *cluster = arg;

	log_info("serf", "connected");
	members_complete(cluster->members);
	if (!cluster->connected_at)
		cluster->connected_at = monotonic_ms();
	gossip_set_connected(cluster->gossip, true);
}

static void
on_disconnected(void *arg, const char *why)
{
	struct cluster *cluster = arg;

	log_warning("serf", "disconnected: %s", why);
	gossip_set_connected(cluster->gossip, false);
}

static void
on_knocked(void *arg, const struct peer_answer *answer, const struct error *err)
{
	struct cluster *cluster = arg;

	cluster->knock = NULL;
	if (answer)
		serf_join(cluster->serf, cluster->lost_addr, cluster->lost_port);
}

static uint64_t
random_number(void)
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number))
		number = (uint64_t)monotonic_ms();
	return number;
}

/* Whether a host that failed answers again: then serf shall look, too. */
static void
on_rejoin(void *arg)
{
	struct cluster *cluster = arg;
	const struct member_host *host;
	char away[UUID_TEXT_SIZE];
	struct error err;

	while (inventory_find_away(cluster->inventory, cluster->forget_ms, away) &&
	       inventory_forget_host(cluster->inventory, away, &err) == 0)
		cluster_forget(cluster, away);
	host = members_find_failed(cluster->members, random_number());

	if (!host || cluster->knock || !serf_is_connected(cluster->serf) ||
	    random_number() % members_count_active(cluster->members) >= KNOCKERS)
		return;
	memcpy(cluster->lost_addr, host->addr, sizeof(cluster->lost_addr));
	cluster->lost_port = host->serf_port;
	cluster->knock = peer_get(cluster->peers,
	    &(struct peer_to){ host->addr, host->port, host->uuid, host->tls },
	    routes[ROUTE_HEALTHZ].path, KNOCK_MS, on_knocked, cluster);
}

static const struct serf_ops serf_ops = {
	.connected = on_connected,
	.disconnected = on_disconnected,
	.member = on_member,
	.event = on_event,
};

static struct serf *
start_serf(
    struct cluster *cluster, struct event_base *base, const struct config *config, const char *host)
{
	_free_ char *uuid = xstrdup(host);
	const struct config_listen *listen = config_public_listen(config);
	_free_ char *api = NULL;
	char uuid_key[] = "uuid", api_key[] = "api", virtx_key[] = "virtx";
	char version[] = "c/" VIRTX_VERSION;
	struct serf_tag tags[] = { { uuid_key, uuid }, { api_key, NULL }, { virtx_key, version } };

	/* Those on loopback are not for them, but something has to be told. */
	if (!listen)
		listen = &config->listen[0];
	tags[1].value = api =
	    xasprintf("%u/%s", listen->port, listen->transport == TRANSPORT_TLS ? "https" : "http");
	return serf_new(base, config->serf_addr, config->serf_port, config->serf_key,
	    config->serf_retry, tags, ARRAY_SIZE(tags), &serf_ops, cluster);
}

struct cluster *
cluster_new(struct event_base *base, const struct config *config, struct inventory *inventory,
    struct peers *peers, const char *host)
{
	struct cluster *cluster = xcalloc(1, sizeof(*cluster));
	const struct host *self = inventory_find_host(inventory, host);

	cluster->inventory = inventory;
	cluster->config = config;
	cluster->is_hidden = !config_public_listen(config);
	cluster->peers = peers;
	cluster->began = monotonic_ms();
	cluster->forget_ms = config->forget_days * INT64_C(86400000);
	cluster->timer = timer_new(base, on_timer, cluster);
	cluster->members = members_new(host, on_host, cluster);
	cluster->gossip =
	    gossip_new(inventory, cluster->members, random_number(), &gossip_ops, cluster);
	cluster->serf = start_serf(cluster, base, config, host);
	cluster->rejoin = timer_new(base, on_rejoin, cluster);
	timer_every(cluster->rejoin, REJOIN_MS);
	inventory_observe(inventory, &observer, cluster);
	/* The agent may have what another virtxd has told. */
	serf_set_tag(cluster->serf, MEMBERS_HA, NULL);
	serf_set_tag(cluster->serf, MEMBERS_HA_OFF, NULL);
	if (self)
		on_own_host(cluster, self);
	return cluster;
}

void
cluster_free(struct cluster *cluster)
{
	struct pull *pull, *next;

	if (!cluster)
		return;
	inventory_unobserve(cluster->inventory, &observer, cluster);
	serf_free(cluster->serf);
	HASH_ITER (hh, cluster->pulls, pull, next) {
		peer_cancel(pull->call);
		drop_pull(cluster, pull);
	}
	if (cluster->knock)
		peer_cancel(cluster->knock);
	timer_free(cluster->rejoin);
	gossip_free(cluster->gossip);
	members_free(cluster->members);
	timer_free(cluster->timer);
	free(cluster);
}

void
cluster_set_maintenance(struct cluster *cluster, int64_t since)
{
	_free_ char *value = since ? xasprintf("%lld", (long long)since) : NULL;

	serf_set_tag(cluster->serf, MEMBERS_MAINTENANCE, value);
}

void
cluster_tell_tokens(struct cluster *cluster)
{
	gossip_tell_tokens(cluster->gossip);
}

void
cluster_on_tokens(struct cluster *cluster, void (*told)(void *arg), void *arg)
{
	cluster->tokens_told = told;
	cluster->tokens_arg = arg;
}

void
cluster_leave(struct cluster *cluster, void (*done)(void *arg), void *arg)
{
	static const char *const keys[] = { "virtx", "api", MEMBERS_MAINTENANCE, MEMBERS_WATCHDOG,
		MEMBERS_HA, MEMBERS_HA_OFF };

	serf_leave_tags(cluster->serf, keys, ARRAY_SIZE(keys), done, arg);
}

void
cluster_reload(struct cluster *cluster)
{
	const struct host *self =
	    inventory_find_host(cluster->inventory, inventory_self(cluster->inventory));

	if (self)
		on_own_host(cluster, self);
}

void
cluster_forget(struct cluster *cluster, const char *host)
{
	log_info("serf", "host '%s' is forgotten", host);
	members_forget(cluster->members, host);
}

/* Whose VMs are not known, in words; the caller frees. */
static char *
missing_text(const struct cluster *cluster, const struct buffer *names)
{
	if (!cluster->connected_at)
		return xasprintf(
		    "the hosts of the cluster are not known: %s", serf_why(cluster->serf));
	return names->len ? xasprintf("not known are the VMs of %s", names->data)
			  : inventory_full_text(cluster->inventory);
}

int
cluster_check(struct cluster *cluster, char **ret_missing, struct error *err)
{
	int64_t since = cluster->connected_at ? cluster->connected_at : cluster->began;
	bool waits = !cluster->known && monotonic_ms() - since < KNOWN_MS;
	_buffer_ struct buffer names = { 0 };
	bool open = gossip_missing(cluster->gossip, &names);

	if (!cluster->connected_at && waits)
		return error_set(err, 503, "the hosts of the cluster are not known yet: %s",
		    serf_why(cluster->serf));
	if (open && waits)
		return error_set(err, 503, "not known yet are the VMs of %s", names.data);
	cluster->known = true;
	*ret_missing = missing_text(cluster, &names);
	return 0;
}

char *
cluster_behind(const struct cluster *cluster)
{
	_buffer_ struct buffer names = { 0 };

	gossip_behind(cluster->gossip, &names);
	return names.len ? xasprintf("not known yet is what has changed on %s", names.data) : NULL;
}

const char *
cluster_why(const struct cluster *cluster)
{
	return serf_why(cluster->serf);
}

const char *
cluster_unreachable(const struct cluster *cluster)
{
	return cluster->unreachable;
}

const struct members *
cluster_members(const struct cluster *cluster)
{
	return cluster->members;
}

void
cluster_get_stats(const struct cluster *cluster, struct gossip_stats *ret)
{
	gossip_get_stats(cluster->gossip, ret);
}
