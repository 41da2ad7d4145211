/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A dead host's VM becomes this one's, whole or not at all. */
#include "claim_host.h"

#include <sanlock_admin.h>

static void
test_a_vm_of_a_dead_host(void **state)
{
	struct vm_claim_request request = claim_request();
	_domain_info_ struct domain_info before = { 0 }, now = { 0 };
	struct vm_claim_result result = { 0 };
	char unproved[] = "that is for somebody to know";
	_free_ char *xml = NULL;

	request.unproved = unproved;
	lose_host();
	assert_int_equal(registry_load(disk_root, HOST2, TEST_VM, &xml, &failure), 0);
	assert_int_equal(domain_xml_read(xml, disk_root, &before, &failure), 0);
	must_run(WORK_VM_CLAIM, &request, &result);
	assert_int_equal(result.outcome, CLAIM_CLAIMED);
	assert_true(result.want_on);
	assert_false(result.result.nothing);
	assert_non_null(strstr(str_or_empty(result.result.warning), unproved));
	assert_int_equal(result.result.vm.runstate, VMRUNSTATE_POWEROFF);
	assert_int_equal(last_stage(), WORK_STAGE_DONE);
	expect_claimed();
	read_domain(TEST_VM, &now);
	assert_true(model_equal(&vmdef_model, &before.def, &now.def));
	assert_int_equal(now.want, WANT_ON);
	assert_true(now.leased);
	model_clear(&vm_claim_result_model, &result);

	/* Once more: it is so already. */
	must_run(WORK_VM_CLAIM, &request, &result);
	assert_string_equal(str_or_empty(result.result.warning), "");
	assert_int_equal(result.outcome, CLAIM_CLAIMED);
	assert_true(result.result.nothing);
	assert_true(result.want_on);
	model_clear(&vm_claim_result_model, &result);
}

static void
test_one_that_was_wanted_off(void **state)
{
	const struct vm_claim_request request = claim_request();
	struct vm_claim_result result = { 0 };

	create_small_vm();
	give_away();
	must_run(WORK_VM_CLAIM, &request, &result);
	assert_int_equal(result.outcome, CLAIM_CLAIMED);
	assert_false(result.want_on);
	model_clear(&vm_claim_result_model, &result);
}

/* What this host has of it is from an earlier stay, and by another name. */
static void
test_an_old_definition_here(void **state)
{
	_domain_info_ struct domain_info now = { 0 };
	_domain_ virDomainPtr old = NULL;

	lose_host();
	old = virDomainDefineXML(libvirt,
	    "<domain type='test'><name>old</name><uuid>" TEST_VM
	    "</uuid><memory>65536</memory><os><type>hvm</type></os></domain>");
	assert_non_null(old);
	must_claim();
	read_domain(TEST_VM, &now);
	assert_true(now.leased);
	assert_true(undefined & VIR_DOMAIN_UNDEFINE_MANAGED_SAVE);
	assert_true(undefined & VIR_DOMAIN_UNDEFINE_KEEP_NVRAM);
}

static void
test_lost(void **state)
{
	_free_ char *below = xasprintf("xml/%s/%s.xml", HOST2, TEST_VM);

	lose_host();
	faster = HOST3;
	must_not_claim(CLAIM_LOST, 409, "is registered under host '" HOST3 "' by now");
	expect_untouched(HOST3);
	faster = NULL;
	must_not_claim(CLAIM_LOST, 409, "is registered under host '" HOST3 "' by now");
	expect_untouched(HOST3);
	assert_int_equal(registry_move(disk_root, HOST3, HOST2, TEST_VM, &failure), 0);
	assert_int_equal(unlink(at(below)), 0);
	must_not_claim(CLAIM_LOST, 404, "is registered under no host");
	assert_int_equal(failure.type, ERROR_NOT_FOUND);
}

/* Of what is off nobody holds a lease, so that they tell nothing of a host that lives. */
static void
test_one_that_is_just_being_changed(void **state)
{
	lose_host();
	works_on = true;
	must_not_claim(CLAIM_HELD, 409, "host '" HOST2 "' has just changed VM");
	expect_untouched(HOST2);
}

/* One that serf sees alive is dead if sanlock says so; and it is for the registry to tell which. */
static void
test_a_host_in_doubt(void **state)
{
	struct vm_claim_request request = claim_request();
	struct vm_claim_result result = { 0 };
	struct work_uuid away[] = { { (char *)HOST3 }, { (char *)HOST2 } };

	lose_host();
	request.from = (char *)"";
	request.doubt = true;
	request.away = away;
	request.n_away = 1;
	fake_sanlock_see(7, 1, SANLK_HOST_LIVE);
	must_run(WORK_VM_CLAIM, &request, &result);
	assert_int_equal(result.outcome, CLAIM_HELD);
	assert_non_null(strstr(result.why, "does not say that it (host_id 7) is dead"));
	expect_untouched(HOST2);
	model_clear(&vm_claim_result_model, &result);
	request.n_away = 2;
	must_run(WORK_VM_CLAIM, &request, &result);
	assert_int_equal(result.outcome, CLAIM_CLAIMED);
	expect_claimed();
	model_clear(&vm_claim_result_model, &result);

	give_away();
	request.n_away = 0;
	fake_sanlock_see(7, 1, SANLK_HOST_DEAD);
	must_run(WORK_VM_CLAIM, &request, &result);
	assert_int_equal(result.outcome, CLAIM_CLAIMED);
	expect_claimed();
	model_clear(&vm_claim_result_model, &result);
}

/* By a host that lives, whichever lease it is, and by what libvirt has here. */
static void
test_held(void **state)
{
	struct disk disk = { .path = at("ds/os.qcow2") };
	_domain_ virDomainPtr here = NULL;
	_free_ char *xml = NULL;
	char name[LEASE_NAME_SIZE];

	lose_host();
	assert_int_equal(disk_resource_name(&disk, disk_root, name, &failure), 0);
	fake_sanlock_occupy("vm-" TEST_VM, true);
	must_not_claim(CLAIM_HELD, 409, "resource 'vm-" TEST_VM "' is held by host_id 7");
	expect_untouched(HOST2);
	fake_sanlock_occupy(name, true);
	must_not_claim(CLAIM_HELD, 409, "is held by host_id 7");
	expect_untouched(HOST2);
	fake_sanlock_occupy("", false);

	assert_int_equal(registry_load(disk_root, HOST2, TEST_VM, &xml, &failure), 0);
	here = virDomainDefineXML(libvirt, xml);
	assert_int_equal(virDomainCreate(here), 0);
	must_not_claim(CLAIM_HELD, 409, "has VM '" TEST_VM "' on");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_RUNNING);
	assert_true(is_registered(HOST2, TEST_VM));
	assert_false(has_journal_at(HOST1));
	assert_int_equal(fake_sanlock_held(), 0);
}

/* Its holder gives it up, or does not. */
static void
test_recalled(void **state)
{
	static const struct {
		enum fake_holder holder;
		enum claim_recall recall;
		bool claimed;
	} rows[] = {
		{ FAKE_HOLDER_OBEYS, CLAIM_RECALL_TERM, true },
		{ FAKE_HOLDER_OBEYS_FORCE, CLAIM_RECALL_TERM, false },
		{ FAKE_HOLDER_OBEYS_FORCE, CLAIM_RECALL_KILL, true },
		{ FAKE_HOLDER_DEAF, CLAIM_RECALL_KILL, false },
	};
	struct vm_claim_request request = claim_request();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vm_claim_result result = { 0 };

		if (i == 0)
			lose_host();
		else if (rows[i - 1].claimed)
			give_away();
		fake_sanlock_occupy("vm-" TEST_VM, true);
		fake_sanlock_hold(rows[i].holder);
		request.recall = rows[i].recall;
		passed = 0;
		must_run(WORK_VM_CLAIM, &request, &result);
		if (rows[i].claimed) {
			assert_int_equal(result.outcome, CLAIM_CLAIMED);
			expect_claimed();
		} else {
			assert_int_equal(result.outcome, CLAIM_HELD);
			assert_non_null(strstr(result.why, "it was asked back 54 s ago"));
			assert_true(passed >= 54000);
			expect_untouched(HOST2);
		}
		model_clear(&vm_claim_result_model, &result);
	}
}

/* Whoever holds it here is not ended by that. */
static void
test_not_recalled_from_itself(void **state)
{
	struct vm_claim_request request = claim_request();
	struct vm_claim_result result = { 0 };
	int id = 0;

	lose_host();
	assert_int_equal(lockspace_join(disk_root, 7, 10, &id, &failure), 0);
	fake_sanlock_occupy("vm-" TEST_VM, true);
	request.recall = CLAIM_RECALL_KILL;
	must_run(WORK_VM_CLAIM, &request, &result);
	assert_int_equal(result.outcome, CLAIM_HELD);
	assert_non_null(strstr(result.why, "by this host itself (host_id 7)"));
	expect_untouched(HOST2);
	model_clear(&vm_claim_result_model, &result);
}

static void
test_refused(void **state)
{
	struct vm_claim_request request = claim_request();
	struct vm_claim_result result = { 0 };
	_free_ char *xml = NULL;

	lose_host();
	request.from = (char *)HOST1;
	must_run(WORK_VM_CLAIM, &request, &result);
	assert_int_equal(result.outcome, CLAIM_REFUSED);
	model_clear(&vm_claim_result_model, &result);
	assert_int_equal(rename(at("ds/os.qcow2"), at("ds/away")), 0);
	must_not_claim(CLAIM_REFUSED, 422, "there is no such file");
	expect_untouched(HOST2);
	assert_int_equal(rename(at("ds/away"), at("ds/os.qcow2")), 0);
	assert_int_equal(lease_discard(disk_root, "vm-" TEST_VM, TEST_VM, &failure), 0);
	must_not_claim(CLAIM_REFUSED, 409, "is missing, or has no owner");
	assert_int_equal(lease_create(disk_root, "vm-" TEST_VM, TEST_OTHER, &failure), 0);
	must_not_claim(CLAIM_REFUSED, 409, "belongs to VM '" TEST_OTHER "'");
	expect_untouched(HOST2);

	assert_int_equal(registry_load(disk_root, HOST2, TEST_VM, &xml, &failure), 0);
	assert_int_equal(registry_save(disk_root, HOST3, TEST_VM, xml, &failure), 0);
	assert_int_equal(registry_save(disk_root, HOST1, TEST_VM, xml, &failure), 0);
	must_not_claim(CLAIM_REFUSED, 409, "registered under two hosts");
	assert_int_equal(registry_remove(disk_root, HOST1, TEST_VM, &failure), 0);
	assert_int_equal(registry_remove(disk_root, HOST3, TEST_VM, &failure), 0);
	assert_int_equal(registry_save(disk_root, HOST2, TEST_VM, "<domain", &failure), 0);
	must_not_claim(
	    CLAIM_REFUSED, 409, "the registry's file of VM '" TEST_VM "' cannot be used");
	expect_untouched(HOST2);
}

/* Another host may have it. */
static void
test_without_room(void **state)
{
	struct vm_claim_request request = claim_request();
	struct vm_claim_result result = { 0 };

	lose_host();
	request.or_fail = request.bounded = true;
	must_fail(WORK_VM_CLAIM, &request, 422, "has 0 MiB of memory for VMs");
	expect_untouched(HOST2);
	request.memory = 1 << 20;
	must_run(WORK_VM_CLAIM, &request, &result);
	assert_int_equal(result.outcome, CLAIM_CLAIMED);
	model_clear(&vm_claim_result_model, &result);
}

/* One that is wanted off needs none. */
static void
test_one_that_is_off_without_room(void **state)
{
	struct vm_claim_request request = claim_request();
	struct vm_claim_result result = { 0 };

	create_small_vm();
	give_away();
	request.bounded = true;
	must_run(WORK_VM_CLAIM, &request, &result);
	assert_int_equal(result.outcome, CLAIM_CLAIMED);
	model_clear(&vm_claim_result_model, &result);
}

/* Nothing tells whether it runs. */
static void
test_without_any_lease(void **state)
{
	create_unmanaged_vm();
	take_vm_lease();
	give_away();
	must_not_claim(CLAIM_REFUSED, 409, "has no lease");
	expect_untouched(HOST2);
}

/* From before VMs had leases of their own: those of its disks tell it. */
static void
test_without_a_lease_of_its_own(void **state)
{
	create_small_vm();
	take_vm_lease();
	give_away();
	must_claim();
}

/* What comes after the rename is undone, too. */
static void
test_libvirt_refuses(void **state)
{
	const struct vm_claim_request request = claim_request();
	struct vm_claim_result result = { 0 };

	lose_host();
	libvirt_refuses = true;
	must_run(WORK_VM_CLAIM, &request, &result);
	assert_int_equal(result.outcome, CLAIM_REFUSED);
	assert_non_null(strstr(result.why, "libvirt refuses VM"));
	assert_int_equal(last_stage(), WORK_STAGE_NONE);
	expect_untouched(HOST2);
	model_clear(&vm_claim_result_model, &result);
	must_claim();
}

static void
test_without_sanlock(void **state)
{
	const struct vm_claim_request request = claim_request();

	lose_host();
	fake_sanlock_stop();
	must_fail(WORK_VM_CLAIM, &request, 503, "sanlock");
	expect_untouched(HOST2);
}

static void
test_an_operation_that_cannot_be_ended(void **state)
{
	_free_ char *path = xasprintf("xml/%s/%s.journal", HOST2, TEST_VM);
	struct disk here = { .path = at("ds/os.qcow2"), .man = DISK_MAN_MODE_MANAGED };

	lose_host();
	put_foreign_journal(HOST2, "VmDelete", NULL, &here, "");
	must_not_claim(CLAIM_UNSETTLED, 409, "was deleting VM");
	/* What was to be dropped is there, and so is what was to be made. */
	put_foreign_journal(HOST2, "VmUpdate", &here, &here, "");
	must_not_claim(CLAIM_UNSETTLED, 409, "VmUpdate of VM '" TEST_VM "' is not over");
	put_foreign_journal(HOST2, "VmFailover", NULL, NULL, HOST2);
	must_not_claim(CLAIM_UNSETTLED, 409, "hosts have journals");
	put_foreign_journal(HOST2, "VmFailover", NULL, NULL, HOST3);
	put_foreign_journal(HOST3, "VmDelete", NULL, &here, "");
	must_not_claim(CLAIM_UNSETTLED, 409, "host '" HOST3 "' was deleting VM");
	write_file(at(path), "x", 1);
	must_not_claim(CLAIM_UNSETTLED, 409, "is malformed");
	assert_true(has_journal_at(HOST2));
	expect_untouched(HOST2);
	assert_true(exists("ds/os.qcow2"));
}

/* Makes ROOT/ds/NAME with its lease and the mark of who has made it, as an update of HOST2's. */
static struct disk
make_disk(const char *name)
{
	_free_ char *below = xasprintf("ds/%s", name);
	struct disk disk = { .path = xstrdup(at(below)),
		.bus = DISK_BUS_VIRTIO_BLK,
		.man = DISK_MAN_MODE_MANAGED,
		.prov = DISK_PROV_MODE_THIN,
		.size = 1 };
	struct disk_report report = { 0 };

	assert_int_equal(storage_make(&env, TEST_VM, &disk, false, &report, &failure), 0);
	return disk;
}

/* By what the registry has: what was made goes or stays, and what was dropped goes. */
static void
test_an_update_that_was_cut_off(void **state)
{
	struct disk more, old;

	lose_host();
	more = make_disk("more.qcow2");
	put_foreign_journal(HOST2, "VmUpdate", &more, NULL, "");
	must_claim();
	assert_false(exists("ds/more.qcow2"));
	assert_null(lease_of("more.qcow2"));
	free(more.path);

	give_away();
	old = make_disk("old.qcow2");
	put_foreign_journal(HOST2, "VmUpdate", NULL, &old, "");
	must_claim();
	assert_false(exists("ds/old.qcow2"));
	assert_null(lease_of("old.qcow2"));
	assert_true(exists("ds/os.qcow2"));
	free(old.path);
}

static void
test_other_operations_that_were_cut_off(void **state)
{
	struct disk here = { .path = at("ds/os.qcow2"), .man = DISK_MAN_MODE_MANAGED };

	lose_host();
	put_foreign_journal(HOST2, "VmCreate", &here, NULL, "");
	must_claim();
	assert_string_equal(lease_of("os.qcow2"), TEST_VM);
	assert_true(exists("ds/os.qcow2"));
	for (int i = 0; i < 2; i++) {
		give_away();
		put_foreign_journal(HOST2, "VmMigrate", NULL, NULL, i == 0 ? HOST3 : HOST1);
		must_claim();
	}
	/* That host was claiming it from another one, which was creating it. */
	give_away();
	put_foreign_journal(HOST2, "VmFailover", NULL, NULL, HOST3);
	put_foreign_journal(HOST3, "VmCreate", &here, NULL, "");
	must_claim();
	assert_false(has_journal_at(HOST3));
	assert_string_equal(lease_of("os.qcow2"), TEST_VM);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, claim_setup, two_hosts_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_vm_of_a_dead_host),
		TEST(test_one_that_was_wanted_off),
		TEST(test_an_old_definition_here),
		TEST(test_lost),
		TEST(test_a_host_in_doubt),
		TEST(test_held),
		TEST(test_one_that_is_just_being_changed),
		TEST(test_recalled),
		TEST(test_not_recalled_from_itself),
		TEST(test_refused),
		TEST(test_without_room),
		TEST(test_one_that_is_off_without_room),
		TEST(test_without_any_lease),
		TEST(test_without_a_lease_of_its_own),
		TEST(test_libvirt_refuses),
		TEST(test_without_sanlock),
		TEST(test_an_operation_that_cannot_be_ended),
		TEST(test_an_update_that_was_cut_off),
		TEST(test_other_operations_that_were_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
