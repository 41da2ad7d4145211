/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/oplog.h"

#include <assert.h>

#include "domain/metadata.h"
#include "proto/log.h"
#include "work/hypervisor.h"

/* Into the live XML and the inactive one, where they are there. */
static int
save(virDomainPtr domain, const struct oplog_item *item, struct error *err)
{
	_free_ char *xml = metadata_op_build(item), *key = metadata_op_key(item->op);
	unsigned int flags = 0;

	/* Nobody would find it again. */
	assert(metadata_op_known(item->op));
	if (virDomainIsPersistent(domain) != 0)
		flags |= VIR_DOMAIN_AFFECT_CONFIG;
	if (virDomainIsActive(domain) == 1)
		flags |= VIR_DOMAIN_AFFECT_LIVE;
	if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, xml, key, key, flags) < 0)
		return hypervisor_error(
		    err, 424, "cannot record %s in VM '%s'", item->op, virDomainGetName(domain));
	return 0;
}

int
oplog_begin(virDomainPtr domain, const char *op, const char *msg, int64_t *ts, struct error *err)
{
	*ts = now_ms();
	return oplog_begin_at(domain, op, msg, *ts, err);
}

int
oplog_begin_after(virDomainPtr domain, const struct oplog_list *before, const char *op,
    const char *msg, int64_t *ts, struct error *err)
{
	*ts = now_ms();
	for (size_t i = 0; i < before->n_items; i++) {
		int64_t then = before->items[i].ts;

		if (then >= *ts && then < INT64_MAX)
			*ts = then + 1;
	}
	return oplog_begin_at(domain, op, msg, *ts, err);
}

int
oplog_begin_at(virDomainPtr domain, const char *op, const char *msg, int64_t ts, struct error *err)
{
	struct oplog_item item = {
		.op = xstrdup(op),
		.ts = ts,
		.status = xstrdup("started"),
		.msg = xstrdup(msg),
	};
	int r = save(domain, &item, err);

	model_clear(&oplog_item_model, &item);
	return r;
}

static int
end(virDomainPtr domain, const char *op, int64_t ts, const char *status, const char *msg,
    struct error *err)
{
	struct oplog_item item = {
		.op = xstrdup(op),
		.ts = ts,
		.te = now_ms(),
		.status = xstrdup(status),
		.msg = xstrdup(msg),
	};
	int r = save(domain, &item, err);

	model_clear(&oplog_item_model, &item);
	return r;
}

int
oplog_complete(virDomainPtr domain, const char *op, int64_t ts, const char *msg, struct error *err)
{
	return end(domain, op, ts, "completed", msg, err);
}

void
oplog_end(
    virDomainPtr domain, const char *op, int64_t ts, const char *msg, const struct error *cause)
{
	struct error err = { 0 };

	if (end(domain, op, ts, cause ? "failed" : "completed", cause ? cause->detail : msg, &err) <
	    0)
		log_debug("job", "%s", err.detail);
}

bool
oplog_was_on(const struct oplog_list *oplog)
{
	static const char *const ops[] = { "VmBoot", "VmShutdown", "VmPause", "VmResume" };

	for (size_t i = 0; i < oplog->n_items; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
			if (str_equal(oplog->items[i].op, ops[k]) &&
			    str_equal(oplog->items[i].status, "completed"))
				return true;
		}
	}
	return false;
}
