/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "domain/domain_xml.h"
#include "golden.h"

#define UUID "f7e028df-813b-5296-be2f-2d5a1596ae98"

static void
read_caps(const char *xml, struct domain_caps *caps)
{
	struct error err = { 0 };

	*caps = (struct domain_caps){ 0 };
	if (domain_caps_read(xml, caps, &err) < 0)
		fail_msg("%s", err.detail);
}

static void
test_of_libvirt(void **state)
{
	_free_ char *xml = golden_read("domain/read/capabilities.xml");
	struct domain_caps caps;

	read_caps(xml, &caps);
	assert_string_equal(caps.host_uuid, UUID);
	assert_string_equal(caps.arch, "x86_64");
	assert_string_equal(caps.vendor, "AMD");
	assert_string_equal(caps.model, "kvm64");
	assert_int_equal(caps.tsc_hz, 2445406000);
	assert_true(caps.kvm);
	assert_int_equal(caps.nodes, 1);
	assert_ptr_equal(strstr(caps.cpu, "<cpu>"), caps.cpu);
	assert_non_null(strstr(caps.cpu, "<feature name=\"pdpe1gb\"/>"));
	assert_string_equal(caps.cpu + strlen(caps.cpu) - strlen("</cpu>"), "</cpu>");
	assert_int_equal(caps.n_hugepages, 2);
	assert_int_equal(caps.hugepages[0], 2048);
	assert_int_equal(caps.hugepages[1], 1048576);
	domain_caps_clear(&caps);
	domain_caps_clear(&caps);
	assert_null(caps.arch);
}

static void
test_minimal(void **state)
{
	struct domain_caps caps;

	read_caps("<capabilities><host><uuid>" UUID "</uuid><cpu><arch>aarch64</arch></cpu></host>"
		  "</capabilities>",
	    &caps);
	assert_string_equal(caps.arch, "aarch64");
	assert_null(caps.vendor);
	assert_null(caps.model);
	assert_int_equal(caps.tsc_hz, 0);
	assert_false(caps.kvm);
	assert_int_equal(caps.nodes, 1);
	domain_caps_clear(&caps);
}

#define HOST(arch)                                     \
	"<host><uuid>" UUID "</uuid><cpu><arch>" arch  \
	"</arch><counter name='other' frequency='1'/>" \
	"<counter name='tsc' frequency='42'/></cpu>"   \
	"<topology><cells num='2'><cell id='0'/><cell id='4'/></cells></topology></host>"
#define GUEST(arch, type)                                                        \
	"<guest><os_type>hvm</os_type><arch name='" arch "'><domain type='" type \
	"'/></arch></guest>"

static void
test_kvm_counts_for_the_hosts_architecture(void **state)
{
	static const struct {
		const char *xml;
		bool kvm;
	} rows[] = {
		{ "<capabilities>" HOST("x86_64") GUEST("i686", "kvm")
			GUEST("x86_64", "qemu") "</capabilities>",
		    false },
		{ "<capabilities>" HOST("x86_64") GUEST("i686", "qemu")
			GUEST("x86_64", "kvm") "</capabilities>",
		    true },
		{ "<capabilities>" HOST("aarch64") GUEST("x86_64", "kvm") "</capabilities>",
		    false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct domain_caps caps;

		read_caps(rows[i].xml, &caps);
		assert_int_equal(caps.kvm, rows[i].kvm);
		assert_int_equal(caps.nodes, 2);
		assert_int_equal(caps.tsc_hz, 42);
		domain_caps_clear(&caps);
	}
}

static void
test_qemu_user(void **state)
{
#define DAC(label)  "<secmodel><model>dac</model><doi>0</doi>" label "</secmodel>"
#define LABEL(text) "<baselabel type='kvm'>" text "</baselabel>"
	static const struct {
		const char *secmodels;
		int64_t uid, gid;
	} rows[] = {
		{ DAC(LABEL("+64055:+109") LABEL("+64055:+109")), 64055, 109 },
		{ "<secmodel><model>apparmor</model><doi>0</doi>" LABEL(
		      "libvirt-x") "</secmodel>" DAC(LABEL("+107:+4294967294")),
		    107, 4294967294 },
		{ DAC(LABEL("+0:+0")), 0, 0 },
		/* A driver without a user of its own, and what is not numbers. */
		{ "<secmodel><model>none</model><doi>0</doi></secmodel>", -1, -1 },
		{ DAC(""), -1, -1 },
		{ DAC(LABEL("qemu:kvm")), -1, -1 },
		{ DAC(LABEL("+107")), -1, -1 },
		{ DAC(LABEL("+107:+108:+109")), -1, -1 },
	};
	struct domain_caps caps;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *xml = xasprintf("<capabilities><host><uuid>" UUID
					     "</uuid><cpu><arch>x86_64</arch></cpu>%s</host>"
					     "</capabilities>",
		    rows[i].secmodels);

		read_caps(xml, &caps);
		assert_int_equal(caps.qemu_uid, rows[i].uid);
		assert_int_equal(caps.qemu_gid, rows[i].gid);
		domain_caps_clear(&caps);
	}
}

static void
test_hugepages(void **state)
{
	static const struct {
		const char *pages;
		size_t n;
		unsigned int sizes[2];
	} rows[] = {
		{ "<pages unit='KiB' size='65536'/><pages unit='KiB' size='64'/>"
		  "<pages unit='KiB' size='524288'/>",
		    2, { 65536, 524288 } },
		{ "<pages unit='KiB' size='4'/><pages unit='KiB' size='many'/>", 0, { 0 } },
		{ "", 0, { 0 } },
	};
	struct domain_caps caps;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *xml =
		    xasprintf("<capabilities><host><uuid>" UUID
			      "</uuid><cpu><arch>aarch64</arch>%s</cpu></host></capabilities>",
			rows[i].pages);

		read_caps(xml, &caps);
		assert_int_equal(caps.n_hugepages, rows[i].n);
		for (size_t j = 0; j < rows[i].n; j++)
			assert_int_equal(caps.hugepages[j], rows[i].sizes[j]);
		domain_caps_clear(&caps);
	}
}

static void
test_unreadable(void **state)
{
	static const char *const rows[][2] = {
		{ "<capabilities>", "libvirt's capabilities XML is malformed" },
		{ "<domain/>", "does not begin with the element 'capabilities'" },
		{ "<capabilities/>", "has no valid host uuid ('')" },
		{ "<capabilities><host><uuid>" UUID "</uuid></host></capabilities>",
		    "does not say the host's architecture" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct domain_caps caps = { 0 };
		struct error err = { 0 };

		assert_int_equal(domain_caps_read(rows[i][0], &caps, &err), -1);
		assert_int_equal(err.status, 500);
		assert_non_null(strstr(err.detail, rows[i][1]));
		assert_null(caps.host_uuid);
	}
}

static void
test_sysinfo(void **state)
{
	struct hostdef_sysinfo sysinfo = { 0 };

	domain_sysinfo_read("<sysinfo type='smbios'><bios><entry name='vendor'>SeaBIOS</entry>"
			    "<entry name='version'>1.16 &amp; more</entry>"
			    "<entry name='date'>04/01/2014</entry></bios>"
			    "<system><entry name='version'>no</entry></system></sysinfo>",
	    &sysinfo);
	assert_string_equal(sysinfo.version, "1.16 & more");
	assert_string_equal(sysinfo.date, "04/01/2014");
	model_clear(&hostdef_sysinfo_model, &sysinfo);
	domain_sysinfo_read("<sysinfo><system/></sysinfo>", &sysinfo);
	assert_true(str_empty(sysinfo.version));
	assert_true(str_empty(sysinfo.date));
	domain_sysinfo_read("no XML at all", &sysinfo);
	assert_true(str_empty(sysinfo.version));
	model_clear(&hostdef_sysinfo_model, &sysinfo);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_libvirt),
		cmocka_unit_test(test_minimal),
		cmocka_unit_test(test_kvm_counts_for_the_hosts_architecture),
		cmocka_unit_test(test_qemu_user),
		cmocka_unit_test(test_hugepages),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_sysinfo),
	};

	return cmocka_run_group_tests_name("domain_caps", tests, NULL, NULL);
}
