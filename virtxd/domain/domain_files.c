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

/* Devices that are this host's, or a door to one. */
static void
read_host_devices(const xmlNode *devices, struct reading *reading)
{
	static const struct {
		const char *element, *attribute;
		const char *value; /* NULL for any */
		const char *what;
	} rows[] = {
		{ "hostdev", "type", NULL, "host device" },
		{ "interface", "type", "hostdev", "interface" },
		{ "interface", "type", "vdpa", "interface" },
		{ "input", "type", "passthrough", "input" },
		{ "input", "type", "evdev", "input" },
		{ "smartcard", "mode", "host", "smartcard" },
		{ "smartcard", "mode", "host-certificates", "smartcard" },
		{ "serial", "type", "dev", "serial port" },
		{ "parallel", "type", "dev", "parallel port" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const xmlNode *node = xml_child(devices, rows[i].element);

		for (; node; node = xml_next(node)) {
			_free_ char *value = xml_attr(node, rows[i].attribute);

			if (!rows[i].value || str_equal(value, rows[i].value))
				add(reading, DOMAIN_FILE_OTHER, rows[i].what,
				    xstrdup(value ? value : "unknown"));
		}
	}
}

static void
read_tpm(const xmlNode *domain, const xmlNode *tpm, struct reading *reading)
{
	const xmlNode *backend = xml_child(tpm, "backend");
	_free_ char *path = xml_attr(xml_child(backend, "source"), "path");
	_free_ char *uuid = xml_text(xml_child(domain, "uuid"));

	if (!xml_attr_is(backend, "type", "emulator"))
		add(reading, DOMAIN_FILE_OTHER, "TPM", xml_attr(backend, "type"));
	else if (path)
		add(reading, DOMAIN_FILE_DATA, "TPM", steal_ptr(path));
	else
		add(reading, DOMAIN_FILE_STATE, "TPM",
		    xasprintf(DOMAIN_TPM_FOLDER "/%s", str_or_empty(uuid)));
}

static void
read_folder(const xmlNode *node, struct reading *reading)
{
	static const struct {
		const char *type, *attribute;
		enum domain_file_kind kind;
	} types[] = {
		{ "mount", "dir", DOMAIN_FILE_DATA },
		{ "mount", "socket", DOMAIN_FILE_DATA },
		{ "bind", "dir", DOMAIN_FILE_DATA },
		{ "file", "file", DOMAIN_FILE_DATA },
		{ "block", "dev", DOMAIN_FILE_DEVICE },
	};
	const xmlNode *source = xml_child(node, "source");
	_free_ char *type = xml_attr(node, "type");
	_free_ char *target = xml_attr(xml_child(node, "target"), "dir");
	_free_ char *what = xasprintf("folder '%s'", str_or_empty(target));
	bool known = !type || str_equal(type, "ram");

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (!str_equal(type ? type : "mount", types[i].type))
			continue;
		known = true;
		add(reading, types[i].kind, what, xml_attr(source, types[i].attribute));
	}
	if (!known)
		add(reading, DOMAIN_FILE_OTHER, what, xstrdup(type));
}

/* What keeps its contents in a file beside the disks. */
static void
read_devices(const xmlNode *domain, struct reading *reading)
{
	const xmlNode *devices = xml_child(domain, "devices"), *node;

	for (node = xml_child(devices, "filesystem"); node; node = xml_next(node))
		read_folder(node, reading);
	for (node = xml_child(devices, "memory"); node; node = xml_next(node))
		add(reading, DOMAIN_FILE_DATA, "persistent memory",
		    xml_text(xml_grandchild(node, "source", "path")));
	for (node = xml_child(devices, "pstore"); node; node = xml_next(node))
		add(reading, DOMAIN_FILE_DATA, "pstore", xml_text(xml_child(node, "path")));
	for (node = xml_child(devices, "tpm"); node; node = xml_next(node))
		read_tpm(domain, node, reading);
	read_host_devices(devices, reading);
}

/* What the guest reads of files that are given to its firmware. */
static void
read_tables(const xmlNode *domain, struct reading *reading)
{
	const xmlNode *node;

	node = xml_child(xml_grandchild(domain, "os", "acpi"), "table");
	for (; node; node = xml_next(node))
		add(reading, DOMAIN_FILE_DATA, "ACPI table", xml_text(node));
	node = xml_child(domain, "sysinfo");
	for (; node; node = xml_next(node)) {
		const xmlNode *entry = xml_child(node, "entry");

		for (; entry; entry = xml_next(entry))
			add(reading, DOMAIN_FILE_DATA, "firmware setting", xml_attr(entry, "file"));
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
	read_devices(domain, &reading);
	read_tables(domain, &reading);
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
