/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/gossip.h"

#include <string.h>

#include "proto/binary.h"

#define NAME_BYTES_MAX 256 /* libvirt's own names are shorter: they are those of files */

static const struct field vm_event_fields[] = {
	FIELD("uuid", struct vm_event, uuid),
	FIELD("host", struct vm_event, host),
	FIELD_ENUM("runstate", struct vm_event, runstate, vmrunstate),
	FIELD("ts", struct vm_event, ts),
};
const struct model vm_event_model = { "VmEvent", sizeof(struct vm_event), vm_event_fields,
	ARRAY_SIZE(vm_event_fields) };

static const struct field vm_info_fields[] = {
	FIELD("uuid", struct vm_info, uuid),
	FIELD("host", struct vm_info, host),
	FIELD_ENUM("runstate", struct vm_info, runstate, vmrunstate),
	FIELD("ts", struct vm_info, ts),
	FIELD("name", struct vm_info, name),
	FIELD("vlanid", struct vm_info, vlanid),
	FIELD_ARRAY("custom", struct vm_info, custom, custom_field),
	FIELD("vcpus", struct vm_info, vcpus),
};
const struct model vm_info_model = { "VmInfo", sizeof(struct vm_info), vm_info_fields,
	ARRAY_SIZE(vm_info_fields) };

static const struct field vm_needs_fields[] = {
	FIELD("version", struct vm_needs, version),
	FIELD("memory", struct vm_needs, memory),
	FIELD("hp", struct vm_needs, hp),
	FIELD_ENUM("want", struct vm_needs, want, want),
};
const struct model vm_needs_model = { "VmNeeds", sizeof(struct vm_needs), vm_needs_fields,
	ARRAY_SIZE(vm_needs_fields) };

static const struct field tokens_event_fields[] = {
	FIELD("host", struct tokens_event, host),
};
const struct model tokens_event_model = { "TokensEvent", sizeof(struct tokens_event),
	tokens_event_fields, ARRAY_SIZE(tokens_event_fields) };

static const struct field host_info_fields[] = {
	FIELD("uuid", struct host_info, uuid),
	FIELD_STRUCT("fields", struct host_info, fields, host_list_fields),
};
const struct model host_info_model = { "HostInfo", sizeof(struct host_info), host_info_fields,
	ARRAY_SIZE(host_info_fields) };

static const struct field host_digest_fields[] = {
	FIELD("version", struct host_digest, version),
	FIELD("vms", struct host_digest, vms),
	FIELD("digest", struct host_digest, digest),
};
const struct model host_digest_model = { "HostDigest", sizeof(struct host_digest),
	host_digest_fields, ARRAY_SIZE(host_digest_fields) };

/* The same in JSON, which may have more than the events. */
static const struct field vm_listed_fields[] = {
	FIELD("uuid", struct vm_info, uuid),
	FIELD("host", struct vm_info, host),
	FIELD_ENUM("runstate", struct vm_info, runstate, vmrunstate),
	FIELD("ts", struct vm_info, ts),
	FIELD("name", struct vm_info, name),
	FIELD("vlanid", struct vm_info, vlanid),
	FIELD_ARRAY("custom", struct vm_info, custom, custom_field),
	FIELD("vcpus", struct vm_info, vcpus),
	FIELD("left", struct vm_info, left),
	FIELD("memory", struct vm_info, memory),
	FIELD("hp", struct vm_info, hp),
	FIELD_ENUM("want", struct vm_info, want, want),
};
const struct model vm_listed_model = { "VmInfo", sizeof(struct vm_info), vm_listed_fields,
	ARRAY_SIZE(vm_listed_fields) };

/* The struct is the events', and the model is not. */
#define FIELD_LISTED(json, T, m)                                                 \
	{                                                                        \
		.name = json, .kind = KIND_ARRAY,                                \
		.offset = offsetof(T, m) + TABLE_CHECK_(T, m, struct vm_info *), \
		.count_offset = offsetof(T, n_##m), .sub = &vm_listed_model      \
	}

static const struct field undecided_vm_fields[] = {
	FIELD("uuid", struct undecided_vm, uuid),
};
const struct model undecided_vm_model = { "UndecidedVm", sizeof(struct undecided_vm),
	undecided_vm_fields, ARRAY_SIZE(undecided_vm_fields) };

static const struct field vm_info_list_fields[] = {
	FIELD("host", struct vm_info_list, host),
	FIELD_STRUCT("fields", struct vm_info_list, fields, host_list_fields),
	FIELD("digest", struct vm_info_list, digest),
	FIELD_LISTED("items", struct vm_info_list, items),
	FIELD_ARRAY("undecided", struct vm_info_list, undecided, undecided_vm),
	FIELD("next", struct vm_info_list, next),
};
const struct model vm_info_list_model = { "VmInfoList", sizeof(struct vm_info_list),
	vm_info_list_fields, ARRAY_SIZE(vm_info_list_fields) };

static const struct field host_news_fields[] = {
	FIELD("host", struct host_news, host),
	FIELD("ts", struct host_news, ts),
	FIELD("maintenance", struct host_news, maintenance),
	FIELD_LISTED("items", struct host_news, items),
};
const struct model host_news_model = { "HostNews", sizeof(struct host_news), host_news_fields,
	ARRAY_SIZE(host_news_fields) };

/* What of a VM counts for the digest: all but where it is, and since when. */
static const struct field vm_content_fields[] = {
	FIELD("uuid", struct vm_info, uuid),
	FIELD("name", struct vm_info, name),
	FIELD_ENUM("runstate", struct vm_info, runstate, vmrunstate),
	FIELD("vlanid", struct vm_info, vlanid),
	FIELD_ARRAY("custom", struct vm_info, custom, custom_field),
	FIELD("vcpus", struct vm_info, vcpus),
};
static const struct model vm_content_model = { "VmContent", sizeof(struct vm_info),
	vm_content_fields, ARRAY_SIZE(vm_content_fields) };

static bool
is_kept(const struct custom_field *field)
{
	return strlen(str_or_empty(field->name)) <= VMDEF_CUSTOM_BYTES_MAX &&
	       strlen(str_or_empty(field->value)) <= VMDEF_CUSTOM_BYTES_MAX;
}

size_t
vm_info_custom(const struct vm_info *info, struct custom_field fit[VMDEF_CUSTOM_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < info->n_custom && n < VMDEF_CUSTOM_MAX; i++) {
		if (is_kept(&info->custom[i]))
			fit[n++] = info->custom[i];
	}
	return n;
}

void
vm_info_trim(struct vm_info *info)
{
	size_t n = 0;

	if (strlen(str_or_empty(info->name)) > NAME_BYTES_MAX)
		str_set(&info->name, "");
	for (size_t i = 0; i < info->n_custom; i++) {
		if (n < VMDEF_CUSTOM_MAX && is_kept(&info->custom[i]))
			info->custom[n++] = info->custom[i];
		else
			model_clear(&custom_field_model, &info->custom[i]);
	}
	if (n < info->n_custom)
		info->custom = xrealloc(info->custom, n + 1, sizeof(*info->custom));
	info->n_custom = n;
}

uint64_t
vm_info_digest(const struct vm_info *info)
{
	_buffer_ struct buffer bytes = { 0 };
	struct custom_field fit[VMDEF_CUSTOM_MAX];
	struct vm_info content = *info;
	const struct vm_needs needs = { VM_NEEDS_VERSION, info->memory, info->hp, info->want };
	uint64_t hash = 0xcbf29ce484222325;

	content.custom = fit;
	content.n_custom = vm_info_custom(info, fit);
	/* What is too long for it has no part in the digest. */
	if (binary_encode(&vm_content_model, &content, &bytes) < 0)
		return 0;
	/* Hosts that tell nothing of these compute it without. */
	if (info->memory > 0 && binary_encode(&vm_needs_model, &needs, &bytes) < 0)
		return 0;
	for (size_t i = 0; i < bytes.len; i++)
		hash = (hash ^ (unsigned char)bytes.data[i]) * 0x100000001b3;
	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccd;
	hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53;
	return hash ^ hash >> 33;
}
