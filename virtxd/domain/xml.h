/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this layer asks of libxml2: trees built from text that is checked, and trees read from text
 * that is not trusted. Private to the layer. */
#ifndef DOMAIN_XML_H
#define DOMAIN_XML_H

#include <libxml/tree.h>

#include "proto/error.h"

#define XML_DOMAIN_MAX (1024 * 1024)	 /* bytes of a domain's XML that are read at most */
#define XML_CAPS_MAX   (8 * 1024 * 1024) /* the same for capabilities, which list every CPU */

#define _xmldoc_ __attribute__((cleanup(xml_doc_clear)))

/* A tree under construction. Zero-initialise it, free it with xml_tree_clear. */
struct xml_tree {
	xmlDoc *doc;
	char *bad; /* the first text that XML cannot carry; the node is then left without it */
};

#define _xmltree_ __attribute__((cleanup(xml_tree_clear)))

/* Makes the root element. */
xmlNode *xml_root(struct xml_tree *tree, const char *name);
/* Appends an element with its attributes, given as name, value, ..., NULL. */
xmlNode *xml_add(struct xml_tree *tree, xmlNode *parent, const char *name, ...)
    __attribute__((sentinel));
/* Appends an element that holds a text. */
xmlNode *xml_add_text(struct xml_tree *tree, xmlNode *parent, const char *name, const char *text);
/* Appends an element that holds a number. */
xmlNode *xml_add_number(struct xml_tree *tree, xmlNode *parent, const char *name, int64_t number);
void xml_set(struct xml_tree *tree, xmlNode *node, const char *name, const char *value);
void xml_set_number(struct xml_tree *tree, xmlNode *node, const char *name, int64_t number);
/* The same for an attribute or a text that may be there already. */
void xml_reset(struct xml_tree *tree, xmlNode *node, const char *name, const char *value);
void xml_reset_text(struct xml_tree *tree, xmlNode *node, const char *text);
void xml_unset(xmlNode *node, const char *name);
/* Takes an element out of its tree, with all that is in it; NULL is fine. */
void xml_remove(xmlNode *node);
/* Moves an element to the end of parent, which may be of another tree. */
void xml_move(xmlNode *node, xmlNode *parent);
/* A copy in which '?' stands for each byte that XML cannot carry; the caller's. */
char *xml_clean(const char *text);
/* The tree as text without an XML declaration, indented or on one line, the caller's; 400 when some
 * text was bad, 500 when a namespace's name holds '<'. */
int xml_tree_text(struct xml_tree *tree, bool indent, char **ret, struct error *err);
void xml_tree_clear(struct xml_tree *tree);

/*
 * Parses at most max bytes; no DTD, no entities, no network. root is the name that the root element
 * must have; what says in messages what was read ("the domain's XML"). NULL with a 500 on failure.
 */
xmlDoc *xml_parse(
    const char *text, size_t max, const char *root, const char *what, struct error *err);
void xml_doc_clear(xmlDoc **doc);

/* The functions below take a NULL node, which has nothing. Only names without a namespace match. */

/* The first child element of this name; NULL for none. */
xmlNode *xml_child(const xmlNode *node, const char *name);
/* The next sibling element of the same name. */
xmlNode *xml_next(const xmlNode *node);
/* xml_child twice: name/name. */
xmlNode *xml_grandchild(const xmlNode *node, const char *name, const char *name2);
/* An attribute's value, the caller's; NULL when it is not there. */
char *xml_attr(const xmlNode *node, const char *name);
bool xml_attr_is(const xmlNode *node, const char *name, const char *value);
/* The decimal number of an attribute; 0 when it is not there, or is no number, or not in 0..max. */
int64_t xml_attr_number(const xmlNode *node, const char *name, int64_t max);
/* The text inside an element, the caller's; NULL for a NULL node. */
char *xml_text(const xmlNode *node);
/* An element with all that is in it, as XML, the caller's; NULL for a NULL node. */
char *xml_node_text(const xmlNode *node);
/* The decimal number inside an element, as xml_attr_number. */
int64_t xml_text_number(const xmlNode *node, int64_t max);

#endif
