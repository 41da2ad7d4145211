/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/operations.h"

#include <string.h>
#include <sys/queue.h>

#include "proto/uuid.h"

struct entry {
	TAILQ_ENTRY(entry) link;
	struct operation operation;
	int64_t begun; /* monotonic ms */
	bool left;     /* ends with what its VM does */
};

/* Where another host's operation is. */
struct elsewhere {
	char id[UUID_TEXT_SIZE];
	char host[UUID_TEXT_SIZE];
};

struct operations {
	TAILQ_HEAD(entries, entry) entries; /* the newest first */
	size_t n;
	struct operation_counts counts;
	struct elsewhere elsewhere[OPERATIONS_MAX];
	size_t next_elsewhere; /* is the oldest */
	operations_changed changed;
	void *arg;
};

struct operations *
operations_new(void)
{
	struct operations *operations = xcalloc(1, sizeof(*operations));

	TAILQ_INIT(&operations->entries);
	return operations;
}

void
operations_observe(struct operations *operations, operations_changed changed, void *arg)
{
	operations->changed = changed;
	operations->arg = arg;
}

static void
tell(const struct operations *operations, const struct entry *entry)
{
	if (operations->changed)
		operations->changed(operations->arg, &entry->operation);
}

static void
drop(struct operations *operations, struct entry *entry)
{
	TAILQ_REMOVE(&operations->entries, entry, link);
	operations->n--;
	model_clear(&operation_model, &entry->operation);
	free(entry);
}

void
operations_free(struct operations *operations)
{
	struct entry *entry;

	if (!operations)
		return;
	while ((entry = TAILQ_FIRST(&operations->entries)))
		drop(operations, entry);
	operation_counts_clear(&operations->counts);
	free(operations);
}

static bool
under_way(const struct entry *entry)
{
	return str_equal(entry->operation.state, "started");
}

/* Makes room: the oldest finished one goes, or the oldest of all. */
static void
evict(struct operations *operations)
{
	struct entry *entry;

	TAILQ_FOREACH_REVERSE(entry, &operations->entries, entries, link)
	{
		if (!under_way(entry))
			break;
	}
	drop(operations, entry ? entry : TAILQ_LAST(&operations->entries, entries));
}

const char *
operations_start(struct operations *operations, const char *op, const char *vm, const char *host,
    const char *user)
{
	struct entry *entry = xcalloc(1, sizeof(*entry));
	char id[UUID_TEXT_SIZE];

	uuid_make(id);
	entry->operation = (struct operation){
		.id = xstrdup(id),
		.op = xstrdup(op),
		.vm = xstrdup(vm),
		.host = xstrdup(host),
		.user = xstrdup(user),
		.state = xstrdup("started"),
		.progress = -1,
		.ts = now_ms(),
	};
	entry->begun = monotonic_ms();
	operation_counts_start(&operations->counts, op);
	if (operations->n >= OPERATIONS_MAX)
		evict(operations);
	TAILQ_INSERT_HEAD(&operations->entries, entry, link);
	operations->n++;
	tell(operations, entry);
	return entry->operation.id;
}

static struct entry *
find(const struct operations *operations, const char *id)
{
	struct entry *entry;

	TAILQ_FOREACH (entry, &operations->entries, link) {
		if (str_equal(entry->operation.id, id))
			return entry;
	}
	return NULL;
}

void
operations_progress(struct operations *operations, const char *id, int percent)
{
	struct entry *entry = find(operations, id);

	if (!entry || !under_way(entry) || entry->operation.progress == percent)
		return;
	entry->operation.progress = percent;
	tell(operations, entry);
}

void
operations_say(struct operations *operations, const char *id, const char *msg)
{
	struct entry *entry = find(operations, id);

	if (!entry || !under_way(entry))
		return;
	str_set(&entry->operation.msg, msg);
	tell(operations, entry);
}

static void
finish(struct operations *operations, struct entry *entry, const char *msg, const struct error *err)
{
	struct operation *operation = &entry->operation;
	enum operation_result result = err ? OPERATION_FAILED : OPERATION_COMPLETED;

	/* The clock may have been set back meanwhile. */
	operation->te = now_ms();
	if (operation->te < operation->ts)
		operation->te = operation->ts;
	str_set(&operation->state, operation_results[result]);
	str_set(&operation->msg, err ? err->detail : msg);
	if (!err)
		operation->progress = 100;
	operation_counts_end(
	    &operations->counts, operation->op, result, monotonic_ms() - entry->begun);
	tell(operations, entry);
}

void
operations_finish(
    struct operations *operations, const char *id, const char *msg, const struct error *err)
{
	struct entry *entry = find(operations, id);

	if (entry && under_way(entry))
		finish(operations, entry, msg, err);
}

void
operations_leave(struct operations *operations, const char *id)
{
	struct entry *entry = find(operations, id);

	if (entry)
		entry->left = true;
}

void
operations_finish_vm(struct operations *operations, const char *vm, const char *msg)
{
	struct entry *entry;

	TAILQ_FOREACH (entry, &operations->entries, link) {
		if (entry->left && under_way(entry) && str_equal(entry->operation.vm, vm))
			finish(operations, entry, msg, NULL);
	}
}

bool
operations_is_under_way(const struct operations *operations, const char *op, const char *vm)
{
	const struct entry *entry;

	TAILQ_FOREACH (entry, &operations->entries, link) {
		if (under_way(entry) && str_equal(entry->operation.op, op) &&
		    str_equal(entry->operation.vm, vm))
			return true;
	}
	return false;
}

void
operations_set_elsewhere(struct operations *operations, const char *id, const char *host)
{
	struct elsewhere *elsewhere = &operations->elsewhere[operations->next_elsewhere];

	if (find(operations, id) || operations_find_elsewhere(operations, id) ||
	    uuid_normalize(id, elsewhere->id) < 0 || uuid_normalize(host, elsewhere->host) < 0)
		return;
	operations->next_elsewhere = (operations->next_elsewhere + 1) % OPERATIONS_MAX;
}

const char *
operations_find_elsewhere(const struct operations *operations, const char *id)
{
	/* Whatever others say. */
	if (find(operations, id))
		return NULL;
	for (size_t i = 0; i < OPERATIONS_MAX; i++) {
		if (*id && str_equal(operations->elsewhere[i].id, id))
			return operations->elsewhere[i].host;
	}
	return NULL;
}

const struct operation *
operations_find(const struct operations *operations, const char *id)
{
	const struct entry *entry = find(operations, id);

	return entry ? &entry->operation : NULL;
}

void
operations_list(const struct operations *operations, const struct operation_list_fields *filter,
    const struct list_page *page, struct operation_list *ret)
{
	operations_list_some(operations, filter, page, NULL, NULL, ret);
}

void
operations_list_some(const struct operations *operations,
    const struct operation_list_fields *filter, const struct list_page *page, operations_are are,
    void *arg, struct operation_list *ret)
{
	size_t skip = page ? page->offset : 0, limit = page ? page->limit : 0;
	struct entry *entry;

	ret->items = xcalloc(operations->n ? operations->n : 1, sizeof(*ret->items));
	ret->n_items = 0;
	TAILQ_FOREACH (entry, &operations->entries, link) {
		if (!filter_operation(&entry->operation, filter) ||
		    (are && !are(arg, &entry->operation)))
			continue;
		if (skip > 0) {
			skip--;
			continue;
		}
		if (limit > 0 && ret->n_items == limit)
			break;
		ret->items[ret->n_items++] = entry->operation;
	}
}

void
operations_get_stats(const struct operations *operations, struct operations_stats *ret)
{
	struct entry *entry;

	*ret = (struct operations_stats){ 0 };
	TAILQ_FOREACH (entry, &operations->entries, link) {
		if (under_way(entry))
			ret->started++;
		else if (str_equal(entry->operation.state, "failed"))
			ret->failed++;
		else
			ret->completed++;
	}
}

const struct operation_counts *
operations_get_counts(const struct operations *operations)
{
	return &operations->counts;
}
