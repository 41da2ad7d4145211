/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "two_hosts.h"

#include "work/oplog.h"

static struct vm_migrate_request
request_of(bool live)
{
	return (struct vm_migrate_request){ .env = env,
		.uuid = (char *)TEST_VM,
		.live = live,
		.target = (char *)HOST2,
		.target_uri = (char *)OTHER_URI,
		.data_uri = (char *)"tcp://192.0.2.2" };
}

/* Puts a text into the XML before another one; both must be there. */
static void
insert(char **xml, const char *before, const char *text)
{
	char *at = strstr(*xml, before), *whole;

	assert_non_null(at);
	whole = xasprintf("%.*s%s%s", (int)(at - *xml), *xml, text, at);
	free(*xml);
	*xml = whole;
}

/* Starts the small VM with a text in its XML, and without the channel of the agent, which the test
 * driver cannot take out. */
static void
start_with(const struct vmdef *def, const char *before, const char *text)
{
	_domain_ virDomainPtr domain = NULL;
	_domain_ virDomainPtr fresh = NULL;
	_free_ char *xml = NULL;
	char *begin, *end;

	create_vm(def);
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	xml = virDomainGetXMLDesc(domain, 0);
	begin = strstr(xml, "<channel type='qemu-vdagent'>");
	end = strstr(begin, "</channel>") + strlen("</channel>");
	memmove(begin, end, strlen(end) + 1);
	insert(&xml, before, text);
	fresh = virDomainDefineXML(libvirt, xml);
	assert_non_null(fresh);
	assert_int_equal(virDomainCreate(fresh), 0);
}

static void
start(void)
{
	struct vmdef def = { 0 };

	small_vm(&def);
	start_with(&def, "</domain>", "");
	model_clear(&vmdef_model, &def);
}

/* Ends it, and deletes it. */
static void
delete_vm(void)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	struct vm_delete_request request = { env, (char *)TEST_VM, true };
	struct vm_result result = { 0 };

	assert_int_equal(virDomainDestroy(domain), 0);
	must_run(WORK_VM_DELETE, &request, &result);
	model_clear(&vm_result_model, &result);
}

static void
expect_moved(int state)
{
	assert_int_equal(domain_state(TEST_VM), -1);
	assert_int_equal(state_there(), state);
	assert_false(is_registered(HOST1, TEST_VM));
	assert_true(is_registered(HOST2, TEST_VM));
	assert_false(has_journal(TEST_VM));
}

static void
expect_still_here(int state)
{
	assert_int_equal(domain_state(TEST_VM), state);
	assert_int_equal(state_there(), -1);
	assert_true(is_registered(HOST1, TEST_VM));
	assert_false(is_registered(HOST2, TEST_VM));
	assert_false(has_journal(TEST_VM));
}

static void
test_cold(void **state)
{
	struct vm_migrate_request request = request_of(false);
	struct vm_result result = { 0 };

	create_small_vm();
	must_run(WORK_VM_MIGRATE, &request, &result);
	assert_true(result.moved);
	assert_string_equal(str_or_empty(result.warning), "");
	expect_moved(VIR_DOMAIN_SHUTOFF);
	assert_true(undefined & VIR_DOMAIN_UNDEFINE_KEEP_NVRAM);
	model_clear(&vm_result_model, &result);
}

static void
test_live(void **state)
{
	struct vm_migrate_request request = request_of(true);
	struct vm_result result = { 0 };

	start();
	must_run(WORK_VM_MIGRATE, &request, &result);
	assert_true(result.moved);
	expect_moved(VIR_DOMAIN_RUNNING);
	model_clear(&vm_result_model, &result);
}

/* What stands before its element, and begins like it, is not compared. */
static void
test_the_cpu_of_a_pinned_vm(void **state)
{
	static const char pins[] = "<cputune><vcpupin vcpu='0' cpuset='0'/></cputune>";
	struct vm_migrate_request request = request_of(true);
	struct vm_result result = { 0 };
	struct vmdef def = { 0 };

	small_vm(&def);
	str_set(&def.cpudef.model, "EPYC");
	start_with(&def, "<os>", pins);
	model_clear(&vmdef_model, &def);
	must_run(WORK_VM_MIGRATE, &request, &result);
	assert_ptr_equal(strstr(compared, "<cpu mode=\"custom\""), compared);
	assert_non_null(strstr(compared, ">EPYC</model>"));
	assert_null(strstr(compared, "vcpupin"));
	expect_moved(VIR_DOMAIN_RUNNING);
	model_clear(&vm_result_model, &result);
}

/* A VM with the CPU of the host goes where all of that is. */
static void
test_the_cpu_of_the_host(void **state)
{
	struct vm_migrate_request request = request_of(true);
	struct vm_result result = { 0 };

	start();
	must_run(WORK_VM_MIGRATE, &request, &result);
	assert_ptr_equal(strstr(compared, "<cpu>"), compared);
	assert_non_null(strstr(compared, "<model>kvm64</model>"));
	model_clear(&vm_result_model, &result);
}

/* The free pages of the size that the VM has are counted, and of each where it says none. */
static void
test_pages_of_another_size(void **state)
{
	static const struct {
		int32_t mib;
		const char *page, *refused;
	} rows[] = {
		{ 4096, "<page size='1048576' unit='KiB'/>", "but 3 of 1048576 KiB" },
		{ 2048, "<page size='2048' unit='KiB'/>", "but 0 of 2048 KiB" },
		{ 2048, "<page size='1048576' unit='KiB'/>", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vm_migrate_request request = request_of(true);
		_free_ char *text = xasprintf("<memoryBacking><hugepages>%s</hugepages>"
					      "</memoryBacking>",
		    rows[i].page);
		struct vm_result result = { 0 };
		struct vmdef def = { 0 };

		small_vm(&def);
		def.memory.total = rows[i].mib;
		start_with(&def, "<vcpu", text);
		model_clear(&vmdef_model, &def);
		if (!rows[i].refused) {
			must_run(WORK_VM_MIGRATE, &request, &result);
			model_clear(&vm_result_model, &result);
			expect_moved(VIR_DOMAIN_RUNNING);
			break;
		}
		must_fail(WORK_VM_MIGRATE, &request, 422, rows[i].refused);
		expect_still_here(VIR_DOMAIN_RUNNING);
		delete_vm();
	}
}

static void
test_one_that_fails(void **state)
{
	struct vm_migrate_request request = request_of(true);

	start();
	outcome = FAILS;
	must_fail(WORK_VM_MIGRATE, &request, 424, "cannot migrate VM '" TEST_VM "'");
	assert_int_equal(last_stage(), WORK_STAGE_NONE);
	expect_still_here(VIR_DOMAIN_RUNNING);
	expect_logged("VmMigrate", "failed");
}

/* libvirt stands still at the end of a migration; here nobody can tell whether the disk is still
 * the VM's, and it stays paused. */
static void
test_one_that_fails_at_its_end(void **state)
{
	struct vm_migrate_request request = request_of(true);

	start();
	outcome = STAYS_PAUSED;
	must_fail(WORK_VM_MIGRATE, &request, 424, "cannot migrate VM '" TEST_VM "'");
	expect_still_here(VIR_DOMAIN_PAUSED);
}

static void
test_what_does_not_fit(void **state)
{
	struct vm_migrate_request request = request_of(true);
	_domain_ virDomainPtr there = NULL;

	create_small_vm();
	must_fail(WORK_VM_MIGRATE, &request, 422, "a live migration needs it running or paused");
	request.live = false;
	request.target = (char *)TEST_OTHER;
	must_fail(WORK_VM_MIGRATE, &request, 422, "does not share the storage");
	assert_int_equal(registry_save_lockid(disk_root, TEST_OTHER, 8, &failure), 0);
	must_fail(WORK_VM_MIGRATE, &request, 422, "is host '" HOST2 "', not '" TEST_OTHER "'");
	assert_string_equal(failure.host, TEST_OTHER);
	request.target = (char *)HOST2;
	request.target_uri = (char *)"test:///there/is/no/such/file";
	must_fail(WORK_VM_MIGRATE, &request, 503, "cannot connect to libvirt at");
	request.target_uri = (char *)OTHER_URI;
	there = virDomainDefineXML(other,
	    "<domain type='test'><name>a</name><uuid>" TEST_VM "</uuid><memory>1024</memory>"
	    "<os><type>hvm</type></os></domain>");
	assert_non_null(there);
	must_fail(WORK_VM_MIGRATE, &request, 422, "has VM '" TEST_VM "' in its libvirt already");
	assert_int_equal(virDomainUndefine(there), 0);
	assert_int_equal(last_stage(), -1);
	expect_still_here(VIR_DOMAIN_SHUTOFF);
}

/* What libvirt has of another host's VM goes nowhere. */
static void
test_one_of_another_host(void **state)
{
	struct vm_migrate_request request = request_of(false);

	create_small_vm();
	assert_int_equal(registry_move(disk_root, HOST1, HOST2, TEST_VM, &failure), 0);
	must_fail(WORK_VM_MIGRATE, &request, 422, "is registered under host '" HOST2 "'");
	assert_int_equal(last_stage(), -1);
	assert_int_equal(state_there(), -1);
}

static void
test_what_other_hosts_do_not_have(void **state)
{
	static const struct {
		const char *source, *words;
	} rows[] = {
		{ "type='file' device='cdrom'><source file='/etc/hostname'/>",
		    "is '/etc/hostname', which is of this host" },
		/* What is no LUN by its id is another thing on another host. */
		{ "type='block' device='cdrom'><source dev='/dev/null'/>",
		    "lun '/dev/null' is no block device" },
	};

	create_small_vm();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
		_free_ char *old = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
		_free_ char *disk = xasprintf(
		    "<disk %s<target dev='sdz' bus='sata'/><readonly/></disk>", rows[i].source);
		struct vm_migrate_request request = request_of(false);
		_free_ char *xml = xstrdup(old);

		insert(&xml, "</devices>", disk);
		virDomainFree(virDomainDefineXML(libvirt, xml));
		must_fail(WORK_VM_MIGRATE, &request, 422, rows[i].words);
		expect_still_here(VIR_DOMAIN_SHUTOFF);
		virDomainFree(virDomainDefineXML(libvirt, old));
	}
}

static void
put_journal_at(const char *host, const char *target, bool live, int64_t ts)
{
	struct journal journal = { .op = (char *)"VmMigrate",
		.uuid = (char *)TEST_VM,
		.target = (char *)target,
		.target_uri = (char *)OTHER_URI,
		.live = live,
		.ts = ts };

	assert_int_equal(journal_save(disk_root, host, &journal, &failure), 0);
}

static void
put_journal(const char *host, const char *target, bool live)
{
	put_journal_at(host, target, live, now_ms());
}

/* Heals it after a migration that was cut off. */
static void
heal(bool moved)
{
	struct vm_heal_request request = { env, (char *)TEST_VM, (char *)"VmMigrate", (char *)HOST2,
		false };
	struct vm_result result = { 0 };

	must_run(WORK_VM_HEAL, &request, &result);
	assert_int_equal(result.done, moved);
	assert_int_equal(result.moved, moved);
	assert_false(result.gone);
	assert_false(has_journal(TEST_VM));
	model_clear(&vm_result_model, &result);
}

static void
test_cut_off_before_it_began(void **state)
{
	create_small_vm();
	put_journal(HOST1, HOST2, false);
	heal(false);
	expect_still_here(VIR_DOMAIN_SHUTOFF);
}

/* A definition at the target is this migration's by the time of its record, and not by its age: the
 * clock may have been set back since an earlier one. */
static void
test_cut_off_with_a_definition_there(void **state)
{
	static const int64_t now = 1000000;
	_domain_ virDomainPtr domain = NULL, there = NULL;
	_free_ char *xml = NULL;

	create_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(oplog_begin_at(domain, "VmMigrate", HOST2, now, &failure), 0);
	xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
	there = virDomainDefineXML(other, xml);
	assert_non_null(there);
	put_journal_at(HOST1, HOST2, false, now - 1000);
	heal(false);
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
	assert_true(is_registered(HOST1, TEST_VM));
	put_journal_at(HOST1, HOST2, false, now);
	heal(true);
	expect_moved(VIR_DOMAIN_SHUTOFF);
}

/* libvirt has moved it, and the registry does not know. */
static void
test_cut_off_after_it_went(void **state)
{
	struct vm_migrate_request request = request_of(true);
	struct vm_result result = { 0 };

	start();
	must_run(WORK_VM_MIGRATE, &request, &result);
	model_clear(&vm_result_model, &result);
	assert_int_equal(registry_move(disk_root, HOST2, HOST1, TEST_VM, &failure), 0);
	put_journal(HOST1, HOST2, true);
	heal(true);
	expect_moved(VIR_DOMAIN_RUNNING);
}

/* What was found out late: it has moved, and is on its way back by now. */
static void
test_cut_off_and_on_its_way_back(void **state)
{
	create_small_vm();
	assert_int_equal(registry_move(disk_root, HOST1, HOST2, TEST_VM, &failure), 0);
	put_journal(HOST2, HOST1, false);
	heal(true);
	assert_true(is_registered(HOST2, TEST_VM));
}

/* Whoever ends what an earlier one left there would take the VM for that. */
static void
test_the_target_has_a_journal_of_it(void **state)
{
	struct vm_migrate_request request = request_of(true);

	start();
	put_journal(HOST2, HOST1, true);
	must_fail(WORK_VM_MIGRATE, &request, 503, "is not over on host '" HOST2 "'");
	assert_string_equal(failure.host, HOST2);
	expect_still_here(VIR_DOMAIN_RUNNING);
}

/* The other end: it runs here, and is registered where it came from. */
static void
test_one_that_arrives(void **state)
{
	struct vm_heal_request request = { env, (char *)TEST_VM, (char *)"", (char *)"", false };
	struct vm_result result = { 0 };

	start();
	assert_int_equal(registry_move(disk_root, HOST1, HOST2, TEST_VM, &failure), 0);
	must_run(WORK_VM_HEAL, &request, &result);
	assert_true(is_registered(HOST2, TEST_VM));
	model_clear(&vm_result_model, &result);
	/* Its journal proves that it is meant to be here. */
	put_journal(HOST2, HOST1, true);
	must_run(WORK_VM_HEAL, &request, &result);
	assert_int_equal(result.vm.runstate, VMRUNSTATE_RUNNING);
	assert_true(is_registered(HOST1, TEST_VM));
	assert_false(is_registered(HOST2, TEST_VM));
	model_clear(&vm_result_model, &result);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, two_hosts_setup, two_hosts_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_cold),
		TEST(test_live),
		TEST(test_the_cpu_of_a_pinned_vm),
		TEST(test_the_cpu_of_the_host),
		TEST(test_pages_of_another_size),
		TEST(test_one_that_fails),
		TEST(test_one_that_fails_at_its_end),
		TEST(test_what_does_not_fit),
		TEST(test_one_of_another_host),
		TEST(test_what_other_hosts_do_not_have),
		TEST(test_cut_off_before_it_began),
		TEST(test_cut_off_with_a_definition_there),
		TEST(test_cut_off_after_it_went),
		TEST(test_cut_off_and_on_its_way_back),
		TEST(test_the_target_has_a_journal_of_it),
		TEST(test_one_that_arrives),
	};

	return cmocka_run_group_tests_name("vm_migrate", tests, NULL, NULL);
}
