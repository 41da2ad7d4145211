/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A definition that is there, changed to another Vmdef. Devices are edited elsewhere. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "domain/domain_tree.h"
#include "domain/metadata_xml.h"
#include "proto/vmdef.h"

/* The element of that name becomes the fresh one, or goes where there is none. */
static void
replace(xmlNode *parent, const xmlNode *fresh_parent, const char *name)
{
	xmlNode *fresh = xml_child(fresh_parent, name);

	xml_remove(xml_child(parent, name));
	if (fresh)
		xml_move(fresh, parent);
}

static void
edit_names(struct domain_edit *edit)
{
	_free_ char *description = xml_text(xml_child(edit->domain, "description"));

	if (str_equal(edit->old->name, edit->def->name))
		return;
	replace(edit->domain, edit->fresh, "title");
	/* Another text is somebody's own. */
	if (str_empty(description) || str_equal(description, edit->old->name))
		replace(edit->domain, edit->fresh, "description");
}

static void
edit_genid(struct domain_edit *edit)
{
	const char *old = str_or_empty(edit->old->genid), *new = str_or_empty(edit->def->genid);
	bool open = *old && strcmp(new, "auto") == 0;

	if (!open && strcasecmp(old, new) != 0)
		replace(edit->domain, edit->fresh, "genid");
}

/* Memory that is laid out in more than one number. */
static void
edit_memory(struct domain_edit *edit)
{
	static const char why[] = "it says how much memory there is in another way";
	xmlNode *devices = xml_child(edit->domain, "devices"), *node, *next;
	_free_ char *total = xml_text(xml_child(edit->domain, "memory"));
	_free_ char *current = xml_text(xml_child(edit->domain, "currentMemory"));

	if (edit->old->memory.total == edit->def->memory.total)
		return;
	node = xml_child(edit->domain, "currentMemory");
	if (str_equal(total, current))
		xml_remove(node);
	else
		domain_edit_lose(edit, node, "currentMemory", why);
	replace(edit->domain, edit->fresh, "memory");
	domain_edit_lose(edit, xml_child(edit->domain, "maxMemory"), "maxMemory", why);
	domain_edit_lose(edit, xml_grandchild(edit->domain, "cpu", "numa"), "cpu/numa", why);
	for (node = xml_child(devices, "memory"); node; node = next) {
		next = xml_next(node);
		domain_edit_lose(edit, node, "devices/memory", why);
	}
}

static void
edit_hugepages(struct domain_edit *edit)
{
	xmlNode *backing = xml_child(edit->domain, "memoryBacking");
	const xmlNode *fresh = xml_child(edit->fresh, "memoryBacking");

	if (edit->old->memory.hp == edit->def->memory.hp)
		return;
	if (!backing)
		backing = xml_add(&edit->tree, edit->domain, "memoryBacking", NULL);
	replace(backing, fresh, "hugepages");
	replace(backing, fresh, "allocation");
	if (!xmlFirstElementChild(backing))
		xml_remove(backing);
}

/* The highest number in a list such as "0-3,^2". */
static long
highest(const char *list)
{
	long max = -1;

	for (const char *at = str_or_empty(list); *at; at++) {
		char *end;
		long number;

		if (!isdigit((unsigned char)*at))
			continue;
		number = strtol(at, &end, 10);
		max = number > max ? number : max;
		at = end - 1;
	}
	return max;
}

/* Pins of what is no more. */
static void
lose_pins(struct domain_edit *edit, const char *name, const char *attr, long last)
{
	_free_ char *path = xasprintf("cputune/%s", name);
	xmlNode *next;

	for (xmlNode *node = xml_grandchild(edit->domain, "cputune", name); node; node = next) {
		_free_ char *list = xml_attr(node, attr);
		_free_ char *why = NULL;

		next = xml_next(node);
		if (highest(list) <= last)
			continue;
		why = xasprintf("there is no '%s' up to %s any more", attr, list);
		domain_edit_lose(edit, node, path, why);
	}
}

static void
edit_vcpus(struct domain_edit *edit)
{
	static const char why[] = "it says which vcpus there are in another way";
	unsigned int vcpus = vmdef_vcpus(edit->def);
	xmlNode *node = xml_child(edit->domain, "vcpu");
	_free_ char *current = xml_attr(node, "current");
	char text[16];

	if (vmdef_vcpus(edit->old) == vcpus || !node)
		return;
	if (current)
		domain_edit_note(edit, "vcpu[@current]", why);
	xml_unset(node, "current");
	snprintf(text, sizeof(text), "%u", vcpus);
	xml_reset_text(&edit->tree, node, text);
	domain_edit_lose(edit, xml_child(edit->domain, "vcpus"), "vcpus", why);
	domain_edit_lose(edit, xml_grandchild(edit->domain, "cpu", "numa"), "cpu/numa", why);
	lose_pins(edit, "vcpupin", "vcpu", (long)vcpus - 1);
	lose_pins(edit, "vcpusched", "vcpus", (long)vcpus - 1);
}

/* Those beyond what our devices take are somebody's own. */
static void
edit_iothreads(struct domain_edit *edit)
{
	xmlNode *node = xml_child(edit->domain, "iothreads");
	int64_t there = xml_text_number(node, INT32_MAX);
	int64_t fresh = xml_text_number(xml_child(edit->fresh, "iothreads"), INT32_MAX);
	int64_t was = domain_iothreads(edit->old);
	int64_t n = fresh + (there > was ? there - was : 0);

	lose_pins(edit, "iothreadpin", "iothread", n);
	lose_pins(edit, "iothreadsched", "iothreads", n);
	xml_remove(node);
	if (n > 0)
		xml_add_number(&edit->tree, edit->domain, "iothreads", n);
}

static void
edit_numatune(struct domain_edit *edit)
{
	xmlNode *node = xml_child(edit->domain, "numatune");
	xmlNode *memory = xml_child(node, "memory");
	xmlNode *vcpu = xml_child(edit->domain, "vcpu");

	if (edit->old->numa.placement == edit->def->numa.placement)
		return;
	if (node && (!xml_attr_is(memory, "placement", "auto") || xmlNextElementSibling(memory)))
		domain_edit_lose(edit, node, "numatune", "the placement is to be left alone");
	/* libvirt says it there, too, and takes it from there. */
	if (xml_attr_is(vcpu, "placement", "auto"))
		xml_unset(vcpu, "placement");
	replace(edit->domain, edit->fresh, "numatune");
}

static void
edit_firmware(struct domain_edit *edit)
{
	static const char *const names[] = { "type", "bios", "loader", "nvram", "firmware" };
	xmlNode *os = xml_child(edit->domain, "os");
	const xmlNode *fresh = xml_child(edit->fresh, "os");
	_free_ char *firmware = xml_attr(fresh, "firmware");

	if (!edit->other_machine || !os)
		return;
	xml_unset(os, "firmware");
	if (firmware)
		xml_set(&edit->tree, os, "firmware", firmware);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		replace(os, fresh, names[i]);
}

static void
edit_model(struct domain_edit *edit, xmlNode *cpu, const xmlNode *fresh)
{
	static const char *const attrs[] = { "mode", "match", "migratable" };

	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		_free_ char *value = xml_attr(fresh, attrs[i]);

		xml_unset(cpu, attrs[i]);
		if (value)
			xml_set(&edit->tree, cpu, attrs[i], value);
	}
	replace(cpu, fresh, "model");
	domain_edit_lose(edit, xml_child(cpu, "vendor"), "cpu/vendor", "it is the other model's");
}

static void
edit_topology(struct domain_edit *edit, xmlNode *cpu, const xmlNode *fresh)
{
	xmlNode *node = xml_child(cpu, "topology");

	if (xml_attr_number(node, "dies", INT32_MAX) > 1)
		domain_edit_lose(edit, node, "cpu/topology[@dies]", "the topology is another");
	replace(cpu, fresh, "topology");
}

static void
edit_cpu(struct domain_edit *edit)
{
	const struct cpudef *old = &edit->old->cpudef, *def = &edit->def->cpudef;
	xmlNode *cpu = xml_child(edit->domain, "cpu");
	const xmlNode *fresh = xml_child(edit->fresh, "cpu");
	_free_ char *limit = xml_attr(xml_child(fresh, "maxphysaddr"), "limit");
	xmlNode *bits;

	if (!cpu)
		cpu = xml_add(&edit->tree, edit->domain, "cpu", "check", "none", NULL);
	if (!str_equal(old->model, def->model))
		edit_model(edit, cpu, fresh);
	if (old->sockets != def->sockets || old->cores != def->cores ||
	    old->threads != def->threads)
		edit_topology(edit, cpu, fresh);
	bits = xml_child(cpu, "maxphysaddr");
	if (limit && xml_attr_number(bits, "limit", INT32_MAX) > 0 &&
	    edit->old->memory.total != edit->def->memory.total)
		xml_reset(&edit->tree, bits, "limit", limit);
}

static void
edit_metadata(struct domain_edit *edit)
{
	metadata_xml_edit(&edit->tree, edit->domain, edit->fresh);
}

static bool
renew_variables(struct xml_tree *tree, const struct domain_info *info, const char *variables)
{
	xmlNode *os = xml_child(xmlDocGetRootElement(tree->doc), "os"), *nvram;
	_free_ char *template = NULL;

	if (!variables || !os || str_equal(info->variables, variables))
		return false;
	template = xml_attr(xml_child(os, "nvram"), "template");
	xml_remove(xml_child(os, "nvram"));
	nvram = xml_add_text(tree, os, "nvram", variables);
	if (template)
		xml_set(tree, nvram, "template", template);
	return true;
}

int
domain_xml_renew(const char *xml, const struct domain_renewal *renewal, const char *root,
    char **ret, struct error *err)
{
	_xmltree_ struct xml_tree tree = { 0 };
	struct domain_info info = { 0 };
	bool changed;
	int r;

	*ret = NULL;
	if (domain_xml_read(xml, root, &info, err) < 0)
		return -1;
	tree.doc = xml_parse(xml, XML_DOMAIN_MAX, "domain", "the domain's XML", err);
	changed = renew_variables(&tree, &info, renewal->variables);
	r = devices_renew(&tree, &info, renewal, root, &changed, err);
	domain_info_clear(&info);
	return r == 0 && changed ? xml_tree_text(&tree, false, ret, err) : r;
}

static void (*const parts[])(struct domain_edit *edit) = {
	edit_names,
	edit_genid,
	edit_metadata,
	edit_memory,
	edit_hugepages,
	edit_vcpus,
	edit_iothreads,
	edit_numatune,
	edit_firmware,
	edit_cpu,
	devices_edit,
};

static int
open_edit(struct domain_edit *edit, const char *xml, const char *uuid, const struct domain_env *env,
    struct error *err)
{
	edit->tree.doc = xml_parse(xml, XML_DOMAIN_MAX, "domain", "the domain's XML", err);
	if (!edit->tree.doc || domain_tree_build(&edit->made, edit->def, uuid, env, err) < 0)
		return -1;
	edit->domain = xmlDocGetRootElement(edit->tree.doc);
	edit->fresh = xmlDocGetRootElement(edit->made.doc);
	edit->root = env->root;
	edit->uuid = uuid;
	edit->other_machine = edit->old->firmware != edit->def->firmware;
	if (!xml_child(edit->domain, "devices"))
		return error_set(err, 500, "the domain's XML has no devices");
	/* Whether there is KVM is the host's. */
	xml_reset(&edit->tree, edit->domain, "type", env->kvm ? "kvm" : "qemu");
	return 0;
}

static int
close_edit(struct domain_edit *edit, const char *uuid, bool force, char **ret, struct error *err)
{
	if (edit->made.bad)
		return xml_tree_text(&edit->made, false, ret, err);
	if (edit->lost.len && !force)
		return error_set(err, 422,
		    "the definition of VM '%s' has what cannot stay with this change, and goes "
		    "with "
		    "the option force only: %s",
		    uuid, edit->lost.data);
	return xml_tree_text(&edit->tree, false, ret, err);
}

int
domain_xml_edit(const char *xml, const struct vmdef *def, const struct domain_env *env, bool force,
    char **ret, struct error *err)
{
	struct domain_info info = { 0 };
	struct domain_edit edit = { .old = &info.def, .def = def };
	int r = domain_xml_read(xml, env->root, &info, err);

	if (r == 0)
		r = open_edit(&edit, xml, info.uuid, env, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++)
		parts[i](&edit);
	if (r == 0)
		r = close_edit(&edit, info.uuid, force, ret, err);
	xml_tree_clear(&edit.tree);
	xml_tree_clear(&edit.made);
	buffer_clear(&edit.lost);
	domain_info_clear(&info);
	return r;
}
