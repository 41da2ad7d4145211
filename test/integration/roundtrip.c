/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random Vmdefs through our domain XML, the real libvirt's define and dump, and back; and what was
 * dumped, edited to another one, the same way.
 * Usage: roundtrip URI COUNT SEED ROOT
 */
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "../unit/random_vmdef.h"
#include "domain/domain_xml.h"
#include "domain/metadata.h"
#include "proto/json.h"

static void
ignore_error(void *context, virErrorPtr error)
{
}

/* One Vmdef on its way, and the record of an operation that goes with it. */
struct trip {
	struct vmdef def;
	struct vmdef next; /* that it is edited to */
	struct domain_env env;
	struct oplog_item op;
	char uuid[UUID_TEXT_SIZE];
};

static int
libvirt_error(struct error *err, const char *what)
{
	return error_set(err, 424, "%s: %s", what, virGetLastErrorMessage());
}

/* Writes the operation into the domain as a job does. */
static int
record(virDomainPtr domain, const struct oplog_item *op, struct error *err)
{
	_free_ char *key = metadata_op_key(op->op);
	_free_ char *element = metadata_op_build(op);

	if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, element, key, key,
		VIR_DOMAIN_AFFECT_CONFIG) < 0)
		return libvirt_error(err, "virDomainSetMetadata");
	return 0;
}

/* Defines, dumps and undefines; *ret is the caller's. */
static int
through_libvirt(virConnectPtr connection, const struct oplog_item *op, const char *xml, char **ret,
    struct error *err)
{
	virDomainPtr domain = virDomainDefineXML(connection, xml);
	int result = 0;

	if (!domain)
		return libvirt_error(err, "virDomainDefineXML");
	if (op->op)
		result = record(domain, op, err);
	if (result == 0) {
		*ret = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
		if (!*ret)
			result = libvirt_error(err, "virDomainGetXMLDesc");
	}
	if (virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_NVRAM) < 0 && result == 0)
		result = libvirt_error(err, "virDomainUndefineFlags");
	virDomainFree(domain);
	return result;
}

/* Compares what came back with what was sent. */
static int
compare(const struct trip *trip, const struct vmdef *def, const struct domain_info *info,
    struct error *err)
{
	struct vmdef expected;
	int result = 0;

	vmdef_expect(def, &info->def, &expected);
	if (info->foreign)
		result = error_set(err, 500, "read as foreign: %s", info->foreign_why);
	else if (!str_equal(info->uuid, trip->uuid))
		result = error_set(err, 500, "the uuid is '%s'", info->uuid);
	else if (!str_equal(info->type, trip->env.kvm ? "kvm" : "qemu"))
		result = error_set(err, 500, "the type is '%s'", info->type);
	else if (info->oplog.n_items != (trip->op.op ? 1 : 0) ||
		 (trip->op.op && !model_equal(&oplog_item_model, &info->oplog.items[0], &trip->op)))
		result = error_set(err, 500, "the operation log differs");
	else if (!model_equal(&vmdef_model, &expected, &info->def)) {
		_free_ char *sent = json_encode(&vmdef_model, &expected, NULL);
		_free_ char *got = json_encode(&vmdef_model, &info->def, NULL);

		fprintf(stderr, "sent %s\ngot  %s\n", sent, got);
		result = error_set(err, 500, "the Vmdef differs");
	}
	model_clear(&vmdef_model, &expected);
	return result;
}

static int
expect(const struct trip *trip, const struct vmdef *def, const char *dump, struct error *err)
{
	struct domain_info info = { 0 };
	int result = domain_xml_read(dump, trip->env.root, &info, err);

	if (result == 0)
		result = compare(trip, def, &info, err);
	domain_info_clear(&info);
	return result;
}

static int
go(virConnectPtr connection, struct trip *trip, struct error *err)
{
	_free_ char *xml = NULL, *dump = NULL, *edited = NULL, *again = NULL;
	const struct oplog_item none = { 0 };

	if (vmdef_check(&trip->def, trip->env.root, "vmdef", err) < 0 ||
	    vmdef_check(&trip->next, trip->env.root, "vmdef", err) < 0 ||
	    domain_xml_build(&trip->def, trip->uuid, &trip->env, &xml, err) < 0 ||
	    through_libvirt(connection, &trip->op, xml, &dump, err) < 0 ||
	    expect(trip, &trip->def, dump, err) < 0)
		return -1;
	if (domain_xml_edit(dump, &trip->next, &trip->env, false, &edited, err) < 0 ||
	    through_libvirt(connection, &none, edited, &again, err) < 0 ||
	    expect(trip, &trip->next, again, err) < 0)
		return error_wrap(err, "edited");
	return 0;
}

static void
random_trip(struct random *r, const struct domain_env *env, struct trip *trip)
{
	static const char *const ops[] = { "VmBoot", "VmPause", "VmResume", "VmShutdown",
		"VmMigrate", "VmReset", "VmReboot" };

	trip->env = *env;
	trip->env.kvm = env->kvm && random_below(r, 2);
	random_uuid(r, trip->uuid);
	random_vmdef(r, env->root, &trip->def);
	random_vmdef(r, env->root, &trip->next);
	if (random_below(r, 2)) {
		trip->op.op = xstrdup(ops[random_below(r, ARRAY_SIZE(ops))]);
		trip->op.ts = (int64_t)(random_next(r) >> 1);
		trip->op.te = random_below(r, 1000);
		trip->op.status = xstrdup("completed");
		trip->op.msg = random_name(r, 200);
	}
}

static int
run(virConnectPtr connection, unsigned long count, uint64_t seed, const char *root)
{
	_free_ char *text = virConnectGetCapabilities(connection);
	struct domain_env env = { .root = root };
	struct domain_caps caps = { 0 };
	struct random r = { .state = seed };
	unsigned long differ = 0;
	struct error err = { 0 };

	if (!text || domain_caps_read(text, &caps, &err) < 0) {
		fprintf(stderr, "capabilities: %s\n", text ? err.detail : virGetLastErrorMessage());
		return 1;
	}
	env.arch = caps.arch;
	env.kvm = caps.kvm;
	printf("seed %llu\n", (unsigned long long)seed);
	for (unsigned long i = 0; i < count; i++) {
		struct trip trip = { .def = { 0 } };

		random_trip(&r, &env, &trip);
		if (go(connection, &trip, &err) < 0) {
			printf("%lu: '%s': %s\n", i, trip.def.name, err.detail);
			differ++;
		}
		model_clear(&vmdef_model, &trip.def);
		model_clear(&vmdef_model, &trip.next);
		model_clear(&oplog_item_model, &trip.op);
	}
	printf("%lu round trips, %lu differ\n", count, differ);
	domain_caps_clear(&caps);
	return differ > 0;
}

int
main(int argc, char **argv)
{
	virConnectPtr connection;
	uint64_t seed;
	int result;

	if (argc != 5) {
		fprintf(stderr, "usage: %s URI COUNT SEED ROOT\n", argv[0]);
		return 2;
	}
	virSetErrorFunc(NULL, ignore_error);
	connection = virConnectOpen(argv[1]);
	if (!connection) {
		fprintf(stderr, "%s: %s\n", argv[1], virGetLastErrorMessage());
		return 2;
	}
	seed = strtoull(argv[3], NULL, 0);
	result = run(connection, strtoul(argv[2], NULL, 0), seed ? seed : 1, argv[4]);
	virConnectClose(connection);
	return result;
}
