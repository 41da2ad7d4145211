/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtxd's command line: it serves, runs one job, or does what systemd asks for. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/daemon.h"
#include "proto/coredump.h"
#include "proto/log.h"
#include "work/host_down.h"
#include "work/work.h"

#define LEASES_S 60 /* for the leases of what still ends on a host that goes down */

static void
usage(FILE *out)
{
	fputs("usage: virtxd [-d] [-c FILE]\n"
	      "       virtxd --check-config [-c FILE]\n"
	      "       virtxd --lockspace leave|allow [-c FILE]\n"
	      "       virtxd [--resident] --job NAME|list\n"
	      "\n"
	      "  -c, --config FILE   read FILE instead of " CONFIG_FILE "\n"
	      "      --check-config  read the configuration, say what is wrong, and exit\n"
	      "  -d, --debug         log at level debug\n"
	      "      --lockspace leave\n"
	      "                      leave sanlock's lockspace, as this host goes down\n"
	      "      --lockspace allow\n"
	      "                      virtxd may join it again\n"
	      "      --job NAME      run one job: its request as JSON on stdin\n"
	      "      --resident      take more requests of that job, each a line of stdin\n"
	      "      --job list      list the jobs with their requests\n"
	      "  -h, --help          print this\n"
	      "  -V, --version       print the version\n",
	    out);
}

static void
raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* What systemd has done as the host goes down, and when it is up. */
static int
lockspace(const struct config *config, const char *what)
{
	struct error err = { 0 };
	int r;

	log_init((enum log_level)config->log_level, NULL);
	if (str_equal(what, "leave"))
		r = host_down_leave(config->storage_root, config->run_dir, LEASES_S, &err);
	else
		r = host_down_allow(config->run_dir, &err);
	if (r < 0)
		fprintf(stderr, "virtxd: %s\n", err.detail);
	return r < 0;
}

struct given {
	struct daemon_options daemon;
	bool check_config, resident;
	const char *lockspace_to; /* NULL where it was not asked for */
};

/* -1 to go on, else what to exit with: a job, and what only tells, is done then. */
static int
read_options(int argc, char **argv, struct given *given)
{
	enum { OPT_CHECK_CONFIG = 256, OPT_JOB, OPT_LOCKSPACE, OPT_RESIDENT };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, OPT_CHECK_CONFIG },
		{ "debug", no_argument, NULL, 'd' },
		{ "job", required_argument, NULL, OPT_JOB },
		{ "resident", no_argument, NULL, OPT_RESIDENT },
		{ "lockspace", required_argument, NULL, OPT_LOCKSPACE },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "c:dhV", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			given->daemon.config_file = optarg;
			given->daemon.config_given = true;
			break;
		case 'd':
			given->daemon.debug = true;
			break;
		case OPT_CHECK_CONFIG:
			given->check_config = true;
			break;
		case OPT_JOB:
			if (strcmp(optarg, "list") != 0)
				return work_main(optarg, given->resident);
			work_print_list();
			return 0;
		case OPT_RESIDENT:
			given->resident = true;
			break;
		case OPT_LOCKSPACE:
			given->lockspace_to = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			puts("virtxd " VIRTX_VERSION);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	return -1;
}

int
main(int argc, char **argv)
{
	struct given given = { .daemon = { .config_file = CONFIG_FILE } };
	const char *to;
	struct config config;
	struct error err = { 0 };
	int rc;

	coredump_forbid();
	rc = read_options(argc, argv, &given);
	if (rc >= 0)
		return rc;
	to = given.lockspace_to;
	if (optind < argc || (to && !str_equal(to, "leave") && !str_equal(to, "allow"))) {
		usage(stderr);
		return 2;
	}
	config_init(&config);
	if (config_load(&config, given.daemon.config_file, given.daemon.config_given, &err) < 0) {
		fprintf(stderr, "virtxd: %s\n", err.detail);
		config_clear(&config);
		return 1;
	}
	if (given.check_config || to) {
		rc = to ? lockspace(&config, to) : 0;
		config_clear(&config);
		return rc;
	}
	log_init(given.daemon.debug ? LOG_LEVEL_DEBUG : (enum log_level)config.log_level, NULL);
	raise_file_limit();
	return daemon_run(&given.daemon, &config) < 0;
}
