/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of lun_answer.c: what devices answer when they are asked who they are. */
#include <sys/sysmacros.h>
#include "disk_root.h"

#include "disk/lun_answer.h"

#define NAA  "36001405d594364bf2bb455eaceb80934"
#define EUI  "20011223344556677"
#define NAA_ "\x01\x03\x00\x10\x60\x01\x40\x5d\x59\x43\x64\xbf\x2b\xb4\x55\xea\xce\xb8\x09\x34"
#define EUI_ "\x01\x02\x00\x08\x00\x11\x22\x33\x44\x55\x66\x77"
#define T10_ "\x02\x01\x00\x0bLIO-ORG abc"
/* That of a port, which all LUNs behind it have. */
#define PORT	  "\x01\x13\x00\x08\x50\x00\x00\x00\x00\x00\x00\x01"
#define HEAD(len) "\x00\x83\x00" len

#define TEXT(text) (const uint8_t *)(text), sizeof(text) - 1

static void
test_page(void **state)
{
	static const struct {
		const uint8_t *page;
		size_t len;
		const char *name;
		enum lun_answer answer;
		const char *wwid;
	} cases[] = {
		{ TEXT(HEAD("\x14") NAA_), NAA, LUN_ANSWER_SAME, NAA },
		{ TEXT(HEAD("\x14") NAA_), "36001405D594364BF2BB455EACEB80934", LUN_ANSWER_SAME,
		    NAA },
		{ TEXT(HEAD("\x14") NAA_), "36001405d594364bf2bb455eaceb80935", LUN_ANSWER_OTHER,
		    NAA },
		/* Of another kind than the name. */
		{ TEXT(HEAD("\x14") NAA_), EUI, LUN_ANSWER_NONE, "" },
		{ TEXT(HEAD("\x14") NAA_), "0QEMU_disk1", LUN_ANSWER_NONE, "" },
		{ TEXT(HEAD("\x0f") T10_), NAA, LUN_ANSWER_NONE, "" },
		{ TEXT(HEAD("\x3b") T10_ PORT EUI_ NAA_), NAA, LUN_ANSWER_SAME, NAA },
		{ TEXT(HEAD("\x3b") T10_ PORT EUI_ NAA_), EUI, LUN_ANSWER_SAME, EUI },
		{ TEXT(HEAD("\x0c") PORT), "35000000000000001", LUN_ANSWER_NONE, "" },
		/* Several of a kind: any may be the one that udev took. */
		{ TEXT(HEAD("\x28") NAA_ "\x01\x03\x00\x10"
					 "123456789012345\x36"),
		    NAA, LUN_ANSWER_SAME, NAA },
		/* An alias that looks like one. */
		{ TEXT(HEAD("\x14") NAA_), "36001405", LUN_ANSWER_NONE, "" },
		{ TEXT(HEAD("\x14") NAA_), "3par-of-the-second-floor", LUN_ANSWER_NONE, "" },
		{ TEXT(HEAD("\x14") NAA_), "", LUN_ANSWER_NONE, "" },
		/* Cut short, empty, of another page. */
		{ TEXT(HEAD("\x14") "\x01\x03\x00\x10\x60\x01"), NAA, LUN_ANSWER_NONE, "" },
		{ TEXT(HEAD("\xff") NAA_), NAA, LUN_ANSWER_SAME, NAA },
		{ TEXT(HEAD("\x04") "\x01\x03\x00\x00"), NAA, LUN_ANSWER_NONE, "" },
		{ TEXT(HEAD("\x03") "\x01\x03\x00"), NAA, LUN_ANSWER_NONE, "" },
		{ TEXT(HEAD("\x00")), NAA, LUN_ANSWER_NONE, "" },
		{ TEXT("\x00\x83"), NAA, LUN_ANSWER_NONE, "" },
		{ TEXT("\x00\x80\x00\x14" NAA_), NAA, LUN_ANSWER_NONE, "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ uint8_t *page = xcalloc(1, cases[i].len);
		char wwid[LUN_WWID_SIZE];

		/* In memory of its own, so that what reads too far is caught. */
		memcpy(page, cases[i].page, cases[i].len);
		if (lun_answer_read(page, cases[i].len, cases[i].name, wwid) != cases[i].answer ||
		    strcmp(wwid, cases[i].wwid) != 0)
			fail_msg("case %zu: '%s'", i, wwid);
	}
}

/* The longest designator that there can be has no room, and is nobody's name. */
static void
test_long(void **state)
{
	uint8_t page[4 + 4 + 255] = { 0, 0x83, 1, 3, 1, 3, 0, 255 };
	char wwid[LUN_WWID_SIZE];

	assert_int_equal(lun_answer_read(page, sizeof(page), NAA, wwid), LUN_ANSWER_NONE);
	assert_string_equal(wwid, "");
}

/* What is no SCSI device passes. */
static void
test_unasked(void **state)
{
	struct disk disk = { .path = (char[]){ "/dev/disk/by-id/wwn-0x" NAA },
		.device = DISK_DEVICE_LUN };
	struct error err = { 0 };

	assert_int_equal(lun_confirm("", &disk, makedev(1, 3), &err), 0);
	assert_int_equal(lun_confirm("", &disk, 0, &err), 0);
}

static void
test_sense(void **state)
{
	static const struct {
		const uint8_t *sense;
		size_t len;
		bool none;
	} cases[] = {
		{ TEXT("\x70\0\5\0\0\0\0\x0a\0\0\0\0\x25\0"), true },
		{ TEXT("\xf1\0\5\0\0\0\0\x0a\0\0\0\0\x25"), true },
		{ TEXT("\x70\0\5\0\0\0\0\x0a\0\0\0\0\x24\0"), false },
		{ TEXT("\x70\0\5\0\0\0\0\x0a\0\0\0\0"), false },
		{ TEXT("\x72\5\x25\0"), true },
		{ TEXT("\x73\5\x25"), true },
		{ TEXT("\x72\5\x24\0"), false },
		{ TEXT("\x72\5"), false },
		{ TEXT("\x7f\5\x25\0\0\0\0\x0a\0\0\0\0\x25\0"), false },
		{ TEXT(""), false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ uint8_t *sense = xcalloc(1, cases[i].len + 1);

		memcpy(sense, cases[i].sense, cases[i].len);
		if (lun_answer_is_none_there(sense, cases[i].len) != cases[i].none)
			fail_msg("case %zu", i);
	}
}

static void
put(const char *below, const char *text)
{
	_free_ char *path = xasprintf("%s/sys/dev/block/9:9/%s", disk_root, below);

	for (char *slash = path + strlen(disk_root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
	write_file(path, text, strlen(text));
}

static void
expect(int answer, const char *why)
{
	struct disk disk = { .path = (char[]){ "/dev/disk/by-id/dm-uuid-mpath-" NAA },
		.device = DISK_DEVICE_LUN };
	struct error err = { 0 };

	assert_int_equal(lun_confirm(disk_root, &disk, makedev(9, 9), &err), answer);
	if (answer == 0)
		return;
	assert_int_equal(err.status, 507);
	if (!strstr(err.detail, why) || !strstr(err.detail, disk.path))
		fail_msg("'%s' is not in '%s'", why, err.detail);
}

/* Whoever reads a mapped device that has lost its paths waits for them, and cannot be ended. */
static void
test_silent(void **state)
{
	put("dm/uuid", "mpath-" NAA "\n");
	expect(-1, "(there are 0)");
	put("slaves/sdx9/device/scsi_level", "6\n");
	put("slaves/sdx9/device/state", "transport-offline\n");
	expect(-1, "(there are 1)");
	put("slaves/sdy9/device/scsi_level", "6\n");
	put("slaves/sdy9/device/state", "blocked\n");
	expect(-1, "(there are 2)");
	/* There is no such node: it cannot be asked. */
	put("slaves/sdy9/device/state", "running\n");
	expect(-1, "(there are 2)");
	/* What is no SCSI disk is not asked, whatever its state is called. */
	put("slaves/nvme9n9/device/state", "live\n");
	expect(0, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_unasked),
		cmocka_unit_test(test_sense),
		cmocka_unit_test(test_silent),
	};

	return cmocka_run_group_tests(tests, disk_root_setup, disk_root_teardown);
}
