/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The metadata of a domain: custom fields, the operation log, and what the VM is wanted to be. */
#include "domain/metadata.h"

#include <string.h>

#include "domain/disk_xml.h"
#include "domain/domain_info.h"
#include "domain/metadata_xml.h"

#define CD_ELEMENT   "data-ci"
#define VM_NAMESPACE "virtx-vm"
#define WANT_ELEMENT "want"
#define VLANID_MAX   4094
#define LEASES_MAX   4096 /* bytes */

/* In the order in which they are listed. */
static const char *const ops[] = { "VmBoot", "VmFailover", "VmMigrate", "VmPause", "VmReboot",
	"VmReset", "VmResume", "VmShutdown" };

bool
metadata_op_known(const char *op)
{
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (str_equal(op, ops[i]))
			return true;
	return false;
}

char *
metadata_op_key(const char *op)
{
	return xasprintf(METADATA_OP_PREFIX "%s", op);
}

char *
metadata_op_build(const struct oplog_item *item)
{
	_xmltree_ struct xml_tree tree = { 0 };
	/* It may quote what a guest or a program said. */
	_free_ char *msg = xml_clean(item->msg);
	/* No namespace here: libvirt puts its element into the one that it is called with. */
	xmlNode *node = xml_root(&tree, "data-op");
	char *text = NULL;

	xml_add_text(&tree, node, "op", item->op);
	xml_add_number(&tree, node, "ts", item->ts);
	xml_add_number(&tree, node, "te", item->te);
	xml_add_text(&tree, node, "status", item->status);
	xml_add_text(&tree, node, "msg", msg);
	xml_tree_text(&tree, false, &text, NULL);
	return text;
}

char *
metadata_cd_build(void)
{
	_xmltree_ struct xml_tree tree = { 0 };
	char *text = NULL;

	xml_root(&tree, CD_ELEMENT);
	xml_tree_text(&tree, false, &text, NULL);
	return text;
}

char *
metadata_want_build(enum want want, bool excused)
{
	_xmltree_ struct xml_tree tree = { 0 };
	xmlNode *node = xml_root(&tree, WANT_ELEMENT);
	char *text = NULL;

	if (excused)
		xml_set(&tree, node, "excused", "yes");
	xmlNodeAddContent(node, BAD_CAST enum_word(&want_enum, want));
	xml_tree_text(&tree, false, &text, NULL);
	return text;
}

char *
metadata_leases_build(const char *leases)
{
	_xmltree_ struct xml_tree tree = { 0 };
	char *text = NULL;

	xmlNodeAddContent(xml_root(&tree, "held"), BAD_CAST leases);
	xml_tree_text(&tree, false, &text, NULL);
	return text;
}

char *
metadata_leases_read(const char *element)
{
	struct error ignored = { 0 };
	_xmldoc_ xmlDoc *doc =
	    xml_parse(element, LEASES_MAX, "held", "the record of a VM's leases", &ignored);

	return doc ? xml_text(xmlDocGetRootElement(doc)) : NULL;
}

void
metadata_xml_build(struct xml_tree *tree, xmlNode *domain, const struct vmdef *def)
{
	xmlNode *metadata = xml_add(tree, domain, "metadata", NULL);
	xmlNode *node = xml_add(tree, metadata, "data-vm", NULL);
	_free_ char *order = disk_xml_order(def);

	xmlSetNs(node, xmlNewNs(node, BAD_CAST VM_NAMESPACE, BAD_CAST VM_NAMESPACE));
	for (size_t i = 0; i < def->n_custom; i++)
		if (!str_empty(def->custom[i].name))
			xml_set(tree, xml_add_text(tree, node, "field", def->custom[i].value),
			    "name", def->custom[i].name);
	/* These would be lost: libvirt sorts the disks by bus, a vlan is a property of an
	 * interface, and NUMA nodes are not made for the guest. The Go virtx passes over them. */
	if (*order)
		xml_add_text(tree, node, "order", order);
	if (def->vlanid > 0 && !def->n_nets)
		xml_add_number(tree, node, "vlanid", def->vlanid);
	if (def->cpudef.nodes)
		xml_add_number(tree, node, "nodes", def->cpudef.nodes);
}

/* The first of this node and its siblings that is an element of this name, in whatever namespace
 * where href is NULL. The Go virtx puts the children into the namespace of their parent, libvirt
 * at times out of it. */
static const xmlNode *
find_element(const xmlNode *node, const char *name, const char *href)
{
	while (node &&
	       (node->type != XML_ELEMENT_NODE || strcmp((const char *)node->name, name) != 0 ||
		   (href && (!node->ns || strcmp((const char *)node->ns->href, href) != 0))))
		node = node->next;
	return node;
}

void
metadata_xml_edit(struct xml_tree *tree, xmlNode *domain, const xmlNode *fresh)
{
	const xmlNode *from = xml_child(fresh, "metadata");
	xmlNode *node = (xmlNode *)find_element(from->children, "data-vm", VM_NAMESPACE);
	xmlNode *metadata = xml_child(domain, "metadata");

	if (!metadata)
		metadata = xml_add(tree, domain, "metadata", NULL);
	xml_remove((xmlNode *)find_element(metadata->children, "data-vm", VM_NAMESPACE));
	/* The Go virtx reads the first one, whosever it is. */
	if (metadata->children)
		xmlAddPrevSibling(metadata->children, node);
	else
		xml_move(node, metadata);
}

xmlNode *
metadata_xml_cd(const xmlNode *domain)
{
	const xmlNode *metadata = xml_child(domain, "metadata");

	return metadata ? (xmlNode *)find_element(metadata->children, CD_ELEMENT, METADATA_CD_KEY)
			: NULL;
}

static void
read_vm(const xmlNode *vm, struct vmdef *def, char **order, int16_t *vlanid)
{
	const xmlNode *node = vm->children;

	for (; (node = find_element(node, "field", NULL)); node = node->next) {
		_free_ char *name = xml_attr(node, "name");
		struct custom_field *field;

		if (str_empty(name))
			continue;
		field = model_append(&def->custom, &def->n_custom);
		field->name = steal_ptr(name);
		field->value = xml_text(node);
	}
	def->cpudef.nodes =
	    (int16_t)xml_text_number(find_element(vm->children, "nodes", NULL), INT16_MAX);
	*order = xml_text(find_element(vm->children, "order", NULL));
	*vlanid = (int16_t)xml_text_number(find_element(vm->children, "vlanid", NULL), VLANID_MAX);
}

static void
read_op(const xmlNode *node, const char *op, struct oplog_list *oplog)
{
	struct oplog_item *item = model_append(&oplog->items, &oplog->n_items);

	item->op = xstrdup(op);
	item->ts = xml_text_number(find_element(node->children, "ts", NULL), INT64_MAX);
	item->te = xml_text_number(find_element(node->children, "te", NULL), INT64_MAX);
	item->status = xml_text(find_element(node->children, "status", NULL));
	item->msg = xml_text(find_element(node->children, "msg", NULL));
}

static void
read_want(const xmlNode *node, struct domain_info *info)
{
	_free_ char *text = xml_text(node);
	int want = text ? enum_parse(&want_enum, text) : -1;

	info->want = want > 0 ? (enum want)want : WANT_UNKNOWN;
	info->excused = info->want == WANT_ON && xml_attr_is(node, "excused", "yes");
}

void
metadata_xml_read(const xmlNode *domain, struct domain_info *info, char **order, int16_t *vlanid)
{
	const xmlNode *metadata = xml_child(domain, "metadata");
	const xmlNode *first = metadata ? metadata->children : NULL;
	const xmlNode *vm = find_element(first, "data-vm", VM_NAMESPACE);

	*order = NULL;
	*vlanid = 0;
	info->ours = info->recorded = vm != NULL;
	read_want(find_element(first, WANT_ELEMENT, METADATA_WANT), info);
	if (vm)
		read_vm(vm, &info->def, order, vlanid);
	else
		domain_info_foreign(info, "it has no metadata of VirtX");
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		_free_ char *key = metadata_op_key(ops[i]);
		const xmlNode *node = find_element(first, "data-op", key);

		if (node)
			read_op(node, ops[i], &info->oplog);
	}
}
