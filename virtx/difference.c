/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/difference.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "proto/json.h"
#include "proto/vmdef.h"
#include "proto/vmdef_disks.h"

/* Whether such a disk is never made: what is said of its provisioning says nothing. */
static bool
is_found(const struct disk *disk)
{
	const char *path = str_or_empty(disk->path);
	size_t len = strlen(path);

	return disk->man != DISK_MAN_MODE_MANAGED ||
	       (len >= 4 && strcmp(path + len - 4, ".iso") == 0);
}

static void
fill_disk(struct disk *disk, const struct vmdef *shown)
{
	const struct disk *kept = vmdef_find_disk(shown, disk->path);

	if (is_found(disk))
		disk->prov = DISK_PROV_MODE_NONE;
	if (!kept)
		return;
	if (disk->prov == DISK_PROV_MODE_NONE)
		disk->prov = kept->prov;
	/* A LUN may be larger than it was asked for. */
	if (disk->size == 0 || (disk->device == DISK_DEVICE_LUN && disk->size < kept->size))
		disk->size = kept->size;
}

static struct net *
find_mac(const struct vmdef *def, const char *mac)
{
	for (size_t i = 0; i < def->n_nets; i++)
		if (!str_empty(mac) && !str_empty(def->nets[i].mac) &&
		    strcasecmp(def->nets[i].mac, mac) == 0)
			return &def->nets[i];
	return NULL;
}

/* As the server does it: one that names no MAC keeps that of its place, which no other one names,
 * on the same network. */
static void
fill_nets(struct vmdef *def, const struct vmdef *shown)
{
	for (size_t i = 0; i < def->n_nets; i++) {
		const struct net *named = find_mac(shown, def->nets[i].mac);

		if (named)
			str_set(&def->nets[i].mac, named->mac);
	}
	for (size_t i = 0; i < def->n_nets && i < shown->n_nets; i++) {
		struct net *net = &def->nets[i];
		const struct net *kept = &shown->nets[i];

		if (str_empty(net->mac) && !str_empty(kept->mac) && !find_mac(def, kept->mac) &&
		    net->nettype == kept->nettype && str_equal(net->name, kept->name))
			str_set(&net->mac, kept->mac);
	}
}

void
difference_fill(struct vmdef *def, const struct vmdef *shown)
{
	const char *genid = str_or_empty(shown->genid);

	def->cpudef.nodes = shown->cpudef.nodes; /* of hosts only */
	fill_disk(&def->osdisk, shown);
	for (size_t i = 0; i < def->n_disks; i++)
		fill_disk(&def->disks[i], shown);
	fill_nets(def, shown);
	if (*genid &&
	    (str_equal(def->genid, "auto") || strcasecmp(str_or_empty(def->genid), genid) == 0))
		str_set(&def->genid, genid);
	vmdef_drop_nameless(def);
}

struct list {
	const char *before, *after;
	struct buffer *out;
	size_t n;
};

/* Takes both texts; NULL is what is not there. */
static void
add(struct list *list, const char *path, char *old, char *new)
{
	buffer_printf(list->out, "%s%s: %s -> %s%s", list->before, path, old ? old : "none",
	    new ? new : "none", list->after);
	list->n++;
	free(old);
	free(new);
}

static char *
value_text(const struct field *f, const void *obj)
{
	if (f->kind == KIND_STRING)
		return json_quote(field_get_string(f, obj));
	if (f->kind == KIND_BOOL)
		return xstrdup(field_get_int(f, obj) ? "true" : "false");
	if (f->kind == KIND_ENUM)
		return xstrdup(enum_word(f->words, (unsigned int)field_get_int(f, obj)));
	return xasprintf(
	    "%" PRId64 "%s", field_get_int(f, obj), f->unit == FIELD_MIB ? " MiB" : "");
}

static void list_object(
    struct list *list, const struct model *m, const void *old, const void *new, const char *path);

static void
list_items(
    struct list *list, const struct field *f, const void *old, const void *new, const char *path)
{
	size_t n_old, n_new, size = f->sub->size;
	const char *olds = field_items(f, old, &n_old), *news = field_items(f, new, &n_new);

	for (size_t i = 0; i < n_old || i < n_new; i++) {
		_free_ char *here = xasprintf("%s[%zu]", path, i);

		if (i < n_old && i < n_new)
			list_object(list, f->sub, olds + i * size, news + i * size, here);
		else if (i < n_old)
			add(list, here, json_encode(f->sub, olds + i * size, NULL), NULL);
		else
			add(list, here, NULL, json_encode(f->sub, news + i * size, NULL));
	}
}

static void
list_object(
    struct list *list, const struct model *m, const void *old, const void *new, const char *path)
{
	for (unsigned int i = 0; i < m->n_fields; i++) {
		const struct field *f = &m->fields[i];
		const struct model alone = { m->name, m->size, f, 1 };
		_free_ char *here = xasprintf("%s%s%s", path, *path ? "." : "", f->name);

		if (model_equal(&alone, old, new))
			continue;
		if (f->kind == KIND_STRUCT)
			list_object(list, f->sub, field_member(f, old), field_member(f, new), here);
		else if (f->kind == KIND_ARRAY)
			list_items(list, f, old, new, here);
		else
			add(list, here, value_text(f, old), value_text(f, new));
	}
}

size_t
difference_list(const struct vmdef *old, const struct vmdef *def, const char *before,
    const char *after, struct buffer *out)
{
	struct list list = { .before = before, .after = after, .out = out };

	list_object(&list, &vmdef_model, old, def, "");
	return list.n;
}
