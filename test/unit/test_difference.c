/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In what the definition of a file differs from that of a VM. */
#include "virtx/difference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "proto/json.h"

#define NAME   "\"name\":\"web\","
#define CPU    "\"cpudef\":{\"model\":\"host-model\",\"sockets\":1,\"cores\":2,\"threads\":1},"
#define MEMORY "\"memory\":{\"total\":1024,\"hp\":false},"
#define OSDISK \
	"\"osdisk\":{\"path\":\"/vms/ds/a/a.qcow2\",\"bus\":1,\"man\":1,\"prov\":1,\"size\":10},"
#define CD    "{\"path\":\"/vms/ds/a/b.iso\",\"device\":1,\"bus\":2,\"man\":0,\"prov\":2,\"size\":5}"
#define LUN   "{\"path\":\"/dev/disk/by-id/wwn-0x5000\",\"device\":2,\"bus\":1,\"man\":0,\"size\":99}"
#define DISKS "\"disks\":[" CD "," LUN "],"
#define NET   "{\"name\":\"lan\",\"nettype\":0,\"model\":0,\"mac\":\"52:54:00:00:00:0a\"}"
#define NET_2 "{\"name\":\"br0\",\"nettype\":1,\"model\":1,\"mac\":\"52:54:00:00:00:0b\"}"
#define NETS  "\"nets\":[" NET "," NET_2 "],"
#define REST  "\"vlanid\":7,\"firmware\":1,"
#define GENID "\"genid\":\"aaaaaaaa-2222-3333-4444-55555555555a\","
#define CUSTOM \
	"\"custom\":[{\"name\":\"owner\",\"value\":\"ann\"},{\"name\":\"ha\",\"value\":\"none\"}]"
#define DEF "{" NAME CPU MEMORY OSDISK DISKS NETS REST GENID CUSTOM "}"

static void
read_def(const char *text, struct vmdef *def)
{
	struct error err = { 0 };

	*def = (struct vmdef){ 0 };
	if (json_decode(&vmdef_model, text, strlen(text), def, &err) < 0)
		fail_msg("%s: %s", text, err.detail);
}

/* What the file says is "", or what differs from the VM. */
static void
assert_differs(const char *file, const char *words, size_t n)
{
	_buffer_ struct buffer out = { 0 };
	struct vmdef def, shown;

	read_def(file, &def);
	read_def(DEF, &shown);
	difference_fill(&def, &shown);
	assert_int_equal(difference_list(&shown, &def, "", "\n", &out), n);
	assert_string_equal(str_or_empty(out.data), words);
	assert_int_equal(model_equal(&vmdef_model, &shown, &def), n == 0);
	model_clear(&vmdef_model, &def);
	model_clear(&vmdef_model, &shown);
}

static void
test_left_to_the_server(void **state)
{
	static const char *const files[] = {
		DEF,
		/* Sizes and provisioning of disks that it has. */
		"{" NAME CPU MEMORY
		"\"osdisk\":{\"path\":\"/vms/ds/a/a.qcow2\",\"bus\":1,\"man\":1}," DISKS NETS REST
		    GENID CUSTOM "}",
		"{" NAME CPU MEMORY OSDISK
		"\"disks\":[{\"path\":\"/vms/ds/a/b.iso\",\"device\":1,\"bus\":2,\"prov\":1}," LUN
		"]," NETS REST GENID CUSTOM "}",
		"{" NAME CPU MEMORY OSDISK "\"disks\":[" CD ",{\"path\":\"/dev/disk/by-id/"
		"wwn-0x5000\",\"device\":2,\"bus\":1,\"size\":50}]," NETS REST GENID CUSTOM "}",
		/* MACs: left open, and written otherwise. */
		"{" NAME CPU MEMORY OSDISK DISKS "\"nets\":[{\"name\":\"lan\"},{\"name\":\"br0\","
		"\"nettype\":1,\"model\":1,\"mac\":\"52:54:00:00:00:0B\"}]," REST GENID CUSTOM "}",
		/* A generation that is made by the server, and one in capitals. */
		"{" NAME CPU MEMORY OSDISK DISKS NETS REST "\"genid\":\"auto\"," CUSTOM "}",
		"{" NAME CPU MEMORY OSDISK DISKS NETS REST
		"\"genid\":\"AAAAAAAA-2222-3333-4444-55555555555A\"," CUSTOM "}",
		/* What no VM has, and a field without a name. */
		"{" NAME
		"\"cpudef\":{\"model\":\"host-model\",\"nodes\":4,\"sockets\":1,\"cores\":2,"
		"\"threads\":1}," MEMORY OSDISK DISKS NETS REST GENID
		"\"custom\":[{\"name\":\"\",\"value\":\"x\"},{\"name\":\"owner\",\"value\":\"ann\"}"
		","
		"{\"name\":\"ha\",\"value\":\"none\"}]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		assert_differs(files[i], "", 0);
}

/* Each replaces a text of the definition by another one. */
static void
test_kinds(void **state)
{
	static const struct {
		const char *old, *new, *words;
	} rows[] = {
		{ "\"name\":\"web\"", "\"name\":\"w\"", "name: \"web\" -> \"w\"" },
		{ "\"model\":\"host-model\"", "\"model\":\"EPYC\"",
		    "cpudef.model: \"host-model\" -> \"EPYC\"" },
		{ "\"sockets\":1", "\"sockets\":2", "cpudef.sockets: 1 -> 2" },
		{ "\"cores\":2", "\"cores\":4", "cpudef.cores: 2 -> 4" },
		{ "\"threads\":1", "\"threads\":0", "cpudef.threads: 1 -> 0" },
		{ "\"total\":1024", "\"total\":2048", "memory.total: 1024 MiB -> 2048 MiB" },
		{ "\"hp\":false", "\"hp\":true", "memory.hp: false -> true" },
		{ "\"vlanid\":7", "\"numa\":{\"placement\":true},\"vlanid\":7",
		    "numa.placement: false -> true" },
		{ "\"bus\":1,\"man\":1", "\"bus\":0,\"man\":1",
		    "osdisk.bus: virtio-scsi -> virtio-blk" },
		{ "\"man\":1,\"prov\":1", "\"man\":1,\"prov\":2", "osdisk.prov: thin -> thick" },
		{ "\"man\":1,\"prov\":1", "\"man\":0,\"prov\":1",
		    "osdisk.man: managed -> unmanaged" },
		{ "\"size\":10", "\"size\":20", "osdisk.size: 10 MiB -> 20 MiB" },
		{ "\"size\":99", "\"size\":100", "disks[1].size: 99 MiB -> 100 MiB" },
		{ "\"device\":1,\"bus\":2", "\"device\":0,\"bus\":2",
		    "disks[0].device: cdrom -> disk" },
		{ "\"device\":1,\"bus\":2", "\"device\":1,\"bus\":3",
		    "disks[0].bus: sata -> scsi" },
		{ "," LUN, "",
		    "disks[1]: {\"path\":\"/dev/disk/by-id/wwn-0x5000\",\"device\":2,\"bus\":1,"
		    "\"man\":0,\"prov\":0,\"size\":99} -> none" },
		{ "\"name\":\"lan\"", "\"name\":\"dmz\"", "nets[0].name: \"lan\" -> \"dmz\"" },
		{ "\"nettype\":0", "\"nettype\":1", "nets[0].nettype: network -> bridge" },
		{ "\"model\":0", "\"model\":2", "nets[0].model: virtio -> e1000" },
		{ "00:0a", "00:0c", "nets[0].mac: \"52:54:00:00:00:0a\" -> \"52:54:00:00:00:0c\"" },
		{ "\"name\":\"br0\",\"nettype\":1,\"model\":1,\"mac\":\"52:54:00:00:00:0b\"",
		    "\"name\":\"br0\",\"nettype\":1,\"model\":1,\"mac\":\"52:54:00:00:00:0b\"},"
		    "{\"name\":\"br1\",\"nettype\":1",
		    "nets[2]: none -> {\"name\":\"br1\",\"nettype\":1,\"model\":0,\"mac\":\"\"}" },
		{ "\"vlanid\":7", "\"vlanid\":0", "vlanid: 7 -> 0" },
		{ "\"firmware\":1", "\"firmware\":0", "firmware: uefi -> bios" },
		{ "aaaaaaaa", "bbbbbbbb",
		    "genid: \"aaaaaaaa-2222-3333-4444-55555555555a\" -> "
		    "\"bbbbbbbb-2222-3333-4444-55555555555a\"" },
		{ "\"value\":\"ann\"", "\"value\":\"bob\"", "custom[0].value: \"ann\" -> \"bob\"" },
		{ ",{\"name\":\"ha\",\"value\":\"none\"}", "",
		    "custom[1]: {\"name\":\"ha\",\"value\":\"none\"} -> none" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *at = strstr(DEF, rows[i].old);
		_free_ char *file = NULL, *words = xasprintf("%s\n", rows[i].words);

		assert_non_null(at);
		file = xasprintf(
		    "%.*s%s%s", (int)(at - DEF), DEF, rows[i].new, at + strlen(rows[i].old));
		assert_differs(file, words, 1);
	}
}

/* A MAC that is left open is not that of another network, nor one that another line names. */
static void
test_open_macs(void **state)
{
	assert_differs("{" NAME CPU MEMORY OSDISK DISKS "\"nets\":[{\"name\":\"dmz\"}," NET_2
		       "]," REST GENID CUSTOM "}",
	    "nets[0].name: \"lan\" -> \"dmz\"\nnets[0].mac: \"52:54:00:00:00:0a\" -> \"\"\n", 2);
	assert_differs(
	    "{" NAME CPU MEMORY OSDISK DISKS "\"nets\":[{\"name\":\"lan\"},{\"name\":"
	    "\"br0\",\"nettype\":1,\"model\":1,\"mac\":\"52:54:00:00:00:0a\"}]," REST GENID CUSTOM
	    "}",
	    "nets[0].mac: \"52:54:00:00:00:0a\" -> \"\"\n"
	    "nets[1].mac: \"52:54:00:00:00:0b\" -> \"52:54:00:00:00:0a\"\n",
	    2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_left_to_the_server),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_open_macs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
