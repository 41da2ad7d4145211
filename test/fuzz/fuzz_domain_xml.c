/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads a domain's XML, capabilities and sysinfo; a Vmdef that came out of it and is legal must
 * survive being built and read again. */
#include <string.h>

#include "domain/cloud_init_xml.h"
#include "domain/domain_xml.h"
#include "proto/vmdef.h"

#define UUID "a4c1f2d0-1b2c-4d3e-8f4a-5b6c7d8e9f01"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
round_trip(const struct vmdef *def)
{
	const struct domain_env env = { .root = "/vms", .arch = "x86_64", .kvm = true };
	struct domain_info info = { 0 };
	struct error err = { 0 };
	_free_ char *xml = NULL;

	if (domain_xml_build(def, UUID, &env, &xml, &err) < 0 ||
	    domain_xml_read(xml, env.root, &info, &err) < 0 || info.foreign ||
	    !model_equal(&vmdef_model, def, &info.def))
		abort();
	domain_info_clear(&info);
}

static void
try_domain(const char *text)
{
	struct domain_info info = { 0 };
	struct error err = { 0 };

	if (domain_xml_read(text, "/vms", &info, &err) < 0) {
		if (err.status != 500 || !err.detail[0] || info.uuid)
			abort();
		return;
	}
	if (info.foreign != !str_empty(info.foreign_why))
		abort();
	if (!info.foreign && vmdef_check(&info.def, "/vms", "vmdef", &err) == 0)
		round_trip(&info.def);
	domain_info_clear(&info);
}

/* What gets a CD loses it again. */
static void
try_cloud_init(const char *text)
{
	char path[] = "/vms/ds/ci/" UUID "/seed.iso";
	_free_ char *with = NULL, *without = NULL, *again = NULL;
	struct domain_info info = { 0 };
	struct error err = { 0 };

	if (cloud_init_xml_add(text, "/vms", path, &with, &err) < 0)
		return;
	if (cloud_init_xml_remove(with, "/vms", path, &without, &err) < 0 || !without ||
	    cloud_init_xml_remove(without, "/vms", path, &again, &err) < 0 || again)
		abort();
	if (domain_xml_read(without, "/vms", &info, &err) == 0 && info.cloud_init)
		abort();
	domain_info_clear(&info);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A block of its own size, so that a read past its end is seen. */
	_free_ char *text = xstrndup((const char *)data, size);
	struct hostdef_sysinfo sysinfo = { 0 };
	struct domain_caps caps = { 0 };

	try_domain(text);
	try_cloud_init(text);
	if (domain_caps_read(text, &caps, NULL) == 0 && (caps.nodes < 1 || str_empty(caps.arch)))
		abort();
	domain_caps_clear(&caps);
	domain_sysinfo_read(text, &sysinfo);
	model_clear(&hostdef_sysinfo_model, &sysinfo);
	return 0;
}
