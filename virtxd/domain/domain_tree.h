/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A domain as a tree: built, and edited. Private to the layer. */
#ifndef DOMAIN_DOMAIN_TREE_H
#define DOMAIN_DOMAIN_TREE_H

#include "domain/domain_xml.h"
#include "domain/xml.h"

/* domain_xml_build before it is text; tree must be zero. */
int domain_tree_build(struct xml_tree *tree, const struct vmdef *def, const char *uuid,
    const struct domain_env *env, struct error *err);

/* How many iothreads the devices of def take. */
unsigned int domain_iothreads(const struct vmdef *def);

/* A definition that is changed. */
struct domain_edit {
	struct xml_tree tree; /* what is there, becoming what it is to be */
	xmlNode *domain;      /* of tree */
	struct xml_tree made; /* what def would be for a new VM; its parts move over */
	xmlNode *fresh;	      /* of made */
	const struct vmdef *old, *def;
	const char *root;   /* of the storage */
	const char *uuid;   /* the VM's */
	bool other_machine; /* firmware, and with it machine and buses, are others */
	struct buffer lost; /* what cannot stay, for people */
};

/* Notes what cannot stay by its path ("cputune/vcpupin") and the reason. */
void domain_edit_note(struct domain_edit *edit, const char *path, const char *why);
/* The same for an element (NULL is fine), which it takes out. */
void domain_edit_lose(struct domain_edit *edit, xmlNode *node, const char *path, const char *why);
/* Changes the element devices. */
void devices_edit(struct domain_edit *edit);
/* The devices' part of domain_xml_renew(); *changed is set where there was something to do. */
int devices_renew(struct xml_tree *tree, const struct domain_info *info,
    const struct domain_renewal *renewal, const char *root, bool *changed, struct error *err);

#endif
