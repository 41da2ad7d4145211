/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A snapshot that VirtX did not make: the disk is another file then, and its lease the old one's.
 */
#include "work_host.h"

#include "work/bare_disks.h"

/* What `virsh snapshot-create --disk-only` leaves of the small VM. */
static void
take_snapshot(void)
{
	_domain_ virDomainPtr domain = NULL, changed = NULL;
	_free_ char *xml = NULL, *whole = NULL;
	char *name;

	create_small_vm();
	assert_int_equal(run_program("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b",
			     at("ds/os.qcow2"), at("ds/snap.qcow2")),
	    0);
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
	name = strstr(xml, "os.qcow2");
	assert_non_null(name);
	whole = xasprintf("%.*ssnap%s", (int)(name - xml), xml, name + strlen("os"));
	changed = virDomainDefineXML(libvirt, whole);
	assert_non_null(changed);
}

static char *
delete_vm(bool deletestorage)
{
	struct vm_delete_request request = { env, (char *)TEST_VM, deletestorage };
	struct vm_result result = { 0 };
	char *warning;

	must_run(WORK_VM_DELETE, &request, &result);
	assert_int_equal(domain_state(TEST_VM), -1);
	warning = xstrdup(str_or_empty(result.warning));
	model_clear(&vm_result_model, &result);
	return warning;
}

static void
test_it_does_not_boot(void **state)
{
	struct vm_boot_request request = { .env = env, .uuid = (char *)TEST_VM };

	take_snapshot();
	must_fail(WORK_VM_BOOT, &request, 507, "it is a snapshot of '");
	assert_non_null(strstr(failure.detail, "'qemu-img commit -f qcow2 -b "));
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
}

static void
test_it_is_told(void **state)
{
	struct reconcile_request request = { .env = env, .sanlock = true };
	struct reconcile_result found = { 0 };

	take_snapshot();
	must_run(WORK_RECONCILE, &request, &found);
	assert_int_equal(found.n_problems, 1);
	assert_string_equal(found.problems[0].kind, BARE_DISK_PROBLEM);
	assert_string_equal(found.problems[0].path, at("ds/snap.qcow2"));
	model_clear(&reconcile_result_model, &found);
}

/* Nobody can prove whose the snapshot is, and what it stands on stays with it. */
static void
test_both_images_stay(void **state)
{
	_free_ char *warning = NULL;

	take_snapshot();
	warning = delete_vm(true);
	assert_non_null(strstr(warning, "snap.qcow2' is a snapshot, is left with its lease"));
	assert_true(exists("ds/os.qcow2"));
	assert_true(exists("ds/snap.qcow2"));
	assert_string_equal(lease_of("os.qcow2"), TEST_VM);
}

/* Where images stay anyhow, the lease of what it stands on goes. */
static void
test_the_lease_goes(void **state)
{
	_free_ char *warning = NULL;

	take_snapshot();
	warning = delete_vm(false);
	assert_string_equal(warning, "");
	assert_true(exists("ds/os.qcow2"));
	assert_true(exists("ds/snap.qcow2"));
	assert_null(lease_of("os.qcow2"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_it_does_not_boot),
		WORK_TEST(test_it_is_told),
		WORK_TEST(test_both_images_stay),
		WORK_TEST(test_the_lease_goes),
	};

	return cmocka_run_group_tests_name("bare_disks", tests, NULL, NULL);
}
