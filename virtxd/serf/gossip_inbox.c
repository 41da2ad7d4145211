/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serf/gossip_inbox.h"

#include <string.h>

#include "proto/binary.h"

/* The last byte must be read, too. */
static int
decode(const struct model *model, const void *payload, size_t len, void *obj, struct error *err)
{
	long used = binary_decode(model, payload, len, obj, err);

	if (used < 0)
		return -1;
	if ((size_t)used == len)
		return 0;
	model_clear(model, obj);
	return error_set(err, 400, "%zu bytes are left over", len - (size_t)used);
}

/* Whether what follows an event is of a version to come. */
static bool
is_to_come(const char *trailer, size_t len, char version)
{
	return len >= sizeof(int16_t) && (trailer[0] != version || trailer[1] != 0);
}

static enum inventory_news
take_host(struct inventory *inventory, const char *payload, size_t len, struct inbox_event *ret,
    struct error *err)
{
	struct host_info info = { 0 };
	struct host_digest digest = { 0 };
	enum inventory_news news = INVENTORY_OLD;
	long used = binary_decode(&host_info_model, payload, len, &info, err);

	if (used < 0)
		return INVENTORY_OLD;
	payload += used;
	len -= (size_t)used;
	if (len == 0 || is_to_come(payload, len, HOST_DIGEST_VERSION))
		news = inventory_take_host(inventory, &info, NULL);
	else if (decode(&host_digest_model, payload, len, &digest, err) == 0)
		news = inventory_take_host(inventory, &info, &digest);
	ret->is_host = true;
	ret->has_trailer = len > 0;
	uuid_normalize(str_or_empty(info.uuid), ret->host);
	model_clear(&host_info_model, &info);
	return news;
}

static enum inventory_news
take_event(struct inventory *inventory, const void *payload, size_t len, struct inbox_event *ret,
    struct error *err)
{
	struct vm_event event = { 0 };
	enum inventory_news news;

	if (decode(&vm_event_model, payload, len, &event, err) < 0)
		return INVENTORY_OLD;
	news = inventory_take_event(inventory, &event);
	uuid_normalize(str_or_empty(event.host), ret->host);
	uuid_normalize(str_or_empty(event.uuid), ret->vm);
	model_clear(&vm_event_model, &event);
	return news;
}

static enum inventory_news
take_info(struct inventory *inventory, const char *payload, size_t len, struct inbox_event *ret,
    struct error *err)
{
	struct vm_info info = { 0 };
	struct vm_needs needs = { 0 };
	enum inventory_news news = INVENTORY_OLD;
	long used = binary_decode(&vm_info_model, payload, len, &info, err);

	if (used < 0)
		return INVENTORY_OLD;
	payload += used;
	len -= (size_t)used;
	if (len == 0 || is_to_come(payload, len, VM_NEEDS_VERSION)) {
		news = inventory_take_info(inventory, &info);
	} else if (decode(&vm_needs_model, payload, len, &needs, err) == 0) {
		info.memory = needs.memory;
		info.hp = needs.hp;
		info.want = needs.want;
		news = inventory_take_info(inventory, &info);
	}
	uuid_normalize(str_or_empty(info.host), ret->host);
	uuid_normalize(str_or_empty(info.uuid), ret->vm);
	model_clear(&vm_info_model, &info);
	return news;
}

bool
inbox_take(struct inventory *inventory, const char *name, const void *payload, size_t len,
    struct inbox_event *ret, struct error *err)
{
	*ret = (struct inbox_event){ .news = INVENTORY_OLD };
	if (strcmp(name, GOSSIP_HOST_INFO) == 0)
		ret->news = take_host(inventory, payload, len, ret, err);
	else if (strcmp(name, GOSSIP_VM_EVENT) == 0)
		ret->news = take_event(inventory, payload, len, ret, err);
	else if (strcmp(name, GOSSIP_VM_INFO) == 0)
		ret->news = take_info(inventory, payload, len, ret, err);
	else
		return false;
	return true;
}
