/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/domain_files.h"

#include <string.h>

#include "domain/xml.h"
#include "proto/table.h"

struct reading {
	struct domain_file *files;
	size_t n;
	bool below; /* what is read is below a disk */
};

/* Takes path; NULL and "" are none. */
static void
add(struct reading *reading, enum domain_file_kind kind, const char *what, char *path)
{
	if (str_empty(path)) {
		free(path);
		return;
	}
	*model_append(&reading->files, &reading->n) = (struct domain_file){
		.kind = kind, .what = xstrdup(what), .path = path, .below = reading->below
	};
}

/* The source of a disk, or of what it stands on, which has the same form. */
static void
read_source(const xmlNode *node, const char *what, struct reading *reading)
{
	static const struct {
		const char *type, *attribute;
		enum domain_file_kind kind;
	} types[] = {
		{ "file", "file", DOMAIN_FILE_DATA },
		{ "dir", "dir", DOMAIN_FILE_DATA },
		{ "block", "dev", DOMAIN_FILE_DEVICE },
	};
	static const char *const below[] = { "backingStore", "mirror" };
	const xmlNode *source = xml_child(node, "source");
	_free_ char *type = xml_attr(node, "type");
	size_t i = 0;

	while (i < ARRAY_SIZE(types) && !str_equal(type, types[i].type))
		i++;
	if (i < ARRAY_SIZE(types))
		add(reading, types[i].kind, what, xml_attr(source, types[i].attribute));
	else if (source && !str_equal(type, "network"))
		add(reading, DOMAIN_FILE_OTHER, what, xstrdup(type ? type : "unknown"));
	for (i = 0; i < ARRAY_SIZE(below); i++) {
		_free_ char *whose = xasprintf("%s of %s", below[i], what);
		const bool was_below = reading->below;

		reading->below = true;
		if (xml_child(node, below[i]))
			read_source(xml_child(node, below[i]), whose, reading);
		reading->below = was_below;
	}
}

int
domain_files_read(const char *xml, struct domain_file **ret, size_t *n, struct error *err)
{
	static const struct {
		const char *element, *what;
		enum domain_file_kind kind;
	} parts[] = {
		{ "loader", "firmware", DOMAIN_FILE_FIRMWARE },
		{ "nvram", "UEFI variables", DOMAIN_FILE_VARIABLES },
		{ "kernel", "kernel", DOMAIN_FILE_DATA },
		{ "initrd", "initrd", DOMAIN_FILE_DATA },
		{ "dtb", "device tree", DOMAIN_FILE_DATA },
	};
	_xmldoc_ xmlDoc *doc = xml_parse(xml, XML_DOMAIN_MAX, "domain", "the domain's XML", err);
	const xmlNode *domain, *os, *node;
	struct reading reading = { 0 };

	if (!doc)
		return -1;
	domain = xmlDocGetRootElement(doc);
	os = xml_child(domain, "os");
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		add(&reading, parts[i].kind, parts[i].what,
		    xml_text(xml_child(os, parts[i].element)));
	for (node = xml_grandchild(domain, "devices", "disk"); node; node = xml_next(node)) {
		_free_ char *target = xml_attr(xml_child(node, "target"), "dev");
		_free_ char *what = xasprintf("disk '%s'", str_or_empty(target));

		read_source(node, what, &reading);
	}
	*ret = reading.files;
	*n = reading.n;
	return 0;
}

void
domain_files_free(struct domain_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(files[i].what);
		free(files[i].path);
	}
	free(files);
}
