/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "domain/journal.h"
#include "scratch.h"

#define HOST1 "11111111-1111-4111-8111-111111111111"
#define HOST2 "22222222-2222-4222-8222-222222222222"
#define VM1   "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
#define VM2   "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
#define FILE1 "xml/" HOST1 "/" VM1 ".journal"

static void
make_journal(struct journal *journal, const char *op, const char *uuid)
{
	struct disk *disk;

	*journal = (struct journal){
		.op = xstrdup(op), .uuid = xstrdup(uuid), .deletestorage = true, .ts = 1700000000000
	};
	for (int i = 0; i < 2; i++) {
		disk = model_append(&journal->made, &journal->n_made);
		disk->path = xasprintf("/vms/ds/\"ö\"/%d.qcow2", i);
		disk->man = DISK_MAN_MODE_MANAGED;
		disk->prov = DISK_PROV_MODE_THICK;
		disk->size = 5 + i;
	}
	model_copy(
	    &disk_model, model_append(&journal->adopted, &journal->n_adopted), &journal->made[1]);
	disk = model_append(&journal->dropped, &journal->n_dropped);
	disk->path = xstrdup("/dev/disk/by-id/scsi-3600");
	disk->device = DISK_DEVICE_LUN;
}

static void
save(const char *root, const char *host, const char *uuid)
{
	struct error err = { 0 };
	struct journal journal;

	make_journal(&journal, "VmCreate", uuid);
	if (journal_save(root, host, &journal, &err) < 0)
		fail_msg("%s", err.detail);
	model_clear(&journal_model, &journal);
}

static void
expect_none(const char *root, const char *uuid)
{
	struct journal journal = { 0 }, zero = { 0 };
	struct error err = { 0 };

	assert_int_equal(journal_load(root, HOST1, uuid, &journal, &err), 0);
	assert_true(model_equal(&journal_model, &journal, &zero));
}

static void
expect_load_error(const char *root, const char *uuid, int status, const char *detail)
{
	struct journal journal = { 0 }, zero = { 0 };
	struct error err = { 0 };

	assert_int_equal(journal_load(root, HOST1, uuid, &journal, &err), -1);
	assert_int_equal(err.status, status);
	if (!strstr(err.detail, detail))
		assert_string_equal(err.detail, detail);
	assert_true(model_equal(&journal_model, &journal, &zero));
}

static void
test_save_load_remove(void **state)
{
	static const char *const ops[] = { "VmCreate", "VmUpdate", "VmDelete" };
	struct error err = { 0 };

	expect_none(*state, VM1);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct journal sent, got = { 0 };

		make_journal(&sent, ops[i], VM1);
		assert_int_equal(journal_save(*state, HOST1, &sent, &err), 0);
		assert_int_equal(journal_load(*state, HOST1, VM1, &got, &err), 0);
		assert_true(model_equal(&journal_model, &sent, &got));
		model_clear(&journal_model, &sent);
		model_clear(&journal_model, &got);
	}
	assert_int_equal(scratch_mode(*state, FILE1), 0640);
	expect_none(*state, VM2);
	assert_int_equal(journal_remove(*state, HOST1, VM1, &err), 0);
	assert_int_equal(scratch_mode(*state, FILE1), -1);
	assert_int_equal(journal_remove(*state, HOST1, VM1, &err), 0);
	assert_int_equal(journal_remove(*state, HOST2, VM1, &err), 0);
	expect_none(*state, VM1);
}

static void
test_journals_that_cannot_be_acted_on(void **state)
{
	save(*state, HOST1, VM1);
	scratch_write(*state, FILE1, "{\"op\":\"VmCreate\",");
	expect_load_error(*state, VM1, 507, "is malformed: ");
	scratch_write(*state, FILE1,
	    "{\"op\":\"VmCreate\",\"uuid\":\"" VM1 "\",\"made\":[{\"size\":\"x\"}]}");
	expect_load_error(*state, VM1, 507, "made[0].size");
	scratch_write(*state, FILE1, "");
	expect_load_error(*state, VM1, 507, "is of another VM ('')");
	scratch_write(*state, FILE1, "{\"op\":\"VmCreate\",\"uuid\":\"" VM2 "\"}");
	expect_load_error(*state, VM1, 507, "is of another VM ('" VM2 "')");
	scratch_write(*state, FILE1, "{\"op\":\"VmBoot\",\"uuid\":\"" VM1 "\"}");
	expect_load_error(*state, VM1, 507, "is of an unknown operation ('VmBoot')");
}

static void
test_list(void **state)
{
	struct error err = { 0 };
	char(*list)[37] = NULL;
	size_t n = 7;

	assert_int_equal(journal_list(*state, HOST1, &list, &n, &err), 0);
	assert_int_equal(n, 0);
	save(*state, HOST1, VM1);
	save(*state, HOST2, VM2);
	save(*state, HOST1, VM2);
	scratch_write(*state, "xml/" HOST1 "/" HOST1 ".xml", "");
	scratch_write(*state, "xml/" HOST1 "/." HOST1 ".journal.5", "");
	assert_int_equal(journal_list(*state, HOST1, &list, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_true(strcmp(list[0], VM1) == 0 || strcmp(list[1], VM1) == 0);
	assert_true(strcmp(list[0], VM2) == 0 || strcmp(list[1], VM2) == 0);
	free(list);
}

static void
test_find(void **state)
{
	struct error err = { 0 };
	char host[37];

	assert_int_equal(journal_find(*state, VM1, host, &err), 0);
	assert_string_equal(host, "");
	save(*state, HOST1, VM2);
	save(*state, HOST2, VM1);
	assert_int_equal(journal_find(*state, VM1, host, &err), 0);
	assert_string_equal(host, HOST2);
	assert_int_equal(journal_find(*state, HOST1, host, &err), 0);
	assert_string_equal(host, "");
	assert_int_equal(journal_find(*state, "..", host, &err), -1);
	assert_int_equal(err.status, 400);
}

static void
test_names_are_uuids(void **state)
{
	struct journal journal;
	struct error err = { 0 };
	char(*list)[37] = NULL;
	size_t n;

	make_journal(&journal, "VmCreate", "../x");
	assert_int_equal(journal_save(*state, HOST1, &journal, &err), -1);
	assert_int_equal(err.status, 400);
	assert_string_equal(err.detail, "'../x' is no uuid of a VM");
	model_clear(&journal_model, &journal);
	expect_load_error(*state, "..", 400, "'..' is no uuid of a VM");
	assert_int_equal(journal_remove(*state, "/", VM1, &err), -1);
	assert_string_equal(err.detail, "'/' is no uuid of a host");
	assert_int_equal(journal_list(*state, "", &list, &n, &err), -1);
	assert_string_equal(err.detail, "'' is no uuid of a host");
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_storage_setup, scratch_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_save_load_remove),
		TEST(test_journals_that_cannot_be_acted_on),
		TEST(test_list),
		TEST(test_find),
		TEST(test_names_are_uuids),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
