/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/token_keeper.h"

#include <string.h>
#include <sys/queue.h>

#include "domain/out_copy.h"
#include "loop/timer.h"
#include "proto/json.h"
#include "proto/log.h"
#include "proto/token_secret.h"

#define PERIOD_MAX_S 15		  /* between looks, whatever else is collected less often */
#define WHOLE_MS     (600 * 1000) /* after which they are read even where nothing seems to change */
#define SETTLED_MS   2000	  /* after a change, until another one shows in the folder's time */
#define TOLD_MS	     200	  /* until what others tell makes them be read */
#define RETRY_MS     1000	  /* after a read that failed; twice as long after the next */
#define WAITING_MAX  64		  /* requests */
#define SIGNED_MS    5000	  /* for a host that has the CA's key to take certificates back */

/* A request that makes or revokes one, or puts a host out, until its job is done. */
struct change {
	LIST_ENTRY(change) entry;
	struct token_keeper *keeper;
	struct request *req;
	struct token_record
	    record; /* of one that is revoked, the name; of a host the uuid as that */
	char secret[TOKEN_SECRET_SIZE];
	bool out;		/* the host is */
	uint64_t read;		/* the first that tells who has signed that; 0 until it is kept */
	struct timer *late;	/* for others to sign that; NULL until then */
	token_keeper_kept kept; /* NULL: it is no host */
	void *arg;
};

struct token_keeper {
	struct event_base *base;
	const struct config *config;
	struct jobs *jobs;
	struct tokens *tokens;
	struct timer *timer, *told;
	void (*changed)(void *arg);
	void *arg;
	LIST_HEAD(, change) changes;
	unsigned int n_changes;
	bool running;	   /* a job reads them */
	bool again;	   /* what it reads may be old */
	uint64_t n_reads;  /* that have begun */
	int64_t began;	   /* when the last one did, monotonic ms */
	int64_t whole_due; /* likewise, when all are to be read */
	int64_t retry_ms;  /* 0: the last read has read all */
	char *stamp;	   /* of the folder, as it was read last */
	int64_t stamp_at;  /* when that was seen first, monotonic ms */
	bool settled;	   /* a read has begun late enough after that */
	char *why;
	char *damaged;
	char *taken;
};

/* Whose CA it is that libvirt and QEMU believe */

/* One that is the site's own nobody here has the key of, and any host lets others join. */
static bool
has_own_ca(const struct config *config)
{
	return str_empty(config->tls_ca_key) && !str_empty(config->serf_encrypt_file);
}

/* Whether a host of the cluster can tell them that others are put out. */
static bool
has_crl(const struct config *config)
{
	return config->migrate_tls && !str_empty(config->tls_ca) && !has_own_ca(config);
}

/* Reading */

/* One that was written off may be the first of many: each that is read from a storage that hangs
 * would be one more, until there is room for no job of any kind. */
static bool
can_look(const struct token_keeper *keeper)
{
	return !keeper->running && !jobs_is_stuck(keeper->jobs, WORK_TOKENS_LOAD);
}

static void
look_later(struct token_keeper *keeper, int64_t ms)
{
	if (!timer_is_started(keeper->told))
		timer_start(keeper->told, ms);
}

static void
retry(struct token_keeper *keeper)
{
	keeper->retry_ms = keeper->retry_ms ? 2 * keeper->retry_ms : RETRY_MS;
	if (keeper->retry_ms > PERIOD_MAX_S * 1000)
		keeper->retry_ms = PERIOD_MAX_S * 1000;
	timer_start(keeper->told, keeper->retry_ms);
}

static void
note_failure(struct token_keeper *keeper, const struct error *err)
{
	if (!str_equal(keeper->why, err->detail))
		log_warning("ops", "the tokens cannot be read: %s", err->detail);
	str_set(&keeper->why, err->detail);
	retry(keeper);
}

/* While nothing has changed for a while, what was read need not be read again. This host's clock
 * may differ from the storage's, so it is by when the stamp was seen here, not by what it says. */
static void
note_stamp(struct token_keeper *keeper, const char *stamp)
{
	if (!str_empty(stamp) && str_equal(keeper->stamp, stamp)) {
		keeper->settled |= keeper->began >= keeper->stamp_at + SETTLED_MS;
		return;
	}
	str_set(&keeper->stamp, stamp);
	keeper->stamp_at = monotonic_ms();
	keeper->settled = false;
}

/* All of them were read; false where that is to be done once more. */
static bool
take(struct token_keeper *keeper, struct token_set *set)
{
	if (!tokens_replace(keeper->tokens, set))
		return false;
	if (!str_equal(keeper->damaged, set->damaged) && !str_empty(set->damaged))
		log_warning("ops", "what is wrong with the files of tokens: %s", set->damaged);
	str_set(&keeper->damaged, set->damaged);
	note_stamp(keeper, set->stamp);
	keeper->whole_due = keeper->began + WHOLE_MS;
	return true;
}

static void
change_free(struct change *change)
{
	LIST_REMOVE(change, entry);
	change->keeper->n_changes--;
	timer_free(change->late);
	model_clear(&token_record_model, &change->record);
	explicit_bzero(change->secret, sizeof(change->secret));
	free(change);
}

static void
end_put_out(struct change *change, const char *taken)
{
	change->kept(change->arg, change->req, NULL, taken);
	change_free(change);
}

/* What those wait for who have put hosts out, and what the other hosts have to read. */
static void
note_signed(struct token_keeper *keeper, const struct token_set *set)
{
	struct change *change, *next;

	if (!str_empty(set->taken) && !str_equal(keeper->taken, set->taken))
		log_notice("ops", "hosts that were put out: %s", set->taken);
	str_set(&keeper->taken, str_or_empty(set->taken));
	if (set->signed_here)
		keeper->changed(keeper->arg);
	for (change = LIST_FIRST(&keeper->changes); change; change = next) {
		next = LIST_NEXT(change, entry);
		if (change->read && change->read <= keeper->n_reads && !set->unsigned_out)
			end_put_out(change, NULL);
	}
}

/* What it has read is never older than what was read before, so it is taken even where something
 * was changed since: else many changes would be known only when they have ended. */
static void
load_done(void *arg, void *result, const struct error *err)
{
	struct token_keeper *keeper = arg;
	struct token_set *set = result;
	bool again = keeper->again;

	keeper->running = keeper->again = false;
	if (!set) {
		note_failure(keeper, err);
		return;
	}
	if (set->same || take(keeper, set))
		str_set(&keeper->why, "");
	else
		again = true;
	if (!set->same)
		note_signed(keeper, set);
	/* What cannot be read may have been revoked, and what was handed over is taken soon. */
	if (set->n_unread > 0 || (!str_empty(set->taken) && !set->unsigned_out))
		retry(keeper);
	else
		keeper->retry_ms = 0;
	if (again)
		look_later(keeper, TOLD_MS);
}

static void
look(struct token_keeper *keeper)
{
	int64_t now = monotonic_ms();
	struct tokens_load_request req = {
		.stamp = keeper->settled && now < keeper->whole_due ? keeper->stamp : NULL,
		.ca = has_crl(keeper->config) ? keeper->config->tls_ca : NULL,
		.ca_key = keeper->config->tls_ca_key,
		.state_dir = keeper->config->state_dir
	};
	struct error err = { 0 };

	if (!can_look(keeper)) {
		keeper->again = keeper->running;
		return;
	}
	keeper->began = now;
	keeper->running = true;
	keeper->n_reads++;
	tokens_begin(keeper->tokens);
	if (!job_start(
		keeper->jobs, WORK_TOKENS_LOAD, &req, NULL, "", NULL, load_done, keeper, &err))
		load_done(keeper, NULL, &err);
}

static void
on_period(void *arg)
{
	struct token_keeper *keeper = arg;

	if (!keeper->running)
		look(keeper);
}

static void
on_told(void *arg)
{
	look(arg);
}

void
token_keeper_told(struct token_keeper *keeper)
{
	look_later(keeper, TOLD_MS);
}

/* Changing */

/* Tells the others, and finds out what there is. */
static void
note_change(struct token_keeper *keeper)
{
	keeper->changed(keeper->arg);
	look(keeper);
}

/* Whether nothing was done. Any other failure may have come after the deed. */
static bool
is_refusal(const struct error *err)
{
	return error_is(err, ERROR_INVALID) || error_is(err, ERROR_NOT_FOUND) ||
	       error_is(err, ERROR_REFUSED) || error_is(err, ERROR_UNAVAILABLE);
}

static void
refuse(struct change *change, const struct error *err)
{
	if (change->kept)
		change->kept(change->arg, change->req, err, NULL);
	else
		request_reply_error(change->req, err);
	change_free(change);
}

static int
check_room(const struct token_keeper *keeper, struct error *err)
{
	static const enum work_id changes[] = { WORK_TOKEN_SAVE, WORK_TOKEN_REVOKE, WORK_HOST_OUT };

	/* Each that no signal ends would be one more, until there is room for no job of any kind.
	 */
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		if (jobs_is_stuck(keeper->jobs, changes[i]))
			return error_set(err, 503,
			    "an earlier change of this kind hangs: the shared storage does not "
			    "answer");
	}
	if (keeper->n_changes < WAITING_MAX)
		return 0;
	return error_set(
	    err, 503, "%d others make or revoke tokens already: ask again", WAITING_MAX);
}

/* NULL where too many wait, who are told so. */
static struct change *
change_new(struct token_keeper *keeper, struct request *req)
{
	struct change *change;
	struct error err = { 0 };

	if (check_room(keeper, &err) < 0) {
		request_reply_error(req, &err);
		return NULL;
	}
	change = xcalloc(1, sizeof(*change));
	change->keeper = keeper;
	change->req = req;
	LIST_INSERT_HEAD(&keeper->changes, change, entry);
	keeper->n_changes++;
	return change;
}

/* What no cache on the way is to keep. */
static void
reply_secret(struct request *req, const struct token_made *made)
{
	static const struct request_header headers[] = { { "Cache-Control", "no-store" } };
	size_t len;
	char *json = json_encode(&token_made_model, made, &len);

	request_reply_json(req, 200, json, len, headers, ARRAY_SIZE(headers));
}

static void
make_done(void *arg, void *result, const struct error *err)
{
	struct change *change = arg;
	const struct token_save_result *saved = result;
	struct token_made made = { .token = change->record.token, .secret = change->secret };

	if (!saved) {
		if (!is_refusal(err))
			note_change(change->keeper);
		refuse(change, err);
		return;
	}
	if (made.token.certificate) {
		str_set(&change->record.hash, saved->hash);
		made.certificate = saved->certificate;
	}
	tokens_add(change->keeper->tokens, &change->record);
	change->keeper->changed(change->keeper->arg);
	log_info("ops", "%s '%s' (%s) made by %s",
	    made.token.certificate ? "certificate of user" : "token", made.token.name,
	    role_name(made.token.role), made.token.user);
	reply_secret(change->req, &made);
	change_free(change);
}

/* What is kept of one, and its secret where it has one. */
static void
fill(struct change *change, const struct token_options *options)
{
	struct token *token = &change->record.token;
	int64_t lifetime = options->lifetime;
	char hash[TOKEN_HASH_LEN + 1];

	token->certificate = !str_empty(options->request);
	if (token->certificate && lifetime == 0)
		lifetime = TOKEN_CERTIFICATE_LIFETIME;
	token->name = xstrdup(options->name);
	token->role = options->role;
	token->created = now_ms();
	token->expires = lifetime ? token->created + lifetime * 1000 : 0;
	token->user = xstrdup(change->req->user);
	model_copy(&custom_field_model, &token->only, &options->only);
	if (token->certificate)
		return;
	token_secret_make(change->secret);
	token_secret_hash(change->secret, hash);
	change->record.hash = xstrdup(hash);
}

void
token_keeper_make(
    struct token_keeper *keeper, struct request *req, const struct token_options *options)
{
	const struct config *config = keeper->config;
	struct change *change = change_new(keeper, req);
	struct token_save_request save = {
		.ca = config->tls_ca, .ca_key = config->tls_ca_key, .request = options->request
	};
	struct error err = { 0 };

	if (!change)
		return;
	fill(change, options);
	save.record = change->record;
	if (change->record.token.certificate && str_empty(config->tls_ca_key))
		error_set(&err, 501,
		    "this host does not have the key of the cluster's CA ('ca_key' of section "
		    "[tls]): ask one that has");
	if (err.status || !job_start(keeper->jobs, WORK_TOKEN_SAVE, &save, NULL, "", NULL,
			      make_done, change, &err))
		refuse(change, &err);
}

static void
revoke_done(void *arg, void *result, const struct error *err)
{
	struct change *change = arg;
	const char *name = change->record.token.name;
	if (!result) {
		/* One that is no more may have been good here until now. */
		if (error_is(err, ERROR_NOT_FOUND) ? tokens_drop(change->keeper->tokens, name)
						   : !is_refusal(err))
			note_change(change->keeper);
		refuse(change, err);
		return;
	}
	tokens_drop(change->keeper->tokens, name);
	change->keeper->changed(change->keeper->arg);
	log_info("ops", "token '%s' revoked by %s", name, change->req->user);
	request_reply(change->req, 204);
	change_free(change);
}

void
token_keeper_revoke(struct token_keeper *keeper, struct request *req, const char *name)
{
	struct change *change = change_new(keeper, req);
	struct token_revoke_request revoke = { 0 };
	struct error err = { 0 };

	if (!change)
		return;
	change->record.token.name = xstrdup(name);
	revoke.name = change->record.token.name;
	if (!job_start(keeper->jobs, WORK_TOKEN_REVOKE, &revoke, NULL, "", NULL, revoke_done,
		change, &err))
		refuse(change, &err);
}

/* Hosts */

static void
on_late(void *arg)
{
	struct change *change = arg;
	const char *why = change->keeper->taken;

	end_put_out(change, str_empty(why) ? "what is on the storage has not been read" : why);
}

static void
put_out_done(void *arg, void *result, const struct error *err)
{
	struct change *change = arg;
	const char *host = change->record.token.name;
	struct token_keeper *keeper;
	bool own;

	if (!result) {
		if (!is_refusal(err))
			note_change(change->keeper);
		refuse(change, err);
		return;
	}
	tokens_put_out(change->keeper->tokens, host, change->out);
	log_notice("ops", "host '%s' %s by %s", host,
	    change->out ? "was put out of the cluster" : "is let into the cluster again",
	    change->req->user);
	keeper = change->keeper;
	if (change->out && has_crl(keeper->config)) {
		change->read = keeper->n_reads + 1;
		change->late = timer_new(keeper->base, on_late, change);
		timer_start(change->late, SIGNED_MS);
	} else {
		own = change->out && keeper->config->migrate_tls && has_own_ca(keeper->config);
		end_put_out(change,
		    own ? "libvirt and QEMU of each host take it until they have a CRL of your CA"
			: NULL);
	}
	note_change(keeper);
}

void
token_keeper_put_out(struct token_keeper *keeper, struct request *req, const char *host, bool out,
    token_keeper_kept kept, void *arg)
{
	struct host_out_request request = { .uuid = (char *)host, .out = out };
	struct error err = { 0 };
	struct change *change;

	if (check_room(keeper, &err) < 0) {
		kept(arg, req, &err, NULL);
		return;
	}
	change = change_new(keeper, req);
	change->record.token.name = xstrdup(host);
	change->out = out;
	change->kept = kept;
	change->arg = arg;
	if (!job_start(
		keeper->jobs, WORK_HOST_OUT, &request, NULL, "", NULL, put_out_done, change, &err))
		refuse(change, &err);
}

int
token_keeper_check_host(const struct token_keeper *keeper, const char *host, struct error *err)
{
	if (!tokens_known(keeper->tokens))
		return error_set(err, 503,
		    "whether host '%s' was put out of the cluster has not been read from the "
		    "storage yet",
		    host);
	if (!tokens_is_out(keeper->tokens, host))
		return 0;
	return error_set_type(err, ERROR_NOT_A_MEMBER,
	    "host '%s' was put out of the cluster, as by 'virtx forget host'", host);
}

/* Its life */

struct tokens *
token_keeper_tokens(struct token_keeper *keeper)
{
	return keeper->tokens;
}

const char *
token_keeper_why(const struct token_keeper *keeper)
{
	return keeper->why;
}

const char *
token_keeper_wrong(const struct token_keeper *keeper)
{
	return str_empty(keeper->why) ? str_or_empty(keeper->damaged) : keeper->why;
}

const char *
token_keeper_taken(const struct token_keeper *keeper)
{
	return str_or_empty(keeper->taken);
}

void
token_keeper_reload(struct token_keeper *keeper)
{
	int64_t seconds = keeper->config->collect_period;

	timer_every(keeper->timer, (seconds < PERIOD_MAX_S ? seconds : PERIOD_MAX_S) * 1000);
}

/* A host that was put out stays so though the storage, on which that stands, is away. */
static void
assume_out(struct token_keeper *keeper)
{
	struct token_set set = { 0 };
	struct error err = { 0 };

	if (out_copy_load(keeper->config->state_dir, &set, &err) < 0)
		log_warning(
		    "ops", "which hosts were put out is not known from before: %s", err.detail);
	for (size_t i = 0; i < set.n_out; i++)
		tokens_assume_out(keeper->tokens, set.out[i].name);
	model_clear(&token_set_model, &set);
}

struct token_keeper *
token_keeper_new(struct event_base *base, const struct config *config, struct jobs *jobs,
    struct tokens *tokens, void (*changed)(void *arg), void *arg)
{
	struct token_keeper *keeper = xcalloc(1, sizeof(*keeper));

	keeper->base = base;
	keeper->config = config;
	keeper->jobs = jobs;
	keeper->tokens = tokens;
	keeper->why = xstrdup("they were not read yet");
	keeper->changed = changed;
	keeper->arg = arg;
	keeper->timer = timer_new(base, on_period, keeper);
	keeper->told = timer_new(base, on_told, keeper);
	LIST_INIT(&keeper->changes);
	assume_out(keeper);
	token_keeper_reload(keeper);
	look(keeper);
	return keeper;
}

void
token_keeper_free(struct token_keeper *keeper)
{
	struct error err = { 0 };

	if (!keeper)
		return;
	error_set(&err, 503, "virtxd stops");
	while (!LIST_EMPTY(&keeper->changes))
		refuse(LIST_FIRST(&keeper->changes), &err);
	timer_free(keeper->timer);
	timer_free(keeper->told);
	free(keeper->stamp);
	free(keeper->why);
	free(keeper->damaged);
	free(keeper->taken);
	free(keeper);
}
