/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host that claims a VM, HOST1, and the one that had it and is dead, HOST2: libvirt of this one
 * still has it. libvirt may refuse a definition, another host may be faster, and the process may
 * end after any step.
 */
#ifndef TEST_UNIT_CLAIM_HOST_H
#define TEST_UNIT_CLAIM_HOST_H

#include "two_hosts.h"

#include "work/storage.h"
#include "work/wanted.h"

#define HOST3 "33333333-3333-4333-8333-333333333333"

static bool libvirt_refuses;	/* the next definition */
static const char *faster;	/* a host that has the file before the rename; NULL for none */
static bool works_on;		/* HOST2 lives, and changes the VM as its leases are taken */
static int64_t passed;		/* ms, while something was waited for */
static int cut_at, steps;	/* in a process of its own: it ends after that many steps */
static bool writes_definitions; /* likewise: ROOT/defined.xml is what libvirt has */

static inline void
step(void)
{
	if (++steps == cut_at)
		_exit(77);
}

virDomainPtr
virDomainDefineXMLFlags(virConnectPtr conn, const char *xml, unsigned int flags)
{
	virDomainPtr (*next)(virConnectPtr, const char *, unsigned int) = (virDomainPtr(*)(
	    virConnectPtr, const char *, unsigned int))dlsym(RTLD_NEXT, "virDomainDefineXMLFlags");
	virDomainPtr domain = next(conn, libvirt_refuses ? "<domain/>" : xml, flags);

	libvirt_refuses = false;
	if (writes_definitions)
		write_file(at("defined.xml"), xml, strlen(xml));
	step();
	return domain;
}

/* Another text of the same VM. */
static inline void
change_there(void)
{
	_free_ char *xml = NULL, *changed = NULL;

	assert_int_equal(registry_load(disk_root, HOST2, TEST_VM, &xml, &failure), 0);
	changed = xasprintf("%s\n", xml);
	assert_int_equal(registry_save(disk_root, HOST2, TEST_VM, changed, &failure), 0);
}

/* Who waits does not. */
int
usleep(useconds_t us)
{
	passed += us / 1000;
	return 0;
}

int64_t __wrap_monotonic_ms(void);

int64_t
__wrap_monotonic_ms(void)
{
	return passed;
}

int __real_journal_save(
    const char *root, const char *host, const struct journal *journal, struct error *err);
int __wrap_journal_save(
    const char *root, const char *host, const struct journal *journal, struct error *err);
int __real_journal_remove(const char *root, const char *host, const char *uuid, struct error *err);
int __wrap_journal_remove(const char *root, const char *host, const char *uuid, struct error *err);
int __real_registry_move(
    const char *root, const char *from, const char *to, const char *uuid, struct error *err);
int __wrap_registry_move(
    const char *root, const char *from, const char *to, const char *uuid, struct error *err);
int __real_lease_acquire(
    const char *root, const char *name, const char *uuid, struct lease *lease, struct error *err);
int __wrap_lease_acquire(
    const char *root, const char *name, const char *uuid, struct lease *lease, struct error *err);
int __real_oplog_complete(
    virDomainPtr domain, const char *op, int64_t ts, const char *msg, struct error *err);
int __wrap_oplog_complete(
    virDomainPtr domain, const char *op, int64_t ts, const char *msg, struct error *err);

int
__wrap_journal_save(
    const char *root, const char *host, const struct journal *journal, struct error *err)
{
	int r = __real_journal_save(root, host, journal, err);

	step();
	return r;
}

int
__wrap_journal_remove(const char *root, const char *host, const char *uuid, struct error *err)
{
	int r = __real_journal_remove(root, host, uuid, err);

	step();
	return r;
}

int
__wrap_registry_move(
    const char *root, const char *from, const char *to, const char *uuid, struct error *err)
{
	int r;

	if (faster)
		__real_registry_move(root, from, faster, uuid, err);
	r = __real_registry_move(root, from, to, uuid, err);
	step();
	return r;
}

int
__wrap_lease_acquire(
    const char *root, const char *name, const char *uuid, struct lease *lease, struct error *err)
{
	int r = __real_lease_acquire(root, name, uuid, lease, err);

	if (works_on)
		change_there();
	step();
	return r;
}

int
__wrap_oplog_complete(
    virDomainPtr domain, const char *op, int64_t ts, const char *msg, struct error *err)
{
	int r = __real_oplog_complete(domain, op, ts, msg, err);
	_free_ char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);

	if (writes_definitions)
		write_file(at("defined.xml"), xml, strlen(xml));
	step();
	return r;
}

static inline int
claim_setup(void **state)
{
	libvirt_refuses = works_on = writes_definitions = false;
	faster = NULL;
	cut_at = steps = 0;
	return two_hosts_setup(state);
}

/* What libvirt of HOST1 has goes to HOST2, which dies. */
static inline void
give_away(void)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM), there = NULL;
	_free_ char *xml = NULL;

	assert_non_null(domain);
	xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
	there = virDomainDefineXML(other, xml);
	assert_non_null(there);
	assert_int_equal(virDomainUndefine(domain), 0);
	assert_int_equal(registry_move(disk_root, HOST1, HOST2, TEST_VM, &failure), 0);
}

/* The small VM, wanted on, is HOST2's. */
static inline void
lose_host(void)
{
	_domain_info_ struct domain_info info = { 0 };
	_domain_ virDomainPtr domain = NULL;

	create_small_vm();
	read_domain(TEST_VM, &info);
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(wanted_define(domain, &info, WANT_ON, false, &failure), 0);
	assert_int_equal(wanted_register(&env, domain, TEST_VM, &failure), 0);
	give_away();
}

static inline struct vm_claim_request
claim_request(void)
{
	return (
	    struct vm_claim_request){ .env = env, .uuid = (char *)TEST_VM, .from = (char *)HOST2 };
}

static inline void
put_foreign_journal(const char *host, const char *op, const struct disk *made,
    const struct disk *dropped, const char *target)
{
	const struct journal journal = { .op = (char *)op,
		.uuid = (char *)TEST_VM,
		.made = (struct disk *)made,
		.n_made = made != NULL,
		.dropped = (struct disk *)dropped,
		.n_dropped = dropped != NULL,
		.deletestorage = true,
		.target = (char *)target,
		.ts = now_ms() };

	assert_int_equal(__real_journal_save(disk_root, host, &journal, &failure), 0);
}

static inline bool
has_journal_at(const char *host)
{
	_journal_ struct journal journal = { 0 };

	return journal_load(disk_root, host, TEST_VM, &journal, &failure) < 0 || journal.op;
}

/* It is this host's, and no other's, and nothing is left of how it became that. */
static inline void
expect_claimed(void)
{
	assert_true(is_registered(HOST1, TEST_VM));
	assert_false(is_registered(HOST2, TEST_VM));
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
	expect_logged("VmFailover", "completed");
	assert_false(has_journal_at(HOST1));
	assert_false(has_journal_at(HOST2));
	assert_int_equal(fake_sanlock_held(), 0);
}

/* It is where it was, and nothing is left of what was tried. */
static inline void
expect_untouched(const char *host)
{
	assert_true(is_registered(host, TEST_VM));
	assert_false(is_registered(HOST1, TEST_VM));
	assert_int_equal(domain_state(TEST_VM), -1);
	assert_false(has_journal_at(HOST1));
	assert_int_equal(fake_sanlock_held(), 0);
}

static inline void
must_claim(void)
{
	const struct vm_claim_request request = claim_request();
	struct vm_claim_result result = { 0 };

	must_run(WORK_VM_CLAIM, &request, &result);
	if (result.outcome != CLAIM_CLAIMED)
		fail_msg("%s: %s", enum_word(&claim_outcome_enum, result.outcome), result.why);
	expect_claimed();
	model_clear(&vm_claim_result_model, &result);
}

/* It is not claimed, and these words are among those why; as an operation it fails so. */
static inline void
must_not_claim(enum claim_outcome expected, int status, const char *words)
{
	struct vm_claim_request request = claim_request();
	struct vm_claim_result result = { 0 };

	must_run(WORK_VM_CLAIM, &request, &result);
	if (result.outcome != expected || !strstr(str_or_empty(result.why), words))
		fail_msg("%s, not %s '%s': %s", enum_word(&claim_outcome_enum, result.outcome),
		    enum_word(&claim_outcome_enum, expected), words, str_or_empty(result.why));
	model_clear(&vm_claim_result_model, &result);
	request.or_fail = true;
	must_fail(WORK_VM_CLAIM, &request, status, words);
}

#endif
