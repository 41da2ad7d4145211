/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trees of libxml2, built and read. */
#include "domain/xml.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/xmlsave.h>

#include "proto/utf8.h"

/* libxml2 answers NULL only when memory is out, since names are ours and texts are checked. */
#define CHECK(p)                           \
	({                                 \
		__typeof__(p) made_ = (p); \
		if (!made_)                \
			abort();           \
		made_;                     \
	})

/* The length of the leading part of a text that is UTF-8 of characters that XML 1.0 allows. */
static size_t
valid_length(const char *text)
{
	size_t len = strlen(text), at = 0, n;
	uint32_t code;

	while ((n = utf8_char(text + at, len - at, &code)) && IS_CHAR(code))
		at += n;
	return at;
}

char *
xml_clean(const char *text)
{
	char *clean = xstrdup(text);

	for (char *at = clean + valid_length(clean); *at; at += valid_length(at))
		*at = '?';
	return clean;
}

/* Notes a text that cannot be carried; true when it can. */
static bool
tree_accepts(struct xml_tree *tree, const char *text)
{
	if (!text[valid_length(text)])
		return true;
	if (!tree->bad)
		tree->bad = xstrdup(text);
	return false;
}

xmlNode *
xml_root(struct xml_tree *tree, const char *name)
{
	xmlNode *node;

	tree->doc = CHECK(xmlNewDoc(BAD_CAST "1.0"));
	/* Without it every attribute is written in ASCII and character references. */
	tree->doc->encoding = CHECK(xmlStrdup(BAD_CAST "UTF-8"));
	node = CHECK(xmlNewDocNode(tree->doc, NULL, BAD_CAST name, NULL));
	xmlDocSetRootElement(tree->doc, node);
	return node;
}

xmlNode *
xml_add(struct xml_tree *tree, xmlNode *parent, const char *name, ...)
{
	xmlNode *node = CHECK(xmlNewDocNode(tree->doc, NULL, BAD_CAST name, NULL));
	const char *attr;
	va_list ap;

	xmlAddChild(parent, node);
	va_start(ap, name);
	while ((attr = va_arg(ap, const char *)))
		xml_set(tree, node, attr, va_arg(ap, const char *));
	va_end(ap);
	return node;
}

xmlNode *
xml_add_text(struct xml_tree *tree, xmlNode *parent, const char *name, const char *text)
{
	xmlNode *node = xml_add(tree, parent, name, NULL);

	xml_reset_text(tree, node, text);
	return node;
}

xmlNode *
xml_add_number(struct xml_tree *tree, xmlNode *parent, const char *name, int64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, number);
	return xml_add_text(tree, parent, name, text);
}

void
xml_set(struct xml_tree *tree, xmlNode *node, const char *name, const char *value)
{
	value = str_or_empty(value);
	if (tree_accepts(tree, value))
		CHECK(xmlNewProp(node, BAD_CAST name, BAD_CAST value));
}

void
xml_set_number(struct xml_tree *tree, xmlNode *node, const char *name, int64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, number);
	xml_set(tree, node, name, text);
}

void
xml_unset(xmlNode *node, const char *name)
{
	xmlAttr *attr = xmlHasProp(node, BAD_CAST name);

	if (attr)
		xmlRemoveProp(attr);
}

void
xml_reset(struct xml_tree *tree, xmlNode *node, const char *name, const char *value)
{
	xml_unset(node, name);
	xml_set(tree, node, name, value);
}

void
xml_reset_text(struct xml_tree *tree, xmlNode *node, const char *text)
{
	while (node->children)
		xml_remove(node->children);
	if (!str_empty(text) && tree_accepts(tree, text))
		xmlAddChild(node, CHECK(xmlNewDocText(tree->doc, BAD_CAST text)));
}

void
xml_remove(xmlNode *node)
{
	if (!node)
		return;
	xmlUnlinkNode(node);
	xmlFreeNode(node);
}

void
xml_move(xmlNode *node, xmlNode *parent)
{
	xmlUnlinkNode(node);
	xmlAddChild(parent, node);
}

/* The first namespace that would come out malformed, since libxml2 escapes no '<' in their names;
 * or NULL. */
static const char *
unwritable_namespace(const xmlNode *node)
{
	const char *found = NULL;

	if (node->type != XML_ELEMENT_NODE)
		return NULL;
	for (const xmlNs *ns = node->nsDef; ns && !found; ns = ns->next)
		if (ns->href && strchr((const char *)ns->href, '<'))
			found = (const char *)ns->href;
	for (node = node->children; node && !found; node = node->next)
		found = unwritable_namespace(node);
	return found;
}

int
xml_tree_text(struct xml_tree *tree, bool indent, char **ret, struct error *err)
{
	const char *namespace = unwritable_namespace(xmlDocGetRootElement(tree->doc));
	xmlBuffer *buffer;
	xmlOutputBuffer *out;

	if (tree->bad)
		return error_set(
		    err, 400, "'%s' holds a character that XML cannot carry", tree->bad);
	if (namespace)
		return error_set(err, 500, "libxml2 cannot write the namespace '%s'", namespace);
	buffer = CHECK(xmlBufferCreate());
	out = CHECK(xmlOutputBufferCreateBuffer(buffer, NULL));
	xmlNodeDumpOutput(out, tree->doc, xmlDocGetRootElement(tree->doc), 0, indent, "UTF-8");
	if (indent)
		xmlOutputBufferWriteString(out, "\n");
	xmlOutputBufferClose(out);
	*ret = xstrdup((const char *)xmlBufferContent(buffer));
	xmlBufferFree(buffer);
	return 0;
}

void
xml_tree_clear(struct xml_tree *tree)
{
	xml_doc_clear(&tree->doc);
	free(tree->bad);
	tree->bad = NULL;
}

/* libxml2 calls this where a document type declaration begins. */
static void
refuse_dtd(void *context, const xmlChar *name, const xmlChar *id, const xmlChar *uri)
{
	xmlParserCtxt *parser = context;
	bool *dtd = parser->_private;

	*dtd = true;
	xmlStopParser(parser);
}

xmlDoc *
xml_parse(const char *text, size_t max, const char *root, const char *what, struct error *err)
{
	_xmldoc_ xmlDoc *doc = NULL;
	size_t len = strnlen(text, max + 1);
	const xmlNode *node;
	xmlParserCtxt *parser;
	bool dtd = false;

	if (len > max) {
		error_set(err, 500, "%s is longer than %zu bytes", what, max);
		return NULL;
	}
	parser = CHECK(xmlNewParserCtxt());
	parser->_private = &dtd;
	/* A DTD is where entity bombs and files of others come from, and libvirt writes none. */
	parser->sax->internalSubset = refuse_dtd;
	doc = xmlCtxtReadMemory(parser, text, (int)len, NULL, "UTF-8",
	    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_COMPACT);
	if (dtd) {
		xml_doc_clear(&doc);
		error_set(err, 500, "%s has a document type declaration, which is refused", what);
	} else if (!doc) {
		const xmlError *failure = xmlCtxtGetLastError(parser);
		const char *message = failure && failure->message ? failure->message : "unknown";

		error_set(err, 500, "%s is malformed: line %d: %.*s", what,
		    failure ? failure->line : 0, (int)strcspn(message, "\n"), message);
	}
	xmlFreeParserCtxt(parser);
	if (!doc)
		return NULL;
	node = xmlDocGetRootElement(doc);
	if (!node || node->ns || strcmp((const char *)node->name, root) != 0) {
		error_set(err, 500, "%s does not begin with the element '%s'", what, root);
		return NULL;
	}
	return steal_ptr(doc);
}

void
xml_doc_clear(xmlDoc **doc)
{
	xmlFreeDoc(*doc);
	*doc = NULL;
}

/* The first of this node and its siblings that is an element of this name. */
static xmlNode *
find_sibling(xmlNode *node, const char *name)
{
	while (node && (node->type != XML_ELEMENT_NODE || node->ns ||
			   strcmp((const char *)node->name, name) != 0))
		node = node->next;
	return node;
}

xmlNode *
xml_child(const xmlNode *node, const char *name)
{
	return node ? find_sibling(node->children, name) : NULL;
}

xmlNode *
xml_next(const xmlNode *node)
{
	return node ? find_sibling(node->next, (const char *)node->name) : NULL;
}

xmlNode *
xml_grandchild(const xmlNode *node, const char *name, const char *name2)
{
	return xml_child(xml_child(node, name), name2);
}

char *
xml_attr(const xmlNode *node, const char *name)
{
	xmlChar *value = node ? xmlGetNoNsProp(node, BAD_CAST name) : NULL;
	char *ret = value ? xstrdup((const char *)value) : NULL;

	xmlFree(value);
	return ret;
}

bool
xml_attr_is(const xmlNode *node, const char *name, const char *value)
{
	_free_ char *is = xml_attr(node, name);

	return is && strcmp(is, value) == 0;
}

static int64_t
parse_number(const char *text, int64_t max)
{
	char *end;
	long long number;

	if (str_empty(text))
		return 0;
	errno = 0;
	number = strtoll(text, &end, 10);
	end += strspn(end, " \t\r\n");
	return *end || errno || number < 0 || number > max ? 0 : number;
}

int64_t
xml_attr_number(const xmlNode *node, const char *name, int64_t max)
{
	_free_ char *text = xml_attr(node, name);

	return parse_number(text, max);
}

char *
xml_text(const xmlNode *node)
{
	xmlChar *content;
	char *ret;

	if (!node)
		return NULL;
	content = CHECK(xmlNodeGetContent(node));
	ret = xstrdup((const char *)content);
	xmlFree(content);
	return ret;
}

char *
xml_node_text(const xmlNode *node)
{
	xmlBuffer *buffer;
	xmlOutputBuffer *out;
	char *ret;

	if (!node)
		return NULL;
	buffer = CHECK(xmlBufferCreate());
	out = CHECK(xmlOutputBufferCreateBuffer(buffer, NULL));
	/* It only reads the tree, whatever its type says. */
	xmlNodeDumpOutput(out, node->doc, (xmlNode *)node, 0, 0, "UTF-8");
	xmlOutputBufferClose(out);
	ret = xstrdup((const char *)xmlBufferContent(buffer));
	xmlBufferFree(buffer);
	return ret;
}

int64_t
xml_text_number(const xmlNode *node, int64_t max)
{
	_free_ char *text = xml_text(node);

	return parse_number(text, max);
}
