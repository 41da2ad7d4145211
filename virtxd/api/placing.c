/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host that is asked chooses by what it has heard; the one that is chosen knows what it has,
 * and has the last word. With the request goes what it was thought to have (X-VirtX-Placed: VMs and
 * MiB): where it has more VMs or clearly less memory by now, others have chosen it meanwhile, and
 * it refuses, so that VMs that are created on many hosts at once are spread as well as those of
 * one. A refusal (X-VirtX-Refused: VMs, vCPUs, MiB of memory and of hugepages) means that nothing
 * was done, and by its figures the next choice is better.
 */
#include "api/placing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/action.h"
#include "api/context.h"
#include "proto/json.h"
#include "proto/log.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"

#define HOSTS_MAX     8	 /* that may refuse for good until the request is given up */
#define STALE_MAX     24 /* refusals by news; after these the host is asked to overlook them */
#define FIGURE_MAX    (INT64_C(1) << 40)
#define ATTEMPTS_MAX  32  /* all together, whoever refuses and however */
#define STALE_PERCENT 1	  /* so much less memory of all is news */
#define WHY_MAX	      500 /* bytes of a reason that is passed on */

struct placing {
	struct api *api;
	struct request *req;
	struct vm_create_options options;
	placing_create_here here;
	char host[UUID_TEXT_SIZE]; /* that is asked now */
	uint64_t reservation;
	unsigned int attempts, stale;
	bool overlooks;	      /* it is asked to take the VM whatever it has by now */
	int64_t deadline;     /* monotonic ms, for another attempt to begin */
	struct error last;    /* why the host that was asked does not take it */
	struct error unready; /* why this host cannot, status 0 where it can */
	struct placement_excluded excluded[HOSTS_MAX];
	size_t n_excluded;
};

static void
placing_free(struct placing *placing)
{
	for (size_t i = 0; i < placing->n_excluded; i++) {
		free((char *)placing->excluded[i].host);
		free((char *)placing->excluded[i].why);
	}
	model_clear(&vm_create_options_model, &placing->options);
	free(placing);
}

char *
placing_text(const struct placement *placement)
{
	if (placement->n_candidates < 2)
		return xstrdup("");
	return xasprintf("placed on %s", placement->reason);
}

void
placing_explain(struct api *api, struct request *req, const struct placement_need *need)
{
	placing_explain_stay(api, req, need, NULL);
}

void
placing_explain_stay(
    struct api *api, struct request *req, const struct placement_need *need, const char *why)
{
	struct planner *planner = planner_new(api->inventory);
	struct placement placement = { 0 };

	planner_place(planner, need, &placement, NULL);
	if (why) {
		str_set(&placement.host, "");
		str_set(&placement.reason, why);
	}
	request_reply_model(req, 200, &placement_model, &placement);
	model_clear(&placement_model, &placement);
	planner_free(planner);
}

int
placing_choose(
    struct api *api, const struct placement_need *need, struct placement *ret, struct error *err)
{
	struct planner *planner = planner_new(api->inventory);
	int r = planner_place(planner, need, ret, err);

	planner_free(planner);
	return r;
}

/* What goes into a header: printable ASCII, and not too much. */
static char *
header_text(const char *text)
{
	char *out = xstrndup(text, WHY_MAX);

	for (char *p = out; *p; p++) {
		if (*p < ' ' || *p > '~')
			*p = '?';
	}
	return out;
}

static void
exclude(struct placing *placing, const char *host, const char *why)
{
	placing->excluded[placing->n_excluded++] =
	    (struct placement_excluded){ xstrdup(host), xstrdup(why) };
}

/* More than any host has of anything; what is reckoned with such figures does not overflow. */
static bool
is_figure(int64_t figure)
{
	return figure >= -FIGURE_MAX && figure <= FIGURE_MAX;
}

void
placing_take_refusal(struct api *api, const char *host, const char *refused)
{
	struct host_figures figures;

	if (sscanf(refused, "%" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64, &figures.vms,
		&figures.vcpus, &figures.memory, &figures.hp) == 4 &&
	    is_figure(figures.vms) && is_figure(figures.vcpus) && is_figure(figures.memory) &&
	    is_figure(figures.hp))
		inventory_take_figures(api->inventory, host, &figures);
}

/* The host said no, and what it has. */
static void
take_refusal(struct placing *placing, const struct request_answer *answer)
{
	_free_ char *why = NULL;

	placing_take_refusal(placing->api, placing->host, answer->refused);
	error_from_json(&placing->last, answer->status, answer->body, answer->len);
	log_debug("api", "host '%s' refuses a VM: %s", placing->host, placing->last.detail);
	if (answer->status == 409 && !placing->overlooks) {
		placing->stale++;
		return;
	}
	why = xasprintf("it refused: %.300s", placing->last.detail);
	exclude(placing, placing->host, why);
}

/* The VM that the answer is about, "" where it does not tell. */
static char *
created_vm(const struct request_answer *answer)
{
	struct operation operation = { 0 };
	struct error ignored;
	char *vm = NULL;

	if (answer->status == 201) {
		if (json_decode_string(answer->body, answer->len, &vm, &ignored) == 0)
			return vm;
	} else if (answer->status == 202) {
		if (json_decode(
			&operation_model, answer->body, answer->len, &operation, &ignored) == 0)
			vm = steal_ptr(operation.vm);
		model_clear(&operation_model, &operation);
	}
	return vm ? vm : xstrdup("");
}

static void attempt(struct placing *placing);

static bool
on_answered(void *arg, struct request *req, const struct request_answer *answer)
{
	struct placing *placing = arg;
	struct inventory *inventory = placing->api->inventory;
	bool refused = answer->refused && answer->status >= 400;
	bool again = !answer->gone && (refused || answer->unsent);
	_free_ char *vm = created_vm(answer);

	/* One whose end is not known may yet be there. */
	if (again || (answer->status >= 400 && answer->status != 504))
		reservation_cancel(inventory, placing->reservation);
	else
		reservation_settle(inventory, placing->reservation, vm);
	if (!again) {
		placing_free(placing);
		return false;
	}
	if (refused) {
		take_refusal(placing, answer);
	} else {
		placing->last = *answer->err;
		exclude(placing, placing->host, placing->last.detail);
	}
	attempt(placing);
	return true;
}

static void
ask_host(struct placing *placing, const struct placement *placement, const char *placed)
{
	_free_ char *text = placing_text(placement), *why = header_text(text);
	struct request_header headers[] = { { "X-VirtX-Placement", why },
		{ "X-VirtX-Placed", placed } };
	struct request_forward more = { headers, ARRAY_SIZE(headers), on_answered, placing };

	snprintf(placing->host, sizeof(placing->host), "%s", placement->host);
	placing->reservation =
	    reservation_add(placing->api->inventory, placing->host, "", &placing->options.vmdef);
	placing->api->forward_chosen(placing->api->forward_arg, placing->req, placing->host, &more);
}

/* Whether hosts have refused for long enough. */
static int
check_attempts(struct placing *placing, struct error *err)
{
	const char *name = str_or_empty(placing->options.vmdef.name);

	if (placing->n_excluded == HOSTS_MAX)
		return error_set_type(err, ERROR_NO_HOST,
		    "%d hosts do not take VM '%s'; the last: %s", HOSTS_MAX, name,
		    placing->excluded[HOSTS_MAX - 1].why);
	if (placing->attempts < ATTEMPTS_MAX && monotonic_ms() < placing->deadline) {
		placing->attempts++;
		return 0;
	}
	return error_set(err, 503,
	    "after %u attempts no host has taken VM '%s'; the last, '%s': %s", placing->attempts,
	    name, placing->host, placing->last.detail);
}

/* Chooses anew, and asks that host. */
static void
attempt(struct placing *placing)
{
	struct api *api = placing->api;
	const char *self = inventory_self(api->inventory);
	const struct vmdef *def = &placing->options.vmdef;
	struct placement_need need = {
		.vm = "",
		.from = "",
		.target = "",
		.def = def,
		.excluded = placing->excluded,
		.n_excluded = placing->n_excluded,
	};
	struct planner *planner = planner_new(api->inventory);
	struct host_figures before = { 0 };
	struct placement placement = { 0 };
	struct error err = { 0 };
	char placed[64] = "";
	bool given_up = check_attempts(placing, &err) < 0;

	placing->overlooks = placing->stale >= STALE_MAX;
	if (!given_up && planner_place(planner, &need, &placement, &err) == 0) {
		planner_figures(planner, placement.host, &before);
		/* As it was before this VM. */
		if (!placing->overlooks)
			snprintf(placed, sizeof(placed), "%" PRId64 " %" PRId64, before.vms - 1,
			    (def->memory.hp ? before.hp : before.memory) + def->memory.total);
	}
	planner_free(planner);
	if (err.status) {
		/* Where there is no other host this one's reason is the answer. */
		request_reply_error(
		    placing->req, placing->unready.status && !given_up && placement.n_candidates < 2
				      ? &placing->unready
				      : &err);
		placing_free(placing);
	} else if (str_equal(placement.host, self)) {
		_free_ char *why = placing_text(&placement);

		placing->here(api, placing->req, &placing->options, why);
		placing_free(placing);
	} else {
		ask_host(placing, &placement, placed);
	}
	model_clear(&placement_model, &placement);
}

void
placing_create(struct api *api, struct request *req, const struct vm_create_options *options,
    placing_create_here here, const struct error *lack)
{
	struct placing *placing = xcalloc(1, sizeof(*placing));

	placing->api = api;
	placing->req = req;
	placing->here = here;
	placing->deadline = monotonic_ms() + api->config->reply_timeout * INT64_C(1000);
	model_copy(&vm_create_options_model, &placing->options, options);
	if (lack)
		placing->unready = *lack;
	if (lack ||
	    action_ready(api, action_need_of(vmdef_leases(&options->vmdef)), &placing->unready) < 0)
		exclude(placing, inventory_self(api->inventory), placing->unready.detail);
	attempt(placing);
}

static void
refuse(struct request *req, const struct host_figures *figures, const struct error *err)
{
	char text[128];
	struct request_header header = { "X-VirtX-Refused", text };

	snprintf(text, sizeof(text), "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, figures->vms,
	    figures->vcpus, figures->memory, figures->hp);
	request_reply_error_full(req, err, &header, 1);
}

/* Whether the host that chose this one knew too little of it. */
static int
check_news(struct api *api, const struct request *req, const struct vmdef *def,
    const struct host_figures *figures, struct error *err)
{
	const struct host *self =
	    inventory_find_host(api->inventory, inventory_self(api->inventory));
	const struct hostresources *resources = &self->resources;
	int64_t total = def->memory.hp ? resources->hp.total : resources->memory.total;
	int64_t memory = def->memory.hp ? figures->hp : figures->memory;
	int64_t vms, mib;

	if (sscanf(req->placed, "%" SCNd64 " %" SCNd64, &vms, &mib) != 2 || !is_figure(vms) ||
	    !is_figure(mib))
		return 0;
	if (figures->vms <= vms && memory >= mib - total * STALE_PERCENT / 100)
		return 0;
	return error_set(err, 409,
	    "host '%s' has %" PRId64 " VMs and %" PRId64
	    " MiB for more by now: it was chosen as one with %" PRId64 " and %" PRId64,
	    str_or_empty(self->def.name), figures->vms, memory, vms, mib);
}

int
placing_accept(struct api *api, struct request *req, const struct vmdef *def)
{
	const char *self = inventory_self(api->inventory);
	struct placement_need need = {
		.vm = "", .from = "", .target = self, .def = def, .brief = true
	};
	struct planner *planner = planner_new(api->inventory);
	struct placement placement = { 0 };
	struct host_figures figures = { 0 };
	struct error err = { 0 };
	int r = action_ready(api, action_need_of(vmdef_leases(def)), &err);

	if (planner_figures(planner, self, &figures) && r == 0)
		r = check_news(api, req, def, &figures, &err);
	if (r == 0)
		r = planner_place(planner, &need, &placement, &err);
	if (r < 0)
		refuse(req, &figures, &err);
	model_clear(&placement_model, &placement);
	planner_free(planner);
	return r;
}

static bool
find_figures(struct api *api, const char *host, struct host_figures *ret)
{
	struct planner *planner = planner_new(api->inventory);
	bool told = planner_figures(planner, host, ret);

	planner_free(planner);
	return told;
}

void
placing_refuse(struct api *api, struct request *req, const struct error *err)
{
	struct host_figures figures;

	if (find_figures(api, inventory_self(api->inventory), &figures))
		refuse(req, &figures, err);
	else
		request_reply_error(req, err);
}

int
placing_check_memory(
    struct api *api, const char *host, const char *vm, const struct vmdef *def, struct error *err)
{
	const struct host *entry = inventory_find_host(api->inventory, host);
	struct host_figures figures;
	int64_t left;

	if (!find_figures(api, host, &figures))
		return 0;
	left = def->memory.hp ? figures.hp : figures.memory;
	if (def->memory.total <= left)
		return 0;
	return error_set(err, 422,
	    "host '%s' (%s) has %" PRId64 " MiB of %s for VMs, and VM '%s' needs %d MiB",
	    entry ? str_or_empty(entry->def.name) : "", host, left,
	    def->memory.hp ? "hugepages" : "memory", vm, def->memory.total);
}

int
placing_check_total(
    struct api *api, const char *vm, const struct vmdef_memory *memory, struct error *err)
{
	const char *self = inventory_self(api->inventory);
	const struct host *entry = inventory_find_host(api->inventory, self);
	int64_t total = 0;

	if (entry)
		total = (int64_t)entry->resources.memory.total + entry->resources.hp.total;
	/* Nothing is known of it yet. */
	if (total <= 0 || memory->total <= total)
		return 0;
	return error_set(err, 422,
	    "host '%s' (%s) has %" PRId64 " MiB of memory, and VM '%s' needs %d MiB",
	    str_or_empty(entry->def.name), self, total, vm, memory->total);
}
