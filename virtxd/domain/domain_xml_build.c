/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A Vmdef to libvirt's domain XML. */
#include "domain/domain_xml.h"

#include <string.h>

#include "domain/disk_xml.h"
#include "domain/domain_tree.h"
#include "domain/metadata_xml.h"
#include "domain/net_xml.h"
#include "domain/xml.h"
#include "proto/vmdef.h"

/* What the architectures differ in. */
static const struct arch {
	const char *name;
	const char *machine_bios; /* NULL: it has no bios */
	const char *machine_uefi;
	bool x86;
} archs[] = {
	{ "x86_64", "pc", "q35", true },
	{ "aarch64", NULL, "virt", false },
};

static const struct arch *
find_arch(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(archs); i++)
		if (str_equal(name, archs[i].name))
			return &archs[i];
	return NULL;
}

unsigned int
domain_iothreads(const struct vmdef *def)
{
	return disk_xml_iothreads(def) + (unsigned int)def->n_nets;
}

static void
build_memory(struct xml_tree *tree, xmlNode *domain, const struct vmdef *def)
{
	unsigned int vcpus = vmdef_vcpus(def);
	unsigned int iothreads = domain_iothreads(def);
	xmlNode *node;

	node = xml_add_number(tree, domain, "memory", def->memory.total);
	xml_set(tree, node, "unit", "MiB");
	if (def->memory.hp) {
		node = xml_add(tree, domain, "memoryBacking", NULL);
		xml_add(tree, node, "hugepages", NULL);
		node = xml_add(tree, node, "allocation", "mode", "immediate", NULL);
		xml_set_number(tree, node, "threads", vcpus);
	}
	xml_add_number(tree, domain, "vcpu", vcpus);
	if (iothreads)
		xml_add_number(tree, domain, "iothreads", iothreads);
	if (def->numa.placement) {
		node = xml_add(tree, domain, "numatune", NULL);
		xml_add(tree, node, "memory", "placement", "auto", NULL);
	}
}

static void
build_os(struct xml_tree *tree, xmlNode *domain, const struct vmdef *def, const char *uuid,
    const struct arch *arch, const char *root)
{
	bool uefi = def->firmware == FIRMWARE_TYPE_UEFI;
	xmlNode *os = xml_add(tree, domain, "os", NULL);
	xmlNode *type = xml_add_text(tree, os, "type", "hvm");

	xml_set(tree, type, "arch", arch->name);
	xml_set(tree, type, "machine", uefi ? arch->machine_uefi : arch->machine_bios);
	if (uefi) {
		_free_ char *variables = xasprintf("%s/nvram/%s_VARS.fd", root, uuid);

		xml_set(tree, os, "firmware", "efi");
		xml_add_text(tree, os, "nvram", variables);
		return;
	}
	/*
	 * No firmware="bios": it makes libvirt look for a firmware descriptor of that kind, and
	 * fail where the distribution ships none (Debian 12: "Unable to find any firmware to
	 * satisfy 'bios'"), while SeaBIOS is QEMU's default for the machine. The element bios is
	 * what both readers tell a bios from an efi by when the attribute is missing.
	 */
	xml_add(tree, os, "bios", "useserial", "no", "rebootTimeout", "-1", NULL);
}

static void
build_features(struct xml_tree *tree, xmlNode *domain, const struct arch *arch)
{
	xmlNode *features = xml_add(tree, domain, "features", NULL);

	xml_add(tree, features, "acpi", NULL);
	if (!arch->x86)
		return;
	xml_add(tree, features, "apic", "eoi", "on", NULL);
	xml_add(tree, features, "vmport", "state", "off", NULL);
	xml_add(tree, features, "ioapic", NULL);
}

/* The physical address bits that hold this much memory; 36 is the least that AMD64 knows. */
static int
address_bits(int32_t mib)
{
	int bits = 20;

	for (; mib > 0; mib >>= 1)
		bits++;
	return bits < 36 ? 36 : bits;
}

static void
build_cpu(struct xml_tree *tree, xmlNode *domain, const struct vmdef *def, const struct arch *arch)
{
	const char *model = str_or_empty(def->cpudef.model);
	bool host = strcmp(model, "host-passthrough") == 0;
	bool maximum = strcmp(model, "maximum") == 0;
	xmlNode *cpu = xml_add(tree, domain, "cpu", "check", "none", NULL);
	xmlNode *node;

	if (vmdef_names_model(def))
		xml_add_text(tree, cpu, "model", model);
	else
		xml_set(tree, cpu, "mode", model);
	if (host || maximum)
		xml_set(tree, cpu, "migratable", "on");
	node = xml_add(tree, cpu, "topology", NULL);
	xml_set_number(tree, node, "sockets", def->cpudef.sockets);
	xml_set_number(tree, node, "cores", def->cpudef.cores);
	xml_set_number(tree, node, "threads", def->cpudef.threads);
	/* Software emulation takes this too, and libvirt 9.0 drops the limit: tried by starting
	 * domains of the type qemu. libvirt refuses it for other architectures. */
	if (arch->x86) {
		node = xml_add(tree, cpu, "maxphysaddr", "mode", "passthrough", NULL);
		xml_set_number(tree, node, "limit", address_bits(def->memory.total));
	}
}

static void
build_clock_and_power(struct xml_tree *tree, xmlNode *domain, const struct arch *arch)
{
	xmlNode *node = xml_add(tree, domain, "clock", "offset", "utc", NULL);

	/* A guest under software emulation starts with it and does without. */
	if (arch->x86)
		xml_add(tree, node, "timer", "name", "kvmclock", "present", "yes", NULL);
	node = xml_add(tree, domain, "pm", NULL);
	xml_add(tree, node, "suspend-to-mem", "enabled", "no", NULL);
	xml_add(tree, node, "suspend-to-disk", "enabled", "no", NULL);
}

/* The devices that every VM has alike. */
static void
build_common_devices(struct xml_tree *tree, xmlNode *devices)
{
	xmlNode *node, *source;

	node = xml_add(tree, devices, "console", "type", "pty", NULL);
	xml_add(tree, node, "target", "type", "serial", NULL);
	node = xml_add(tree, devices, "console", "type", "pty", NULL);
	xml_add(tree, node, "target", "type", "virtio", NULL);
	node = xml_add(tree, devices, "channel", "type", "qemu-vdagent", NULL);
	source = xml_add(tree, node, "source", NULL);
	xml_add(tree, source, "clipboard", "copypaste", "yes", NULL);
	xml_add(tree, source, "mouse", "mode", "client", NULL);
	xml_add(tree, node, "target", "type", "virtio", "name", "com.redhat.spice.0", NULL);
	xml_add(tree, devices, "graphics", "type", "vnc", "autoport", "yes", NULL);
	xml_add(tree, devices, "audio", "id", "1", "type", "none", NULL);
	node = xml_add(tree, devices, "video", NULL);
	xml_add(tree, node, "model", "type", "virtio", NULL);
	xml_add(tree, devices, "memballoon", "model", "none", NULL);
	node = xml_add(tree, devices, "rng", "model", "virtio", NULL);
	node = xml_add_text(tree, node, "backend", "/dev/urandom");
	xml_set(tree, node, "model", "random");
}

static void
build_names(struct xml_tree *tree, xmlNode *domain, const struct vmdef *def, const char *uuid)
{
	/* Names must differ within a libvirt, those of people need not: theirs is the title. */
	xml_add_text(tree, domain, "name", uuid);
	xml_add_text(tree, domain, "uuid", uuid);
	if (!str_empty(def->genid))
		xml_add_text(
		    tree, domain, "genid", strcmp(def->genid, "auto") == 0 ? "" : def->genid);
	xml_add_text(tree, domain, "title", def->name);
	xml_add_text(tree, domain, "description", def->name);
}

int
domain_tree_build(struct xml_tree *tree, const struct vmdef *def, const char *uuid,
    const struct domain_env *env, struct error *err)
{
	const struct arch *arch = find_arch(env->arch);
	xmlNode *domain, *devices;

	if (!arch)
		return error_set(err, 422,
		    "a VM cannot be defined on a host of the architecture '%s'",
		    str_or_empty(env->arch));
	if (def->firmware == FIRMWARE_TYPE_BIOS && !arch->machine_bios)
		return error_set(
		    err, 422, "there is no bios on a host of the architecture '%s'", arch->name);
	if (def->n_disks > VMDEF_DISKS_MAX)
		return error_set(err, 400, "a VM has at most %d disks", VMDEF_DISKS_MAX);
	domain = xml_root(tree, "domain");
	xml_set(tree, domain, "type", env->kvm ? "kvm" : "qemu");
	build_names(tree, domain, def, uuid);
	metadata_xml_build(tree, domain, def);
	build_memory(tree, domain, def);
	build_os(tree, domain, def, uuid, arch, env->root);
	build_features(tree, domain, arch);
	build_cpu(tree, domain, def, arch);
	build_clock_and_power(tree, domain, arch);
	devices = xml_add(tree, domain, "devices", NULL);
	if (disk_xml_build(tree, devices, def, uuid, env->root, err) < 0)
		return -1;
	net_xml_build(tree, devices, def);
	build_common_devices(tree, devices);
	return 0;
}

int
domain_xml_build(const struct vmdef *def, const char *uuid, const struct domain_env *env,
    char **ret, struct error *err)
{
	_xmltree_ struct xml_tree tree = { 0 };

	if (domain_tree_build(&tree, def, uuid, env, err) < 0)
		return -1;
	return xml_tree_text(&tree, true, ret, err);
}
