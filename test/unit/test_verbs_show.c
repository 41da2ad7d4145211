/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that show: what they ask, and what they make of the answer. */
#include "verb_fixture.h"

#include <string.h>

#include "proto/json.h"
#include "proto/model.h"

static void
test_list_vm(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f,
	    "{\"items\":[{\"uuid\":\"" VM_UUID
	    "\",\"fields\":{\"name\":\"web\",\"host\":\"" HOST_UUID
	    "\",\"runstate\":4,\"vlanid\":12,\"custom\":{\"name\":\"k\",\"value\":\"v\"},"
	    "\"ts\":1700000000000}},{\"uuid\":\"u2\",\"fields\":{\"name\":\"a\\u001b[2Jb\","
	    "\"runstate\":2}}]}");
	verb_ok(f, "list vm");
	assert_string_equal(f->out,
	    "UUID                                  NAME    STATE     HOST"
	    "                                  VLAN  UPDATED\n"
	    "" VM_UUID "  web     running   " HOST_UUID "    12  2023-11-14T22:13:20+0000\n"
	    "u2                                    a?[2Jb  poweroff  -"
	    "                                        0  -\n");
	verb_asked(f, 0, "GET /vms",
	    "{\"filter\":{\"name\":\"\",\"host\":\"\",\"runstate\":0,\"vlanid\":0,"
	    "\"custom\":{\"name\":\"\",\"value\":\"\"},");

	verb_ok(
	    f, "list vm -n we -h 99999999-2222-3333-4444-55555555555A -s paused -v 12 -N k -V v");
	assert_says(f->out, "2023-11-14T22:13:20+0000  k=v\n");
	verb_asked(f, 1, "GET /vms",
	    "{\"filter\":{\"name\":\"we\",\"host\":\"99999999-2222-3333-4444-55555555555a\","
	    "\"runstate\":5,\"vlanid\":12,\"custom\":{\"name\":\"k\",\"value\":\"v\"},");
	verb_ok(f, "list vm -o json");
	assert_says(f->out, "\"name\": \"a\\u001B[2Jb\"");
	/* Its host has failed. */
	verb_answer_json(
	    f, "{\"items\":[{\"uuid\":\"u2\",\"fields\":{\"name\":\"a\"},\"last\":4}]}");
	verb_ok(f, "list vm");
	assert_says(f->out, "u2    a     unknown  -");
}

static void
test_cluster_status(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f,
	    "{\"items\":[{\"uuid\":\"" HOST_UUID "\",\"fields\":{\"name\":\"h1\",\"cstate\":1},"
	    "\"maintenance\":true,\"watchdog\":1,\"skew\":-1500},"
	    "{\"uuid\":\"u2\",\"fields\":{\"name\":\"h2\",\"cstate\":3},\"watchdog\":0,"
	    "\"skew\":0}]}");
	verb_answer(f, 200, "Content-Type: application/json\r\n",
	    "{\"uuid\":\"" HOST_UUID "\",\"lockid\":7,\"problems\":[{\"detail\":\"a\"},"
	    "{\"detail\":\"b\"}],\"health\":{\"ready\":true,\"clock\":\"late\","
	    "\"version\":\"1.2\",\"certificate_end\":1700000000000}}");
	verb_ok(f, "cluster status");
	assert_says(f->out,
	    "NAME  STATE                 VERSION  CERTIFICATE  LOCKSPACE  STORAGE   CLOCK  "
	    "WATCHDOG  PROBLEMS\n" HOST_UUID
	    "  h1    active (maintenance)  1.2      2023-11-14           7  ok       -1.5 s  "
	    "off       clock: late; a; b\n");
	assert_says(f->out,
	    "  h2    failed                -        -                    -  -        +0.0 s  "
	    "unknown   -\n");
	verb_asked(f, 0, "GET /hosts", "");
	verb_asked(f, 1, "GET /hosts/" HOST_UUID, "");
	/* One that is not ready says what of. */
	verb_forget(f);
	verb_answer_json(f,
	    "{\"items\":[{\"uuid\":\"" HOST_UUID "\",\"fields\":{\"name\":\"h1\",\"cstate\":1}}]}");
	verb_answer(f, 200, "Content-Type: application/json\r\n",
	    "{\"uuid\":\"" HOST_UUID "\",\"health\":{\"storage\":\"is not mounted\","
	    "\"lockspace\":\"not joined\",\"version\":\"1.2\"}}");
	verb_ok(f, "cluster status");
	assert_says(f->out, "  -  failing  ");
	assert_says(f->out, "  lockspace: not joined; storage: is not mounted\n");
	/* One that does not answer hides no other, nor does one of a version without it. */
	verb_forget(f);
	verb_answer_json(f,
	    "{\"items\":[{\"uuid\":\"" HOST_UUID "\",\"fields\":{\"name\":\"h1\",\"cstate\":1}}]}");
	verb_answer(f, 502, "Content-Type: text/plain\r\n", "it is away\n");
	verb_ok(f, "cluster status");
	assert_says(f->out, "it is away\n");
}

static void
test_ha_plan(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f,
	    "{\"enabled\":true,\"possible\":false,\"items\":[{\"host\":\"" HOST_UUID
	    "\",\"name\":\"h1\",\"restarts\":3,\"stranded\":1,\"vms\":[{\"vm\":\"" VM_UUID
	    "\",\"name\":\"web\",\"order\":5,\"memory\":512,\"hp\":true,\"host\":\"\","
	    "\"reason\":\"no room\"}]},{\"host\":\"u2\",\"name\":\"h2\",\"restarts\":2}]}");
	verb_ok(f, "ha plan");
	assert_string_equal(f->out,
	    "UUID                                  NAME  RESTART  STRANDED  WHY\n" HOST_UUID
	    "  h1          3         1  no room\n"
	    "u2                                    h2          2         0  -\n");
	verb_asked(f, 0, "GET /ha/plan", "");
	verb_ok(f, "ha plan " HOST_UUID);
	assert_string_equal(f->out,
	    "VM                                    NAME  ORDER               MEMORY  HOST  "
	    "REASON\n" VM_UUID "  web       5  512 MiB (hugepages)  -     no room\n");
	verb_asked(f, 1, "GET /ha/plan?host=" HOST_UUID, "");
	verb_fails(f, "ha x", COMMAND_USAGE, "");
}

static void
test_ha(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f,
	    "{\"items\":[{\"uuid\":\"" HOST_UUID "\",\"fields\":{\"name\":\"h1\",\"cstate\":1}}]}");
	verb_answer(f, 200, "Content-Type: application/json\r\n",
	    "{\"uuid\":\"" HOST_UUID "\",\"health\":{\"ha\":\"\"},\"ha\":{\"armed\":true,"
	    "\"host_id\":7,\"generation\":3,\"io_timeout\":10,\"fire_timeout\":60,"
	    "\"reasons\":[]}}");
	verb_ok(f, "ha");
	assert_says(f->out, "NAME  STATE   ARMED  HOST ID  GENERATION  FREE AFTER  WHY\n" HOST_UUID
			    "  h1    active  yes          7           3       140 s  -\n");
	verb_asked(f, 0, "GET /hosts", "");
	verb_asked(f, 1, "GET /hosts/" HOST_UUID, "");
	/* Its leases expire. */
	verb_forget(f);
	verb_answer_json(f,
	    "{\"items\":[{\"uuid\":\"" HOST_UUID "\",\"fields\":{\"name\":\"h1\",\"cstate\":1}}]}");
	verb_answer(f, 200, "Content-Type: application/json\r\n",
	    "{\"uuid\":\"" HOST_UUID "\",\"ha\":{\"armed\":true,\"host_id\":7,"
	    "\"generation\":3,\"io_timeout\":1,\"fire_timeout\":60,"
	    "\"reasons\":[{\"detail\":\"sanlock has ended\"}]}}");
	verb_ok(f, "ha");
	assert_says(
	    f->out, "  active  lost         7           3        68 s  sanlock has ended\n");
	/* It is not, and says what endangers it. */
	verb_forget(f);
	verb_answer_json(f,
	    "{\"items\":[{\"uuid\":\"" HOST_UUID "\",\"fields\":{\"name\":\"h1\",\"cstate\":1}}]}");
	verb_answer(f, 200, "Content-Type: application/json\r\n",
	    "{\"uuid\":\"" HOST_UUID "\",\"health\":{\"ha\":\"unsafe\"},\"ha\":{"
	    "\"reasons\":[{\"detail\":\"a\"},{\"detail\":\"b\"}]}}");
	verb_ok(f, "ha");
	assert_says(f->out, "  active  no           -           -           -  a; b; unsafe\n");
	/* One of an older version, one that is away, and one that does not answer. */
	verb_forget(f);
	verb_answer_json(f,
	    "{\"items\":[{\"uuid\":\"" HOST_UUID "\",\"fields\":{\"name\":\"h1\",\"cstate\":1}}]}");
	verb_answer(f, 200, "Content-Type: application/json\r\n", "{\"uuid\":\"" HOST_UUID "\"}");
	verb_ok(f, "ha");
	assert_says(f->out, "  its virtxd does not tell\n");
	verb_forget(f);
	verb_answer_json(f,
	    "{\"items\":[{\"uuid\":\"" HOST_UUID "\",\"fields\":{\"name\":\"h1\",\"cstate\":3}}]}");
	verb_answer(f, 200, "Content-Type: application/json\r\n", "{\"uuid\":\"" HOST_UUID "\"}");
	verb_ok(f, "ha");
	assert_says(f->out,
	    "  failed  no           -           -           -  it was not when it was here last\n");
	verb_forget(f);
	verb_answer_json(f,
	    "{\"items\":[{\"uuid\":\"" HOST_UUID "\",\"fields\":{\"name\":\"h1\",\"cstate\":1}}]}");
	verb_answer(f, 502, "Content-Type: text/plain\r\n", "it is away\n");
	verb_ok(f, "ha");
	assert_says(f->out, "it is away\n");
	verb_forget(f);
	verb_answer(f, 500, "Content-Type: text/plain\r\n", "out of order\n");
	verb_fails(f, "ha", COMMAND_FAILED, "cannot show which hosts are armed: 500: out of order");
}

static void
test_list_vm_refusals(void **state)
{
	struct verb_fixture *f = *state;

	verb_fails(f, "list vm -V v", COMMAND_USAGE, "--custom-value needs --custom-name");
	verb_fails(
	    f, "list vm -v 4095", COMMAND_USAGE, "--vlanid needs a whole number from 0 to 4094");
	verb_fails(
	    f, "list vm -s off", COMMAND_USAGE, "--state needs one of none, deleted, poweroff");
	assert_int_equal(f->n_requests, 0);
	verb_forget(f);
	verb_answer(f, 500, "Content-Type: text/plain\r\n", "out of order\n");
	verb_fails(f, "list vm", COMMAND_FAILED, "cannot list vms: 500: out of order");
	assert_string_equal(f->out, "");
}

static void
test_list_host(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f,
	    "{\"items\":[{\"uuid\":\"" HOST_UUID "\",\"maintenance\":true,\"watchdog\":2,"
	    "\"skew\":-1500,\"fields\":{\"name\":\"h1\","
	    "\"cpuarch\":{\"arch\":\"x86_64\",\"vendor\":\"AMD\"},\"cpudef\":{\"model\":\"EPYC\","
	    "\"nodes\":2,\"sockets\":1,\"cores\":8,\"threads\":2},\"cstate\":1,"
	    "\"memoryavailable\":2048,\"hpavailable\":512,\"osid\":\"debian\",\"osv\":\"12\"}}]}");
	verb_ok(f, "list host -n h -a x86_64 -v AMD -s active -m 1024 -H 5");
	assert_says(f->out,
	    HOST_UUID "  h1    active (maintenance)  x86_64  AMD     EPYC    32          2048 MiB"
		      "              512 MiB  debian 12  -1.5 s  on        -\n");
	verb_asked(f, 0, "GET /hosts",
	    "{\"filter\":{\"name\":\"h\",\"cpuarch\":{\"arch\":\"x86_64\",\"vendor\":\"AMD\"},");
	verb_asked(f, 0, "GET /hosts", "\"cstate\":1,\"memoryavailable\":1024,\"hpavailable\":5,");
	verb_fails(f, "list host -m -1", COMMAND_USAGE, "--memory needs a whole number from 0");
}

static void
test_operations(void **state)
{
	static const char operation[] =
	    "{\"id\":\"op-1\",\"op\":\"VmBoot\",\"vm\":\"v\",\"host\":\"h\",\"user\":\"u\","
	    "\"state\":\"started\",\"progress\":%d,\"ts\":1700000000000,\"te\":0,\"msg\":\"\"}";
	struct verb_fixture *f = *state;
	_free_ char *half = xasprintf(operation, 40), *none = xasprintf(operation, -1);
	_free_ char *list = xasprintf("{\"items\":[%s,%s]}", half, none);

	verb_answer_json(f, list);
	verb_ok(f, "list operation");
	assert_string_equal(f->out,
	    "ID    OPERATION  VM  HOST  STATE    PROGRESS  START                     END  USER  "
	    "MESSAGE\n"
	    "op-1  VmBoot     v   h     started       40%  2023-11-14T22:13:20+0000  -    u     -\n"
	    "op-1  VmBoot     v   h     started         -  2023-11-14T22:13:20+0000  -    u     "
	    "-\n");
	verb_answer_json(f, half);
	verb_ok(f, "get operation op/1");
	assert_string_equal(f->out, "id:        op-1\n"
				    "operation: VmBoot\n"
				    "vm:        v\n"
				    "host:      h\n"
				    "user:      u\n"
				    "state:     started\n"
				    "progress:  40%\n"
				    "start:     2023-11-14T22:13:20+0000\n"
				    "end:       -\n"
				    "message:   -\n");
	verb_asked(f, 2, "GET /operations/op%2F1", "");
	verb_forget(f);
	verb_answer(f, 404, "", "");
	verb_fails(
	    f, "get operation x", COMMAND_FAILED, "cannot get operation 'x': 404: Not Found");
}

#define ANSWERING "88888888-2222-3333-4444-555555555555"

/* Of all hosts that are active; what one does not tell is said, and the others are shown. */
static void
test_operations_of_all(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(
	    f, 200, "", "{\"items\":[{\"id\":\"op-2\",\"host\":\"" ANSWERING "\",\"ts\":2}]}");
	verb_answer(f, 200, "",
	    "{\"items\":[{\"uuid\":\"" VM_UUID "\",\"fields\":{\"cstate\":1}},"
	    "{\"uuid\":\"" OPERATION_UUID "\",\"fields\":{\"cstate\":3}},"
	    "{\"uuid\":\"" HOST_UUID "\",\"fields\":{\"cstate\":1}},"
	    "{\"uuid\":\"" ANSWERING "\",\"fields\":{\"cstate\":1}},"
	    "{\"uuid\":\"../x\",\"fields\":{\"cstate\":1}}]}");
	verb_answer(f, 502, "", "");
	verb_answer(f, 200, "",
	    "{\"items\":[{\"id\":\"op-3\",\"host\":\"b\",\"ts\":3},"
	    "{\"id\":\"op-1\",\"host\":\"b\",\"ts\":1}]}");
	verb_ok(f, "list operation");
	assert_int_equal(f->n_requests, 4);
	verb_asked(f, 0, "GET /operations", "");
	verb_asked(f, 2, "GET /operations?host=" VM_UUID, "");
	verb_asked(f, 3, "GET /operations?host=" HOST_UUID, "");
	assert_says(f->said, "without those of host '" VM_UUID "': 502");
	assert_true(strstr(f->out, "op-3") < strstr(f->out, "op-2"));
	assert_true(strstr(f->out, "op-2") < strstr(f->out, "op-1"));
}

#define VM                                                                                        \
	"{\"uuid\":\"" VM_UUID "\",\"ts\":1700000000000,"                                         \
	"\"runinfo\":{\"runstate\":5,\"host\":\"" HOST_UUID "\",\"reason\":\"a disk failed\"},"   \
	"\"def\":{\"name\":\"web\",\"cpudef\":{\"model\":\"maximum\",\"sockets\":1,\"cores\":2,"  \
	"\"threads\":1},\"memory\":{\"total\":512,\"hp\":true},\"vlanid\":7,\"firmware\":1,"      \
	"\"osdisk\":{\"path\":\"/vms/ds/a.qcow2\",\"device\":0,\"bus\":1,\"man\":1,\"prov\":1,"   \
	"\"size\":1024},\"disks\":[{\"path\":\"/vms/ds/b.iso\",\"device\":1,\"bus\":3,"           \
	"\"size\":5}],\"nets\":[{\"name\":\"br0\",\"nettype\":1,\"model\":0,"                     \
	"\"mac\":\"52:54:00:00:00:01\"}],\"custom\":[{\"name\":\"k\",\"value\":\"v\"},"           \
	"{\"name\":\"k2\",\"value\":\"\"}]},"                                                     \
	"\"stats\":{\"cpu_utilization\":150,\"mhz_used\":3000,\"memory_capacity\":512,"           \
	"\"memory_used\":300,\"disk_capacity\":1029,\"disk_allocation\":10,\"disk_physical\":11," \
	"\"net_rx_bw\":1,\"net_tx_bw\":2,\"oplog\":{\"items\":[{\"op\":\"VmBoot\","               \
	"\"ts\":1700000000000,\"te\":1700000001000,\"status\":\"completed\",\"msg\":\"\"}]}}}"

static void
test_get_vm(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, VM);
	verb_ok(f, "get vm " VM_UUID);
	verb_asked(f, 0, "GET /vms/" VM_UUID, "");
	assert_string_equal(f->out,
	    "uuid:           " VM_UUID "\n"
	    "name:           web\n"
	    "state:          paused\n"
	    "reason:         a disk failed\n"
	    "host:           " HOST_UUID "\n"
	    "cpu:            maximum\n"
	    "cpus:           1 sockets x 2 cores x 1 threads = 2\n"
	    "memory:         512 MiB in hugepages\n"
	    "numa placement: no\n"
	    "firmware:       uefi\n"
	    "generation id:  -\n"
	    "vlan:           7\n"
	    "custom:         k=v, k2=\n"
	    "updated:        2023-11-14T22:13:20+0000\n"
	    "\n"
	    "DISK                 SIZE  DEVICE  BUS          MANAGED    PROVISIONED\n"
	    "/vms/ds/a.qcow2  1024 MiB  disk    virtio-scsi  managed    thin\n"
	    "/vms/ds/b.iso       5 MiB  cdrom   scsi         unmanaged  none\n"
	    "\n"
	    "NET  TYPE    MODEL   MAC\n"
	    "br0  bridge  virtio  52:54:00:00:00:01\n"
	    "\n"
	    "OPERATION  STATE      START                     END                       MESSAGE\n"
	    "VmBoot     completed  2023-11-14T22:13:20+0000  2023-11-14T22:13:21+0000  -\n");
}

static char *
show_vm(struct verb_fixture *f, const struct vm *vm)
{
	_free_ char *text = json_encode(&vm_model, vm, NULL);

	verb_answer_json(f, text);
	verb_ok(f, "get vm " VM_UUID);
	return xstrdup(f->out);
}

/* What is shown when this value is another one. */
static char *
show_other(struct verb_fixture *f, const struct vm *vm, const struct field *field, void *obj)
{
	char **string = field_member(field, obj), *was = NULL;
	int64_t number = 0;
	char *text;

	if (field->kind == KIND_STRING) {
		was = steal_ptr(*string);
		*string = xstrdup("other");
	} else {
		number = field_get_int(field, obj);
		field_set_int(field, obj, !number);
	}
	text = show_vm(f, vm);
	if (field->kind == KIND_STRING) {
		free(*string);
		*string = was;
	} else {
		field_set_int(field, obj, number);
	}
	return text;
}

/* With another value in any of these fields, and in those within them, another text is shown. A
 * guest gets no NUMA nodes, whatever their number. */
static void
expect_shown(
    struct verb_fixture *f, struct vm *vm, const char *before, const struct model *m, void *obj)
{
	for (unsigned int i = 0; i < m->n_fields; i++) {
		const struct field *field = &m->fields[i];
		_free_ char *text = NULL;
		size_t n;

		if (field->kind == KIND_STRUCT) {
			expect_shown(f, vm, before, field->sub, field_member(field, obj));
		} else if (field->kind == KIND_ARRAY) {
			void *items = field_items(field, obj, &n);

			assert_true(n > 0);
			expect_shown(f, vm, before, field->sub, items);
		} else if (m != &cpudef_model || strcmp(field->name, "nodes") != 0) {
			text = show_other(f, vm, field, obj);
			if (strcmp(text, before) == 0)
				fail_msg(
				    "'get vm' does not show '%s' of a %s", field->name, m->name);
		}
	}
}

static void
test_all_of_a_vmdef_is_shown(void **state)
{
	struct vm vm = { 0 };
	struct error err = { 0 };
	_free_ char *before = NULL;

	assert_int_equal(json_decode(&vm_model, VM, strlen(VM), &vm, &err), 0);
	before = show_vm(*state, &vm);
	expect_shown(*state, &vm, before, &vmdef_model, &vm.def);
	model_clear(&vm_model, &vm);
}

static void
test_parts_of_a_vm(void **state)
{
	static const struct {
		const char *options, *out;
	} cases[] = {
		{ "-n", "NET  TYPE    MODEL   MAC\nbr0  bridge  virtio  52:54:00:00:00:01\n" },
		{ "-C", "cpu use:  150% (100% is one cpu)\ncpu used: 3000 MHz\n" },
		{ "--stat-mem", "memory capacity: 512 MiB\nmemory used:     300 MiB\n" },
		{ "-K", "disk capacity:   1029 MiB\ndisk allocation: 10 MiB\ndisk physical:   11 "
			"MiB\n" },
		{ "-N", "net received: 1 KiB/s\nnet sent:     2 KiB/s\n" },
		{ "-CN", "cpu use:      150% (100% is one cpu)\ncpu used:     3000 MHz\n"
			 "net received: 1 KiB/s\nnet sent:     2 KiB/s\n" },
	};
	struct verb_fixture *f = *state;

	verb_answer_json(f, VM);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *line = xasprintf("get vm %s " VM_UUID, cases[i].options);

		verb_ok(f, line);
		assert_string_equal(f->out, cases[i].out);
	}
	verb_ok(f, "get vm -k " VM_UUID);
	assert_int_equal(strncmp(f->out, "DISK ", 5), 0);
}

static void
test_runstate(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, "{\"runstate\":4,\"host\":\"" HOST_UUID "\"}");
	verb_ok(f, "get runstate vm " VM_UUID);
	assert_string_equal(f->out, "state: running\nhost:  " HOST_UUID "\n");
	verb_asked(f, 0, "GET /vms/" VM_UUID "/runstate", "");
	verb_answer_json(f, "{\"runstate\":9,\"host\":\"h\",\"reason\":\"the host lost power\"}");
	verb_ok(f, "get runstate vm " VM_UUID);
	assert_string_equal(f->out, "state:  crashed\nreason: the host lost power\nhost:   h\n");
	verb_answer_json(f, "{\"runstate\":0,\"host\":\"h\",\"last\":4}");
	verb_ok(f, "get runstate vm " VM_UUID);
	assert_string_equal(f->out, "state: unknown\nlast:  running\nhost:  h\n");
	verb_answer_json(f, "");
	verb_fails(f, "get runstate vm " VM_UUID, COMMAND_FAILED,
	    "cannot get runstate vm '" VM_UUID "': the server's answer is empty (status 200)");
}

#define RESOURCE                                                                           \
	"{\"total\":1,\"used\":2,\"free\":3,\"usedos\":4,\"reservedvms\":5,\"usedvms\":6," \
	"\"availablevms\":7}"

static void
test_get_host(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f,
	    "{\"uuid\":\"" HOST_UUID
	    "\",\"def\":{\"name\":\"h1\",\"osid\":\"debian\",\"osv\":\"12\"},"
	    "\"cstate\":1,\"lockid\":5,\"maintenance\":true,\"problems\":[{\"kind\":\"not-"
	    "registered\","
	    "\"vm\":\"" VM_UUID "\",\"path\":\"/vms/xml/x\",\"detail\":\"not there\"}],"
	    "\"resources\":{\"memory\":" RESOURCE ",\"hp\":" RESOURCE ",\"cpu\":" RESOURCE "}}");
	verb_ok(f, "get host " HOST_UUID);
	assert_says(f->out, "state:           active (maintenance)\n");
	assert_says(f->out, "os:              debian 12\n");
	assert_says(f->out, "sanlock host id: 5\n");
	assert_says(f->out,
	    "hugepages  1 MiB  2 MiB  3 MiB       4 MiB             5 MiB        6 MiB"
	    "              7 MiB\n");
	assert_says(f->out, "not-registered  " VM_UUID "  /vms/xml/x  not there\n");
	verb_ok(f, "get host -C " HOST_UUID);
	assert_says(f->out, "cpu       1 MHz");
	assert_null(strstr(f->out, "memory"));
	assert_null(strstr(f->out, "h1"));
	verb_ok(f, "get host -M " HOST_UUID);
	assert_says(f->out, "memory     1 MiB");
	assert_null(strstr(f->out, "MHz"));
	verb_answer_json(f, "{\"uuid\":\"" HOST_UUID "\"}");
	verb_ok(f, "get host " HOST_UUID);
	assert_says(f->out, "sanlock host id: not joined\n");
	verb_forget(f);
	verb_answer(f, 503, "", "");
	verb_fails(
	    f, "get host " HOST_UUID, COMMAND_FAILED, "cannot get host '" HOST_UUID "': 503");
}

static void
test_migration(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f,
	    "{\"state\":4,\"progress\":{\"total\":1000,\"transferred\":600,\"remaining\":400,"
	    "\"rate\":12.5,\"dirty_rate\":3.25,\"iteration\":2,\"expected_downtime\":30,"
	    "\"downtime\":40}}");
	verb_ok(f, "get migrate vm " VM_UUID);
	verb_asked(f, 0, "GET /vms/" VM_UUID "/runstate/migrate", "");
	assert_string_equal(f->out, "state:             active\n"
				    "total:             1000 MiB\n"
				    "transferred:       600 MiB\n"
				    "remaining:         400 MiB\n"
				    "rate:              12.5 MiB/s\n"
				    "dirty rate:        3.2 MiB/s\n"
				    "iteration:         2\n"
				    "expected downtime: 30 ms\n"
				    "downtime:          40 ms\n");
	verb_answer_json(f, "{\"state\":0}");
	verb_ok(f, "get migrate vm " VM_UUID);
	assert_string_equal(f->out, "state: none\n");
}

static void
test_maintenance(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, "{\"since\":0}");
	verb_ok(f, "get maintain host " HOST_UUID);
	assert_says(f->out, "state:     no maintenance\nsince:     -\n");
	verb_asked(f, 0, "GET /hosts/" HOST_UUID "/maintenance", "");
	verb_forget(f);
	verb_answer(f, 200, "",
	    "{\"since\":1700000000000,\"user\":\"u\",\"operation\":\"o\",\"vms\":[{\"vm\":"
	    "\"" VM_UUID "\",\"host\":\"\",\"reason\":\"no room\"}]}");
	verb_answer(f, 200, "",
	    "{\"items\":[{\"uuid\":\"x\"},{\"uuid\":\"" VM_UUID
	    "\",\"fields\":{\"name\":\"web\"}}]}");
	verb_ok(f, "get maintain host " HOST_UUID);
	assert_says(f->out, "state:     in maintenance\nsince:     2023-11-14T22:13:20+0000\n");
	assert_says(f->out, VM_UUID "  web   -        no room\n");
	/* The names are for people. */
	verb_answer_json(f, "{\"since\":1,\"leaving\":true}");
	verb_ok(f, "get maintain host -o json " HOST_UUID);
	assert_says(f->out, "\"leaving\": true");
	assert_int_equal(f->n_requests, 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_list_vm),
		TEST(test_list_vm_refusals),
		TEST(test_cluster_status),
		TEST(test_ha),
		TEST(test_ha_plan),
		TEST(test_list_host),
		TEST(test_operations),
		TEST(test_operations_of_all),
		TEST(test_get_vm),
		TEST(test_all_of_a_vmdef_is_shown),
		TEST(test_parts_of_a_vm),
		TEST(test_runstate),
		TEST(test_get_host),
		TEST(test_migration),
		TEST(test_maintenance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
