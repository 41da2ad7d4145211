/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/cluster_units.h"

#include <string.h>

#include "virtx/client.h"
#include "virtx/cluster_check.h"
#include "virtx/cluster_fs.h"
#include "virtx/cluster_run.h"

#define WORDS_MAX  6
#define DEADLINE_S 180	 /* of one command: systemd gives a unit 90 s to stop, and to start */
#define GID	   "GID" /* stands for sanlock's group */

struct step {
	unsigned int part;
	unsigned int where;
	const char *argv[WORDS_MAX + 1];
	bool (*wanted)(const struct cluster_site *site); /* NULL: always */
};

#define SYSTEMCTL(...)                   \
	{                                \
		"systemctl", __VA_ARGS__ \
	}
#define ONE  (ON_ALL & ~ON_MODULAR)
#define MANY (ON_ALL & ~ON_MONOLITHIC)

/* In this order. A socket is only opened while its service does not run. */
static const struct step steps[] = {
	/* What it could not start with is found as long as nothing is down. */
	{ PART_VIRTXD, ON_ALL, { "virtxd", "--check-config" }, NULL },
	{ PART_MODULE, ON_ALL, { "modprobe", "softdog" }, NULL },
	{ PART_SYSCTL, ON_ALL, { "sysctl", "-q", "-p", "/etc/sysctl.d/99-virtx.conf" }, NULL },
	{ PART_SANLOCK, ON_ALL, { "groupmod", "-g", GID, "sanlock" }, cluster_site_other_group },
	{ PART_LIBVIRT, ONE, SYSTEMCTL("stop", "libvirtd.service"), NULL },
	{ PART_LIBVIRT, ONE, SYSTEMCTL("enable", "--now", "libvirtd-tls.socket"), NULL },
	{ PART_LIBVIRT, ONE, SYSTEMCTL("start", "libvirtd.service"), NULL },
	{ PART_LIBVIRT, MANY, SYSTEMCTL("stop", "virtproxyd.service"), NULL },
	{ PART_LIBVIRT, MANY,
	    SYSTEMCTL("enable", "--now", "virtproxyd.socket", "virtproxyd-tls.socket"), NULL },
	{ PART_LIBVIRT, MANY, SYSTEMCTL("enable", "virtqemud.socket"), NULL },
	{ PART_LIBVIRT, MANY, SYSTEMCTL("restart", "virtqemud.service"), NULL },
	{ PART_TLS, ONE,
	    { "virt-admin", "-c", "libvirtd:///system", "server-update-tls", "libvirtd" }, NULL },
	{ PART_TLS, MANY,
	    { "virt-admin", "-c", "virtproxyd:///system", "server-update-tls", "virtproxyd" },
	    NULL },
	{ PART_WDMD, ON_ALL, SYSTEMCTL("restart", "wdmd.service"), NULL },
	{ PART_SANLOCK, ON_ALL, SYSTEMCTL("enable", "wdmd.service", "sanlock.service"), NULL },
	{ PART_SANLOCK, ON_ALL, SYSTEMCTL("restart", "sanlock.service"), NULL },
	{ PART_SERF, ON_ALL, SYSTEMCTL("enable", "serf.service"), NULL },
	{ PART_SERF, ON_ALL, SYSTEMCTL("restart", "serf.service"), NULL },
	{ PART_VIRTXD, ON_ALL, SYSTEMCTL("enable", "virtxd.service"), NULL },
	{ PART_VIRTXD, ON_ALL, SYSTEMCTL("enable", "--now", "virtx-renew.timer"), NULL },
	{ PART_VIRTXD, ON_ALL, SYSTEMCTL("restart", "virtxd.service"), NULL },
};

/* Of a host that leaves: before its files are taken back, */
static const struct step leaving[] = {
	{ PART_LEAVE, ON_ALL, SYSTEMCTL("disable", "--now", "virtx-renew.timer"), NULL },
	{ PART_LEAVE, ON_ALL, SYSTEMCTL("disable", "--now", "virtxd.service"), NULL },
	/* A unit whose end fails has ended all the same: whether the lockspace is left is only
	 * known of who leaves it, and VMs that are on keep it. */
	{ PART_LEAVE, ON_ALL, { "virtxd", "--lockspace", "leave" },
	    cluster_check_may_be_in_lockspace },
	{ PART_LEAVE, ON_ALL, SYSTEMCTL("stop", "virtx-lockspace.service"), NULL },
	/* It tells the others as it ends. */
	{ PART_LEAVE, ON_ALL, SYSTEMCTL("disable", "--now", "serf.service"), NULL },
};

/* virtxd would join the lockspace of a storage that is still there, without a watchdog after the
 * next boot, and let root of this host do all that its tokens allow. */
static bool
has_no_storage(const struct cluster_site *site)
{
	_free_ char *storage = cluster_check_storage_left(site);

	return storage == NULL;
}

/* ... and afterwards. */
static const struct step left[] = {
	{ PART_LEAVE, ONE, SYSTEMCTL("stop", "libvirtd.service"), NULL },
	{ PART_LEAVE, ONE, SYSTEMCTL("disable", "--now", "libvirtd-tls.socket"), NULL },
	{ PART_LEAVE, ONE, SYSTEMCTL("start", "libvirtd.service"), NULL },
	{ PART_LEAVE, MANY, SYSTEMCTL("stop", "virtproxyd.service"), NULL },
	{ PART_LEAVE, MANY, SYSTEMCTL("disable", "--now", "virtproxyd-tls.socket"), NULL },
	{ PART_LEAVE, MANY, SYSTEMCTL("restart", "virtqemud.service"), NULL },
	{ PART_LEAVE, ON_ALL, SYSTEMCTL("enable", "--now", "virtxd.service"), has_no_storage },
};

static bool
is_due(const struct cluster_site *site, const struct step *step, unsigned int parts)
{
	/* Who is restarted reads its certificates as well. */
	if (parts & PART_LIBVIRT)
		parts &= ~PART_TLS;
	return (step->part & parts) && (step->where & site->where) == site->where &&
	       (!step->wanted || step->wanted(site));
}

/* The command in words. */
static char *
step_text(const struct cluster_site *site, const struct step *step)
{
	struct buffer b = { 0 };

	for (size_t i = 0; step->argv[i]; i++) {
		if (strcmp(step->argv[i], GID) == 0)
			buffer_printf(&b, " %u", site->sanlock_gid);
		else
			buffer_printf(&b, "%s%s", i ? " " : "", step->argv[i]);
	}
	return buffer_steal(&b, NULL);
}

static int
run_step(const struct cluster_site *site, const struct step *step, struct error *err)
{
	_free_ char *gid = xasprintf("%u", site->sanlock_gid);
	const char *argv[WORDS_MAX + 1];

	for (size_t i = 0; i <= WORDS_MAX; i++) {
		argv[i] = step->argv[i];
		if (argv[i] && strcmp(argv[i], GID) == 0)
			argv[i] = gid;
	}
	return cluster_run(argv, DEADLINE_S, err);
}

/* Who goes on later does nothing twice, where a part's last step is done. That a host leaves is
 * noted until all is taken back. */
static int
note_done(const struct cluster_site *site, const struct step *rows, size_t n, size_t at,
    unsigned int parts, struct error *err)
{
	if (rows[at].part == PART_LEAVE)
		return 0;
	for (size_t k = at + 1; k < n; k++) {
		if (rows[k].part == rows[at].part && is_due(site, &rows[k], parts))
			return 0;
	}
	return cluster_plan_note(site, 0, rows[at].part, err);
}

bool
cluster_units_run(const struct cluster_site *site)
{
	return !*site->root_path && cluster_fs_exists(site->root, "/run/systemd/system");
}

static int
run_steps(const struct cluster_site *site, const struct step *rows, size_t n, unsigned int parts,
    FILE *out, struct error *err)
{
	bool runs = cluster_units_run(site), told = false;

	for (size_t i = 0; i < n; i++) {
		_free_ char *text = step_text(site, &rows[i]);

		if (!is_due(site, &rows[i], parts))
			continue;
		if (!runs && !told)
			fprintf(out, "systemd does not run here. To be done, in this order, or "
				     "what is like it:\n");
		told = true;
		fprintf(out, "%s%s\n", runs ? "running: " : "    ", text);
		fflush(out);
		if (!runs)
			continue;
		if (run_step(site, &rows[i], err) == 0) {
			if (note_done(site, rows, n, i, parts, err) < 0)
				return -1;
			continue;
		}
		error_wrap(err, "'%s'", text);
		for (size_t k = i + 1; k < n; k++) {
			_free_ char *more = step_text(site, &rows[k]);

			if (is_due(site, &rows[k], parts))
				error_append(err, "still to be done: '%s'", more);
		}
		if (rows[i].wanted == cluster_check_may_be_in_lockspace)
			error_append(err, "VMs that are on, or a sanlock that does not answer, "
					  "keep this host in the lockspace: 'systemctl start "
					  "virtxd' has it serve, and then VMs can be moved, or "
					  "shut down and deleted");
		error_append(err, "the same command goes on here");
		return -1;
	}
	return 0;
}

int
cluster_units_apply(
    const struct cluster_site *site, unsigned int parts, FILE *out, struct error *err)
{
	if (run_steps(site, steps, ARRAY_SIZE(steps), parts, out, err) < 0)
		return -1;
	return cluster_plan_note(site, 0, parts, err);
}

int
cluster_units_leave(const struct cluster_site *site, FILE *out, struct error *err)
{
	return run_steps(site, leaving, ARRAY_SIZE(leaving), PART_LEAVE, out, err);
}

int
cluster_units_left(const struct cluster_site *site, FILE *out, struct error *err)
{
	return run_steps(site, left, ARRAY_SIZE(left), PART_LEAVE, out, err);
}
